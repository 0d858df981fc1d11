"""Which links are uplinks, by which gateway and profile, and why the others are not."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.golden.cases import BY_ETH0, CASES, USERS
from support.hosts import (
    ETH0,
    ETH1,
    address,
    host,
    kernel_rules,
    link,
    one_link,
    route,
    two_uplinks,
    with_routes,
)
from support.strategies import examples
from symroute_nm.errors import InputError
from symroute_nm.model.host import Lease, TableName
from symroute_nm.model.network import Rule, contains, is_global
from symroute_nm.model.plan import Skip
from symroute_nm.model.profiles import Profile
from symroute_nm.model.settings import InterfaceSettings, Settings
from symroute_nm.plan.gateways import DefaultRoutes, check_gateways
from symroute_nm.plan.uplinks import find_uplinks, pair_families


def gateways(made, settings=Settings()):  # noqa: B008  # immutable
    return [
        (str(way.address), way.origin)
        for uplink in find_uplinks(made, settings).uplinks
        for way in uplink.gateways
    ]


def with_gateway(text):
    return Settings(interface={"eth0": InterfaceSettings(gateways=(ip_address(text),))})


def reason(made, name="eth0", settings=Settings()):  # noqa: B008  # immutable
    return {skip.link: skip.reason for skip in find_uplinks(made, settings).skips}[name]


def test_each_piece_of_evidence_counts_where_no_better_one_is():
    profile = Profile("eth0", device="eth0", gateways=(ip_address("10.0.6.4"),))
    lease = Lease("eth0", ip_address("10.0.6.5"), "/lease")
    rule = Rule(4, 7, source=ip_network("10.0.6.5/32"), table=200)
    tables = route("default", "eth0", "10.0.6.3", table=200)
    main = route("default", "eth0", "10.0.6.2", metric=50)
    made = one_link(profiles=(profile,), leases=(lease,), rules=(rule,))
    assert [("10.0.6.1", "configuration")] == gateways(
        with_routes(made, tables, main), with_gateway("10.0.6.1")
    )
    assert [("10.0.6.2", "main's default route (metric 50)")] == gateways(
        with_routes(made, tables, main)
    )
    assert [("10.0.6.3", "table 200")] == gateways(with_routes(made, tables))
    assert [("10.0.6.4", "GATEWAY in ifcfg-eth0")] == gateways(made)
    assert [("10.0.6.5", "DHCP lease /lease")] == gateways(made._replace(profiles=()))
    assert [] == gateways(made._replace(profiles=(), leases=()))


def test_a_link_without_evidence_is_internal_and_says_so():
    assert "no default route through it: internal network 10.0.6.0/24" == reason(one_link())


def test_of_several_defaults_in_main_the_best_metric_counts():
    made = one_link()
    routes = [
        route("default", "eth0", f"10.0.6.{number}", metric=metric)
        for number, metric in ((1, 300), (2, 100), (3, 200))
    ]
    for order in (routes, routes[::-1]):
        found = gateways(with_routes(made, *order))
        assert [("10.0.6.2", "main's default route (metric 100)")] == found


@pytest.mark.parametrize(
    ("rule", "counts"),
    [
        (Rule(4, 7, source=ip_network("10.0.6.0/24"), table=200), True),
        (Rule(4, 7, iif="eth0", table=200), True),
        (Rule(4, 7, table=200), False),
        (Rule(4, 7, mark=1, mask=1, table=200), False),
        (Rule(4, 7, source=ip_network("10.0.0.0/8"), table=200), False),
        (Rule(4, 7, source=ip_network("10.0.6.5/32"), table=201), False),
        (Rule(4, 7, source=ip_network("10.0.6.5/32"), table=200, invert=True), False),
        (Rule(6, 7, iif="eth0", table=200), False),
    ],
)
def test_another_tables_default_counts_where_a_rule_chooses_it_for_the_link(rule, counts):
    made = one_link(rules=(*kernel_rules(), rule))
    made = with_routes(made, route("default", "eth0", "10.0.6.1", table=200))
    assert counts == bool(gateways(made))


def test_routes_that_are_no_way_out_do_not_count():
    made = one_link()
    blackhole = route("default", "eth0")._replace(type="unreachable")
    assert [] == gateways(with_routes(made, blackhole))


@pytest.mark.parametrize(
    ("text", "fields", "counts"),
    [
        ("10.0.6.5/24", {}, True),
        ("169.254.7.7/16", {}, False),
        ("127.0.0.2/8", {}, False),
        ("fe80::5/64", {}, False),
        ("::1/128", {}, False),
        ("2001:db8::5/64", {}, True),
        ("fd00::5/64", {}, True),
        ("10.0.6.5/24", {"scope": 253}, False),
        ("10.0.6.5/24", {"scope": 254}, False),
    ],
)
def test_addresses_at_which_others_can_ask(text, fields, counts):
    assert counts == is_global(address("eth0", text, **fields))


@pytest.mark.parametrize(
    ("name", "settings", "words"),
    [
        ("lo", Settings(), "loopback"),
        ("eth1", Settings(exclude=("eth[1-3]",)), "excluded (eth[1-3])"),
        ("eth1", Settings(interfaces=("eth0", "docker*")), "not among the interfaces asked for"),
        ("docker0", Settings(), "no default route through it: internal network 172.17.0.0/16"),
    ],
)
def test_every_other_link_has_a_reason(name, settings, words):
    assert words == reason(two_uplinks(), name, settings)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "no global address"),
        ({"carrier": False}, "no carrier, no global address"),
        ({"up": False}, "down, no global address"),
        ({"master": "bond0"}, "port of bond0"),
    ],
)
def test_why_a_link_without_address_is_skipped(fields, words):
    assert words == reason(host([link(2, "eth0", **fields)], (), ()))


def test_a_vrf_and_its_members_are_left_alone():
    made = CASES["vrf-member"]()
    assert "VRF device: its table 100 is left alone" == reason(made, "blue")
    assert "member of VRF blue: its table 100 is left alone" == reason(made, "eth2")


@pytest.mark.parametrize("name", sorted(CASES))
def test_no_link_is_dropped_in_silence(name):
    made = CASES[name]()
    survey = pair_families(find_uplinks(made, Settings()))
    found = [uplink.link.name for uplink in survey.uplinks] + [skip.link for skip in survey.skips]
    assert sorted(device.name for device in made.links) == sorted(found)
    assert all(skip.reason for skip in survey.skips)


def test_a_family_with_one_uplink_is_left_out():
    survey = pair_families(find_uplinks(CASES["ipv6-on-one"](), Settings()))
    assert [[4], [4]] == [[way.version for way in planned.gateways] for planned in survey.uplinks]
    assert {4} == {assigned.version for uplink in survey.uplinks for assigned in uplink.addresses}


def test_the_only_uplinks_of_each_family_are_skipped():
    made = host(
        [ETH0, ETH1],
        [USERS, address("eth1", "2001:db8::5/64")],
        [BY_ETH0, route("default", "eth1", "fe80::1")],
    )
    survey = pair_families(find_uplinks(made, Settings()))
    assert () == survey.uplinks
    assert (
        Skip("eth0", "the only uplink in IPv4"),
        Skip("eth1", "the only uplink in IPv6"),
        Skip("lo", "loopback"),
    ) == survey.skips


@pytest.mark.parametrize(
    ("gateway", "words"),
    [
        ("10.0.5.1", "10.0.5.1 is on no network of eth0"),
        ("10.0.7.1", "10.0.7.1 is on no network of eth0"),
        ("10.0.6.5", "the gateway 10.0.6.5 is an address of this host"),
    ],
)
def test_a_gateway_that_cannot_be_one(gateway, words):
    made = two_uplinks()
    uplinks = find_uplinks(made, with_gateway(gateway)).uplinks
    with pytest.raises(InputError, match=words) as error:
        check_gateways(made, uplinks)
    assert "[interface eth0]" in error.value.hint


@pytest.mark.parametrize("gateway", ["10.0.6.254", "10.9.0.1"])
def test_a_gateway_that_main_reaches_on_the_link(gateway):
    made = two_uplinks()
    made = with_routes(made, route("10.9.0.1/32", "eth0", scope=253))
    check_gateways(made, find_uplinks(made, with_gateway(gateway)).uplinks)


def test_a_lease_of_another_network_is_no_evidence():
    assert [] == gateways(one_link(leases=(Lease("eth0", ip_address("10.99.0.1"), "x"),)))
    assert [("10.0.6.1", "DHCP lease x")] == gateways(
        one_link(leases=(Lease("eth0", ip_address("10.0.6.1"), "x"),))
    )


def test_what_we_wrote_ourselves_does_not_outrank_what_it_was_learnt_from():
    made = one_link(
        profiles=(Profile("eth0", device="eth0", gateways=(ip_address("10.0.6.254"),)),),
        tables=(TableName(100, "eth0", owned=True),),
    )
    made = with_routes(
        made._replace(
            rules=(*made.rules, Rule(4, 20002, source=ip_network("10.0.6.5/32"), table=100))
        ),
        route("default", "eth0", "10.0.6.1", table=100),
    )

    assert [("10.0.6.254", "GATEWAY in ifcfg-eth0")] == gateways(made)
    bare = made._replace(profiles=())
    assert [("10.0.6.1", "table 100 (eth0)")] == gateways(bare)
    assert [("10.0.6.1", "table 100")] == gateways(bare._replace(tables=()))


@pytest.mark.parametrize("edge", ["10.0.6.255", "10.0.6.0"])
def test_a_networks_edge_is_no_gateway(edge):
    made = one_link()
    settings = Settings(interface={"eth0": InterfaceSettings(gateways=(ip_address(edge),))})

    with pytest.raises(InputError, match=f"{edge} is the network's own or its broadcast"):
        check_gateways(made, find_uplinks(made, settings).uplinks)


def test_a_link_that_is_down_says_so():
    made = one_link()
    made = made._replace(
        links=tuple(device._replace(up=device.name != "eth0") for device in made.links)
    )

    assert ["down: no default route through it now"] == [
        skip.reason for skip in find_uplinks(made, Settings()).skips if skip.link == "eth0"
    ]


some_sources = st.builds(
    lambda number, length: ip_network((0x0A000000 + number, length), strict=False),
    st.integers(0, 1023),
    st.sampled_from([0, 8, 22, 24, 25, 28, 31, 32]),
)


@given(
    st.lists(
        st.tuples(
            some_sources,
            st.sampled_from(["", "eth0", "eth1"]),
            st.booleans(),
            st.integers(100, 105),
        ),
        max_size=12,
    ),
    st.lists(some_sources.filter(lambda each: each.prefixlen), min_size=1, max_size=3),
)
@examples(60)
def test_chosen_tables_are_those_of_rules_for_the_links_own_addresses(wanted, networks):
    rules = tuple(
        Rule(
            4,
            1000 + number,
            source=source if not iif else None,
            iif=iif,
            invert=invert,
            table=table,
        )
        for number, (source, iif, invert, table) in enumerate(wanted)
    )
    own = [
        address("eth0", f"{network.network_address}/{network.prefixlen}") for network in networks
    ]
    ways = DefaultRoutes(host([ETH0, ETH1], own, [], rules=rules), Settings())
    expected = {
        rule.table
        for rule in rules
        if not rule.invert
        and (
            rule.iif == "eth0"
            or (rule.source and any(contains(one, rule.source) for one in networks))
        )
    }
    assert expected == ways.chosen_tables("eth0", 4)
