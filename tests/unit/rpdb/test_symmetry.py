"""What goes wrong is told whole, however it is worked out, and of nobody for whom it is right."""

from collections import Counter
from ipaddress import IPv4Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.hosts import BY_ETH0, BY_ETH1, ETH2, address, plain, route, two_uplinks, with_routes
from support.strategies import examples, small_hosts
from symroute_nm.errors import SymrouteError
from symroute_nm.model import route_set as routes_module
from symroute_nm.model.network import TABLE_LOCAL, TABLE_MAIN, Rule
from symroute_nm.model.plan import LeftOut
from symroute_nm.model.prefixes import PrefixSet, prefix_key
from symroute_nm.model.settings import Settings
from symroute_nm.plan.uplinks import find_uplinks
from symroute_nm.rpdb import deviations as judge_module
from symroute_nm.rpdb import expectations, symmetry
from symroute_nm.rpdb.expectations import Expectations, find_catch_all_links, is_internal
from symroute_nm.rpdb.fib import WHOLE
from symroute_nm.rpdb.lookup import Rpdb
from symroute_nm.rpdb.rules import Packet
from symroute_nm.rpdb.symmetry import judge

BEHIND = [ip_network("198.51.100.0/24"), ip_network("2001:db8:9::/48")]


def judged(there, left_out=()):
    return judge(there, find_uplinks(there, Settings()).uplinks, left_out)


def failures(there, link, left_out=()):
    return [
        failure
        for verdict in judged(there, left_out)
        if verdict.address.link == link
        for failure in verdict.failures
    ]


def kinds(found):
    return Counter(
        {
            (
                verdict.address,
                failure.decision.type,
                failure.decision.hops,
                failure.wanted,
            ): failure.classes
            for verdict in found
            for failure in verdict.failures
        }
    )


@pytest.mark.parametrize(
    "rules",
    [(), (Rule(4, 5, source=ip_network("10.0.6.5/32"), table=77),)],
    ids=["all", "from eth0's"],
)
def test_a_way_out_that_is_one_of_several_is_not_right(rules):
    both = route("default", metric=50, table=77 if rules else TABLE_MAIN)._replace(
        hops=BY_ETH0.hops + BY_ETH1.hops
    )
    there = plain(routes=[both])
    there = there._replace(rules=(*rules, *there.rules))
    assert both.hops in [failure.decision.hops for failure in failures(there, "eth0")]
    assert bool(rules) != (
        both.hops in [failure.decision.hops for failure in failures(there, "eth1")]
    )


@pytest.mark.parametrize("excused, other", [("eth0", "eth1"), ("eth1", "eth0")])
def test_who_is_excused_is_so_alone_and_in_both_families(excused, other):
    """None of them has rules of its own here, so that packets of both are decided alike."""
    base, here = two_uplinks(), plain([ETH2], [address("eth2", "10.0.7.5/24")])
    there = with_routes(
        base._replace(
            links=here.links,
            addresses=(*base.addresses, *here.addresses[-1:]),
            # What says the same as main, and is not main.
            rules=(Rule(4, 5, table=77), Rule(6, 5, table=77), *base.rules),
        ),
        route("default", "eth2", "10.0.7.1", metric=900),
        *(route(str(each), "eth2", table=table) for each in BEHIND for table in (TABLE_MAIN, 77)),
    )
    left_out = [LeftOut((excused,), PrefixSet(each.version, [prefix_key(each)])) for each in BEHIND]
    told = {
        (link, network)
        for link in (excused, other)
        for failure in failures(there, link, left_out)
        for network in BEHIND
        if failure.destination in network
    }
    assert {(other, network) for network in BEHIND} == told


def test_nobody_judges_what_belongs_to_a_link():
    there = two_uplinks()
    dropped = [
        Rule(network.version, 5, destination=network, action="blackhole")
        for network in map(ip_network, ("224.0.0.0/4", "169.254.0.0/16", "ff00::/8", "fe80::/10"))
    ]
    assert kinds(judged(there)) == kinds(judged(there._replace(rules=(*dropped, *there.rules))))


def test_a_destination_with_several_routes_is_due_what_they_are_together():
    first, second = (route("2001:db8:9::/48", "docker0", f"2001:db8:7::{each}") for each in (1, 2))
    there = two_uplinks()
    there = with_routes(
        there._replace(
            rules=(
                Rule(6, 5, destination=ip_network("2001:db8:7::/48"), action="blackhole"),
                *there.rules,
            )
        ),
        *(first._replace(destination=ip_network(f"2001:db8:{each}::/48")) for each in (7, 8)),
        first,
        second,
    )
    internal = [str(failure.destination) for failure in failures(there, "eth0") if failure.internal]
    assert ["2001:db8:7::1"] == internal


def test_an_internal_network_is_never_left_to_main():
    docker = ip_network("172.17.0.0/16")
    there = two_uplinks()
    there = with_routes(
        there._replace(rules=(Rule(4, 5, destination=docker, table=77), *there.rules)),
        route(str(docker), "eth0", "10.0.6.1", table=77),
    )
    left_out = [LeftOut(("eth0", "eth1"), PrefixSet(4, [prefix_key(docker)]))]
    assert failures(there, "eth0")
    assert judged(there) == judged(there, left_out)


def test_what_fails_alike_is_told_once_and_counted():
    networks = [ip_network(f"172.18.{each}.0/24") for each in range(3)]
    there = two_uplinks()
    there = with_routes(
        there._replace(
            rules=(
                Rule(4, 5, destination=ip_network("172.18.0.0/16"), action="blackhole"),
                *there.rules,
            )
        ),
        # Of several metrics, but all by the same link.
        *(route(str(network), "docker0", metric=number) for number, network in enumerate(networks)),
    )
    internal = [failure for failure in failures(there, "eth0") if failure.internal]
    # They lie side by side, and so are one way to fail that is met three times.
    assert [("172.18.0.1", 3)] == [(str(each.destination), each.classes) for each in internal]


@given(small_hosts())
@examples(40)
def test_each_destination_has_one_due(made):
    database = Rpdb(made.rules, made.routes, made.links)
    for version, whole in WHOLE.items():
        found = Expectations(made, frozenset(), (), database).of(version, whole)
        spans = sorted((*span, each.kind) for each in found for span in zip(*each.intervals))
        for (_, last, kind), (first, _, other) in zip(spans, spans[1:]):
            assert last < first
            assert (last + 1, kind) != (first, other) or kind == "own"  # of main, and of no rule
        for each in found:
            covered = sum(last - first + 1 for first, last in zip(*each.intervals))
            assert covered == sum(last - first + 1 for first, last, _ in zip(*each.specific))


def behind(number):
    """Networks behind as many routers of each uplink: so many ways to go wrong."""
    return [
        route(f"172.{16 + each}.{which}.0/24", link, f"{net}.{100 + each}")
        for each in range(number)
        for which, (link, net) in enumerate((("eth0", "10.0.6"), ("eth1", "10.0.5")))
    ]


@pytest.mark.parametrize("stretch", [1 << 14, 3])
def test_too_many_ways_are_told_in_few_words_that_add_up(stretch):
    there = plain(routes=behind(12))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes_module, "_STRETCH", stretch)
        few = judged(there)
        for module in (judge_module, symmetry):
            patch.setattr(module, "MOST_WAYS", 1000)
        every = judged(there)
    for one, other in zip(few, every):
        assert (8, True) == (len(one.failures), len(other.failures) > 12)
        assert one.failures[:7] == other.failures[:7]
        assert sum(failure.classes for failure in one.failures) == sum(
            failure.classes for failure in other.failures
        )


@given(small_hosts(), st.integers(1, 5))
@examples(50)
def test_how_it_is_worked_out_changes_no_verdict(made, stretch):
    try:
        whole = judged(made)
    except SymrouteError:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expectations, "_SHORT", 0)
        apart = judged(made)
        patch.setattr(routes_module, "_STRETCH", stretch)
        pieces = judged(made)
    assert kinds(whole) == kinds(apart)
    assert set(kinds(whole)) == set(kinds(pieces))
    # What is cut by the end of a piece counts twice.
    assert all(count <= kinds(pieces)[each] for each, count in kinds(whole).items())


@st.composite
def hosts_with_others_rules(draw):
    """Two uplinks, and somebody's rule with a table that leads mostly out of one link."""
    link = draw(st.sampled_from(["tun0", "docker0", "eth0"]))
    networks = st.builds(
        lambda first, length: ip_network((first << 22, length), strict=False),
        st.sampled_from([0, 10 << 2, 10 << 2 | 1, 44 << 2, 172 << 2, 192 << 2]),
        st.integers(1, 26),
    )
    routes = [route("default", link, table=77)] * draw(st.integers(0, 1))
    for network in draw(st.lists(networks, max_size=4, unique=True)):
        kind = draw(st.sampled_from(["unicast", "unicast", "unicast", "throw", "blackhole"]))
        routes.append(
            route(
                str(network),
                link if kind == "unicast" else "",
                type=kind,
                table=draw(st.sampled_from([77, 77, TABLE_MAIN])),
            )
        )
    rule = Rule(4, 500, table=77, suppress_prefixlength=draw(st.sampled_from([None, None, 0])))
    there = plain(routes=routes)
    return there._replace(rules=(*there.rules[:1], rule, *there.rules[1:]))


def boundaries(there):
    """All destinations at which anything may begin or end."""
    ends = {
        int(end)
        for entry in there.routes
        for end in (entry.destination.network_address, entry.destination.broadcast_address)
    }
    return [
        IPv4Address(each + step)
        for each in ends
        for step in (-1, 0, 1)
        if 0 <= each + step < 224 << 24 and (each + step) >> 16 != 169 << 8 | 254
    ]


def is_right(actual, specific, link, outward):
    """Whether a single packet goes where it should."""
    if specific.type == "local" or (specific.type != "unicast" and specific.route):
        return actual.type == specific.type
    if is_internal(specific, outward):
        return actual.hops == specific.hops
    by_link = actual.type == "unicast" and {link} == actual.links
    return by_link or is_internal(actual, outward)


@given(hosts_with_others_rules())
@examples(80)
def test_a_verdict_says_what_single_packets_do(there):
    uplinks = find_uplinks(there, Settings()).uplinks
    names = frozenset(uplink.link.name for uplink in uplinks)
    outward = names | find_catch_all_links(there, names)
    whole = Rpdb(there.rules, there.routes)
    specific = Rpdb(
        [Rule(4, 0, table=TABLE_LOCAL), Rule(4, 1, table=TABLE_MAIN, suppress_prefixlength=0)],
        there.routes,
    )
    for verdict in judge(there, uplinks):
        link, source = verdict.address.link, verdict.address.ip
        wrong = [
            str(boundary)
            for boundary in boundaries(there)
            if not is_right(
                whole.decide(Packet(boundary, source)),
                specific.decide(Packet(boundary)),
                link,
                outward,
            )
        ]
        assert verdict.symmetric == (not wrong)
