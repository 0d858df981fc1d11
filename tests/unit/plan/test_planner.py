"""The rule set: guards, sources, priorities; and that it depends on the host, not on any order."""

from ipaddress import ip_address, ip_interface, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.golden.cases import CASES, forwarding_throw, plain
from support.hosts import (
    DOCKER0,
    ETH0,
    ETH1,
    address,
    host,
    kernel_rules,
    link,
    make_plan,
    route,
    two_uplinks,
)
from support.strategies import examples, planned, small_hosts
from symroute_nm.errors import InputError, Refusal, SymrouteError
from symroute_nm.model.host import Host, TableName
from symroute_nm.model.iproute2 import format_rule
from symroute_nm.model.network import Hop, Link, Route, Rule
from symroute_nm.model.ours import looks_like_ours, our_rules
from symroute_nm.model.route_set import pack
from symroute_nm.model.settings import InterfaceSettings, Settings, TableChoice
from symroute_nm.plan.guard import choose_guard
from symroute_nm.plan.planner import used_tables

DEFAULTS = Settings()


def rules(plan, name="eth0", version=4):
    """The rules of an uplink as text."""
    return [
        f"{rule.priority} {format_rule(rule)}"
        for uplink in plan.uplinks
        if uplink.uplink.link.name == name
        for rule in uplink.rules
        if rule.version == version
    ]


def routes(plan, name="eth0", version=4):
    """{destination: (type, hop)} of an uplink's own table."""
    return {
        str(route.destination): (route.type, route.hop)
        for uplink in plan.uplinks
        if uplink.uplink.link.name == name
        for route in uplink.routes
        if route.version == version
    }


def test_the_rule_set_of_the_design():
    plan = make_plan(two_uplinks(), DEFAULTS)
    assert [
        "20000 from 10.0.6.5/32 lookup 100 suppress_prefixlength 0",
        "20001 from 10.0.6.5/32 lookup main suppress_prefixlength 0",
        "20001 from all iif eth0 lookup main suppress_prefixlength 0",
        "20002 from 10.0.6.5/32 lookup 100",
        "20002 from all iif eth0 lookup 100",
    ] == rules(plan)
    gateway = ip_address("10.0.6.1")
    assert {
        "10.0.6.0/24": ("unicast", Hop("eth0")),
        "10.0.5.0/24": ("unicast", Hop("eth0", gateway)),
        "0.0.0.0/0": ("unicast", Hop("eth0", gateway)),
    } == routes(plan)


def test_guard_by_throw_routes_needs_no_suppression():
    plan = make_plan(two_uplinks(), Settings(guard="throw"))
    assert ["20002 from 10.0.6.5/32 lookup 100"] == rules(plan)
    expected = ["20002 from 2001:db8:6::5/128 lookup 100", "20002 from all iif eth0 lookup 100"]
    assert expected == rules(plan, version=6)
    assert ("throw", Hop()) == routes(plan)["172.17.0.0/16"]
    assert ["IPv4 is forwarded, so no rule catches transit (iif)"] == [
        note for note in plan.notes if "forwarded" in note
    ]


def test_the_plain_recipe_knows_nothing_but_its_own_link():
    plan = make_plan(two_uplinks(), Settings(guard="none"))
    expected = ["20002 from 10.0.6.5/32 lookup 100", "20002 from all iif eth0 lookup 100"]
    assert expected == rules(plan)
    assert {"10.0.6.0/24", "0.0.0.0/0"} == set(routes(plan))
    assert any("no guard" in note for note in plan.notes)


@pytest.mark.parametrize(
    ("guard", "suppress", "kernel", "expected"),
    [
        ("auto", True, "", "rules"),
        ("auto", False, "6.1.0", "throw"),
        ("auto", None, "6.1.0-18-amd64", "rules"),
        ("auto", None, "3.12.0", "rules"),
        ("auto", None, "3.11.10", "throw"),
        ("auto", None, "3.10.0-1160.el7.x86_64", "throw"),
        ("auto", None, "10.0.0", "rules"),
        ("auto", None, "", "throw"),
        ("auto", None, "unknown", "throw"),
        ("rules", False, "", "rules"),
        ("none", True, "", "none"),
    ],
)
def test_the_guard_goes_by_the_evidence(guard, suppress, kernel, expected):
    made = Host(suppress=suppress, kernel=kernel)
    found = choose_guard(made, Settings(guard=guard))
    assert expected == found.name
    assert ("asked for" if guard != "auto" else "probed") in found.reason


@pytest.mark.parametrize(
    ("iif", "guard", "forwarding", "expected"),
    [
        (None, "rules", (4,), True),
        (None, "none", (4,), True),
        (None, "throw", (), True),
        (None, "throw", (4,), False),
        (True, "throw", (4,), True),
        (False, "rules", (), False),
    ],
)
def test_transit_gets_rules_unless_they_would_cut_networks_off(iif, guard, forwarding, expected):
    plan = make_plan(plain(forwarding=forwarding), Settings(guard=guard, iif=iif))
    assert expected == any("iif" in rule for rule in rules(plan))


@pytest.mark.parametrize(
    ("sources", "text", "fields", "expected"),
    [
        ("auto", "10.0.6.5/24", {}, "10.0.6.5/32"),
        ("auto", "10.0.6.5/24", {"dynamic": True}, "10.0.6.0/24"),
        ("address", "10.0.6.5/24", {"dynamic": True}, "10.0.6.5/32"),
        ("network", "10.0.6.5/24", {}, "10.0.6.0/24"),
        ("auto", "10.0.4.5/22", {"dynamic": True}, "10.0.4.5/32"),  # around eth1's network
        ("auto", "10.0.6.5/32", {"dynamic": True, "peer": ip_address("10.0.6.1")}, "10.0.6.5/32"),
    ],
)
def test_what_replies_come_from(sources, text, fields, expected):
    made = host(
        [ETH0, ETH1],
        [address("eth0", text, **fields), address("eth1", "10.0.5.5/24")],
        [
            route("10.0.6.1/32", "eth0"),
            route("default", "eth0", "10.0.6.1"),
            route("default", "eth1", "10.0.5.1"),
        ],
    )
    plan = make_plan(made, Settings(sources=sources))
    found = {rule.split()[2] for rule in rules(plan)} - {"all"}
    assert {expected} == found


def test_a_network_inside_another_uplinks_is_no_source():
    made = host(
        [ETH0, ETH1],
        [address("eth0", "10.0.6.5/24", dynamic=True), address("eth1", "10.0.5.5/16")],
        [route("default", "eth0", "10.0.6.1"), route("default", "eth1", "10.0.5.1")],
    )
    assert {"10.0.6.5/32", "all"} == {rule.split()[2] for rule in rules(make_plan(made, DEFAULTS))}


def test_link_local_networks_are_never_sent_by_a_gateway():
    made = plain(routes=[route("169.254.0.0/16", "eth1", metric=1003)])
    assert "169.254.0.0/16" not in routes(make_plan(made, DEFAULTS))
    thrown = routes(make_plan(made, Settings(guard="throw")))
    assert ("throw", Hop()) == thrown["169.254.0.0/16"]
    assert ("unicast", Hop("eth1")) == routes(make_plan(made, DEFAULTS), "eth1")["169.254.0.0/16"]


def test_the_better_metric_decides_who_reaches_a_network():
    bridge = link(6, "virbr0", kind="bridge")
    for metrics, expected in (((10, 20), Hop()), ((20, 10), Hop("eth0", ip_address("10.0.6.1")))):
        made = plain(
            [bridge],
            routes=[
                route("10.9.0.0/16", "virbr0", metric=metrics[0]),
                route("10.9.0.0/16", "eth1", "10.0.5.9", metric=metrics[1]),
            ],
        )
        found = routes(make_plan(made, Settings(guard="throw")))
        assert expected == found.get("10.9.0.0/16", ("", expected))[1]


def test_the_connected_route_stands_before_what_goes_by_it():
    for name in sorted(CASES):
        try:
            plan = make_plan(CASES[name](), DEFAULTS)
        except SymrouteError:
            continue
        for uplink in plan.uplinks:
            gateways = [
                bool(route.hop.gateway)
                for route in uplink.routes
                if route.version == 4 and not route.default
            ]
            assert sorted(gateways) == gateways, name
            defaults = [route.default for route in uplink.routes if route.version == 4]
            assert defaults[-1:] in ([True], []), name


def test_fewer_than_two_uplinks_is_nothing_to_do():
    plan = make_plan(CASES["one-uplink"](), DEFAULTS)
    assert ((), 1) == (plan.uplinks, len(plan.notes))
    assert () == make_plan(Host(), DEFAULTS).uplinks


def test_nothing_to_do_is_no_reason_to_ask_for_profiles():
    made = CASES["one-uplink"]()._replace(profiles=())
    assert () == make_plan(made, DEFAULTS).uplinks


@pytest.mark.parametrize("number", [20000, 20001, 20002])
def test_a_taken_priority_is_refused(number):
    rule = Rule(4, number, mark=1, mask=1, table=7)
    with pytest.raises(Refusal, match=f"priority {number} .*fwmark 0x1/0x1 lookup 7"):
        make_plan(plain(rules=(*kernel_rules(), rule)), DEFAULTS)
    moved = Settings(priority_base=number + 1)
    assert str(number + 1) == rules(make_plan(plain(rules=(rule,)), moved))[0].split()[0]


def test_rules_of_an_earlier_plan_are_known_as_ours():
    for guard in ("rules", "throw", "none"):
        settings = Settings(guard=guard)
        plan = make_plan(two_uplinks(), settings)
        found = [rule for uplink in plan.uplinks for rule in uplink.rules]
        assert all(looks_like_ours(rule._replace(protocol=3), settings) for rule in found)
        owned = tuple(
            TableName(uplink.table.id, uplink.table.name, owned=True) for uplink in plan.uplinks
        )
        made = two_uplinks()._replace(rules=(*kernel_rules(), *found), tables=owned)
        assert set(found) == our_rules(made, settings)
        assert [uplink.rules for uplink in plan.uplinks] != []
        assert (
            rules(plan)[-1].rsplit(" ", 1)[0]
            == rules(make_plan(made, settings))[-1].rsplit(" ", 1)[0]
        )


@pytest.mark.parametrize(
    "rule",
    [
        Rule(4, 19999, iif="eth0", table=100),
        Rule(4, 20003, iif="eth0", table=100),
        Rule(4, 20002, table=100),
        Rule(4, 20000, iif="eth0", table=100),
        Rule(4, 20002, iif="eth0", table=100, suppress_prefixlength=0),
        Rule(4, 20001, iif="eth0", table=254, suppress_prefixlength=8),
        Rule(4, 20002, iif="eth0", source=ip_network("10.0.6.5/32"), table=100),
        Rule(4, 20002, iif="eth0", table=100, invert=True),
        Rule(4, 20002, iif="eth0", action="blackhole"),
        Rule(4, 20002, iif="eth0", mark=1, mask=1, table=100),
        Rule(4, 20002, iif="eth0", opaque=("uidrange 0-99",), table=100),
    ],
)
def test_rules_of_others_are_not_ours(rule):
    assert not looks_like_ours(rule, DEFAULTS)


def test_tables_in_use_are_seen_in_routes_rules_and_vrfs():
    made = Host(
        links=(link(2, "blue", table=5),),
        rules=(Rule(4, 1, table=6),),
        routes=pack((Route(ip_network("10.0.0.0/8"), table=7),)),
    )
    assert {5, 6, 7} == used_tables(made)


def test_a_kernel_without_suppression_is_told_what_that_means():
    plan = make_plan(forwarding_throw(), DEFAULTS)
    assert ("throw", "probed") == (plan.guard, plan.guard_reason)
    assert any("generate again" in note for note in plan.notes)


@given(small_hosts(), st.randoms(), st.sampled_from(["rules", "throw", "none"]))
@examples(80)
def test_the_plan_does_not_depend_on_any_order(made, random, guard):
    settings = Settings(guard=guard)

    def shuffled(values):
        order = list(values)
        random.shuffle(order)
        return tuple(order)

    other = made._replace(
        links=shuffled(made.links),
        addresses=shuffled(made.addresses),
        routes=pack(shuffled(made.routes)),
        rules=shuffled(made.rules),
        profiles=shuffled(made.profiles),
    )
    assert planned(made, settings) == planned(other, settings)


def test_docker_can_come_and_go_without_a_new_plan():
    with_bridge = make_plan(plain([DOCKER0], [address("docker0", "172.17.0.1/16")]), DEFAULTS)
    assert [uplink.rules for uplink in make_plan(plain(), DEFAULTS).uplinks] == [
        uplink.rules for uplink in with_bridge.uplinks
    ]
    assert routes(make_plan(plain(), DEFAULTS)) == routes(with_bridge)


def test_rules_of_our_form_in_a_table_that_is_not_ours_are_somebody_elses():
    theirs = Rule(4, 20002, source=ip_network("10.0.6.9/32"), table=77)
    made = plain(rules=(theirs,))

    assert frozenset() == our_rules(made, DEFAULTS)
    with pytest.raises(Refusal, match=r"ip rule del priority 20002 from 10\.0\.6\.9/32"):
        make_plan(made, DEFAULTS)


def test_the_command_for_a_rule_left_is_safe_to_paste_and_of_its_family():
    theirs = Rule(6, 20002, iif="$(reboot)", table=77)
    with pytest.raises(Refusal, match=r"\(ip -6 rule del .* iif '\$\(reboot\)' "):
        make_plan(plain(rules=(theirs,)), DEFAULTS)


def test_another_priority_base_finds_the_rules_of_the_one_before():
    plan = make_plan(two_uplinks(), DEFAULTS)
    found = tuple(rule for uplink in plan.uplinks for rule in uplink.rules)
    owned = tuple(
        TableName(uplink.table.id, uplink.table.name, owned=True) for uplink in plan.uplinks
    )
    made = two_uplinks(rules=(*kernel_rules(), *found), tables=owned)
    moved = DEFAULTS._replace(priority_base=97)

    assert set(found) == our_rules(made, moved)
    assert {97, 98, 99} == {
        rule.priority for uplink in make_plan(made, moved).uplinks for rule in uplink.rules
    }


def test_a_vrfs_table_cannot_be_an_uplinks():
    made = two_uplinks()
    made = made._replace(links=(*made.links, Link(30, "red", kind="vrf", table=10)))
    chosen = {"eth0": InterfaceSettings(table=TableChoice("users", 10))}

    with pytest.raises(InputError, match="table 10 is the VRF red's"):
        make_plan(made, DEFAULTS._replace(interface=chosen))


def test_a_lease_of_one_address_selects_the_network_that_main_has_around_it():
    made = two_uplinks()
    leased = tuple(
        assigned._replace(interface=ip_interface("2001:db8:6::5/128"), dynamic=True)
        if str(assigned.interface) == "2001:db8:6::5/64"
        else assigned
        for assigned in made.addresses
    )
    plan = make_plan(made._replace(addresses=leased), DEFAULTS)

    assert {"2001:db8:6::/64"} == {
        str(rule.source) for rule in plan.uplinks[0].rules if rule.version == 6 and rule.source
    }


def test_a_guard_that_was_not_probed_says_so():
    said = make_plan(two_uplinks(suppress=None), DEFAULTS).notes

    assert ("guard rules: not probed; by kernel release 5.14.0-427.el9.x86_64",) == said
    assert () == make_plan(two_uplinks(), DEFAULTS).notes
