"""Plan, files and kernel against each other: what, how often, and in which order."""

from ipaddress import ip_network

from symroute_nm.model.network import Hop, Route, Rule
from symroute_nm.model.state import State
from symroute_nm.workflow.drift import MISPLACED, TWICE, States, find_drift

FIRST = Rule(4, 20000, source=ip_network("10.0.6.5/32"), table=100)
SECOND = Rule(4, 20000, source=ip_network("10.0.6.0/24"), table=101)
ROUTE = Route(ip_network("10.0.6.0/24"), hops=(Hop("eth0"),), table=100)
STATE = State((FIRST, SECOND), (ROUTE,))


def drift(kernel):
    return [(each.kind, each.item) for each in find_drift(States(STATE, STATE, kernel))]


def test_equal_states_agree():
    assert [] == drift(STATE)


def test_rules_of_one_priority_have_their_order():
    assert [(MISPLACED, SECOND)] == drift(State((SECOND, FIRST), (ROUTE,)))
    later = FIRST._replace(priority=20001)
    swapped = States(*[State((later, SECOND), ())] * 2, State((SECOND, later), ()))
    assert () == find_drift(swapped)


def test_rules_of_two_addresses_have_no_order():
    """Uplinks come up in any order, and no packet is selected by both."""
    apart = [FIRST._replace(source=ip_network(text)) for text in ("10.0.6.5", "10.0.5.5")]
    planned = State(tuple(apart), ())
    assert () == find_drift(States(planned, planned, State(tuple(apart[::-1]), ())))
    wide = [apart[0], FIRST._replace(source=ip_network("10.0.6.0/24"))]
    planned = State(tuple(wide), ())
    swapped = find_drift(States(planned, planned, State(tuple(wide[::-1]), ())))
    assert [(MISPLACED, wide[1])] == [(each.kind, each.item) for each in swapped]


def test_what_is_there_twice_is_told_once():
    assert [(TWICE, FIRST)] == drift(State((FIRST, SECOND, FIRST), (ROUTE,)))
    assert [(TWICE, ROUTE)] == drift(State((FIRST, SECOND), (ROUTE, ROUTE, ROUTE)))
