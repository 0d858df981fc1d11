"""DHCP leases, and NetworkManager's active connections: what both wrote down of the links.

A lease is evidence of a gateway and no more, so a file that cannot be read or understood is none.
"""

import fnmatch
import ipaddress
import pathlib
import re
from types import MappingProxyType
from typing import Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.errors import SymrouteError, pass_on_exhaustion
from symroute_nm.files import access
from symroute_nm.files.access import Tree
from symroute_nm.model.host import Lease

_Gateway = Optional[ipaddress.IPv4Address]

# dhclient's own folders and NetworkManager's (nm_dhcp_utils_get_leasefile_path()).
_DHCLIENT = (
    ("var/lib/dhcp", "dhclient*.lease*"),
    ("var/lib/dhclient", "dhclient*.lease*"),
    ("var/lib/NetworkManager", "dhclient*.lease"),
    ("run/NetworkManager", "dhclient*.lease"),
)
_INTERNAL = (
    ("var/lib/NetworkManager", "internal-*.lease"),
    ("run/NetworkManager", "internal-*.lease"),
)
_STATES = "run/NetworkManager/devices"

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_INTERNAL_NAME = re.compile(f"internal-{_UUID}-(?P<link>.+)\\.lease", re.DOTALL)
# A string may lack its end: were that a failure, each of many quotes would be tried up to the end.
_TOKEN = re.compile(
    r'"(?P<string>(?:[^"\\]|\\.)*)\\?(?:"|\Z)|(?P<word>[^\s{};,"#]+|[{};,])|#[^\n]*', re.DOTALL
)
_INDEX = re.compile(r"[1-9][0-9]{0,9}")

_NO_NAMES: Mapping[int, str] = MappingProxyType({})


class _Source(NamedTuple):
    """What one file says of a link; the gateway is None where its last lease has none."""

    link: str
    gateway: _Gateway
    path: str
    changed: int  # nanoseconds since the epoch


def read_leases(root: pathlib.Path, names: Mapping[int, str] = _NO_NAMES) -> Tuple[Lease, ...]:
    """The leases below `root`, one a link, by link; the file that was written last decides.

    NetworkManager's later versions keep the gateway in the state of the device only, by interface
    index: `names` (``{ifindex: name}``) brings these in, and they go before all files. Expired
    leases count: their gateway is the best there is to know of a link that is down.
    """
    with Tree(root) as tree:
        files = sorted(
            (*_dhclient_sources(tree), *_internal_sources(tree)),
            key=lambda source: (source.changed, source.path),
        )
        latest = {source.link: source for source in (*files, *_state_sources(tree, names))}
    return tuple(
        Lease(link=link, gateway=source.gateway, path=source.path)
        for link, source in sorted(latest.items())
        if source.gateway is not None
    )


def read_connections(root: pathlib.Path) -> Mapping[int, str]:
    """The UUIDs of NetworkManager's active connections, ``{ifindex: uuid}`` (nm-config.c)."""
    uuids = {}
    with Tree(root) as tree:
        for index, path in _state_files(tree):
            uuid = _keyfile(_text(tree, path)).get("device", {}).get("connection-uuid", "")
            if re.fullmatch(_UUID, uuid):
                uuids[index] = uuid.lower()
    return MappingProxyType(uuids)


def parse_dhclient(text: str) -> Mapping[str, _Gateway]:
    """The gateway of each link's last lease in a file of dhclient.leases(5); never raises."""
    gateways: Dict[str, _Gateway] = {}
    lease: Optional[List[List[str]]] = None
    for statement in _statements(text):
        if statement == ["lease"]:
            lease = []
        elif lease is not None and statement != ["}"]:
            lease.append(statement)
        elif lease is not None:
            gateways.update(_lease(lease))
            lease = None
    return MappingProxyType(gateways)


def parse_internal(text: str) -> _Gateway:
    """The gateway in a lease of NetworkManager's own client (ROUTER=, ROUTES=); never raises."""
    values = _keyfile("[lease]\n" + text)["lease"]
    return _choose(
        {
            "classless": _default_route(re.sub(r"[\"']", "", values.get("ROUTES", ""))),
            "router": _first(re.split(r"[\s,\"']+", values.get("ROUTER", ""))),
        }
    )


def parse_state(text: str) -> _Gateway:
    """The gateway among the DHCP options in a device's state (NetworkManager 1.42)."""
    options = _keyfile(text).get("dhcp4", {})
    return _choose(
        {
            "classless": _default_route(options.get("dhcp4.rfc3442_classless_static_routes", "")),
            "router": _first(options.get("dhcp4.routers", "").split()),
        }
    )


def _dhclient_sources(tree: Tree) -> Iterator[_Source]:
    for path in _files(tree, _DHCLIENT):
        if _name(path).startswith("dhclient6"):  # router advertisements alone name IPv6 routers
            continue
        for link, gateway in parse_dhclient(_text(tree, path)).items():
            yield _Source(link, gateway, "/" + path, _changed(tree, path))


def _internal_sources(tree: Tree) -> Iterator[_Source]:
    for path in _files(tree, _INTERNAL):
        name = _INTERNAL_NAME.fullmatch(_name(path))
        gateway = parse_internal(_text(tree, path))
        # Later versions write nothing but ADDRESS=: that says nothing about the gateway.
        if name and gateway is not None:
            yield _Source(name.group("link"), gateway, "/" + path, _changed(tree, path))


def _state_sources(tree: Tree, names: Mapping[int, str]) -> Iterator[_Source]:
    for index, path in _state_files(tree):
        gateway = parse_state(_text(tree, path))
        if index in names and gateway is not None:
            yield _Source(names[index], gateway, "/" + path, 0)


def _state_files(tree: Tree) -> List[Tuple[int, str]]:
    return sorted(
        (int(_name(path)), path)
        for path in _files(tree, ((_STATES, "*"),))
        if _INDEX.fullmatch(_name(path))
    )


def _name(path: str) -> str:
    return path.rpartition("/")[2]


def _files(tree: Tree, places: Iterable[Tuple[str, str]]) -> List[str]:
    """The paths, relative to the root, of all in these folders that a pattern fits."""
    paths: List[str] = []
    for folder, pattern in places:
        try:
            names = tree.names(folder)
        except SymrouteError:
            continue
        except OSError as error:  # NetworkManager's folder is root's alone
            pass_on_exhaustion(error)
            continue
        paths += [f"{folder}/{name}" for name in names if fnmatch.fnmatchcase(name, pattern)]
    return paths


def _text(tree: Tree, path: str) -> str:
    try:
        # A file system that crashed may have left NULs, which no name and no value can have.
        text = access.read_below(tree, path)
    except SymrouteError:
        return ""
    return text.decode("utf-8", "replace").replace("\0", "\ufffd")


def _changed(tree: Tree, path: str) -> int:
    status = tree.status(path)
    return 0 if status is None else status.st_mtime_ns


def _statements(text: str) -> Iterator[List[str]]:
    """Words up to a ``;`` or ``{`` each, and ``}`` by itself; never empty."""
    words: List[str] = []
    for token in _TOKEN.finditer(text):
        word = token.group("word") or token.group("string") or ""
        if word not in (";", "{", "}") or token.group("string") is not None:
            words.extend([word] if word else [])
            continue
        if words:
            yield words
            words = []
        if word == "}":
            yield [word]


def _lease(statements: Iterable[Sequence[str]]) -> Mapping[str, _Gateway]:
    link = ""
    gateways: Dict[str, _Gateway] = {}
    for keyword, *words in statements:
        if keyword == "interface":
            link = "".join(words)
        elif keyword == "option":
            gateways.update(_option(words))
    return {link: _choose(gateways)} if link else {}


def _option(words: Sequence[str]) -> Mapping[str, _Gateway]:
    name, values = words[:1], list(words[1:])
    if name == ["routers"]:
        return {"router": _first(values)}
    if name in (["rfc3442-classless-static-routes"], ["ms-classless-static-routes"]):
        return {"classless": _default_octets([value for value in values if value != ","])}
    if name == ["classless-static-routes"]:  # as RHEL's dhclient calls and prints it
        return {"classless": _default_route(" ".join(values))}
    return {}


def _choose(gateways: Mapping[str, _Gateway]) -> _Gateway:
    # Clients ignore the router beside a classless default route (RFC 3442), NetworkManager only
    # where there is such a default.
    return gateways.get("classless") or gateways.get("router")


def _default_route(text: str) -> _Gateway:
    words = re.split(r"[\s,]+", text.strip())
    for destination, gateway in zip(words[::2], words[1::2]):
        if destination in ("0.0.0.0/0", "0"):
            return _first([gateway])
    return None


def _default_octets(words: Sequence[str]) -> _Gateway:
    """The default's gateway in option 121: prefix length, its significant octets, gateway, …"""
    position = 0
    while position < len(words) and re.fullmatch(r"[0-9]{1,2}", words[position]):
        gateway = position + 1 + (int(words[position]) + 7) // 8
        if words[position] == "0":
            return _first([".".join(words[gateway : gateway + 4])])
        position = gateway + 4
    return None


def _first(words: Iterable[str]) -> _Gateway:
    for word in words:
        try:
            address = ipaddress.IPv4Address(word)
        except ValueError:
            continue
        if not (address.is_unspecified or address.is_loopback or address.is_multicast):
            return address
    return None


def _keyfile(text: str) -> Mapping[str, Mapping[str, str]]:
    """``{section: {key: value}}`` of a GKeyFile; lines that are none are passed over."""
    sections: Dict[str, Dict[str, str]] = {}
    section: Dict[str, str] = {}
    for line in map(str.strip, text.split("\n")):
        key, equals, value = line.partition("=")
        if line.startswith("[") and line.endswith("]"):
            section = sections.setdefault(line[1:-1], {})
        elif equals and not line.startswith("#"):
            section[key.strip()] = value.strip()
    return sections
