"""What the user should know of a plan beyond its files: why this guard, what is left out (pure)."""

from typing import Dict, Iterable, Iterator, Mapping, NamedTuple, Sequence, Tuple

from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import shorten_list
from symroute_nm.model.network import TABLE_MAIN, VERSIONS, host_network, is_global, network_key
from symroute_nm.model.plan import LeftOut, Uplink, UplinkPlan
from symroute_nm.model.route_set import pack
from symroute_nm.model.settings import Settings
from symroute_nm.owntables import Knowledge


class Guard(NamedTuple):
    """How internal networks are kept reachable, and why so."""

    name: str  # rules throw none
    reason: str


def remark_guard(
    settings: Settings, guard: Guard, host: Host, without_iif: Iterable[int]
) -> Iterator[str]:
    """What the guard asks of the user; `without_iif`: the IP versions whose transit has no rule."""
    if settings.guard == "auto" and host.suppress is None:
        yield "guard %s: %s" % guard
    if guard.name == "throw":
        yield "guard by throw routes: generate again whenever a container network is added"
        for version in without_iif:
            yield "IPv%d is forwarded, so no rule catches transit (iif)" % version
    if guard.name == "none":
        yield "no guard: replies to containers and other internal networks leave by the uplinks"


def remark_size(
    knowledge: Mapping[int, Knowledge], uplinks: Sequence[Uplink], left_out: Iterable[LeftOut],
    most: int
) -> Iterator[str]:
    """What own tables leave to main or know less exactly, so that they hold no more than `most`."""
    for each in left_out:
        ways = knowledge[each.networks.version].ways(each.networks).items()
        yield (
            "%d IPv%d networks behind routers (%s) are answered by the link that main reaches them "
            "by, whichever was asked: so many do not go into own tables (most-networks = %d)" % (
                len(each.networks), each.networks.version,
                shorten_list(["%s: %d" % way for way in ways if way[1]]), most))
    for known in knowledge.values():
        links = [each.link.name for each in uplinks if each.gateway(known.version)]
        found = {wide for link in links for wide in known.common(link).widened}
        wide = [str(each) for each in sorted(found, key=network_key)]
        if wide:
            yield (
                "own tables know the other uplinks' networks as %s (most-networks = %d): generate "
                "again whenever a container network is added inside" % (shorten_list(wide), most))


def remark_uplinks(
    host: Host, settings: Settings, found: Sequence[Uplink], planned: Sequence[UplinkPlan]
) -> Tuple[str, ...]:
    """What is left out; `found` are the uplinks before families with one only were."""
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
    for route in pack(host.routes).where(
            lambda each: len(each.hops) != 1 and each.table == TABLE_MAIN and each.default):
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
