"""What the user should know of a plan: networks left out, other gateways, moving addresses."""

from typing import Dict, Iterable, Iterator, Mapping, Sequence, Tuple

from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import shorten_list
from symroute_nm.model.network import (
    TABLE_MAIN,
    VERSIONS,
    Route,
    host_network,
    is_global,
    network_key,
)
from symroute_nm.model.plan import LeftOut, Uplink, UplinkPlan
from symroute_nm.model.settings import Settings
from symroute_nm.plan.own_tables import TableFiller


def notes_on_uplinks(
    host: Host, settings: Settings, uplinks: Sequence[Uplink], planned: Sequence[UplinkPlan]
) -> Tuple[str, ...]:
    """What is left out; `uplinks` are those before families with one only were left out."""
    notes = [
        *_lone_families(uplinks),
        *_without_gateway(host, uplinks),
        *_other_gateways(host, planned),
    ]
    if settings.sources == "auto":
        notes += _moving_addresses(planned)
    return tuple(notes)


def _lone_families(uplinks: Sequence[Uplink]) -> Iterator[str]:
    for version in VERSIONS:
        names = [uplink.link.name for uplink in uplinks if uplink.gateway(version)]
        if len(names) == 1:
            yield f"IPv{version}: {names[0]} is the only uplink: nothing is written for it"


def _without_gateway(host: Host, uplinks: Sequence[Uplink]) -> Iterator[str]:
    """Uplinks in one family that have addresses in the other, in which another link leads out."""
    for version in VERSIONS:
        if not any(uplink.gateway(version) for uplink in uplinks):
            continue
        addressed = {
            address.link
            for address in host.addresses
            if address.version == version and is_global(address)
        }
        for uplink in uplinks:
            name = uplink.link.name
            if name in addressed and not uplink.gateway(version):
                yield (
                    f"{name}: no IPv{version} gateway of it is known, so its IPv{version} "
                    f"addresses get no rules (--gateway {name}=ADDRESS)"
                )


def _other_gateways(host: Host, planned: Sequence[UplinkPlan]) -> Iterator[str]:
    """The gateways of a multipath default on one link that its own table does without."""
    chosen: Dict[str, str] = {}
    for plan in planned:
        for gateway in plan.uplink.gateways:
            chosen[plan.uplink.link.name] = str(gateway.address)
    for route in host.routes.select(_is_multipath_default):
        for link, address in chosen.items():
            others = [
                str(hop.gateway)
                for hop in route.hops
                if hop.link == link and str(hop.gateway) != address
            ]
            if others:
                yield f"{link}: its own table goes by {address} alone, not by {', '.join(others)}"


def _is_multipath_default(route: Route) -> bool:
    return len(route.hops) != 1 and route.table == TABLE_MAIN and route.default


def _moving_addresses(planned: Sequence[UplinkPlan]) -> Iterator[str]:
    """Dynamic addresses that are rules' sources themselves, since their network cannot be."""
    for plan in planned:
        sources = {rule.source for rule in plan.rules}
        moving = [
            str(address.ip)
            for address in plan.uplink.addresses
            if address.dynamic and address.peer is None and host_network(address.ip) in sources
        ]
        if moving:
            yield (
                f"{plan.uplink.link.name}: the rules for {', '.join(moving)} are for the "
                "address itself, since its network is another link's, too: generate again "
                "whenever it changes"
            )


def notes_on_size(
    fillers: Mapping[int, TableFiller],
    uplinks: Sequence[Uplink],
    left_out: Iterable[LeftOut],
    most: int,
) -> Iterator[str]:
    """What own tables leave to main or know less exactly, so that they hold no more than `most`."""
    for left in left_out:
        reached = fillers[left.networks.version].count_reached(left.networks).items()
        yield (
            f"{len(left.networks)} IPv{left.networks.version} networks behind routers "
            f"({shorten_list([f'{link}: {number}' for link, number in reached if number])}) are "
            "answered by the link that main reaches them by, whichever was asked: so many do not "
            f"go into own tables (most-networks = {most})"
        )
    for filler in fillers.values():
        links = [uplink.link.name for uplink in uplinks if uplink.gateway(filler.version)]
        widened = frozenset().union(*(filler.shared(link).widened for link in links))
        if widened:
            words = [str(network) for network in sorted(widened, key=network_key)]
            yield (
                f"own tables know the other uplinks' networks as {shorten_list(words)} "
                f"(most-networks = {most}): generate again whenever a container network "
                "is added inside"
            )
