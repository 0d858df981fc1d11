"""Which ifcfg profile each uplink's files are named after."""

import re
from typing import Dict, Sequence, Tuple

from symroute_nm.errors import Refusal, SymrouteError, shown
from symroute_nm.model.host import Host
from symroute_nm.model.network import Link
from symroute_nm.model.places import NETWORK_SCRIPTS
from symroute_nm.model.plan import Uplink
from symroute_nm.model.profiles import Profile, profile_file_name, profiles_for
from symroute_nm.model.settings import InterfaceSettings, Settings
from symroute_nm.targets.ifcfg.names import LONGEST_PROFILE, RULE, path_of

# What neither a shell's word splitting nor its globbing changes (the dispatcher script does both),
# and no `ip` option.
_SAFE = re.compile(r"(?!-)[A-Za-z0-9_.:@+-]+\Z")
# Kinds of link that want a type of connection which the ifcfg-rh plugin does not read
# (connection_type_check_compatible in NetworkManager's src/core/devices).
_NOT_IN_IFCFG = {
    "dummy",
    "gre",
    "gretap",
    "ip6gre",
    "ip6tnl",
    "ipip",
    "macvlan",
    "macvtap",
    "sit",
    "tun",
    "vxlan",
    "wireguard",
}


def name_profiles(host: Host, settings: Settings, uplinks: Sequence[Uplink]) -> Tuple[Uplink, ...]:
    """The uplinks with their profiles; raises one `Refusal` that tells all that is wrong."""
    named, problems = [], []
    for uplink in uplinks:
        try:
            profile = find_profile(host, settings, uplink.link)
        except SymrouteError as error:
            problems.append(str(error))
        else:
            named.append(uplink._replace(profile=profile))
    links = {link.name for link in host.links}
    taken: Dict[str, str] = {}
    for uplink in named:
        name, link = uplink.profile.name if uplink.profile else "", uplink.link.name
        if name in taken:
            problems.append(
                f"{taken[name]} and {link}: both use the profile {name}; give each "
                "a profile of its own"
            )
        taken[name] = link
        if name != link and name in links:
            problems.append(
                f"{link}: its profile {profile_file_name(name)} is named after another link, "
                "and the dispatcher script reads a link's own name, too: both would get "
                f"both files; rename it (DEVICE={link} belongs into {profile_file_name(link)})"
            )
    if problems:
        raise Refusal("\n".join(problems))
    return tuple(named)


def find_profile(host: Host, settings: Settings, link: Link) -> Profile:
    """The ifcfg profile whose name the link's files carry; raises `Refusal` with what to do."""
    if not _SAFE.match(link.name):
        raise Refusal(
            f"{link.name!r}: the dispatcher script cannot take this name",
            "rename the link or leave it out (exclude)",
        )
    wished = settings.interface.get(link.name, InterfaceSettings()).profile
    profiles = profiles_for(link, host.profiles)
    if wished:
        profiles = tuple(profile for profile in host.profiles if profile.name == wished)
    if not profiles:
        raise Refusal(
            _no_profile(host, link, wished),
            "make an ifcfg profile for it (nmcli connection migrate --plugin ifcfg-rh "
            f"PROFILE, or write {_profile_path(link.name)}), or leave it out with --exclude "
            f"{link.name}",
        )
    if len(profiles) > 1:
        names = [profile.name for profile in profiles]
        raise Refusal(
            f"{link.name}: the profiles {', '.join(map(_plain, names))} all fit",
            f"set profile in [interface {link.name}], or move a copy elsewhere: "
            "NetworkManager loads it, too",
        )
    _check_profile(host, link, profiles[0])
    return profiles[0]


def _no_profile(host: Host, link: Link, wished: str) -> str:
    if wished:
        return f"{link.name}: there is no profile {_profile_path(wished)}"
    for profile in host.profiles:
        if profile.device == link.name and profile.hwaddr:
            return (
                f"{link.name}: {_profile_path(_plain(profile.name))} names it, but "
                f"HWADDR={profile.hwaddr} is not its address "
                f"({link.permanent_mac or link.mac})"
            )
        if profile.name == link.name and profile.problem:
            return f"{link.name}: {_profile_path(profile.name)}: {profile.problem}"
    return _renamed(host, link) or (
        f"{link.name}: no ifcfg profile has it, so no file would be applied"
    )


def _renamed(host: Host, link: Link) -> str:
    """Whether a profile is bound to this card under a name that no link has any more; else ""."""
    links = {link.name for link in host.links}
    for profile in host.profiles:
        if (
            profile.device
            and profile.device not in links
            and profile.hwaddr == (link.permanent_mac or link.mac)
        ):
            return (
                f"{link.name}: {_profile_path(_plain(profile.name))} has its HWADDR, but "
                f"DEVICE={_plain(profile.device)}: was it renamed (then: DEVICE={link.name})?"
            )
    return ""


def _profile_path(name: str) -> str:
    return f"{NETWORK_SCRIPTS}/{profile_file_name(name)}"


def _plain(name: str) -> str:
    """A profile's name as a message may hold it: a file's name can hold a newline."""
    return name if _SAFE.match(name) else shown(name)


def _check_profile(host: Host, link: Link, profile: Profile) -> None:
    path = _profile_path(profile.name)
    if not _SAFE.match(profile.name) or LONGEST_PROFILE < len(profile.name):
        raise Refusal(
            f"{link.name}: the dispatcher script cannot take the profile name "
            f"{shown(profile.name)}",
            f"rename the file to {profile_file_name(link.name)}",
        )
    if profile.problem:
        raise Refusal(f"{link.name}: {path}: {profile.problem}", "mend the file")
    if not profile.managed and not host.network_service:
        raise Refusal(
            f"{link.name}: {path} says NM_CONTROLLED=no and network.service is not enabled, "
            "so no file would be applied",
            "remove that line",
        )
    if profile.managed and link.kind in _NOT_IN_IFCFG:
        raise Refusal(
            f"{link.name}: {path} cannot describe a {link.kind} link to NetworkManager, so it "
            "brings the link up by another profile, or not at all, and no file would be "
            "applied",
            "leave it to network.service (NM_CONTROLLED=no), or leave it out "
            f"with --exclude {link.name}",
        )
    if profile.rules:
        raise Refusal(
            f"{link.name}: {path} has ROUTING_RULE keys, which NetworkManager leaves out as "
            "soon as a rule file exists",
            f"move them to {path_of(RULE, 4, profile.name)}",
        )
