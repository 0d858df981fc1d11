"""Which profiles NetworkManager may use for a link (pure)."""

import re
from functools import lru_cache
from typing import Callable, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple

from symroute_nm.model.network import IPAddress, Link


class Profile(NamedTuple):
    """An ifcfg file of NetworkManager's; `name` is the file's name after ``ifcfg-``."""

    name: str
    id: str = ""  # NetworkManager's name of the connection: NAME=, else "System " and the name
    device: str = ""
    hwaddr: str = ""  # lower case, colons
    uuid: str = ""
    type: str = ""
    method: str = ""  # BOOTPROTO, lower case
    gateways: Tuple[IPAddress, ...] = ()  # GATEWAY=, GATEWAYn=, IPV6_DEFAULTGW=
    managed: bool = True  # NM_CONTROLLED
    onboot: bool = True
    rules: bool = False  # has ROUTING_RULE keys, which NetworkManager drops beside a rule file
    problem: str = ""  # why NetworkManager would not read the file

    @property
    def file_name(self) -> str:
        """The name of the file that it stands in, without its folder."""
        return profile_file_name(self.name)


def profile_file_name(name: str) -> str:
    """The name of the file that a profile of that name stands in, or stood."""
    return PROFILE_PREFIX + name


PROFILE_PREFIX = "ifcfg-"  # of the names of profiles' files
# Names of backups, which NetworkManager passes over (utils_should_ignore_file of its ifcfg-rh
# plugin); .rpmsave and .rpmorig are not among them: it loads those.
BACKUP_NAME = re.compile(
    r".+(?:\.bak|~|\.orig|\.rej|\.rpmnew|\.augnew|\.augtmp|;[0-9a-f]{8})", re.IGNORECASE | re.DOTALL
)

# Kinds of link (IFLA_INFO_KIND) that ifcfg files name in TYPE=; all else is wired.
_VIRTUAL = ("bond", "bridge", "team", "vlan")
_WIRED_KINDS = ("", "veth")
_INFINIBAND = 20  # octets; of which NetworkManager compares the last eight
_INFINIBAND_COMPARED = 8


def profiles_for(link: Link, profiles: Tuple[Profile, ...]) -> Tuple[Profile, ...]:
    """The profiles that apply to `link`, those that name it first; several: it is ambiguous.

    Sound profiles go before those with a problem, the active one before all, those that start at
    boot before those that do not. One that NetworkManager is told to keep off stays, for it makes
    NetworkManager leave the link alone whatever else there is.
    """
    found: Sequence[Profile] = [each for each in _candidates(link, profiles) if _binds(each, link)]
    found = _prefer(found, lambda profile: _active(profile, link))
    found = _prefer(found, lambda profile: not profile.problem)
    found = _prefer(found, lambda profile: profile.onboot or not profile.managed)
    return tuple(sorted(found, key=lambda each: (each.device != link.name, each.name)))


class _Same:
    """A host's profiles, known again without comparing thousands of them."""

    def __init__(self, profiles: Tuple[Profile, ...]) -> None:
        self.profiles = profiles

    def __hash__(self) -> int:
        return id(self.profiles)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.profiles is other.profiles


def _candidates(link: Link, profiles: Tuple[Profile, ...]) -> Iterator[Profile]:
    """The profiles that share with the link what `_binds` goes by, in their order."""
    index = _index(_Same(profiles))
    keys = (
        ("device", link.name),
        ("uuid", link.connection.lower()),
        ("hwaddr", _significant(link.permanent_mac or link.mac)),
    )
    return (profiles[at] for at in sorted({at for key in keys for at in index.get(key, ())}))


@lru_cache(maxsize=1)
def _index(same: _Same) -> Mapping[Tuple[str, str], Sequence[int]]:
    """Where the profiles stand that bind by a name, an address or a UUID: every link asks."""
    found: Dict[Tuple[str, str], List[int]] = {}
    for at, each in enumerate(same.profiles):
        keys = (
            [("device", each.device)]
            if each.device
            else [("uuid", each.uuid.lower()), ("hwaddr", _significant(each.hwaddr))]
        )
        for key in keys:
            found.setdefault(key, []).append(at)
    return found


def _prefer(found: Sequence[Profile], better: Callable[[Profile], bool]) -> Sequence[Profile]:
    return [each for each in found if better(each)] or found


def _active(profile: Profile, link: Link) -> bool:
    return bool(link.connection) and profile.uuid.lower() == link.connection.lower()


def _binds(profile: Profile, link: Link) -> bool:
    if profile.device:
        return profile.device == link.name and _hardware_agrees(profile, link)
    if profile.hwaddr:
        return _same_type(profile, link) and _hardware_agrees(profile, link)
    return _active(profile, link)


def _hardware_agrees(profile: Profile, link: Link) -> bool:
    # A port of a bond wears the bond's address: the permanent one decides where it is known. Where
    # it is not (before Linux 5.6) and MACADDR= changed the other, NetworkManager's word counts.
    if not profile.hwaddr or (not link.permanent_mac and _active(profile, link)):
        return True
    return _significant(profile.hwaddr) == _significant(link.permanent_mac or link.mac)


def _significant(address: str) -> str:
    octets = address.lower().split(":")
    return ":".join(octets[-_INFINIBAND_COMPARED:] if len(octets) == _INFINIBAND else octets)


def _same_type(profile: Profile, link: Link) -> bool:
    # A VLAN, a bridge and a bond wear the address of a port: HWADDR alone would bind them all.
    kind = profile.type.lower()
    if kind in _VIRTUAL:
        return kind == link.kind
    return link.kind in _WIRED_KINDS
