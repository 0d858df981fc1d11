"""ifcfg profiles, as NetworkManager's ifcfg-rh plugin reads their files.

Source: NetworkManager 1.42, src/core/settings/plugins/ifcfg-rh/nms-ifcfg-rh-{reader,utils}.c.
GATEWAY, GATEWAYDEV and IPV6_DEFAULTGW in /etc/sysconfig/network are not read: where NetworkManager
goes by them, main has the default route; for all other links they are no evidence.
"""

import ipaddress
import itertools
import pathlib
import re
import socket
from typing import FrozenSet, Iterator, Mapping, NamedTuple, Optional, Tuple, Union

from symroute_nm.errors import Refusal, SymrouteError, SystemFailure
from symroute_nm.files import access
from symroute_nm.files.access import Tree
from symroute_nm.model.network import IPAddress
from symroute_nm.model.places import NETWORK_SCRIPTS
from symroute_nm.model.profiles import (
    BACKUP_NAME,
    PROFILE_PREFIX,
    Profile,
    Profiles,
    profile_file_name,
)
from symroute_nm.readers.ifcfg import shell_variables

_ROUTING_RULE = re.compile(r"ROUTING_RULE6?_[0-9]+")
_GATEWAY = re.compile(r"GATEWAY[0-9]*")
_HARDWARE = re.compile(r"[0-9a-f]{1,2}(?:([:-])[0-9a-f]{1,2}(?:\1[0-9a-f]{1,2})*)", re.IGNORECASE)
_HARDWARE_LENGTHS = (6, 20)  # octets: Ethernet, InfiniBand
_DEVICE = re.compile(r"(?!\.{1,2}\Z)[^/: \t\n\f\r]+")  # nm_utils_ifname_valid_kernel()
_DEVICE_LENGTH = 15  # bytes

_TRUE = ("yes", "true", "t", "y", "1")
_FALSE = ("no", "false", "f", "n", "0")
_METHODS = ("", "none", "static", "bootp", "dhcp", "autoip", "shared")
_TYPES = ("ethernet", "wireless", "infiniband", "bond", "team", "vlan", "bridge")

_Values = Mapping[str, str]


def read_profiles(root: pathlib.Path) -> Profiles:
    """All profiles below `root`, by name; SystemFailure where the folder cannot be listed.

    A file that cannot be read is a profile with a problem; what NetworkManager passes over in
    silence (backups, alias files, the loopback device) is none.
    """
    with Tree(root) as tree:
        names = _names(tree)
        aliases = frozenset(name for name in names if ":" in name)
        profiles = [
            _load_with_aliases(tree, name, aliases)
            for name in sorted(names)
            if not is_ignored(name) and not _is_alias(name, names)
        ]
    return Profiles(profile for profile in profiles if profile.device != "lo")


def is_ignored(name: str) -> bool:
    """Whether NetworkManager passes over a file of that name: no ifcfg file, or a backup of one."""
    if not name.startswith(PROFILE_PREFIX) or name == PROFILE_PREFIX:
        return True
    return BACKUP_NAME.fullmatch(name) is not None


def parse(name: str, text: Union[bytes, str]) -> Profile:
    """The profile that the text of ``ifcfg-<name>`` describes; never raises."""
    values = _values(text)
    managed = boolean(values.get("NM_CONTROLLED"), default=True)
    problem = _find_problem(values, text) if managed else ""
    return Profile(
        name=name,
        id=values.get("NAME", "") or _make_name(name, values),
        device=_device(values),
        hwaddr=hardware_address(values.get("HWADDR", "")),
        uuid=values.get("UUID", "").lower() or generated_uuid(name),
        type=_type(values),
        method=values.get("BOOTPROTO", "").lower(),
        gateways=tuple(_gateways(values)),
        managed=managed,
        onboot=boolean(values.get("ONBOOT"), default=True),
        rules=any(_ROUTING_RULE.fullmatch(key) for key in values),
        # Of a file with NM_CONTROLLED=no NetworkManager reads nothing else.
        problem=problem,
    )


# make_connection_name(): what goes before the file's name where there is no NAME.
_NAME_PREFIXES = {"bond": "Bond", "bridge": "Bridge", "team": "Team", "vlan": "Vlan"}


def _make_name(name: str, values: _Values) -> str:
    kind = _find_kind(values)
    ssid = values.get("ESSID", "")
    if kind == "wireless" and ssid and ssid != name:
        return f"System {ssid} ({name})"
    return f"{_NAME_PREFIXES.get(kind, 'System')} {name}"


def _find_kind(values: _Values) -> str:
    """What connection_from_file_full() makes of it: ethernet, bond …, or what it does not know."""
    kind = _type(values)
    if not kind:
        if boolean(values.get("BONDING_MASTER"), default=False):
            return "bond"
        return "vlan" if boolean(values.get("VLAN"), default=False) else "ethernet"
    if kind in ("Ethernet", "CTC"):
        return "bond" if "BONDING_OPTS" in values else "ethernet"
    return kind.lower()


def _values(text: Union[bytes, str]) -> _Values:
    return {key: value for key, value in shell_variables.parse(text).items() if value}


def boolean(text: Optional[str], *, default: bool) -> bool:
    """A yes or no as svParseBoolean() takes it; `default` for all that is neither."""
    folded = (text or "").lower()
    return folded in _TRUE or (default and folded not in _FALSE)


def hardware_address(text: str) -> str:
    """A hardware address in lower case with colons, two digits an octet; "" where it is none."""
    text = text.strip()
    if not _HARDWARE.fullmatch(text):
        return ""
    octets = re.split("[:-]", text.lower())
    return ":".join(octet.zfill(2) for octet in octets) if len(octets) in _HARDWARE_LENGTHS else ""


def generated_uuid(name: str) -> str:
    """The UUID by which NetworkManager knows a file without ``UUID=``: MD5 of its path.

    "" where the system forbids MD5 (FIPS mode).
    """
    import uuid  # few need it

    path = f"{NETWORK_SCRIPTS}/{profile_file_name(name)}"
    digest = _md5(path.encode("utf-8", "surrogateescape"))
    return str(uuid.UUID(bytes=digest)) if digest else ""


def _md5(text: bytes) -> bytes:
    import hashlib

    try:
        return hashlib.new("md5", text, usedforsecurity=False).digest()
    except TypeError:  # Python < 3.9 knows no such argument
        pass
    except ValueError:
        return b""
    try:
        return hashlib.new("md5", text).digest()  # noqa: S324  # a name for a path, no secret
    except ValueError:  # a kernel in FIPS mode forbids it
        return b""


def _names(tree: Tree) -> FrozenSet[str]:
    try:
        return frozenset(tree.names(NETWORK_SCRIPTS))
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()
    except (OSError, Refusal) as error:
        reason = error.message if isinstance(error, Refusal) else error.strerror or str(error)
        raise SystemFailure(
            f"{tree.shown(NETWORK_SCRIPTS)} cannot be listed: {reason}",
            "check its permissions, or run as root",
        ) from error


def _is_alias(name: str, names: FrozenSet[str]) -> bool:
    base, colon, _ = name.rpartition(":")
    return bool(colon) and base in names


def _load_with_aliases(tree: Tree, name: str, aliases: FrozenSet[str]) -> Profile:
    profile = _load(tree, name)
    gateways = list(profile.gateways)
    for alias in sorted(alias for alias in aliases if alias.startswith(name + ":")):
        gateways += _alias_gateways(tree, alias)
    return profile._replace(gateways=tuple(dict.fromkeys(gateways)))


def _alias_gateways(tree: Tree, alias: str) -> Iterator[IPAddress]:
    """What read_aliases() takes: the IPv4 gateway of a file that names itself as its device."""
    try:
        text = access.read_below(tree, f"{NETWORK_SCRIPTS}/{alias}")
    except SymrouteError:
        return
    values = _values(text)
    if not is_ignored(alias) and values.get("DEVICE") == alias[len(PROFILE_PREFIX) :]:
        yield from (
            gateway for gateway in _gateways(values) if isinstance(gateway, ipaddress.IPv4Address)
        )


def _load(tree: Tree, name: str) -> Profile:
    profile = name[len(PROFILE_PREFIX) :]
    try:
        return parse(profile, access.read_below(tree, f"{NETWORK_SCRIPTS}/{name}"))
    except SymrouteError as error:
        # The message names the path, and a file's name can hold anything.
        return Profile(name=profile, problem=" ".join(error.message.split()))


def _device(values: _Values) -> str:
    device = values.get("DEVICE", "")
    # NetworkManager warns of an impossible name and goes on without it.
    fits = len(device.encode("utf-8")) <= _DEVICE_LENGTH and _DEVICE.fullmatch(device)
    return device if fits else ""


def _type(values: _Values) -> str:
    kind = values.get("DEVICETYPE", "").lower()
    if kind == "team" or (kind != "teamport" and "TEAM_CONFIG" in values):
        return "Team"
    return values.get("TYPE", "Ethernet" if kind == "teamport" else "")


def _gateways(values: _Values) -> Iterator[IPAddress]:
    # All of them, though NetworkManager uses the first alone and only beside an IPADDR: what the
    # administrator wrote is evidence under DHCP too.
    for key in sorted(filter(_GATEWAY.fullmatch, values), key=lambda key: (len(key), key)):
        address = _address4(values[key])
        if address is not None and int(address):
            yield address
    gateway, _, device = values.get("IPV6_DEFAULTGW", "").partition("%")
    address6 = _address6(gateway)
    if address6 is not None and int(address6) and device in ("", values.get("DEVICE", device)):
        yield address6


def _address4(text: str) -> Optional[ipaddress.IPv4Address]:
    # inet_pton() is what NetworkManager asks; older versions of ipaddress take 010.0.0.1 too.
    try:
        return ipaddress.IPv4Address(socket.inet_pton(socket.AF_INET, text))
    except (OSError, ValueError):
        return None


def _address6(text: str) -> Optional[ipaddress.IPv6Address]:
    try:
        return ipaddress.IPv6Address(socket.inet_pton(socket.AF_INET6, text))
    except (OSError, ValueError):
        return None


class _Problem(NamedTuple):
    """Why NetworkManager drops a file; `key` is the variable, "" where it is none alone."""

    key: str
    text: str


def _find_problem(values: _Values, text: Union[bytes, str]) -> str:
    """The first reason, with its line; "" where NetworkManager takes the file."""
    for problem in _problems(values):
        number = shell_variables.line_numbers(text).get(problem.key)
        return f"line {number}: {problem.text}" if number else problem.text
    return ""


def _problems(values: _Values) -> Iterator[_Problem]:
    """Why NetworkManager drops the file, in no order of its own."""
    kind = _type(values)
    if not kind and "DEVICE" not in values:
        yield _Problem("", "it has neither TYPE nor DEVICE that NetworkManager can read")
    if kind and kind != "CTC" and kind.lower() not in _TYPES:
        yield _Problem("TYPE", f"NetworkManager does not know {_quote(values, 'TYPE')}")
    if values.get("BOOTPROTO", "").lower() not in _METHODS:
        yield _Problem("BOOTPROTO", f"NetworkManager does not know {_quote(values, 'BOOTPROTO')}")
    for key, longest in (("HWADDR", _HARDWARE_LENGTHS), ("MACADDR", (_ETHERNET,))):
        if key in values and not _is_hardware_address(key, values[key], longest):
            yield _Problem(key, f"{_quote(values, key)} is not a hardware address")
    for key in itertools.chain(_unreadable4(values), _unreadable6(values), _unreadable_dns(values)):
        yield _Problem(key, f"{_quote(values, key)} is not an address")
    for key in _unreadable_lengths(values):
        yield _Problem(key, f"{_quote(values, key)} is not a prefix length")
    if _is_static(values) and not any(_numbered(values, "IPADDR")):
        yield _Problem(
            "IPADDR", "the address is static, and there is no IPADDR that NetworkManager can read"
        )
    uuid = values.get("UUID", "")
    if uuid and not _UUID.fullmatch(uuid):
        yield _Problem("UUID", f"{_quote(values, 'UUID')} is not a UUID")
    yield from _problems_of_kind(values)


def _problems_of_kind(values: _Values) -> Iterator[_Problem]:
    """What is wrong with a bond, bridge, team or VLAN, or with a port of a team."""
    kind = _find_kind(values)
    if boolean(values.get("BONDING_MASTER"), default=False) and kind != "bond":
        yield _Problem("BONDING_MASTER", "BONDING_MASTER=yes goes with TYPE=Bond alone")
    if kind in ("bond", "bridge", "team") and "DEVICE" not in values:
        yield _Problem("", f"a {kind} needs a DEVICE that NetworkManager can read")
    for key in ("TEAM_CONFIG", "TEAM_PORT_CONFIG"):
        if key in values and not _is_json_object(values[key]):
            yield _Problem(key, f"{_quote(values, key)} is not JSON")
    if kind == "bridge":
        address = values.get("BRIDGE_MACADDR", "")
        if address and not _is_hardware_address("", address, (_ETHERNET,)):
            yield _Problem(
                "BRIDGE_MACADDR", f"{_quote(values, 'BRIDGE_MACADDR')} is not a hardware address"
            )
        for word in values.get("BRIDGING_OPTS", "").split(" "):
            option, _, value = word.partition("=")
            checked = _BRIDGE_OPTIONS.get(option)
            if checked is not None and value and not checked.fullmatch(value):
                yield _Problem("BRIDGING_OPTS", f"{word[:60]!a} is no option of a bridge")
    if kind == "vlan":
        yield from _problems_of_vlan(values)


def _problems_of_vlan(values: _Values) -> Iterator[_Problem]:
    """What make_vlan_setting() refuses: no number, or no link below."""
    device, number = values.get("DEVICE", ""), values.get("VLAN_ID", "")
    if number and not _is_vlan_id(number):
        yield _Problem("VLAN_ID", f"{_quote(values, 'VLAN_ID')} is no number of a VLAN")
        return
    parent, dot, behind = device.partition(".")
    if not dot and device.startswith("vlan"):
        behind = device[len("vlan") :]
    if not number and not _is_vlan_id(behind):
        yield _Problem("DEVICE", "neither VLAN_ID nor DEVICE gives the number of the VLAN")
    if "PHYSDEV" not in values and (not dot or parent.startswith("vlan")):
        yield _Problem("DEVICE", "neither PHYSDEV nor DEVICE gives the link that the VLAN is on")


def _is_vlan_id(text: str) -> bool:
    return text.isdigit() and len(text) < _MOST_DIGITS and int(text) <= _LARGEST_VLAN


_ETHERNET = 6  # octets
_MOST_DIGITS = 10
_LONGEST_PREFIX6 = 128
_LARGEST_VLAN = 4095
# nm_uuid_is_valid_nm(); of a form that only older versions know nothing is said.
_UUID = re.compile(r"[0-9a-f-]{36}|[0-9a-f]{32}|[0-9a-f]{40}", re.IGNORECASE)
# nm-core-internal.h, NM_CLONED_MAC_IS_SPECIAL()
_CLONED = ("preserve", "permanent", "random", "stable", "stable-ssid")
# verify() of libnm-core-impl/nm-setting-bridge.c; of others NetworkManager warns.
_BRIDGE_OPTIONS = {
    "group_address": re.compile(r"01:80:[cC]2:00:00:0[04-9a-fA-F]"),
    "vlan_protocol": re.compile(r"802\.1Q|802\.1ad"),
}


def _is_hardware_address(key: str, text: str, lengths: Tuple[int, ...]) -> bool:
    if key == "MACADDR" and text in _CLONED:
        return True
    address = hardware_address(text)
    return bool(address) and address.count(":") + 1 in lengths


def _is_json_object(text: str) -> bool:
    import json  # few have a team

    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _is_static(values: _Values) -> bool:
    """Whether NetworkManager takes the method "manual", which wants an address."""
    method = values.get("BOOTPROTO", "").lower()
    return method in ("", "none", "static") and _has_address4(values)


def _is_disabled4(values: _Values) -> bool:
    method = values.get("BOOTPROTO", "").lower()
    return method in ("", "none", "static") and not _has_address4(values)


def _numbered(values: _Values, key: str) -> Iterator[str]:
    """The variables IPADDR, IPADDR0, IPADDR1, IPADDR2 … up to the first that is missing."""
    for suffix in itertools.chain(("",), map(str, itertools.count())):
        if key + suffix in values:
            yield key + suffix
        elif suffix not in ("", "0", "1"):
            return


def _unreadable4(values: _Values) -> Iterator[str]:
    """The keys that read_full_ip4_address() stumbles over; it looks at one gateway only."""
    if _is_disabled4(values):
        return
    gateway = False
    for key in _numbered(values, "IPADDR"):
        suffix = key[len("IPADDR") :]
        keys = [key]
        if "GATEWAY" + suffix in values and not gateway:
            gateway = True
            keys.append("GATEWAY" + suffix)
        if "PREFIX" + suffix not in values and "NETMASK" + suffix in values:
            keys.append("NETMASK" + suffix)
        yield from (key for key in keys if _address4(values[key]) is None)


def _unreadable_lengths(values: _Values) -> Iterator[str]:
    if _is_disabled4(values):
        return
    for key in _numbered(values, "IPADDR"):
        length = "PREFIX" + key[len("IPADDR") :]
        if length in values and not re.fullmatch(r" *0*([0-9]|[12][0-9]|3[0-2]) *", values[length]):
            yield length


def _unreadable_dns(values: _Values) -> Iterator[str]:
    """DNS1, DNS2 …; where neither family is configured, nobody reads them."""
    shared = values.get("BOOTPROTO", "").lower() == "shared"
    if (_is_disabled4(values) or shared) and not _is_enabled6(values):
        return
    for number in itertools.count(1):
        key = f"DNS{number}"
        if key not in values:
            return
        # nm_utils_dnsname_parse(): a name for TLS may follow.
        address = values[key].partition("#")[0]
        if _address4(address) is None and _address6(address) is None:
            yield key


def _has_address4(values: _Values) -> bool:
    keys = itertools.product(("IPADDR", "PREFIX", "NETMASK"), ("", "0", "1", "2"))
    return any(key + suffix in values for key, suffix in keys)


def _is_enabled6(values: _Values) -> bool:
    return boolean(values.get("IPV6INIT"), default=False) and not boolean(
        values.get("IPV6_DISABLED"), default=False
    )


def _unreadable6(values: _Values) -> Iterator[str]:
    if not _is_enabled6(values):
        return
    keys = [key for key in ("IPV6ADDR", "IPV6ADDR_SECONDARIES") if key in values]
    for key in keys:
        for text in values[key].split(" "):
            if text and not _is_network6(text):
                yield key
    gateway = values.get("IPV6_DEFAULTGW", "").partition("%")[0]
    if keys and "IPV6_DEFAULTGW" in values and _address6(gateway) is None:
        yield "IPV6_DEFAULTGW"


def _is_network6(text: str) -> bool:
    address, slash, length = text.partition("/")
    if slash and not (re.fullmatch(r"[0-9]{1,3}", length) and int(length) <= _LONGEST_PREFIX6):
        return False
    return _address6(address) is not None


def _quote(values: _Values, key: str) -> str:
    value = values.get(key, "")[:60]
    return f"{key}={value if value.isprintable() else ascii(value)}"
