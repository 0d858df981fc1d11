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
from typing import FrozenSet, Iterator, Mapping, Optional, Union

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
    return Profile(
        name=name,
        # make_connection_name() in nms-ifcfg-rh-reader.c
        id=values.get("NAME", "") or f"System {name}",
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
        problem=next(_problems(values), "") if managed else "",
    )


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


def _problems(values: _Values) -> Iterator[str]:
    """Why NetworkManager drops the file, as far as routing or finding its device is concerned."""
    kind = _type(values)
    if not kind and "DEVICE" not in values:
        yield "it has neither TYPE nor DEVICE that NetworkManager can read"
    if kind and kind != "CTC" and kind.lower() not in _TYPES:
        yield f"NetworkManager does not know {_quote(values, 'TYPE')}"
    if values.get("BOOTPROTO", "").lower() not in _METHODS:
        yield f"NetworkManager does not know {_quote(values, 'BOOTPROTO')}"
    if "HWADDR" in values and not hardware_address(values["HWADDR"]):
        yield f"{_quote(values, 'HWADDR')} is not a hardware address"
    for key in itertools.chain(_unreadable4(values), _unreadable6(values)):
        yield f"{_quote(values, key)} is not an address"


def _unreadable4(values: _Values) -> Iterator[str]:
    """The keys that read_full_ip4_address() stumbles over; it looks at one gateway only."""
    method = values.get("BOOTPROTO", "").lower()
    if method in ("", "none", "static") and not _has_address4(values):
        return
    gateway = False
    for suffix in itertools.chain(("",), map(str, itertools.count())):
        if "IPADDR" + suffix not in values:
            if suffix not in ("", "0", "1"):
                return
            continue
        keys = ["IPADDR" + suffix]
        if "GATEWAY" + suffix in values and not gateway:
            gateway = True
            keys.append("GATEWAY" + suffix)
        yield from (key for key in keys if _address4(values[key]) is None)


def _has_address4(values: _Values) -> bool:
    keys = itertools.product(("IPADDR", "PREFIX", "NETMASK"), ("", "0", "1", "2"))
    return any(key + suffix in values for key, suffix in keys)


def _unreadable6(values: _Values) -> Iterator[str]:
    disabled = boolean(values.get("IPV6_DISABLED"), default=False)
    enabled = boolean(values.get("IPV6INIT"), default=False) and not disabled
    addresses = "IPV6ADDR" in values or "IPV6ADDR_SECONDARIES" in values
    gateway = values.get("IPV6_DEFAULTGW", "").partition("%")[0]
    if enabled and addresses and "IPV6_DEFAULTGW" in values and _address6(gateway) is None:
        yield "IPV6_DEFAULTGW"


def _quote(values: _Values, key: str) -> str:
    value = values.get(key, "")[:60]
    return f"{key}={value if value.isprintable() else ascii(value)}"
