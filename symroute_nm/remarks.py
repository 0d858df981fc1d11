"""What the user should know of a plan beyond its files: families and gateways left out (pure)."""

from typing import Dict, Iterator, Sequence, Tuple

from symroute_nm.choices import Settings
from symroute_nm.model import (
    TABLE_MAIN,
    VERSIONS,
    Host,
    Uplink,
    UplinkPlan,
    host_network,
    is_global,
)


def remark(
    host: Host, settings: Settings, found: Sequence[Uplink], planned: Sequence[UplinkPlan]
) -> Tuple[str, ...]:
    """What is said of a plan; `found` are the uplinks before families with one only were left."""
    notes = [*_lone_families(found), *_without_gateway(host, found),
             *_other_gateways(host, planned)]
    if settings.sources == "auto":
        notes += _moving_addresses(planned)
    return tuple(notes)


def _lone_families(found: Sequence[Uplink]) -> Iterator[str]:
    for version in VERSIONS:
        names = [each.link.name for each in found if each.gateway(version)]
        if len(names) == 1:
            yield "IPv%d: %s is the only uplink: nothing is written for it" % (version, names[0])


def _without_gateway(host: Host, found: Sequence[Uplink]) -> Iterator[str]:
    """Uplinks in one family that have addresses in the other, in which another link leads out."""
    for version in VERSIONS:
        if not any(each.gateway(version) for each in found):
            continue
        addressed = {each.link for each in host.addresses
                     if each.version == version and is_global(each)}
        for each in found:
            name = each.link.name
            if name in addressed and not each.gateway(version):
                yield ("%s: no IPv%d gateway of it is known, so its IPv%d addresses get no rules "
                       "(--gateway %s=ADDRESS)" % (name, version, version, name))


def _other_gateways(host: Host, planned: Sequence[UplinkPlan]) -> Iterator[str]:
    """The gateways of a multipath default on one link that its own table does without."""
    chosen: Dict[str, str] = {
        each.uplink.link.name: str(gateway.address)
        for each in planned for gateway in each.uplink.gateways}
    for route in host.routes:
        if route.table != TABLE_MAIN or not route.default or len(route.hops) == 1:
            continue
        for link, gateway in chosen.items():
            others = [str(hop.gateway) for hop in route.hops
                      if hop.link == link and str(hop.gateway) != gateway]
            if others:
                yield "%s: its own table goes by %s alone, not by %s" % (
                    link, gateway, ", ".join(others))


def _moving_addresses(planned: Sequence[UplinkPlan]) -> Iterator[str]:
    """Dynamic addresses that are rules' sources themselves, since their network cannot be."""
    for each in planned:
        sources = {rule.source for rule in each.rules}
        moving = [str(address.ip) for address in each.uplink.addresses
                  if address.dynamic and address.peer is None
                  and host_network(address.ip) in sources]
        if moving:
            yield ("%s: the rules for %s are for the address itself, since its network is another "
                   "link's, too: generate again whenever it changes" % (
                       each.uplink.link.name, ", ".join(moving)))
