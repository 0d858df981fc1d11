"""One packet's walk through the rules and tables: what decides on it, and all that was tried."""

from ipaddress import ip_address
from itertools import chain
from typing import Iterable, NamedTuple, Optional, Set, Tuple

from symroute_nm.errors import InputError, shown
from symroute_nm.model.host import Host
from symroute_nm.model.network import TABLE_MAIN, IPAddress, Rule
from symroute_nm.model.ours import our_rules
from symroute_nm.model.plan import Plan
from symroute_nm.model.settings import Settings
from symroute_nm.rpdb.decision import Decision, TraceStep
from symroute_nm.rpdb.lookup import Rpdb
from symroute_nm.rpdb.proof import put_plan
from symroute_nm.rpdb.rules import Packet

_LARGEST_MARK = 2**32 - 1


class Explanation(NamedTuple):
    """What becomes of a packet, and every rule that was tried on the way."""

    packet: Packet
    decision: Decision
    steps: Tuple[TraceStep, ...]
    planned: bool
    marked_by: str = ""  # the uplink whose connections have the packet's mark


def parse_packet(host: Host, source: str, destination: str, iif: str, mark: str) -> Packet:
    """The packet from a command line's words; raises `InputError`."""
    if iif and iif not in {link.name for link in host.links}:
        raise InputError(f"--iif {iif}: no such link", "see symroute-nm inspect")
    packet = Packet(
        destination=_parse_address("destination", destination),
        source=None if source == "any" else _parse_address("source", source),
        iif=iif,
        mark=_parse_mark(mark),
    )
    if packet.source is not None and packet.source.version != packet.version:
        raise InputError(
            f"{source} and {destination} are of two families", "give two IPv4 or two IPv6 addresses"
        )
    return packet


def explain(host: Host, settings: Settings, packet: Packet, plan: Optional[Plan]) -> Explanation:
    """The packet's walk on the host as it is, or as it would be with the plan in force."""
    ours = our_rules(host, settings)
    if plan is not None:
        host = put_plan(host, settings, plan)
        ours = frozenset(chain.from_iterable(planned.rules for planned in plan.uplinks))
    decision, steps = Rpdb(host.rules, host.routes, host.links).trace(packet)
    return Explanation(
        packet, decision, steps, plan is not None, _marked_by(host, ours, packet.mark)
    )


def _marked_by(host: Host, ours: Iterable[Rule], mark: int) -> str:
    """The uplink to which our rules by that mark lead; "" where there are none."""
    tables = {rule.table for rule in ours if rule.mask and mark & rule.mask == rule.mark}
    tables.discard(TABLE_MAIN)
    links: Set[str] = set()
    for route in host.routes.templates():
        if route.table in tables:
            links |= {hop.link for hop in route.hops}
    return " and ".join(sorted(links))


def _parse_address(what: str, text: str) -> IPAddress:
    try:
        if "%" in text:  # a zone, which only some versions of Python take
            raise ValueError(text)
        return ip_address(text)
    except ValueError:
        raise InputError(
            f"{what}: {shown(text)} is not an address",
            "write an IPv4 or IPv6 address without prefix length or zone",
        ) from None


def _parse_mark(text: str) -> int:
    try:
        number = int(text, 0)
    except ValueError:
        number = -1
    if not 0 <= number <= _LARGEST_MARK:
        raise InputError(f"--mark {text}: not a mark", "write a number, for example 0x10")
    return number
