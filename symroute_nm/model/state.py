"""A `State` of our rules and routes, in force or to be, and the steps from one to another."""

from typing import NamedTuple, Tuple, Union

from symroute_nm.model.network import Route, Rule

ADD, REPLACE, DELETE = "add", "replace", "delete"


class State(NamedTuple):
    """Rules and routes of ours, in the order in which they are listed or to be added."""

    rules: Tuple[Rule, ...] = ()
    routes: Tuple[Route, ...] = ()


class Step(NamedTuple):
    """One change of the kernel: ADD, REPLACE (the route of the same key) or DELETE."""

    action: str
    item: Union[Rule, Route]
