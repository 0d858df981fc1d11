"""Which id and name each uplink's own table gets."""

from types import MappingProxyType
from typing import AbstractSet, Dict, Mapping, Optional, Sequence, Set

from symroute_nm.errors import InputError, Refusal
from symroute_nm.model.host import TableName
from symroute_nm.model.plan import OwnTable
from symroute_nm.model.settings import RESERVED_IDS, TableChoice, check_choice, is_usable_name

# Above Tailscale's 52 and VPC CNI's device numbers, below amazon-ec2-net-utils' 10000+ifindex,
# nm-cloud-setup's 30200-30499 and wg-quick's 51820.
NEW_IDS = range(100, 10000)


def allocate_tables(
    links: Sequence[str],
    choices: Mapping[str, TableChoice],
    names: Sequence[TableName],
    used: AbstractSet[int],
    earlier: Mapping[str, int] = MappingProxyType({}),
) -> Dict[str, OwnTable]:
    """The own table of each link, the same for the same input whatever its order: {link: table}.

    `names` are all lines of all rt_tables files, `used` the ids in kernel routes, rules and VRFs.
    Ids are kept by name from our own block, else as the link had them under another name, which
    `earlier` tells: {link: id}; new ones are the lowest free. Raises `InputError`.
    """
    allotment = _Allotment(names, used, earlier)
    wished = {link: choices.get(link, TableChoice()) for link in sorted(links)}
    tables = {}
    # The user's words first, then what is kept, so that a new id never takes one of those.
    for link, choice in wished.items():
        if choice.name or choice.id:
            tables[link] = allotment.choose(link, choice)
    rest = [link for link in wished if link not in tables]
    rest.sort(key=lambda link: (not allotment.keeps(link), link))
    for link in rest:
        tables[link] = allotment.choose(link, TableChoice())
    return tables


class _Allotment:
    """The ids and names that are gone, growing as tables are handed out."""

    def __init__(
        self, names: Sequence[TableName], used: AbstractSet[int], earlier: Mapping[str, int]
    ) -> None:
        owned = {name.id for name in names if name.owned}
        self._earlier = {link: table for link, table in earlier.items() if table in owned}
        self._foreign = {name.name: name for name in names if not name.owned}
        self._ambiguous = {
            name.name: name
            for name in names
            if not name.owned and name.id != self._foreign[name.name].id
        }
        self._owned = {name.name: name.id for name in names if name.owned}
        self._named = {name.id: name for name in names if not name.owned}
        self._busy: Set[int] = RESERVED_IDS | set(used) | {name.id for name in names}
        self._new = iter(NEW_IDS)  # asked for once each: what is busy stays so
        self._given: Dict[int, str] = {}
        self._given_names: Set[str] = set()

    def keeps(self, link: str) -> bool:
        return self._default_name(link) in self._owned or link in self._owned

    def choose(self, link: str, choice: TableChoice) -> OwnTable:
        """The link's own table, which no other gets after it; raises `InputError`, `Refusal`."""
        check_choice(link, choice)
        name = choice.name or self._name_of(choice.id) or self._default_name(link)
        foreign = self._foreign.get(name)
        if foreign and name in self._ambiguous:
            other = self._ambiguous[name]
            raise InputError(
                f"{link}: table {name} is {other.id} in {other.path} and {foreign.id} in "
                f"{foreign.path}",
                "make them one, or choose another name",
            )
        # Named otherwise than before, a table keeps its id, by which the kernel has it in use.
        known = (
            foreign.id
            if foreign
            else self._owned.get(name, self._owned.get(link, self._earlier.get(link)))
        )
        if foreign and choice.id not in (0, foreign.id):
            raise InputError(
                f"{link}: table {name} is already {foreign.id} in {foreign.path}",
                "choose another name or id",
            )
        number = choice.id or self._free(known)
        self._claim(link, number, name)
        return OwnTable(id=number, name=name, named=foreign is not None)

    def _name_of(self, number: int) -> str:
        named = self._named.get(number) if number else None
        return named.name if named and is_usable_name(named.name) else ""

    def _default_name(self, link: str) -> str:
        if is_usable_name(link) and link not in self._foreign:
            return link
        return f"{link}-uplink"

    def _free(self, known: Optional[int]) -> int:
        if known is not None and known not in RESERVED_IDS and known not in self._given:
            return known
        for number in self._new:
            if number not in self._busy:
                return number
        raise Refusal(
            f"no table id from {NEW_IDS[0]} to {NEW_IDS[-1]} is free",
            "give ids with --table LINK=NAME:ID",
        )

    def _claim(self, link: str, number: int, name: str) -> None:
        named = self._named.get(number)
        if named and named.name != name:
            raise InputError(
                f"{link}: table {number} is already {named.name} in {named.path}",
                "choose another id",
            )
        if number in self._given or name in self._given_names:
            raise InputError(
                f"{link}: table {name} ({number}) is already another uplink's",
                "each uplink needs a table of its own",
            )
        self._given[number] = name
        self._given_names.add(name)
        self._busy.add(number)
