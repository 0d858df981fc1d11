"""The RPDB model by itself; test_rpdb_kernel holds it against the kernel."""

import random
from bisect import bisect_right
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.strategies import examples
from symroute_nm.errors import InputError
from symroute_nm.model import route_set as routes_module
from symroute_nm.model.network import Hop, Link, Route, Rule
from symroute_nm.model.route_set import pack
from symroute_nm.rpdb.lookup import Rpdb
from symroute_nm.rpdb.rules import Packet

LAST = {4: (1 << 32) - 1, 6: (1 << 128) - 1}


def rule(priority, table=254, version=4, **rest):
    for name in ("source", "destination"):
        if name in rest:
            rest[name] = ip_network(rest[name])
    return Rule(version, priority, table=table, **rest)


def route(destination, *hops, **rest):
    return Route(ip_network(destination), hops=tuple(hop(*each.split()) for each in hops), **rest)


def hop(link, gateway=None):
    return Hop(link, None if gateway is None else ip_address(gateway))


def packet(destination, source=None, **rest):
    source = None if source is None else ip_address(source)
    return Packet(ip_address(destination), source, **rest)


LOCAL, MAIN = rule(0, 255), rule(32766)
UPLINKS = (
    route("10.0.6.5", "eth0", table=255, type="local"),
    route("10.0.5.5", "eth1", table=255, type="local"),
    route("10.0.6.0/24", "eth0"),
    route("10.0.5.0/24", "eth1"),
    route("172.17.0.0/16", "docker0"),
    route("0.0.0.0/0", "eth1 10.0.5.1"),
    route("10.0.6.0/24", "eth0", table=100),
    route("10.0.5.0/24", "eth0 10.0.6.1", table=100),
    route("0.0.0.0/0", "eth0 10.0.6.1", table=100),
)
GUARDED = (
    LOCAL,
    rule(20000, 100, source="10.0.6.5", suppress_prefixlength=0),
    rule(20001, source="10.0.6.5", suppress_prefixlength=0),
    rule(20002, 100, source="10.0.6.5"),
    MAIN,
)


def decide(rules, routes, asked, **rest):
    return Rpdb(rules, pack(routes), **rest).decide(asked)


def table_of(rules, asked, **rest):
    """Which of the tables 1 to 3 decides, all of which have a default route; 0: none."""
    routes = [
        route(everything, f"eth{table}", table=table)
        for table in (1, 2, 3)
        for everything in ("0.0.0.0/0", "::/0")
    ]
    return decide(rules, routes, asked, **rest).table or 0


def test_the_decision_names_rule_table_route_link_and_gateway():
    decision = decide(GUARDED, UPLINKS, packet("198.51.100.7", "10.0.6.5"))
    assert ("unicast", 20002, 100) == (decision.type, decision.priority, decision.table)
    assert (hop("eth0", "10.0.6.1"),) == decision.hops
    assert {"eth0"} == decision.links
    assert UPLINKS[8] == decision.route
    assert GUARDED[3] is decision.rule


@pytest.mark.parametrize(
    ("destination", "priority", "link"),
    [
        ("10.0.6.77", 20000, "eth0"),
        ("10.0.5.77", 20000, "eth0"),
        ("172.17.0.2", 20001, "docker0"),
        ("8.8.8.8", 20002, "eth0"),
    ],
)
def test_the_guard_rules_answer_by_their_uplink_and_keep_containers(destination, priority, link):
    decision = decide(GUARDED, UPLINKS, packet(destination, "10.0.6.5"))
    assert (priority, {link}) == (decision.priority, decision.links)


def test_a_local_address_is_local():
    assert "local" == decide(GUARDED, UPLINKS, packet("10.0.5.5", "10.0.6.5")).type


@pytest.mark.parametrize("type_", ["broadcast", "anycast", "multicast"])
def test_all_that_stays_here_counts_as_local(type_):
    decision = decide([MAIN], [route("10.0.0.255", "eth0", type=type_)], packet("10.0.0.255"))
    assert ("local", type_) == (decision.type, decision.route.type)


def test_where_nothing_decides_it_is_unreachable_without_rule_and_route():
    decision = decide([LOCAL], UPLINKS, packet("8.8.8.8"))
    assert ("unreachable", None, None, None, None) == (
        decision.type,
        decision.rule,
        decision.route,
        decision.table,
        decision.priority,
    )


def test_rules_go_by_priority_and_equal_ones_as_listed():
    assert 2 == table_of([rule(20, 1), rule(10, 2), rule(10, 3)], packet("192.0.2.1"))


MATCHES = [
    ({"source": "10.0.0.0/8"}, packet("192.0.2.1", "10.1.2.3"), packet("192.0.2.1", "11.0.0.1")),
    ({"source": "10.0.0.0/8"}, packet("192.0.2.1", "10.1.2.3"), packet("192.0.2.1")),
    ({"destination": "192.0.2.0/24"}, packet("192.0.2.1"), packet("192.0.3.1")),
    ({"iif": "lo"}, packet("192.0.2.1"), packet("192.0.2.1", "10.0.0.1", iif="eth0")),
    ({"iif": "eth0"}, packet("192.0.2.1", iif="eth0"), packet("192.0.2.1", iif="eth1")),
    ({"iif": "eth0"}, packet("192.0.2.1", iif="eth0"), packet("192.0.2.1")),
    ({"oif": "eth1"}, packet("192.0.2.1", oif="eth1"), packet("192.0.2.1")),
    ({"mark": 1, "mask": 3}, packet("192.0.2.1", mark=5), packet("192.0.2.1", mark=2)),
    ({"mark": 0, "mask": 1}, packet("192.0.2.1", mark=2), packet("192.0.2.1", mark=1)),
    ({"tos": 8}, packet("192.0.2.1", tos=8), packet("192.0.2.1", tos=16)),
    ({"tos": 8}, packet("192.0.2.1", tos=0x2B), packet("192.0.2.1")),
]


@pytest.mark.parametrize(("selector", "yes", "no"), MATCHES)
def test_a_selector_and_its_inverse(selector, yes, no):
    plain, inverse = [rule(1, 1, **selector)], [rule(1, 1, invert=True, **selector)]
    assert (1, 0) == (table_of(plain, yes), table_of(plain, no))
    assert (0, 1) == (table_of(inverse, yes), table_of(inverse, no))


def test_ipv6_compares_all_bits_of_the_ds_field_but_ecn():
    rules = [rule(1, 1, 6, tos=0x28)]
    assert 1 == table_of(rules, packet("2001:db8::1", tos=0x2B))
    assert 0 == table_of(rules, packet("2001:db8::1", tos=0x08))


def test_without_a_source_ipv4_asks_with_0_and_ipv6_matches_no_from():
    assert 1 == table_of([rule(1, 1, source="0.0.0.0/1")], packet("192.0.2.1"))
    assert 0 == table_of([rule(1, 1, 6, source="::/1")], packet("2001:db8::1"))
    assert 1 == table_of([rule(1, 1, 6, source="::/0")], packet("2001:db8::1"))


def test_goto_goes_to_the_first_rule_of_that_priority():
    rules = [rule(1, 0, action="goto", target=5), rule(3, 1), rule(5, 2), rule(5, 3)]
    assert 2 == table_of(rules, packet("192.0.2.1"))


def test_goto_without_a_target_goes_on():
    rules = [rule(1, 0, action="goto", target=4), rule(3, 1), rule(5, 2)]
    assert 1 == table_of(rules, packet("192.0.2.1"))


def test_the_target_of_a_goto_must_still_match():
    rules = [rule(1, 0, action="goto", target=5), rule(5, 1, iif="eth0"), rule(6, 2)]
    assert 2 == table_of(rules, packet("192.0.2.1"))


def test_nop_goes_on():
    assert 1 == table_of([rule(1, 0, action="nop"), rule(2, 1)], packet("192.0.2.1"))


@pytest.mark.parametrize("action", ["blackhole", "unreachable", "prohibit"])
def test_a_rule_can_decide_by_itself(action):
    decision = decide([rule(7, 0, action=action), MAIN], UPLINKS, packet("8.8.8.8"))
    assert (action, 7, None) == (decision.type, decision.priority, decision.route)


def test_a_suppressed_route_hands_over_to_the_next_rule_and_not_to_a_shorter_prefix():
    routes = [
        route("10.0.0.0/8", "a", table=1),
        route("10.1.0.0/16", "b", table=1),
        route("0.0.0.0/0", "c"),
    ]
    rules = [rule(1, 1, suppress_prefixlength=16), MAIN]
    assert {"c"} == decide(rules, routes, packet("10.1.0.1")).links
    rules = [rule(1, 1, suppress_prefixlength=15), MAIN]
    assert {"b"} == decide(rules, routes, packet("10.1.0.1")).links


@pytest.mark.parametrize("type_", ["blackhole", "unreachable", "prohibit"])
def test_an_error_route_is_never_suppressed(type_):
    rules = [rule(1, 1, suppress_prefixlength=32, suppress_ifgroup=0), MAIN]
    routes = [route("0.0.0.0/0", table=1, type=type_), route("0.0.0.0/0", "c")]
    assert type_ == decide(rules, routes, packet("10.1.0.1"), groups={"c": 0}).type


def test_a_route_by_a_link_of_the_group_is_suppressed():
    rules = [rule(1, 1, suppress_ifgroup=7), rule(2, 2)]
    assert 2 == table_of(rules, packet("192.0.2.1"), groups={"eth1": 7, "eth2": 0})
    assert 1 == table_of(rules, packet("192.0.2.1"), groups={"eth1": 0, "eth2": 0})


def test_unknown_groups_are_a_doubt():
    rpdb = Rpdb([rule(1, 1, suppress_ifgroup=7)], pack([route("0.0.0.0/0", "eth1", table=1)]))
    decision = rpdb.decide(packet("192.0.2.1"))
    assert "rule 1: suppress_ifgroup 7" in str(decision.doubts[0])
    assert [decision] == [class_.decision for class_ in rpdb.classes(packet("0.0.0.0"))]


def test_a_selector_that_is_not_modelled_is_a_doubt_where_it_could_matter():
    rules = [rule(1, 1, destination="10.0.0.0/8", opaque=("uidrange 0-99",)), rule(2, 2)]
    routes = [route("0.0.0.0/0", "eth1", table=1), route("0.0.0.0/0", "eth2", table=2)]
    rpdb = Rpdb(rules, pack(routes))
    decision, steps = rpdb.trace(packet("10.0.0.1"))
    assert ({"eth2"}, 1) == (decision.links, len(decision.doubts))
    assert "not tried: uidrange 0-99 is not modelled" == steps[0].outcome
    assert () == rpdb.decide(packet("11.0.0.1")).doubts
    doubts = [len(class_.decision.doubts) for class_ in rpdb.classes(packet("0.0.0.0"))]
    assert [0, 1, 0] == doubts
    assert 2 == len(rpdb.ways(packet("0.0.0.0")))


def test_an_inverted_rule_in_doubt_still_matches_what_it_surely_matches():
    rules = [rule(1, 1, destination="10.0.0.0/8", opaque=("dport 7",), invert=True), rule(2, 2)]
    assert 1 == table_of(rules, packet("11.0.0.1"))
    assert 2 == table_of(rules, packet("10.0.0.1"))


def test_the_longest_prefix_then_the_tos_then_the_metric():
    routes = [
        route("10.0.0.0/8", "a", metric=1),
        route("10.0.0.0/16", "b", metric=9),
        route("10.0.0.0/16", "c", metric=5),
        route("10.0.0.0/16", "d", metric=7, tos=8),
    ]
    rpdb = Rpdb([MAIN], pack(routes))
    assert {"c"} == rpdb.decide(packet("10.0.1.1")).links
    assert {"d"} == rpdb.decide(packet("10.0.1.1", tos=8)).links
    assert {"a"} == rpdb.decide(packet("10.9.1.1", tos=8)).links


def test_throw_goes_on_with_the_next_rule():
    routes = [
        route("0.0.0.0/0", "a", table=1),
        route("10.0.0.0/8", table=1, type="throw"),
        route("0.0.0.0/0", "b"),
    ]
    assert {"b"} == decide([rule(1, 1), MAIN], routes, packet("10.0.0.1")).links
    assert {"a"} == decide([rule(1, 1), MAIN], routes, packet("11.0.0.1")).links


def test_multipath_gives_all_ways_out():
    routes = [route("0.0.0.0/0", "a 10.0.0.1", "b 10.0.1.1")]
    assert {"a", "b"} == decide([MAIN], routes, packet("8.8.8.8")).links


def test_own_packets_use_any_of_equal_ipv4_defaults_and_forwarded_ones_the_first():
    routes = [route("0.0.0.0/0", "a 10.0.0.1"), route("0.0.0.0/0", "b 10.0.1.1")]
    assert {"a", "b"} == decide([MAIN], routes, packet("8.8.8.8")).links
    assert {"a"} == decide([MAIN], routes, packet("8.8.8.8", "192.0.2.1", iif="c")).links
    routes[1] = routes[1]._replace(metric=1)
    assert {"a"} == decide([MAIN], routes, packet("8.8.8.8")).links


def test_equal_ipv6_routes_by_gateways_are_one_multipath_route():
    routes = [
        route("::/0", "a fe80::1", metric=1),
        route("::/0", "b fe80::1", metric=1),
        route("::/0", "c fe80::1", metric=2),
    ]
    assert {"a", "b"} == decide([rule(9, version=6)], routes, packet("2001:db8::1")).links


def test_several_routes_to_a_destination_are_not_like_the_first_of_them():
    one, other = "a fe80::1", "a fe80::2"
    routes = [
        route("2001:db8:8::/48", one),
        route("2001:db8:9::/48", one),
        route("2001:db8:9::/48", other),
    ]
    found = Rpdb([rule(9, version=6)], pack(routes)).ways(packet("::"))
    assert {(), (hop(*one.split()),), (hop(*one.split()), hop(*other.split()))} == {
        each.decision.hops for each in found
    }


def test_of_equal_ipv6_routes_on_links_the_one_a_packet_came_by_is_preferred():
    routes = [route("2001:db8::/32", "a", metric=1), route("2001:db8::/32", "b", metric=1)]
    rules = [rule(9, version=6)]
    assert {"a"} == decide(rules, routes, packet("2001:db8::1")).links
    assert {"b"} == decide(rules, routes, packet("2001:db8::1", iif="b")).links


def test_ipv6_routes_link_local_destinations_by_the_packet_s_link():
    routes = [route("fe80::/64", "a", metric=1), route("fe80::/10", "b", metric=1)]
    rules = [rule(9, version=6)]
    assert {"b"} == decide(rules, routes, packet("fe80::1", iif="b")).links
    found = Rpdb(rules, pack(routes)).classes(packet("::", iif="b"))
    assert {"b"} == found[1].decision.links
    assert [0xFE80 << 112, 0xFEC0 << 112] == [each.first for each in found[1:]]


def test_a_bound_packet_takes_routes_by_its_link_alone():
    routes = [
        route("10.0.0.0/8", "a"),
        route("10.1.0.0/16", "b"),
        route("10.1.1.0/24", type="prohibit"),
        route("::/0", "a"),
        route("2001:db8::/32", type="prohibit"),
    ]
    rpdb = Rpdb([MAIN, rule(9, version=6)], pack(routes))
    assert routes[0] == rpdb.decide(packet("10.1.0.1", oif="a")).route
    # IPv4 sends it out of the link where the tables say no; an IPv6 error route is by lo.
    assert ("unicast", (Hop("a"),), None) == rpdb.decide(packet("10.1.1.1", oif="a"))[:3]
    assert ("unicast", (Hop("c"),), None) == rpdb.decide(packet("10.1.0.1", oif="c"))[:3]
    assert {"a"} == rpdb.decide(packet("2001:db8::1", oif="a")).links
    assert "unreachable" == rpdb.decide(packet("2001:db8::1", oif="c")).type


def test_l3mdev_looks_up_the_table_of_the_packet_s_vrf():
    links = [Link(1, "blue", kind="vrf", table=2), Link(2, "eth1", master="blue"), Link(3, "eth2")]
    rules = [rule(1, 0, l3mdev=True), rule(2, 3)]
    assert 2 == table_of(rules, packet("192.0.2.1", iif="eth1"), links=links)
    assert 2 == table_of(rules, packet("192.0.2.1", oif="blue"), links=links)
    assert 3 == table_of(rules, packet("192.0.2.1", iif="eth2"), links=links)
    assert 3 == table_of(rules, packet("192.0.2.1"), links=links)


def test_a_rule_for_a_vrf_catches_what_comes_in_by_its_ports():
    links = [Link(1, "blue", kind="vrf", table=2), Link(2, "eth1", master="blue")]
    assert 1 == table_of([rule(1, 1, iif="blue")], packet("192.0.2.1", iif="eth1"), links=links)


def test_table_0_is_main():
    assert {"eth1"} == decide([rule(1, 0)], UPLINKS, packet("8.8.8.8")).links


def test_two_families_in_one_packet_are_an_input_error():
    with pytest.raises(InputError, match="two families"):
        decide(GUARDED, UPLINKS, packet("2001:db8::1", "10.0.0.1"))


def test_the_trace_says_of_every_rule_why_it_did_not_decide():
    rules = [
        *GUARDED,
        rule(1, 100, source="10.9.0.0/16", iif="eth0", mark=1, mask=0xFF),
        rule(2, 0, action="nop"),
        rule(3, 0, action="goto", target=5),
        rule(4, 0, action="blackhole"),
        rule(5, 55),
        rule(6, 100, invert=True, source="10.0.6.0/24"),
    ]
    decision, steps = Rpdb(rules, pack(UPLINKS)).trace(packet("8.8.8.8", "10.0.6.5"))
    assert [
        (0, "table 255 has no route to 8.8.8.8"),
        (
            1,
            "does not match: source 10.0.6.5 is not in 10.9.0.0/16; it came in by lo (the host "
            "itself), not by eth0; mark 0x0 is not 0x1/0xff",
        ),
        (2, "matches and does nothing (nop)"),
        (3, "goes on from priority 5"),
        (5, "table 55 has no route to 8.8.8.8"),
        (6, "does not match: the packet has all that this rule excludes (not)"),
        (
            20000,
            "table 100: default via 10.0.6.1 dev eth0, suppressed: its prefix length 0 is not "
            "above 0 (suppress_prefixlength)",
        ),
        (
            20001,
            "table 254: default via 10.0.5.1 dev eth1, suppressed: its prefix length 0 is not "
            "above 0 (suppress_prefixlength)",
        ),
        (20002, "table 100: default via 10.0.6.1 dev eth0"),
    ] == [(step.rule.priority, step.outcome) for step in steps]
    assert [True] == [step.decided for step in steps if step.decided] and steps[-1].decided
    assert 20002 == decision.priority


def test_the_trace_tells_why_a_bound_packet_leaves_in_spite_of_a_rule():
    rules = [rule(7, 0, action="blackhole")]
    decision, (step,) = Rpdb(rules, pack([])).trace(packet("8.8.8.8", oif="eth0"))
    assert ("unicast", {"eth0"}, False) == (decision.type, decision.links, step.decided)
    assert (
        "decides: blackhole; but IPv4 sends what is bound to eth0 out there all the same"
        == step.outcome
    )


def test_the_classes_of_the_guarded_host():
    found = Rpdb(GUARDED, pack(UPLINKS)).classes(packet("0.0.0.0", "10.0.6.5"))
    assert [
        ("0.0.0.0", 20002),
        ("10.0.5.0", 20000),
        ("10.0.5.5", 0),
        ("10.0.5.6", 20000),
        ("10.0.6.0", 20000),
        ("10.0.6.5", 0),
        ("10.0.6.6", 20000),
        ("10.0.7.0", 20002),
        ("172.17.0.0", 20001),
        ("172.18.0.0", 20002),
    ] == [(str(each.representative), each.decision.priority) for each in found]


def test_classes_within_a_network():
    network = ip_network("10.0.5.0/30")
    found = Rpdb(GUARDED, pack(UPLINKS)).classes(packet("0.0.0.0", "10.0.6.5"), network)
    assert [(4, 0x0A000500, 0x0A000503)] == [each[:3] for each in found]


def test_the_ways_of_the_guarded_host():
    found = Rpdb(GUARDED, pack(UPLINKS)).ways(packet("0.0.0.0", "10.0.6.5"))
    assert (
        sorted(
            [
                ("unicast", (hop("eth0", "10.0.6.1"),)),  # by the first stage
                ("unicast", (hop("eth0", "10.0.6.1"),)),  # and by the third
                ("unicast", (hop("eth0"),)),
                ("unicast", (hop("docker0"),)),
                ("local", (hop("eth1"),)),  # the first of the two
            ],
            key=str,
        )
        == sorted((each.decision[:2] for each in found), key=str)
    )


def test_the_kinds_of_a_full_table_are_few():
    routes = [route("0.0.0.0/0", "eth0 10.0.6.1"), route("192.0.2.0/24", type="blackhole")] + [
        route(f"100.64.{number}.0/24", "eth1 10.0.5.1") for number in range(100)
    ]
    found = Rpdb([MAIN], pack(routes)).kinds(packet("0.0.0.0"))
    assert [
        ("0.0.0.0", (hop("eth0", "10.0.6.1"),)),
        ("100.64.0.0", (hop("eth1", "10.0.5.1"),)),
        ("192.0.2.0", ()),
    ] == sorted((str(each.representative), each.decision.hops) for each in found)


def test_the_largest_table_says_how_many_stretches_there_are():
    routes = [route(f"100.64.{number}.0/24", "eth1", table=77) for number in range(100)]
    rpdb = Rpdb([MAIN], pack([*UPLINKS, *routes]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes_module, "_STRETCH", 10)
        found = [stretch for stretch, _ in rpdb.stretches(4)]
    assert 10 == len(found)
    assert (0, LAST[4]) == (found[0].starts[0], found[-1].ends[0])


SEEDS = st.integers(0, (1 << 32) - 1)


class RandomHost:
    """Rules and routes in a space so small that they meet."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.version = self.random.choice((4, 6))
        self.bits = 32 if self.version == 4 else 128
        self.base = 0x0A000000 if self.version == 4 else 0xFE7FFFFF << 96
        self.routes = pack(self.route() for _ in range(self.random.randrange(60)))
        self.rules = [self.rule() for _ in range(self.random.randrange(15))]
        self.template = self.packet(0)

    def some(self, *choices):
        return self.random.choice(choices)

    def network(self):
        length = self.some(0, self.some(1, 6, 8), self.random.randint(self.bits - 12, self.bits))
        return ip_network((self.address(self.number()), length), strict=False)

    def number(self):
        return self.some(
            self.base + self.random.randrange(4096), self.random.getrandbits(self.bits)
        )

    def address(self, number):
        return (IPv4Address if self.version == 4 else IPv6Address)(number)

    def route(self):
        kind = self.some("unicast", "unicast", "unicast", "throw", "blackhole", "local")
        hops = [
            Hop(self.some("a", "b", "c"), self.some(None, self.address(self.base + 1)))
            for _ in range(self.some(1, 1, 2))
        ]
        return Route(
            self.network(),
            self.some(1, 2, 254),
            kind,
            () if kind in ("throw", "blackhole") else tuple(hops),
            self.some(0, 1, 2),
            self.some(0, 0, 0, 8) if self.version == 4 else 0,
        )

    def rule(self):
        return Rule(
            self.version,
            self.some(1, 2, 3, 4, 5),
            self.some(None, None, self.network()),
            self.some(None, None, self.network()),
            self.some("", "", "a", "lo"),
            invert=self.some(False, False, True),
            action=self.some("lookup", "lookup", "lookup", "goto", "nop", "prohibit"),
            table=self.some(1, 2, 254),
            target=self.some(3, 4, 5),
            suppress_prefixlength=self.some(None, None, 0, self.bits - 8),
            suppress_ifgroup=self.some(None, None, None, 7),
            opaque=self.some((), (), (), ("dport 7",)),
        )

    def packet(self, destination):
        source = self.some(None, self.address(self.number()))
        iif = self.some("", "a", "b")
        return Packet(
            self.address(destination), source, iif, self.some("", "", "c"), 0, self.some(0, 8)
        )

    def destination(self, classes):
        """At random, or at the edge of a class."""
        if self.some(True, False):
            return self.number()
        edge = self.random.choice(classes)
        return max(
            0, min(LAST[self.version], self.some(edge.first, edge.last) + self.some(-1, 0, 1))
        )


@examples(50)
@given(SEEDS)
def test_each_destination_decides_as_the_representative_of_its_class(seed):
    host = RandomHost(seed)
    rpdb = Rpdb(host.rules, host.routes, groups={"a": 7, "b": 0, "c": 0})
    classes = rpdb.classes(host.template)
    starts = [class_.first for class_ in classes]
    for _ in range(1000):
        number = host.destination(classes)
        mine = classes[bisect_right(starts, number) - 1]
        assert mine.first <= number <= mine.last
        decision = rpdb.decide(host.template._replace(destination=host.address(number)))
        assert mine.decision == decision
        assert mine.decision.route == decision.route


@examples(40)
@given(SEEDS)
def test_classes_cover_the_space_and_differ_from_their_neighbours(seed):
    host = RandomHost(seed)
    classes = Rpdb(host.rules, host.routes).classes(host.template)
    assert (0, LAST[host.version]) == (classes[0].first, classes[-1].last)
    for one, other in zip(classes, classes[1:]):
        assert other.first == one.last + 1
        assert one.decision is not other.decision


@examples(40)
@given(SEEDS)
def test_the_ways_are_those_of_the_classes(seed):
    host = RandomHost(seed)
    rpdb = Rpdb(host.rules, host.routes)
    ways = rpdb.ways(host.template)
    expected = {way_of(class_.decision) for class_ in rpdb.classes(host.template)}
    assert expected == {way_of(way.decision) for way in ways}
    assert len(expected) == len(ways)
    assert sorted(way.first for way in ways) == [way.first for way in ways]
    for way in ways:
        for number in (way.first, way.last):
            asked = host.template._replace(destination=host.address(number))
            assert way_of(way.decision) == way_of(rpdb.decide(asked))


@examples(40)
@given(SEEDS, st.integers(1, 9))
def test_the_kinds_are_those_of_the_classes(seed, stretch):
    host = RandomHost(seed)
    rpdb = Rpdb(host.rules, host.routes)
    expected = {kind_of(class_.decision) for class_ in rpdb.classes(host.template)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes_module, "_STRETCH", stretch)
        kinds = rpdb.kinds(host.template)
    assert expected == {kind_of(kind.decision) for kind in kinds}


def kind_of(decision):
    default = decision.route and decision.route.default
    return way_of(decision), decision.hops, decision.table, default


def way_of(decision):
    hops = () if decision.type == "local" else decision.hops
    # The rule, too: by it a proof tells what main itself decided.
    return id(decision.rule), decision.type, hops, decision.doubts


@examples(25)
@given(SEEDS)
def test_the_trace_ends_with_the_rule_that_decided(seed):
    host = RandomHost(seed)
    rpdb = Rpdb(host.rules, host.routes)
    for _ in range(20):
        asked = host.packet(host.number())
        decision, steps = rpdb.trace(asked)
        assert decision == rpdb.decide(asked)
        deciding = [step.rule for step in steps if step.decided]
        assert ([] if decision.rule is None else [decision.rule]) == deciding
        assert not any(step.decided for step in steps[:-1])
        assert all(step.outcome for step in steps)
