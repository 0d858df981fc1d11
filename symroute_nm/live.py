"""Our rules and routes in the running kernel: read exactly, and brought from one state to another.

What is deleted is known by the very message in which the kernel listed it, and comes back by the
same message: attributes that no `Route` or `Rule` has are kept so (as ``ip route save`` does).
"""

import contextlib
import errno
import os
import socket
import struct
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple, Union

from symroute_nm import netlink
from symroute_nm.errors import SystemFailure
from symroute_nm.host import ACTIONS, decode_rule, read_names
from symroute_nm.kernelroutes import ROUTE_TYPES, RouteReader
from symroute_nm.model import Route, Rule
from symroute_nm.ownership import Territory
from symroute_nm.transition import DELETE, REPLACE, State, Step, bare, find_steps, identity
from symroute_nm.wording import describe_item

# linux/rtnetlink.h, linux/fib_rules.h
_RTPROT_BOOT = 3  # as `ip` has it for routes; for rules it says nothing
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_RTNH_F_PERVASIVE, _RTNH_F_ONLINK = 0x2, 0x4
_FIB_RULE_INVERT = 0x2
_RT_TABLE_COMPAT = 252  # rtm_table of tables that do not fit into it
_LARGEST_SHORT = 255
_FAMILY_AT = 16  # behind the nlmsghdr
_TABLE_AT = 16 + 4  # behind rtm_family, rtm_dst_len, rtm_src_len and rtm_tos
_FLAGS_AT = 16 + 8  # rtmsg.rtm_flags and fib_rule_hdr.flags alike
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_ROUTE_NUMBERS = {name: number for number, name in ROUTE_TYPES.items()}
_ACTION_NUMBERS = {name: number for number, name in ACTIONS.items()}
_GONE = (errno.ESRCH, errno.ENOENT, errno.ENODEV)
_MOST_SHOWN = 3


class Saved(NamedTuple):
    """Rules and routes as the messages in which the kernel listed them, in its order."""

    rules: Tuple[bytes, ...] = ()
    routes: Tuple[bytes, ...] = ()


_NOTHING = Saved()


class _Listed(NamedTuple):
    """The same, understood; the keys are those of `_key`."""

    state: State
    messages: Dict[Any, List[bytes]]


def save(territory: Territory) -> Saved:
    """The territory as it is now; raises `SystemFailure`."""
    with contextlib.closing(netlink.open_netlink()) as connection:
        return _save(connection, territory)


def read_state(saved: Saved) -> State:
    """The rules and routes that were saved; raises `SystemFailure`."""
    with contextlib.closing(netlink.open_netlink()) as connection:
        return _read(connection, saved).state


def bring(territory: Territory, wanted: State, exact: Saved = _NOTHING) -> Tuple[Step, ...]:
    """Bring the territory to a state, step by step, and look whether it is there.

    `exact` are messages by which things are added as they were. Returns the steps made. Raises
    `SystemFailure`, with some of the steps done.
    """
    with contextlib.closing(netlink.open_netlink()) as connection:
        before = _read(connection, _save(connection, territory))
        known = _read(connection, exact).messages
        steps = find_steps(before.state, wanted)
        links = {name: index for index, name in _names(connection).items()}
        for step in steps:
            _perform(connection, step, before, known, links)
        left = find_steps(_read(connection, _save(connection, territory)).state, wanted)
    if left:
        raise SystemFailure(
            "the kernel did not keep what it was told: %s" % "; ".join(
                "%s %s" % (each.action, describe_item(each.item)) for each in left[:_MOST_SHOWN]),
            "see whether another program changes rules or routes at the same time")
    return steps


def _save(connection: socket.socket, territory: Territory) -> Saved:
    rules = [
        raw for raw in netlink.dump_raw(connection, netlink.RULES)
        if raw[_FAMILY_AT] in _FAMILIES.values()  # the others are multicast routing's
        and bare(decode_rule(netlink.decode(netlink.RULES, raw))) in territory.rules
    ] if territory.rules else []
    # Hundreds of thousands of others' routes need not be decoded to be left alone.
    places = {each if each <= _LARGEST_SHORT else _RT_TABLE_COMPAT for each in territory.tables}
    routes, reader = [], RouteReader({})
    for raw in netlink.dump_raw(connection, netlink.ROUTES) if places else ():
        route = reader.read(raw, 0) if raw[_TABLE_AT] in places else None
        if route is not None and territory.holds(route):
            routes.append(raw)
    return Saved(tuple(rules), tuple(routes))


def _read(connection: socket.socket, saved: Saved) -> _Listed:
    reader = RouteReader(_names(connection) if saved.routes else {})
    rules = [decode_rule(netlink.decode(netlink.RULES, raw)) for raw in saved.rules]
    routes = [each for each in (reader.read(raw, 0) for raw in saved.routes) if each is not None]
    messages: Dict[Any, List[bytes]] = {}
    items: List[Union[Rule, Route]] = [*rules, *routes]
    for item, raw in zip(items, [*saved.rules, *saved.routes]):
        messages.setdefault(_key(item), []).append(raw)
    return _Listed(State(tuple(rules), tuple(routes)), messages)


def _names(connection: socket.socket) -> Dict[int, str]:
    return read_names(netlink.dump(connection, netlink.LINKS))


def _key(item: Union[Rule, Route]) -> Any:
    return bare(item) if isinstance(item, Rule) else identity(item)


def _perform(
    connection: socket.socket, step: Step, before: _Listed, known: Dict[Any, List[bytes]],
    links: Dict[str, int],
) -> None:
    """One step; raises `SystemFailure` where the kernel refuses it."""
    key = _key(step.item)
    if step.action == DELETE:
        listed = before.messages.get(key)
        raw = _plain(step.item, listed.pop(0)) if listed else _encode(step.item, links)
        kind = netlink.RTM_DELRULE if isinstance(step.item, Rule) else netlink.RTM_DELROUTE
        number = netlink.change(connection, kind, 0, raw)
        # A link that went down took its routes along: what we want is done.
        number = 0 if number in _GONE else number
    else:
        again = known.get(key)
        raw = _plain(step.item, again[0]) if again else _encode(step.item, links)
        kind = netlink.RTM_NEWRULE if isinstance(step.item, Rule) else netlink.RTM_NEWROUTE
        number = netlink.change(connection, kind, _flags(step), raw)
    if number:
        raise SystemFailure(
            "cannot %s %s: %s" % (step.action, describe_item(step.item), os.strerror(number)),
            _hint(number))


def _flags(step: Step) -> int:
    """Of equal priority a rule goes behind the others; of one key a route, too (IPv4)."""
    if isinstance(step.item, Rule):
        return netlink.NLM_F_CREATE
    if step.action == REPLACE:
        return netlink.NLM_F_CREATE | netlink.NLM_F_REPLACE
    return netlink.NLM_F_CREATE | netlink.NLM_F_APPEND


def _hint(number: int) -> str:
    if number in (errno.EPERM, errno.EACCES):
        return "run as root"
    return "see symroute-nm inspect; the link may have changed meanwhile"


def _plain(item: Union[Rule, Route], raw: bytes) -> bytes:
    """A listed message as one to send: the kernel refuses flags that only tell a state."""
    lasting = _FIB_RULE_INVERT if isinstance(item, Rule) else _RTNH_F_PERVASIVE | _RTNH_F_ONLINK
    flags, = struct.unpack_from("=I", raw, _FLAGS_AT)
    return raw[:_FLAGS_AT] + struct.pack("=I", flags & lasting) + raw[_FLAGS_AT + 4:]


def _encode(item: Union[Rule, Route], links: Dict[str, int]) -> bytes:
    if isinstance(item, Rule):
        return netlink.encode(netlink.RULES, *_rule_message(item))
    return netlink.encode(netlink.ROUTES, *_route_message(item, links))


def _rule_message(rule: Rule) -> Tuple[Dict[str, Any], List[Tuple[str, Any]]]:
    """Fixed fields and attributes, as `ip rule add` sends them."""
    fields = {
        "family": _FAMILIES[rule.version], "action": _ACTION_NUMBERS[rule.action],
        "src_len": rule.source.prefixlen if rule.source else 0,
        "table": rule.table if rule.table <= _LARGEST_SHORT else 0,
        "tos": rule.tos, "flags": _FIB_RULE_INVERT if rule.invert else 0,
    }
    attributes: List[Tuple[str, Any]] = [
        ("FRA_PRIORITY", rule.priority), ("FRA_TABLE", rule.table),
    ]
    if rule.source:
        attributes.append(("FRA_SRC", str(rule.source.network_address)))
    if rule.iif:
        attributes.append(("FRA_IIFNAME", rule.iif))
    if rule.mask:
        attributes += [("FRA_FWMARK", rule.mark), ("FRA_FWMASK", rule.mask)]
    if rule.suppress_prefixlength is not None:
        attributes.append(("FRA_SUPPRESS_PREFIXLEN", rule.suppress_prefixlength))
    return fields, attributes


def _route_message(
    route: Route, links: Dict[str, int]
) -> Tuple[Dict[str, Any], List[Tuple[str, Any]]]:
    """Fixed fields and attributes, as `ip route add` sends them; of one hop at most."""
    hop = route.hop
    on_link = route.hops and hop.gateway is None and route.version == 4  # noqa: PLR2004  # family
    fields = {
        "family": _FAMILIES[route.version], "dst_len": route.destination.prefixlen,
        "table": route.table if route.table <= _LARGEST_SHORT else _RT_TABLE_COMPAT,
        "proto": _RTPROT_BOOT, "type": _ROUTE_NUMBERS[route.type], "tos": route.tos,
        "scope": _SCOPE_LINK if on_link else _SCOPE_UNIVERSE,
        "flags": _RTNH_F_ONLINK if hop.onlink else 0,
    }
    return fields, list(_route_attributes(route, links))


def _route_attributes(route: Route, links: Dict[str, int]) -> Iterator[Tuple[str, Any]]:
    yield "RTA_TABLE", route.table
    if not route.default:
        yield "RTA_DST", str(route.destination.network_address)
    if route.metric:
        yield "RTA_PRIORITY", route.metric
    if route.source:
        yield "RTA_PREFSRC", str(route.source)
    hop = route.hop
    if hop.link:
        if hop.link not in links:
            raise SystemFailure("%s is gone" % hop.link, "run it again")
        yield "RTA_OIF", links[hop.link]
    if hop.gateway is None:
        return
    if hop.gateway.version == route.version:
        yield "RTA_GATEWAY", str(hop.gateway)
    else:
        family = _FAMILIES[hop.gateway.version]
        yield "RTA_VIA", {"family": int(family), "addr": str(hop.gateway)}
