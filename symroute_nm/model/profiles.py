"""Which profiles NetworkManager may use for a link."""

import re
from typing import TYPE_CHECKING, Dict, Iterable, Iterator, List, NamedTuple, Sequence, Set, Tuple

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

_Binding = Tuple[str, str]  # device uuid hwaddr, and which


if TYPE_CHECKING:
    _Profiles = Tuple[Profile, ...]
else:
    _Profiles = tuple  # in Python 3.6 any tuple is an instance of a class below Tuple[...]


class Profiles(_Profiles):
    """The profiles of a host: a tuple of them that finds those of a link without trying all.

    There may be thousands of both, and every link asks.
    """

    def __init__(self, profiles: Iterable[Profile] = ()) -> None:  # noqa: ARG002  # tuple's __new__ takes them
        self._positions: Dict[_Binding, List[int]] = {}
        for position, profile in enumerate(self):
            for binding in _bindings_of_profile(profile):
                self._positions.setdefault(binding, []).append(position)

    def candidates(self, link: Link) -> Iterator[Profile]:
        """The profiles that share with the link what they bind by, in their order."""
        positions: Set[int] = set()
        for binding in _bindings_of_link(link):
            positions.update(self._positions.get(binding, ()))
        return (self[position] for position in sorted(positions))


def profiles_for(link: Link, profiles: Tuple[Profile, ...]) -> Tuple[Profile, ...]:
    """The profiles that apply to `link`, those that name it first; several: it is ambiguous.

    Sound profiles go before those with a problem, the active one before all, those that start at
    boot before those that do not. One that NetworkManager is told to keep off stays, for it makes
    NetworkManager leave the link alone whatever else there is. Of many profiles, `Profiles` are
    looked through far faster than a plain tuple.
    """
    if not isinstance(profiles, Profiles):
        profiles = Profiles(profiles)
    bound = [profile for profile in profiles.candidates(link) if _binds(profile, link)]
    bound = [profile for profile in bound if _is_active(profile, link)] or bound
    bound = [profile for profile in bound if not profile.problem] or bound
    bound = [profile for profile in bound if profile.onboot or not profile.managed] or bound
    return tuple(sorted(bound, key=lambda profile: (profile.device != link.name, profile.name)))


def _bindings_of_profile(profile: Profile) -> Sequence[_Binding]:
    if profile.device:
        return [("device", profile.device)]
    return [("uuid", profile.uuid.lower()), ("hwaddr", _significant(profile.hwaddr))]


def _bindings_of_link(link: Link) -> Sequence[_Binding]:
    return [
        ("device", link.name),
        ("uuid", link.connection.lower()),
        ("hwaddr", _significant(link.permanent_mac or link.mac)),
    ]


def _is_active(profile: Profile, link: Link) -> bool:
    return bool(link.connection) and profile.uuid.lower() == link.connection.lower()


def _binds(profile: Profile, link: Link) -> bool:
    if profile.device:
        return profile.device == link.name and _hardware_agrees(profile, link)
    if profile.hwaddr:
        return _same_type(profile, link) and _hardware_agrees(profile, link)
    return _is_active(profile, link)


def _hardware_agrees(profile: Profile, link: Link) -> bool:
    # A port of a bond wears the bond's address: the permanent one decides where it is known. Where
    # it is not (before Linux 5.6) and MACADDR= changed the other, NetworkManager's word counts.
    if not profile.hwaddr or (not link.permanent_mac and _is_active(profile, link)):
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
