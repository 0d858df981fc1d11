"""From one state to another: every packet meets the old one or the new one, at every step."""

from ipaddress import ip_address, ip_network

from hypothesis import assume, given
from hypothesis import strategies as st

from support import hosts
from support.hosts import make_plan, route, two_uplinks, with_routes
from support.strategies import examples, random_hosts
from symroute_nm.errors import SymrouteError
from symroute_nm.kernel.scope import planned_state
from symroute_nm.kernel.steps import find_steps, spare_tables
from symroute_nm.model.network import Rule, host_network, is_global
from symroute_nm.model.route_set import pack
from symroute_nm.model.settings import InterfaceSettings, Settings, TableChoice
from symroute_nm.model.state import ADD, DELETE, REPLACE, State, Step
from symroute_nm.rpdb.lookup import Rpdb
from symroute_nm.rpdb.rules import Packet

NOTHING = State()


def planned(there, **fields):
    return planned_state(make_plan(there, Settings(**fields)))


def key(one):
    return (one.table, one.destination, one.tos, one.kernel_metric)


def perform(state, step):
    """What the kernel makes of a step."""
    rules, routes = list(state.rules), list(state.routes)
    items = rules if isinstance(step.item, Rule) else routes
    if step.action == DELETE:
        name = "without_protocol" if isinstance(step.item, Rule) else "identity"
        items.pop([getattr(item, name) for item in items].index(getattr(step.item, name)))
    elif step.action == REPLACE:
        items[[key(each) for each in items].index(key(step.item))] = step.item
    else:
        assert ADD == step.action
        items.append(step.item)
    # Of equal priority the kernel puts a new rule last.
    rules.sort(key=lambda each: (each.version, each.priority))
    return State(tuple(rules), tuple(routes))


def walk(state, wanted):
    """The states on the way, the last included."""
    found = []
    for step in find_steps(state, wanted):
        state = perform(state, step)
        found.append(state)
    return found


def sorted_rules(state):
    return sorted(
        (rule.without_protocol for rule in state.rules),
        key=lambda each: (each.version, each.priority),
    )


def arrives(state, wanted):
    last = ([state] + walk(state, wanted))[-1]
    return sorted_rules(wanted) == sorted_rules(last) and sorted(
        map(str, (route.identity for route in wanted.routes))
    ) == sorted(map(str, (route.identity for route in last.routes)))


def ways(there, state, packets):
    ours = Rpdb(there.rules + state.rules, pack((*there.routes, *state.routes)), there.links)
    return [(decision.type, decision.hops) for decision in map(ours.decide, packets)]


def packets_of(there, *states):
    """From each address to the ends of every network that any of them knows, and out of them."""
    networks = {entry.destination for entry in there.routes}
    networks |= {entry.destination for state in states for entry in state.routes}
    for address in filter(is_global, there.addresses):
        for network in networks:
            if network.version == address.version:
                yield Packet(network[1 if network.prefixlen < 31 else 0], address.ip)
                if address.version == 4:
                    yield Packet(network[-1], ip_address("192.0.2.7"), iif=address.link)


def never_between(there, old, new):
    packets = list(packets_of(there, old, new))
    before, after = ways(there, old, packets), ways(there, new, packets)
    for number, state in enumerate(walk(old, new)):
        for packet, *found in zip(packets, ways(there, state, packets), before, after):
            assert found[0] in found[1:], f"step {number}, {packet}: {found}"


VARIATIONS = st.fixed_dictionaries(
    {
        "guard": st.sampled_from(["rules", "throw", "none"]),
        "priority_base": st.sampled_from([20000, 20001, 20003, 5000]),
        "iif": st.sampled_from([None, True, False]),
        "sources": st.sampled_from(["auto", "address", "network"]),
        "interface": st.sampled_from(
            [
                {},
                {"eth0": InterfaceSettings(table=TableChoice("", 700))},
                {"eth1": InterfaceSettings(table=TableChoice("other", 800))},
            ]
        ),
    }
)


@examples(10)
@given(random_hosts(), VARIATIONS, VARIATIONS)
def test_a_packet_meets_the_old_state_or_the_new_at_every_step(there, first, second):
    try:
        one, two = planned(there, **first), planned(there, **second)
    except SymrouteError:
        assume(False)

    for old, new in ((NOTHING, one), (one, two), (two, NOTHING)):
        never_between(there, old, new)
        assert arrives(old, new)


def test_the_same_holds_when_the_network_changed():
    there = two_uplinks()
    more = with_routes(
        there,
        route("10.0.0.0/8", "eth0", "10.0.6.9"),
        route("10.200.0.0/16", "docker0"),
        route("10.0.5.128/25", "eth1", "10.0.5.7"),
    )
    for guard in ("rules", "throw"):
        old, new = planned(there, guard=guard), planned(more, guard=guard)

        assert old.routes != new.routes
        never_between(more, old, new)
        never_between(more, new, old)


def test_nothing_to_do_is_no_step():
    state = planned(two_uplinks())

    assert () == find_steps(state, state)
    listed = State(
        tuple(rule._replace(protocol=3) for rule in state.rules),
        tuple(entry._replace(protocol=3, metric=entry.kernel_metric) for entry in state.routes),
    )
    assert () == find_steps(listed, state)


def test_routes_come_before_rules_and_go_after_them():
    wanted = planned(two_uplinks())

    there = [isinstance(step.item, Rule) for step in find_steps(NOTHING, wanted)]
    back = [isinstance(step.item, Rule) for step in find_steps(wanted, NOTHING)]

    assert sorted(there) == there
    assert sorted(back, reverse=True) == back
    priorities = [
        step.item.priority for step in find_steps(NOTHING, wanted) if isinstance(step.item, Rule)
    ]
    assert sorted(priorities) == priorities
    priorities = [
        step.item.priority for step in find_steps(wanted, NOTHING) if isinstance(step.item, Rule)
    ]
    assert sorted(priorities, reverse=True) == priorities


def test_duplicates_are_deleted_but_for_one():
    state = planned(two_uplinks())
    doubled = State(
        tuple(sorted(state.rules * 2, key=lambda each: (each.version, each.priority))), state.routes
    )

    steps = find_steps(doubled, state)

    assert {DELETE} == {step.action for step in steps}
    assert len(state.rules) == len(steps)
    assert arrives(doubled, state)


def test_rules_of_one_priority_come_back_in_their_order():
    one, two, three = (
        Rule(4, 20000, source=host_network(ip_address(f"10.0.0.{number}")), table=100)
        for number in (1, 2, 3)
    )

    for here, there in (
        ((one, three), (one, two, three)),
        ((three, one), (one, two, three)),
        ((two,), (two, one)),
        ((one, two), (two, one)),
    ):
        states = walk(State(here), State(there))
        assert there == states[-1].rules
        # None that is in both was away in between.
        assert all(set(here) & set(there) <= set(state.rules) for state in states)


def test_a_route_that_changes_is_replaced_at_once():
    before = State(routes=(route("default", "eth0", "10.0.6.1", table=100),))
    after = State(routes=(route("default", "eth0", "10.0.6.2", table=100),))

    assert (Step(REPLACE, after.routes[0]),) == find_steps(before, after)


def test_of_two_routes_with_one_key_the_second_is_deleted():
    one, two, new = (
        route("10.9.0.0/16", "eth0", f"10.0.6.{number}", table=100) for number in (1, 2, 3)
    )

    assert (Step(REPLACE, new), Step(DELETE, two)) == find_steps(
        State(routes=(one, two)), State(routes=(new,))
    )


def test_in_a_table_in_use_longer_prefixes_come_first_and_go_last():
    inner, outer = (
        route("10.200.0.0/16", type="throw", table=100),
        route("10.0.0.0/8", "eth0", "10.0.6.1", table=100),
    )
    asked = (Rule(4, 20002, source=ip_network("10.0.6.5/32"), table=100),)

    assert [inner, outer] == [
        step.item for step in find_steps(State(asked), State(asked, (outer, inner)))
    ]
    assert [outer, inner] == [
        step.item for step in find_steps(State(asked, (inner, outer)), State(asked))
    ]


def test_in_a_table_of_nobodys_networks_come_before_the_gateways_in_them():
    network, default = (
        route("10.0.0.0/24", "eth0", table=100),
        route("default", "eth0", "10.0.0.1", table=100),
    )
    deeper = route("10.0.0.128/25", "eth0", table=100)

    assert [network, deeper, default] == [
        step.item for step in find_steps(State(), State((), (default, network, deeper)))
    ]


def test_the_check_of_steps_can_fail():
    """Rules in descending order: a container's packet would go out by an uplink in between."""
    there = two_uplinks()
    wanted = planned(there, guard="rules")
    upside_down = State(
        tuple(rule for rule in wanted.rules if rule.priority == 20002), wanted.routes
    )
    packet = Packet(ip_address("172.17.0.9"), ip_address("10.0.6.5"))

    found = [ways(there, each, [packet])[0] for each in (NOTHING, upside_down, wanted)]

    assert found[0] == found[2] != found[1]
    assert hosts.DOCKER0.name == found[0][1][0].link


def test_tables_that_change_hands_are_not_mixed_up():
    there = two_uplinks()
    swapped = {
        "eth0": InterfaceSettings(table=TableChoice("", 101)),
        "eth1": InterfaceSettings(table=TableChoice("", 100)),
    }
    moved = {"eth0": InterfaceSettings(table=TableChoice("", 700))}  # eth1 gets its 100

    for fields in (swapped, moved):
        old, new = planned(there), planned(there, interface=fields)
        assert {100, 101} & {entry.table for entry in new.routes}
        assert spare_tables(old, new)
        never_between(there, old, new)
        assert arrives(old, new)
        never_between(there, new, old)
    assert {} == spare_tables(planned(there), planned(there))
