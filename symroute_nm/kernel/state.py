"""Our rules and routes in the running kernel: read exactly, and brought from one state to another.

What is deleted is known by the very message in which the kernel listed it, and comes back by the
same message: attributes that no `Route` or `Rule` has are kept so (as ``ip route save`` does).
"""

import contextlib
import errno
import os
import socket
import struct
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple, Union

from symroute_nm.errors import SystemFailure
from symroute_nm.kernel import netlink
from symroute_nm.kernel.attempts import attempt
from symroute_nm.kernel.rtnetlink import (
    ACTIONS,
    ROUTE_TYPES,
    RouteReader,
    decode_rule,
    links_of,
    read_names,
    read_sysctl,
    sendable,
)
from symroute_nm.kernel.scope import Scope
from symroute_nm.kernel.steps import find_steps
from symroute_nm.model.iproute2 import format_item
from symroute_nm.model.network import Route, Rule
from symroute_nm.model.state import ADD, DELETE, REPLACE, State, Step

# linux/rtnetlink.h, linux/fib_rules.h
_RTPROT_BOOT = 3  # as `ip` has it for routes; for rules it says nothing
_SCOPE_UNIVERSE, _SCOPE_LINK = 0, 253
_RTNH_F_ONLINK = 0x4
_FIB_RULE_INVERT = 0x2
_RT_TABLE_COMPAT = 252  # rtm_table of tables that do not fit into it
_LARGEST_SHORT = 255
_FAMILY_AT = 16  # behind the nlmsghdr
_TABLE_AT = 16 + 4  # behind rtm_family, rtm_dst_len, rtm_src_len and rtm_tos
_FLAGS_AT = 16 + 8  # fib_rule_hdr.flags
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
_ROUTE_NUMBERS = {name: number for number, name in ROUTE_TYPES.items()}
_ACTION_NUMBERS = {name: number for number, name in ACTIONS.items()}
_GONE = (errno.ESRCH, errno.ENOENT, errno.ENODEV)
_IFF_UP = 1
_MOST_SHOWN = 3
_ROUNDS = 2
_OTHERS = "see whether another program changes rules or routes at the same time"


class Saved(NamedTuple):
    """Rules and routes as the messages in which the kernel listed them, in its order."""

    rules: Tuple[bytes, ...] = ()
    routes: Tuple[bytes, ...] = ()


_Messages = List[Tuple[Union[Rule, Route], bytes]]


class _Listed(NamedTuple):
    """The same, understood; the keys are those of `_key`."""

    state: State
    messages: Dict[Any, List[bytes]]
    links: Dict[str, int]  # their indexes


def save_state(territory: Scope) -> Saved:
    """The territory as it is now; raises `SystemFailure`."""
    with contextlib.closing(netlink.open_netlink()) as connection:
        return _save(connection, territory)


def bring_to(territory: Scope, wanted: State) -> None:
    """Bring the territory to a state, step by step, and look whether it is there.

    Raises `SystemFailure`, with some of the steps done.
    """
    with contextlib.closing(netlink.open_netlink()) as connection:
        # Whose place a route takes is for the kernel to say: what is left over is seen afterwards.
        for _ in range(_ROUNDS):
            before = _read(connection, _save(connection, territory))
            steps = find_steps(before.state, wanted)
            if not steps:
                return
            for step in steps:
                _check(step, _perform(connection, step, before, {}))
        left = find_steps(_read(connection, _save(connection, territory)).state, wanted)
    if left:
        raise SystemFailure(
            "the kernel did not keep what it was told: "
            f"{_shown((f'{each.action} {format_item(each.item)}' for each in left))}",
            _OTHERS,
        )


def restore_state(territory: Scope, saved: Saved) -> None:
    """Bring back exactly what was saved: attribute by attribute, of equal routes the first first.

    But for routes by links that are gone, down or without IPv6: the kernel would have dropped
    those, too. Whatever is met on the way, a refusal or what cannot be read or compared, holds up
    nothing else; `SystemFailure` for what is not back.
    """
    with contextlib.closing(netlink.open_netlink()) as connection:
        readable = _readable(saved)
        possible = attempt(_possible, connection, readable)
        wanted = readable if possible.failure else possible.value
        attempt(_step_back, connection, territory, wanted)  # what is left is seen below
        for _ in range(_ROUNDS):
            mended = attempt(_mend_all, connection, territory, wanted)
        left = attempt(lambda: _differing(connection, _save(connection, territory), wanted))
    lost = len(saved.rules) + len(saved.routes) - len(readable.rules) - len(readable.routes)
    refused = [*(mended.value or ()), *filter(None, (mended.failure, left.failure))]
    if lost:
        refused.insert(0, f"{lost} rules or routes on record cannot be read")
    if left.value or left.failure or lost:
        raise SystemFailure(_shown(refused) or "other rules or routes are there", _OTHERS)


def _step_back(connection: socket.socket, territory: Scope, saved: Saved) -> None:
    """The steps in their good order, as far as they can be taken."""
    before, wanted = (_read(connection, each) for each in (_save(connection, territory), saved))
    for step in find_steps(before.state, wanted.state):
        attempt(_perform, connection, step, before, wanted.messages)


def _mend_all(connection: socket.socket, territory: Scope, saved: Saved) -> List[str]:
    return _mend(connection, _save(connection, territory), saved)


def _readable(saved: Saved) -> Saved:
    """What of it can be read at all."""
    reader = RouteReader({})
    return Saved(
        tuple(raw for raw in saved.rules if _rule_of(raw) is not None),
        tuple(raw for raw in saved.routes if _route_of(reader, raw) is not None),
    )


def _rule_of(raw: bytes) -> Optional[Rule]:
    """The rule in a message of the kernel's; None for what cannot be read: it is not ours."""
    rule: Optional[Rule] = attempt(_decoded_rule, raw).value
    return rule


def _decoded_rule(raw: bytes) -> Rule:
    return decode_rule(netlink.decode(netlink.RULES, raw))


def _route_of(reader: RouteReader, raw: bytes) -> Optional[Route]:
    """The route in a message; None for what is none, or cannot be read."""
    route: Optional[Route] = attempt(reader.read, raw, 0).value
    return route


def _possible(connection: socket.socket, saved: Saved) -> Saved:
    """Without the routes of which no link can have any now."""
    usable = _usable_links(connection) if saved.routes else {}
    return saved._replace(
        routes=tuple(
            raw
            for raw in saved.routes
            if not links_of(raw) or links_of(raw) & usable[raw[_FAMILY_AT]]
        )
    )


def _usable_links(connection: socket.socket) -> Dict[int, Set[int]]:
    """The indexes of the links that may have routes of a family: {family: indexes}."""
    listed = netlink.dump(connection, netlink.LINKS)
    names = read_names(line for line in listed if line.fields["flags"] & _IFF_UP)
    disabled = {
        index for index, name in names.items() if read_sysctl(f"ipv6/conf/{name}/disable_ipv6")
    }
    return {socket.AF_INET: set(names), socket.AF_INET6: set(names) - disabled}


def _mend(connection: socket.socket, present: Saved, saved: Saved) -> List[str]:
    """Make anew what is not exactly as it was; returns what the kernel refused."""
    refused = []
    for here, there in _differing(connection, present, saved):
        for action, items in ((DELETE, here), (ADD, there)):
            for item, raw in items:
                step = Step(action, item)
                sent = attempt(_send, connection, step, raw)
                if action == ADD and sent.failure:
                    refused.append(f"cannot add {format_item(item)}: {sent.failure}")
                elif action == ADD and sent.value:
                    refused.append(_refusal(step, sent.value).message)
    return refused


def _differing(
    connection: socket.socket, present: Saved, saved: Saved
) -> List[Tuple[_Messages, _Messages]]:
    """What is there and what was there, where these differ: by priority, by place in a table."""
    here, there = _places(connection, present), _places(connection, saved)
    pairs = [(here.get(place, []), there.get(place, [])) for place in {**here, **there}]
    return [(before, after) for before, after in pairs if not _are_same(before, after)]


def _are_same(here: _Messages, there: _Messages) -> bool:
    """Whether two lists are exactly alike; what cannot be compared is not."""
    compared = attempt(
        lambda: [_exact(*each) for each in here] == [_exact(*each) for each in there]
    )
    return bool(compared.value)


def _places(connection: socket.socket, saved: Saved) -> Dict[Any, _Messages]:
    state = _read(connection, saved).state
    found: Dict[Any, _Messages] = {}
    for rule, raw in zip(state.rules, saved.rules):
        found.setdefault((rule.version, rule.priority), []).append((rule, raw))
    for route, raw in zip(state.routes, saved.routes):
        found.setdefault(route.kernel_key, []).append((route, raw))
    return found


def _exact(item: Union[Rule, Route], raw: bytes) -> bytes:
    """What is compared of a message: neither its header nor what tells a state."""
    plain = _plain(raw) if isinstance(item, Rule) else sendable(raw, expiry=False)
    return plain[netlink.HEADER_SIZE :]


def _shown(texts: Iterable[str]) -> str:
    return "; ".join(list(texts)[:_MOST_SHOWN])


def _save(connection: socket.socket, territory: Scope) -> Saved:
    rules = (
        [
            raw
            for raw in netlink.dump_raw(connection, netlink.RULES)
            if raw[_FAMILY_AT] in _FAMILIES.values()  # the others are multicast routing's
            and _is_held(_rule_of(raw), territory)
        ]
        if territory.rules
        else []
    )
    # Hundreds of thousands of others' routes need not be decoded to be left alone.
    places = {each if each <= _LARGEST_SHORT else _RT_TABLE_COMPAT for each in territory.all_tables}
    routes, reader = [], RouteReader({})
    for raw in netlink.dump_raw(connection, netlink.ROUTES) if places else ():
        route = _route_of(reader, raw) if raw[_TABLE_AT] in places else None
        if route is not None and territory.holds(route):
            routes.append(raw)
    return Saved(tuple(rules), tuple(routes))


def _is_held(rule: Optional[Rule], territory: Scope) -> bool:
    return rule is not None and rule.without_protocol in territory.rules


def _read(connection: socket.socket, saved: Saved) -> _Listed:
    names = read_names(netlink.dump(connection, netlink.LINKS))
    reader = RouteReader(names)
    rules = [decode_rule(netlink.decode(netlink.RULES, raw)) for raw in saved.rules]
    routes = [each for each in (reader.read(raw, 0) for raw in saved.routes) if each is not None]
    messages: Dict[Any, List[bytes]] = {}
    items: List[Union[Rule, Route]] = [*rules, *routes]
    for item, raw in zip(items, [*saved.rules, *saved.routes]):
        messages.setdefault(_key(item), []).append(raw)
    return _Listed(
        State(tuple(rules), tuple(routes)), messages, {name: index for index, name in names.items()}
    )


def _key(item: Union[Rule, Route]) -> Any:
    return item.without_protocol if isinstance(item, Rule) else item.identity


def _perform(
    connection: socket.socket, step: Step, before: _Listed, known: Dict[Any, List[bytes]]
) -> int:
    """One step; the errno of the kernel's refusal, else 0."""
    there = (before.messages if step.action == DELETE else known).get(_key(step.item), [])
    # Of several that look alike each is named once.
    raw = there.pop(0) if len(there) > 1 else there[0] if there else b""
    return _send(connection, step, raw or _encode(step.item, before.links))


def _send(connection: socket.socket, step: Step, raw: bytes) -> int:
    """A step by the message that names its rule or route; the errno of a refusal, else 0."""
    rule = isinstance(step.item, Rule)
    message = _plain(raw) if rule else sendable(raw)
    if step.action == DELETE:
        kind = netlink.RTM_DELRULE if rule else netlink.RTM_DELROUTE
        number = netlink.change(connection, kind, 0, message)
        # A link that went down took its routes along: what we want is done.
        return 0 if number in _GONE else number
    kind = netlink.RTM_NEWRULE if rule else netlink.RTM_NEWROUTE
    return netlink.change(connection, kind, _flags(step), message)


def _check(step: Step, number: int) -> None:
    if number:
        raise _refusal(step, number)


def _refusal(step: Step, number: int) -> SystemFailure:
    return SystemFailure(
        f"cannot {step.action} {format_item(step.item)}: {os.strerror(number)}", _hint(number)
    )


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


def _plain(raw: bytes) -> bytes:
    """A listed rule as a message to send: the kernel refuses flags that only tell a state."""
    (flags,) = struct.unpack_from("=I", raw, _FLAGS_AT)
    return raw[:_FLAGS_AT] + struct.pack("=I", flags & _FIB_RULE_INVERT) + raw[_FLAGS_AT + 4 :]


def _encode(item: Union[Rule, Route], links: Dict[str, int]) -> bytes:
    if isinstance(item, Rule):
        return netlink.encode(netlink.RULES, *_rule_message(item))
    return netlink.encode(netlink.ROUTES, *_route_message(item, links))


def _rule_message(rule: Rule) -> Tuple[Dict[str, Any], List[Tuple[str, Any]]]:
    """Fixed fields and attributes, as `ip rule add` sends them."""
    fields = {
        "family": _FAMILIES[rule.version],
        "action": _ACTION_NUMBERS[rule.action],
        "src_len": rule.source.prefixlen if rule.source else 0,
        "table": rule.table if rule.table <= _LARGEST_SHORT else 0,
        "tos": rule.tos,
        "flags": _FIB_RULE_INVERT if rule.invert else 0,
    }
    attributes: List[Tuple[str, Any]] = [
        ("FRA_PRIORITY", rule.priority),
        ("FRA_TABLE", rule.table),
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
        "family": _FAMILIES[route.version],
        "dst_len": route.destination.prefixlen,
        "table": route.table if route.table <= _LARGEST_SHORT else _RT_TABLE_COMPAT,
        "proto": _RTPROT_BOOT,
        "type": _ROUTE_NUMBERS[route.type],
        "tos": route.tos,
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
            raise SystemFailure(f"{hop.link} is gone", "run it again")
        yield "RTA_OIF", links[hop.link]
    if hop.gateway is None:
        return
    if hop.gateway.version == route.version:
        yield "RTA_GATEWAY", str(hop.gateway)
    else:
        family = _FAMILIES[hop.gateway.version]
        yield "RTA_VIA", {"family": int(family), "addr": str(hop.gateway)}
