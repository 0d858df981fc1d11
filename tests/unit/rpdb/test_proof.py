"""The proof: what it accepts, what it refuses and with which packet."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.hosts import (
    ADMINS,
    BY_ETH0,
    BY_ETH1,
    ETH0,
    ETH1,
    USERS,
    address,
    host,
    link,
    make_plan,
    route,
    two_uplinks,
    with_routes,
)
from support.strategies import examples, random_hosts
from symroute_nm.errors import Refusal
from symroute_nm.model.host import TableName
from symroute_nm.model.network import Rule
from symroute_nm.model.ours import our_rules
from symroute_nm.model.settings import GenerateOptions, InterfaceSettings, Settings, TableChoice
from symroute_nm.rpdb.expectations import find_catch_all_links
from symroute_nm.rpdb.proof import prove, put_plan
from symroute_nm.rpdb.symmetry import describe_failure, judge
from symroute_nm.targets.base import EarlierBlocks
from symroute_nm.workflow.proposal import Proposal, check_proof

TUN0 = link(9, "tun0", kind="tun")


def with_rules(there, *rules):
    return there._replace(
        rules=tuple(sorted(there.rules + rules, key=lambda each: (each.version, each.priority)))
    )


def with_tunnel(there, *routes):
    return with_routes(there._replace(links=(*there.links, TUN0)), *routes)


def proof_of(there, **fields):
    wanted = Settings(**fields)
    return prove(there, wanted, make_plan(there, wanted))


def failures(proof):
    return [failure for verdict in proof.after for failure in verdict.failures]


def refusal(there, **fields):
    wanted = Settings(**fields)
    plan = make_plan(there, wanted)
    made = Proposal(plan, (), EarlierBlocks(), prove(there, wanted, plan))
    with pytest.raises(Refusal) as caught:
        check_proof(made, GenerateOptions())
    warned = check_proof(made, GenerateOptions(force=True))
    assert all(warning.startswith("warning: ") for warning in warned) and warned
    return str(caught.value)


@pytest.mark.parametrize("guard", ["rules", "throw"])
def test_two_uplinks_are_asymmetric_before_and_symmetric_after(guard):
    proof = proof_of(two_uplinks(), guard=guard)

    assert proof.holds
    assert {
        "10.0.6.5": False,
        "10.0.5.5": False,
        "2001:db8:6::5": False,
        "2001:db8:5::5": False,
    } == {str(verdict.address.ip): verdict.symmetric for verdict in proof.before}
    assert all(verdict.symmetric for verdict in proof.after)


def test_plain_recipe_cuts_the_containers_off_and_only_warns_since_it_was_asked_for():
    wanted = Settings(guard="none")
    plan = make_plan(two_uplinks(), wanted)
    proof = prove(two_uplinks(), wanted, plan)

    assert {"10.0.6.5", "10.0.5.5"} == {str(failure.address.ip) for failure in failures(proof)}
    assert all(
        failure.internal and failure.destination in ip_network("172.17.0.0/16")
        for failure in failures(proof)
    )
    warnings = check_proof(Proposal(plan, (), EarlierBlocks(), proof), GenerateOptions())
    assert 2 == len(warnings)
    assert "should go to the internal network dev docker0" in warnings[0]


def test_a_vpn_rule_before_ours_is_refused_with_the_packet():
    there = with_rules(
        with_tunnel(two_uplinks(), route("default", "tun0", table=77)), Rule(4, 5000, table=77)
    )

    said = refusal(there)

    assert "from 10.0.6.5 to " in said
    assert "goes dev tun0 by rule 5000 (from all lookup 77)" in said
    assert "should leave by eth0" in said


@pytest.mark.parametrize("network", ["10.0.0.0/8", "10.0.7.0/24", "172.0.0.0/6"])
def test_a_vpn_rule_before_ours_is_refused_whatever_else_its_table_has(network):
    """Its default route takes all away, though the networks beside it are the VPN's."""
    there = with_rules(
        with_tunnel(
            host([ETH0, ETH1], [USERS, ADMINS], [BY_ETH1, BY_ETH0]),
            route("default", "tun0", table=77),
            route(network, "tun0", table=77),
        ),
        Rule(4, 5000, table=77),
    )

    said = refusal(there)

    assert "goes dev tun0 by rule 5000 (from all lookup 77), route default dev tun0" in said
    assert "should leave by eth0" in said


def test_a_blackhole_rule_is_refused_with_the_packet():
    there = with_rules(
        two_uplinks(),
        Rule(
            4,
            900,
            source=ip_network("10.0.6.5/32"),
            destination=ip_network("10.9.0.0/16"),
            action="blackhole",
        ),
    )

    said = refusal(there)

    assert "from 10.0.6.5 to 10.9.0.1: goes blackhole by rule 900" in said
    assert "10.0.5.5" not in said


@pytest.mark.parametrize("table", [0, 254])  # the kernel keeps one that says nothing, too
def test_a_blackhole_rule_before_an_internal_network_is_seen(table):
    there = with_rules(
        two_uplinks(),
        Rule(4, 5, destination=ip_network("172.17.0.0/16"), action="blackhole", table=table),
    )

    found = failures(proof_of(there))

    assert {("blackhole", "go to the internal network dev docker0")} == {
        (each.decision.type, each.wanted) for each in found
    }


def test_a_blackhole_route_in_main_is_the_administrators_will():
    blackhole = route("10.244.7.0/26", type="blackhole")
    there = two_uplinks()
    for guard in ("rules", "throw"):
        assert proof_of(with_routes(there, blackhole), guard=guard).holds


def test_another_default_in_the_table_that_was_asked_for_is_refused():
    there = two_uplinks()
    stale = route("default", "eth1", "10.0.5.1", table=7)
    there = with_routes(there, stale)

    said = refusal(there, interface={"eth0": InterfaceSettings(table=TableChoice("users", 7))})

    assert "from 10.0.6.5 to " in said
    assert "goes via 10.0.5.1 dev eth1 by rule 20002" in said


def test_overlapping_uplinks_with_rules_by_network_are_refused():
    there = host(
        [link(2, "eth0"), link(3, "eth1")],
        [address("eth0", "10.0.6.5/24"), address("eth1", "10.0.6.9/24")],
        [route("default", "eth0", "10.0.6.1"), route("default", "eth1", "10.0.6.2", metric=5)],
    )

    assert proof_of(there).holds
    said = refusal(there, sources="network")
    assert "from 10.0.6.9 to " in said
    assert "should leave by eth1" in said


def test_a_default_route_in_halves_is_no_internal_network():
    halves = (route("0.0.0.0/1", "tun0"), route("128.0.0.0/1", "tun0"))

    said = refusal(with_tunnel(two_uplinks(), *halves))

    assert "goes dev tun0 by rule 20001" in said


def test_specific_networks_that_others_rules_reach_before_ours_are_theirs():
    there = with_tunnel(two_uplinks(), route("100.64.0.0/10", "tun0", table=52))

    assert proof_of(with_rules(there, Rule(4, 5270, table=52))).holds


def test_a_rule_that_cannot_be_judged_is_refused():
    there = with_rules(two_uplinks(), Rule(4, 300, table=254, opaque=("ip_proto 6",)))

    assert "a rule that cannot be may catch it" in refusal(there)


def test_packets_that_no_selector_of_ours_matches_are_left_alone():
    there = two_uplinks()
    asked = {"eth0": InterfaceSettings(table=TableChoice("users", 7))}
    looked_up = with_rules(there, Rule(4, 40000, table=7))
    jumping = with_rules(there, Rule(4, 100, iif="docker0", action="goto", target=20001))

    assert "looks up our table 7" in refusal(looked_up, interface=asked)
    assert "goes into our priorities" in refusal(jumping)


def test_what_an_earlier_plan_left_does_not_count_as_others():
    there = two_uplinks()
    plan = make_plan(there, Settings())
    again = put_plan(there, Settings(), plan)._replace(
        tables=(TableName(100, "eth0", owned=True), TableName(101, "eth1", owned=True))
    )

    assert len(plan.uplinks) == len(
        {rule.table for rule in our_rules(again, Settings()) if rule.table != 254}
    )
    assert all(
        verdict.symmetric for verdict in judge(again, [uplink.uplink for uplink in plan.uplinks])
    )
    assert put_plan(again, Settings(), plan).rules == again.rules
    assert set(put_plan(again, Settings(), plan).routes) == set(again.routes)
    assert proof_of(again).holds


def test_own_tables_are_judged_as_they_will_be():
    there = two_uplinks()
    plan = make_plan(there, Settings())
    wrong = put_plan(there, Settings(), plan)
    swapped = [
        entry._replace(table=201 - entry.table)
        for entry in wrong.routes
        if entry.table in (100, 101)
    ]
    names = (TableName(100, "eth0", owned=True), TableName(101, "eth1", owned=True))
    wrong = with_routes(wrong._replace(tables=names, routes=there.routes), *swapped)

    assert not any(verdict.symmetric for verdict in proof_of(wrong).before)
    assert proof_of(wrong).holds


def test_a_rule_of_others_that_looks_up_main_does_not_vouch_for_another_that_does_not():
    there = two_uplinks()
    there = with_routes(
        there._replace(links=(*there.links, link(8, "br1", kind="bridge"))),
        route("172.18.0.0/16", "br1"),
        route("172.18.0.0/16", "docker0", table=77),
    )
    there = with_rules(
        there,
        Rule(4, 50, destination=ip_network("172.17.0.0/16"), table=254),
        Rule(4, 100, destination=ip_network("172.18.0.0/16"), table=77),
    )

    plan = make_plan(there, Settings())
    made = Proposal(plan, (), EarlierBlocks(), prove(there, Settings(), plan))

    assert not made.proof.holds
    # No plan could mend that, so it is said and no reason to refuse.
    said = check_proof(made, GenerateOptions())
    assert said and all("should go to the internal network dev br1" in line for line in said)
    assert all(
        line.endswith("that rule is not ours, comes before ours, and stays") for line in said
    )


@pytest.mark.parametrize(
    ("rule", "destination"),
    [
        (Rule(4, 100, source=ip_network("10.0.6.5/32"), table=77), "172.18.0.0/16"),
        (Rule(4, 100, iif="docker0", table=77), "0.0.0.0/0"),
        (Rule(4, 100, table=77), "0.0.0.0/0"),
    ],
)
def test_a_rule_before_ours_that_takes_more_than_a_destination_is_refused(rule, destination):
    there = two_uplinks()
    there = with_routes(there, route(destination, "eth1", "10.0.5.1", table=77))
    there = with_rules(there, rule)
    if rule.iif:  # no reply of ours comes in anywhere
        assert proof_of(there).holds
    else:
        assert "table 77" in refusal(there)


def test_an_ipv6_route_without_metric_meets_the_one_of_1024():
    there = two_uplinks()
    stale = route("default", "eth1", "2001:db8:5::1", table=77, metric=1024)
    there = with_routes(there, stale)

    said = refusal(there, interface={"eth0": InterfaceSettings(table=TableChoice("users", 77))})

    assert "goes via 2001:db8:5::1 dev eth1 by rule 20002" in said


def test_a_vpn_that_spells_the_internet_out_is_no_internal_network():
    everything = ip_network("0.0.0.0/0")
    private = ip_network("10.0.0.0/8")
    pieces = tuple(route(str(each), "tun0") for each in everything.address_exclude(private))
    there = with_tunnel(two_uplinks(), *pieces)

    assert frozenset({"tun0"}) == find_catch_all_links(there, {"eth0", "eth1"})
    said = refusal(there)
    assert "goes dev tun0 by rule 20001" in said
    assert "should leave by eth0" in said


def test_what_lies_in_another_network_makes_a_link_no_wider():
    there = with_tunnel(
        two_uplinks(),
        *(route(each, "tun0") for each in ("32.0.0.0/4", "32.0.0.0/5", "40.0.0.0/5", "fd00::/8")),
    )

    assert frozenset() == find_catch_all_links(there, {"eth0", "eth1"})
    assert frozenset({"tun0"}) == find_catch_all_links(
        with_tunnel(there, route("16.0.0.0/4", "tun0", metric=9)), {"eth0", "eth1"}
    )


def test_a_network_behind_a_vpn_is_internal():
    there = with_tunnel(two_uplinks(), route("10.128.0.0/9", "tun0"), route("fd00::/8", "tun0"))

    assert frozenset() == find_catch_all_links(there, {"eth0", "eth1"})
    assert proof_of(there).holds


def test_a_failure_names_the_packet_the_way_and_what_is_wanted():
    proof = proof_of(two_uplinks())
    first = proof.before[0].failures[0]

    assert (
        "from 10.0.6.5 to 10.0.7.1 (and 4 more destination ranges): goes via 10.0.5.1 dev eth1 by "
        "rule 32766 (from all lookup main), route default via 10.0.5.1 dev eth1 table 254 metric "
        "100; should leave by eth0"
    ) == describe_failure(first)


@given(random_hosts(), st.sampled_from(["rules", "throw"]))
@examples(80)
def test_every_plan_for_a_random_host_is_proved(there, guard):
    proof = proof_of(there, guard=guard)

    assert [] == [describe_failure(failure) for failure in failures(proof)]
    assert proof.holds
