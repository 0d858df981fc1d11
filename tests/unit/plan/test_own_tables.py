"""Own tables on hosts with many networks: bounded, and proved all the same."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.golden.cases import PROFILES, many_networks, many_vlans, plain
from support.hosts import DOCKER0, address, host, link, make_plan, route, vlans, with_routes
from support.strategies import examples, planned, small_hosts
from symroute_nm.diagnosis.diagnose import diagnose
from symroute_nm.model import route_set as routes_module
from symroute_nm.model.network import ANY, LINK_LOCAL, TABLE_MAIN, Hop, network_key
from symroute_nm.model.plan import Plan
from symroute_nm.model.prefixes import PrefixSet
from symroute_nm.model.profiles import Profile
from symroute_nm.model.settings import Settings
from symroute_nm.rpdb.lookup import Rpdb
from symroute_nm.rpdb.proof import prove, put_plan
from symroute_nm.rpdb.rules import Packet
from symroute_nm.rpdb.symmetry import judge

DEFAULTS = Settings()


def behind(gateways, number, step):
    """Routes to so many networks behind these routers ([(link, address)]), in turn."""
    return [
        route(
            f"172.{16 + each * step // 256}.{each * step % 256}.0/24",
            *gateways[each % len(gateways)],
        )
        for each in range(number)
    ]


def lines(plan):
    return sum(len(uplink.routes) for uplink in plan.uplinks)


@pytest.mark.parametrize("guard", ["rules", "throw"])
@pytest.mark.parametrize(("step", "most"), [(1, 15), (2, 260)])
def test_many_vlans_have_few_lines_each(guard, step, most):
    made, settings = vlans(280, step), Settings(guard=guard)
    plan = make_plan(made, settings)
    assert most * 280 >= lines(plan)
    assert prove(made, settings, plan).holds
    assert (guard == "rules" and step > 1) == any("inside" in note for note in plan.notes)
    assert () == plan.left_out


def test_what_lies_behind_others_routers_is_left_to_main_past_the_bound():
    made = plain(routes=behind([("eth0", "10.0.6.254")], 600, 2))
    plan = make_plan(made, DEFAULTS)
    assert [("eth1",)] == [each.links for each in plan.left_out]
    assert 600 == len(plan.left_out[0].networks)
    assert 6 == lines(plan)
    assert [
        "600 IPv4 networks behind routers (eth0: 600) are answered by the link that main "
        "reaches them by, whichever was asked: so many do not go into own tables "
        "(most-networks = 256)"
    ] == list(plan.notes)
    assert prove(made, DEFAULTS, plan).holds
    enough = make_plan(made, Settings(most_networks=601))
    assert ((), ()) == (enough.left_out, enough.notes)


def test_a_link_does_not_need_what_main_has_just_so():
    made = plain(
        routes=[
            *behind([("eth0", "10.0.6.254")], 600, 1),
            route("172.16.7.0/24", "eth1", "10.0.5.254", metric=5),
        ]
    )
    settings = Settings(most_networks=300)
    plan = make_plan(made, settings)
    assert () == plan.left_out
    assert {"10.0.6.0/24", "10.0.5.0/24", "0.0.0.0/0", "172.16.7.0/24"} == {
        str(entry.destination) for entry in plan.uplinks[0].routes
    }
    before = Rpdb(made.rules, made.routes, made.links)
    now = put_plan(made, settings, plan)
    after = Rpdb(now.rules, now.routes, now.links)
    for number in range(600):
        packet = Packet(
            ip_network(f"172.{16 + number // 256}.{number % 256}.0/24")[9],
            source=made.addresses[0].ip,
        )
        assert before.decide(packet).hops == after.decide(packet).hops


def test_only_what_the_bound_left_out_is_excused():
    made = many_networks(2)
    settings = Settings(most_networks=4)
    plan = make_plan(made, settings)
    assert prove(made, settings, plan).holds
    assert not prove(made, settings, plan._replace(left_out=())).holds
    fewer = plan.left_out[0]._replace(
        networks=PrefixSet(4, plan.left_out[0].networks.prefix_keys[1:])
    )
    assert not prove(made, settings, plan._replace(left_out=(fewer,))).holds
    others = plan.left_out[0]._replace(links=("eth0", "eth1"))
    failed = prove(made, settings, plan._replace(left_out=(others,))).after
    assert [False] == [each.symmetric for each in failed if each.address.link == "eth2"]
    # What was before any plan is not excused.
    assert not any(verdict.symmetric for verdict in prove(made, settings, plan).before)


def test_a_bridge_stands_in_the_way_of_wider_networks():
    made = many_vlans()
    plan = make_plan(made, Settings(most_networks=1))
    bridge = ip_network("10.0.10.0/24")
    assert all(
        route.type == "unicast" and not route.destination.overlaps(bridge)
        for uplink in plan.uplinks
        for route in uplink.routes
        if not route.default
    )


def test_link_local_networks_stand_in_the_way_of_wider_networks():
    names = [f"bond0.{number}" for number in range(4)]
    networks = [f"169.{number}" for number in (252, 253, 255)] + ["10.9"]
    made = host(
        [link(20 + number, name, kind="vlan") for number, name in enumerate(names)],
        [address(name, base + ".7.5/24") for name, base in zip(names, networks)],
        [
            route("default", name, base + ".7.1", metric=100 + number)
            for number, (name, base) in enumerate(zip(names, networks))
        ],
        profiles=tuple(Profile(name, id=name, device=name) for name in names),
    )
    plan = make_plan(made, Settings(most_networks=1))
    wide = {entry.destination for own in plan.uplinks for entry in own.routes}
    assert ip_network("169.252.0.0/15") in wide
    assert [ANY[4]] == [each for each in wide if each.overlaps(LINK_LOCAL[4])]


def test_what_is_wider_than_link_local_networks_is_behind_a_gateway():
    made = plain(
        routes=[route(each, "eth0", "10.0.6.254") for each in ("169.254.0.0/15", "169.254.8.0/24")]
    )
    told = {
        str(entry.destination): entry.hop for entry in make_plan(made, DEFAULTS).uplinks[1].routes
    }
    assert Hop("eth1", ip_address("10.0.5.1")) == told["169.254.0.0/15"]
    assert Hop() == told.get("169.254.8.0/24", Hop())


def test_internal_networks_do_not_count_towards_the_bound():
    made = plain(
        [DOCKER0],
        routes=[route("10.8.0.0/16", "eth0", "10.0.6.254")]
        + [route(f"10.8.{2 * number}.0/24", "docker0") for number in range(20)],
    )
    assert () == make_plan(made, Settings(most_networks=10)).left_out


def test_what_is_behind_routers_stays_where_there_is_room_once_others_are_wider():
    made = vlans(8, step=2)
    made = with_routes(made, route("172.16.0.0/24", "bond0.0", "10.0.0.9"))
    plan = make_plan(made, Settings(most_networks=5))
    assert () == plan.left_out
    assert "10.0.0.0/20" in {str(entry.destination) for entry in plan.uplinks[1].routes}
    assert "172.16.0.0/24" in {str(entry.destination) for entry in plan.uplinks[1].routes}


@pytest.mark.parametrize(
    "guard, number, kept", [("rules", 9, 9), ("rules", 10, 0), ("throw", 9, 9), ("throw", 10, 10)]
)
def test_what_lies_behind_own_routers_is_in_the_own_table_unless_it_is_much(guard, number, kept):
    """Only with rules main has it just so, and nothing needs to say so."""
    made = plain(routes=behind([("eth0", "10.0.6.254")], number, 2))
    plan = make_plan(made, Settings(guard=guard, most_networks=9))
    own = [entry for entry in plan.uplinks[0].routes if str(entry.destination).startswith("172.")]
    assert [str(each.hop.gateway) for each in own] == ["10.0.6.254"] * kept


@pytest.mark.parametrize("guard", ["rules", "throw", "none"])
@pytest.mark.parametrize("most", [0, 256])
def test_networks_in_own_networks_are_told_once(guard, most):
    made = plain(
        [DOCKER0],
        routes=[
            route("10.8.0.0/16", "eth0", "10.0.6.254"),
            route("10.8.1.0/24", "eth0", "10.0.6.253"),
            route("10.8.1.128/25", "docker0"),
            route("10.8.2.0/24", "eth0", "10.0.6.252"),
            route("10.8.3.0/24", "eth1", "10.0.5.254"),
        ],
    )
    for uplink in make_plan(made, Settings(guard=guard, most_networks=most)).uplinks:
        told = [known.destination for known in uplink.routes]
        assert len(set(told)) == len(told)


def test_a_diagnosis_knows_what_the_bound_left_out():
    made = many_networks(2)
    settings = Settings(most_networks=4)
    plan = make_plan(made, settings)
    found = diagnose(put_plan(made, settings, plan), settings)
    assert found.symmetric
    assert ["left-to-main"] == [
        finding.code for finding in found.findings if "main" in finding.code
    ]
    assert not diagnose(put_plan(made, settings, plan), DEFAULTS).symmetric
    assert not diagnose(made, settings).symmetric


@given(small_hosts(), st.sampled_from(["rules", "throw", "none"]), st.integers(0, 3))
@examples(80)
def test_a_bound_costs_no_proof(made, guard, most):
    exact, bounded = (
        planned(made, Settings(guard=guard, most_networks=number)) for number in (256, most)
    )
    if not isinstance(exact, Plan):
        assert exact == bounded
        return
    settings = Settings(guard=guard, most_networks=most)
    assert prove(made, settings, exact).holds <= prove(made, settings, bounded).holds


def networks_of(gateways):
    """Statics, some in others, at few places so that halves meet."""
    return st.builds(
        lambda length, number, way: route(
            str(ip_network(f"10.8.{number}.0/{length}", strict=False)), *way
        ),
        st.integers(20, 24),
        st.integers(0, 15),
        st.sampled_from(gateways),
    )


@given(
    st.lists(
        networks_of(
            [("eth0", "10.0.6.254"), ("eth1", "10.0.5.254"), ("eth1", "10.0.5.1"), ("docker0",)]
        ),
        max_size=12,
        unique_by=lambda each: each.destination,
    ),
    st.integers(0, 4),
)
@examples(80)
def test_aggregation_changes_no_way_out_but_to_what_is_left_out(routes, most):
    made = plain(
        [DOCKER0],
        routes=sorted(set(routes), key=lambda each: network_key(each.destination)),
        profiles=PROFILES,
    )
    exact = answers(made, Settings(most_networks=256))
    settings = Settings(most_networks=most)
    left_out = {
        device: network
        for wanted in make_plan(made, settings).left_out
        for device in wanted.links
        for network in [wanted.networks]
    }
    main = {
        entry.destination: entry.hops
        for entry in reversed(made.routes)
        if entry.table == TABLE_MAIN
    }
    for (address_, number), hops in answers(made, settings).items():
        around = [
            each
            for each in main
            if each.prefixlen and ip_network(f"10.8.{number}.0/24").overlaps(each)
        ]
        nearest = max(around, key=lambda each: each.prefixlen, default=ANY[4])
        if nearest in left_out.get(address_.link, ()):
            assert hops in (main[nearest], exact[address_, number])
        else:
            assert exact[address_, number] == hops


def answers(made, settings):
    """{(uplink address, number of a /24): hops} as planned."""
    now = put_plan(made, settings, make_plan(made, settings))
    database = Rpdb(now.rules, now.routes, now.links)
    return {
        (assigned, number): database.decide(
            Packet(ip_network(f"10.8.{number}.0/24")[77], source=assigned.ip)
        ).hops
        for assigned in made.addresses
        if assigned.link != "docker0"
        for number in range(16)
    }


def test_the_bound_is_counted_for_each_uplink():
    made = plain(routes=[*behind([("eth0", "10.0.6.254")], 5, 2)])
    by_main = {
        uplink.uplink.link.name
        for uplink in make_plan(made, Settings(most_networks=4)).uplinks
        if not any(route.hop == Hop("eth0", ip_address("10.0.6.254")) for route in uplink.routes)
    }
    assert {"eth0", "eth1"} == by_main
    links = [each.links for each in make_plan(made, Settings(most_networks=4)).left_out]
    assert [("eth1",)] == links


def test_many_ways_to_go_wrong_are_told_in_a_few_words():
    made = vlans(40)
    found = judge(made, [uplink.uplink for uplink in make_plan(made, DEFAULTS).uplinks])
    assert not any(each.symmetric for each in found)
    # To 39 other networks, each of which the host's own address cuts in two.
    assert {8} == {len(each.failures) for each in found}
    assert {78} <= {sum(failed.classes for failed in each.failures) for each in found}


@given(
    small_hosts(), st.sampled_from(["rules", "throw", "none"]), st.integers(0, 3), st.integers(1, 5)
)
@examples(60)
def test_a_proof_bit_by_bit_is_the_whole_proof(made, guard, most, stretch):
    settings = Settings(guard=guard, most_networks=most)
    plan = planned(made, settings)
    if not isinstance(plan, Plan):
        return
    whole = prove(made, settings, plan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes_module, "_STRETCH", stretch)
        bits = prove(made, settings, plan)
        found = diagnose(made, settings)
    assert list(map(told, whole.after)) == list(map(told, bits.after))
    assert [verdict.symmetric for verdict in whole.before] == [
        verdict.symmetric for verdict in bits.before
    ]
    known = diagnose(made, settings)
    assert [outcome.symmetric for outcome in known.outcomes] == [
        outcome.symmetric for outcome in found.outcomes
    ]
    assert [finding.code for finding in known.findings] == [
        finding.code for finding in found.findings
    ]


def told(verdict):
    """A verdict but for the destinations that speak for all, and how many ranges there are."""
    return (
        verdict.address,
        {
            (
                failure.decision.type,
                failure.decision.hops,
                failure.decision.rule,
                failure.wanted,
                failure.internal,
            )
            for failure in verdict.failures
        },
    )
