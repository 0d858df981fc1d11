"""Our rules and routes in the running kernel: read exactly, and brought from one state to another.

What is deleted is known by the very message in which the kernel listed it, and comes back by the
same message: attributes that no `Route` or `Rule` has are kept so (as ``ip route save`` does).
"""

import contextlib
import errno
import os
import socket
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Set, Tuple, Union

from symroute_nm.errors import SystemFailure
from symroute_nm.kernel import netlink, rtnetlink
from symroute_nm.kernel.attempts import attempt
from symroute_nm.kernel.rtnetlink import RouteReader
from symroute_nm.kernel.scope import Scope
from symroute_nm.kernel.steps import find_steps
from symroute_nm.model.iproute2 import format_item
from symroute_nm.model.network import Route, Rule
from symroute_nm.model.state import ADD, DELETE, REPLACE, State, Step

_GONE = (errno.ESRCH, errno.ENOENT, errno.ENODEV)
_MOST_SHOWN = 3
_ROUNDS = 2
_OTHERS = "see whether another program changes rules or routes at the same time"


class Saved(NamedTuple):
    """Rules and routes as the messages in which the kernel listed them, in its order."""

    rules: Tuple[bytes, ...] = ()
    routes: Tuple[bytes, ...] = ()


class _Item(NamedTuple):
    """A rule or route, and the message in which it was listed."""

    item: Union[Rule, Route]
    message: bytes


class _Difference(NamedTuple):
    """What is there and what was there at one place: of a priority, or of a key in a table."""

    present: List[_Item]
    saved: List[_Item]


class _Listed(NamedTuple):
    """What was saved, understood; the keys of messages are those of `_key`."""

    state: State
    messages: Dict[Any, List[bytes]]
    links: Dict[str, int]  # their indexes


# -- saved and brought to a state -----------------------------------------------------------------
def save_state(scope: Scope) -> Saved:
    """What of the scope is there now; raises `SystemFailure`."""
    with contextlib.closing(netlink.open_netlink()) as connection:
        return _save(connection, scope)


def bring_to(scope: Scope, wanted: State) -> None:
    """Bring what is in the scope to a state, step by step, and look whether it is there.

    Raises `SystemFailure`, with some of the steps done.
    """
    with contextlib.closing(netlink.open_netlink()) as connection:
        # Whose place a route takes is for the kernel to say: what is left over is seen afterwards.
        for _ in range(_ROUNDS):
            before = _read(connection, _save(connection, scope))
            steps = find_steps(before.state, wanted)
            if not steps:
                return
            for step in steps:
                number = _perform(connection, step, before, {})
                if number:
                    raise _refusal(step, number)
        left = find_steps(_read(connection, _save(connection, scope)).state, wanted)
    if left:
        words = _first(f"{step.action} {format_item(step.item)}" for step in left)
        raise SystemFailure(f"the kernel did not keep what it was told: {words}", _OTHERS)


def _save(connection: socket.socket, scope: Scope) -> Saved:
    rules = []
    for raw in netlink.dump_raw(connection, netlink.RULES) if scope.rules else ():
        if raw[rtnetlink.FAMILY_AT] in rtnetlink.VERSIONS and _holds_rule(scope, raw):
            rules.append(raw)
    # Hundreds of thousands of others' routes need not be decoded to be left alone.
    tables = {rtnetlink.short_table(table) for table in scope.all_tables}
    routes, reader = [], RouteReader({})
    for raw in netlink.dump_raw(connection, netlink.ROUTES) if tables else ():
        route = _read_route(reader, raw) if raw[rtnetlink.TABLE_AT] in tables else None
        if route is not None and scope.holds(route):
            routes.append(raw)
    return Saved(tuple(rules), tuple(routes))


def _holds_rule(scope: Scope, raw: bytes) -> bool:
    rule = _read_rule(raw)
    return rule is not None and rule.without_protocol in scope.rules


def _read_rule(raw: bytes) -> Optional[Rule]:
    """The rule in a message of the kernel's; None for what cannot be read: it is not ours."""
    rule: Optional[Rule] = attempt(_decode_rule, raw).value
    return rule


def _decode_rule(raw: bytes) -> Rule:
    return rtnetlink.decode_rule(netlink.decode(netlink.RULES, raw))


def _read_route(reader: RouteReader, raw: bytes) -> Optional[Route]:
    """The route in a message; None for what is none, or cannot be read."""
    route: Optional[Route] = attempt(reader.read, raw, 0).value
    return route


def _read(connection: socket.socket, saved: Saved) -> _Listed:
    names = rtnetlink.read_names(netlink.dump(connection, netlink.LINKS))
    reader = RouteReader(names)
    rules = [_decode_rule(raw) for raw in saved.rules]
    read = (reader.read(raw, 0) for raw in saved.routes)
    routes = [route for route in read if route is not None]
    messages: Dict[Any, List[bytes]] = {}
    items: List[Union[Rule, Route]] = [*rules, *routes]
    for item, raw in zip(items, [*saved.rules, *saved.routes]):
        messages.setdefault(_key(item), []).append(raw)
    links = {name: index for index, name in names.items()}
    return _Listed(State(tuple(rules), tuple(routes)), messages, links)


def _key(item: Union[Rule, Route]) -> Any:
    return item.without_protocol if isinstance(item, Rule) else item.identity


# -- brought back ---------------------------------------------------------------------------------
def restore_state(scope: Scope, saved: Saved) -> None:
    """Bring back exactly what was saved: attribute by attribute, of equal routes the first first.

    But for routes by links that are gone, down or without IPv6: the kernel would have dropped
    those, too. Whatever is met on the way, a refusal or what cannot be read or compared, holds up
    nothing else; `SystemFailure` for what is not back.
    """
    with contextlib.closing(netlink.open_netlink()) as connection:
        readable = _readable(saved)
        possible = attempt(_possible, connection, readable)
        wanted = readable if possible.failure else possible.value
        attempt(_step_back, connection, scope, wanted)  # what is left is seen below
        for _ in range(_ROUNDS):
            mended = attempt(_mend, connection, scope, wanted)
        left = attempt(_find_differences, connection, scope, wanted)
    lost = len(saved.rules) + len(saved.routes) - len(readable.rules) - len(readable.routes)
    refused = [*(mended.value or ()), *filter(None, (mended.failure, left.failure))]
    if lost:
        refused.insert(0, f"{lost} rules or routes on record cannot be read")
    if left.value or left.failure or lost:
        raise SystemFailure(_first(refused) or "other rules or routes are there", _OTHERS)


def _readable(saved: Saved) -> Saved:
    """What of it can be read at all."""
    reader = RouteReader({})
    return Saved(
        tuple(raw for raw in saved.rules if _read_rule(raw) is not None),
        tuple(raw for raw in saved.routes if _read_route(reader, raw) is not None),
    )


def _possible(connection: socket.socket, saved: Saved) -> Saved:
    """Without the routes of which no link can have any now."""
    usable = _usable_links(connection) if saved.routes else {}
    routes = []
    for raw in saved.routes:
        links = rtnetlink.links_of(raw)
        if not links or links & usable[raw[rtnetlink.FAMILY_AT]]:
            routes.append(raw)
    return saved._replace(routes=tuple(routes))


def _usable_links(connection: socket.socket) -> Dict[int, Set[int]]:
    """The indexes of the links that may have routes of a family: {family: indexes}."""
    listed = netlink.dump(connection, netlink.LINKS)
    names = rtnetlink.read_names(link for link in listed if link.fields["flags"] & rtnetlink.IFF_UP)
    disabled = {
        index
        for index, name in names.items()
        if rtnetlink.read_sysctl(f"ipv6/conf/{name}/disable_ipv6")
    }
    return {socket.AF_INET: set(names), socket.AF_INET6: set(names) - disabled}


def _step_back(connection: socket.socket, scope: Scope, saved: Saved) -> None:
    """The steps in their good order, as far as they can be taken."""
    before, wanted = _read(connection, _save(connection, scope)), _read(connection, saved)
    for step in find_steps(before.state, wanted.state):
        attempt(_perform, connection, step, before, wanted.messages)


def _mend(connection: socket.socket, scope: Scope, saved: Saved) -> List[str]:
    """Make anew what is not exactly as it was; returns what the kernel refused."""
    refused = []
    for difference in _find_differences(connection, scope, saved):
        for listed in difference.present:
            attempt(_send, connection, Step(DELETE, listed.item), listed.message)
        for listed in difference.saved:
            step = Step(ADD, listed.item)
            sent = attempt(_send, connection, step, listed.message)
            if sent.failure:
                refused.append(f"cannot add {format_item(listed.item)}: {sent.failure}")
            elif sent.value:
                refused.append(_refusal(step, sent.value).message)
    return refused


def _find_differences(connection: socket.socket, scope: Scope, saved: Saved) -> List[_Difference]:
    present, before = _places(connection, _save(connection, scope)), _places(connection, saved)
    differences = [
        _Difference(present.get(place, []), before.get(place, []))
        for place in {**present, **before}
    ]
    return [difference for difference in differences if not _are_same(difference)]


def _places(connection: socket.socket, saved: Saved) -> Dict[Any, List[_Item]]:
    state = _read(connection, saved).state
    places: Dict[Any, List[_Item]] = {}
    for rule, raw in zip(state.rules, saved.rules):
        places.setdefault((rule.version, rule.priority), []).append(_Item(rule, raw))
    for route, raw in zip(state.routes, saved.routes):
        places.setdefault(route.kernel_key, []).append(_Item(route, raw))
    return places


def _are_same(difference: _Difference) -> bool:
    """Whether what is there is exactly what was; what cannot be compared is not."""
    present, saved = (attempt(_comparable, items) for items in difference)
    return not (present.failure or saved.failure) and bool(present.value == saved.value)


def _comparable(items: Iterable[_Item]) -> List[bytes]:
    """What is compared of messages: neither their headers nor what tells a state."""
    plain = (
        rtnetlink.sendable_rule(listed.message)
        if isinstance(listed.item, Rule)
        else rtnetlink.sendable_route(listed.message, expiry=False)
        for listed in items
    )
    return [message[netlink.HEADER_SIZE :] for message in plain]


# -- one step -------------------------------------------------------------------------------------
def _perform(
    connection: socket.socket, step: Step, before: _Listed, known: Dict[Any, List[bytes]]
) -> int:
    """One step; the errno of the kernel's refusal, else 0."""
    messages = (before.messages if step.action == DELETE else known).get(_key(step.item), [])
    if not messages:
        raw = _encode(step.item, before.links)
    elif len(messages) > 1:  # of several that look alike each is named once
        raw = messages.pop(0)
    else:
        raw = messages[0]
    return _send(connection, step, raw)


def _encode(item: Union[Rule, Route], links: Dict[str, int]) -> bytes:
    if isinstance(item, Rule):
        return rtnetlink.encode_rule(item)
    return rtnetlink.encode_route(item, links)


def _send(connection: socket.socket, step: Step, raw: bytes) -> int:
    """A step by the message that names its rule or route; the errno of a refusal, else 0."""
    if isinstance(step.item, Rule):
        message = rtnetlink.sendable_rule(raw)
        new, delete = netlink.RTM_NEWRULE, netlink.RTM_DELRULE
    else:
        message = rtnetlink.sendable_route(raw)
        new, delete = netlink.RTM_NEWROUTE, netlink.RTM_DELROUTE
    if step.action == DELETE:
        number = netlink.change(connection, delete, 0, message)
        # A link that went down took its routes along: what we want is done.
        return 0 if number in _GONE else number
    return netlink.change(connection, new, _flags(step), message)


def _flags(step: Step) -> int:
    """Of equal priority a rule goes behind the others; of one key a route, too (IPv4)."""
    if isinstance(step.item, Rule):
        return netlink.NLM_F_CREATE
    if step.action == REPLACE:
        return netlink.NLM_F_CREATE | netlink.NLM_F_REPLACE
    return netlink.NLM_F_CREATE | netlink.NLM_F_APPEND


def _refusal(step: Step, number: int) -> SystemFailure:
    hint = "see symroute-nm inspect; the link may have changed meanwhile"
    if number in (errno.EPERM, errno.EACCES):
        hint = "run as root"
    return SystemFailure(
        f"cannot {step.action} {format_item(step.item)}: {os.strerror(number)}", hint
    )


def _first(texts: Iterable[str]) -> str:
    return "; ".join(list(texts)[:_MOST_SHOWN])
