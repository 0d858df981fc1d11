"""What of the kernel's rules and routes is ours, and what it is to be (pure).

Ours are the rules that look up our tables and those beside them, and all routes of the tables that
our fragment alone names. In one that an administrator named, or chose by its id, only what a block
of ours lists is; and what an administrator's own line lists never is.
"""

from typing import Any, NamedTuple, Tuple, Union

from symroute_nm.model.network import IPNetwork, Route, Rule

Place = Tuple[int, int, IPNetwork, int]


def place(route: Route) -> Place:
    """Which of a table's routes it is, whatever its way out: what lines and routes share."""
    return (route.version, route.table, route.destination, route.kernel_metric)


ADD, REPLACE, DELETE = "add", "replace", "delete"


class State(NamedTuple):
    """Rules and routes of ours, in the order in which they are listed or to be added."""

    rules: Tuple[Rule, ...] = ()
    routes: Tuple[Route, ...] = ()


class Step(NamedTuple):
    """One change of the kernel: ADD, REPLACE (the route of the same key) or DELETE."""

    action: str
    item: Union[Rule, Route]


def bare(rule: Rule) -> Rule:
    """The rule without who added it, for comparison."""
    return rule._replace(protocol=0)


def route_place(route: Route) -> Tuple[Any, ...]:
    """What tells routes of one table apart: the kernel replaces the first that has the same."""
    return (route.table, route.destination, route.tos, route.kernel_metric)
