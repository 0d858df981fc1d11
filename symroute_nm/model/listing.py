"""The rules and routes that files list, each with where it stands."""

from typing import Collection, NamedTuple, Tuple

from symroute_nm.model.network import Route, Rule
from symroute_nm.model.state import State


class ListedRule(NamedTuple):
    """A rule in a file: `path` as the host sees it, and the profile that the file is named after.

    Without a priority in the file, the kernel chooses one each time: `rule.priority` is 0 then.
    """

    rule: Rule
    path: str
    profile: str = ""


class ListedRoute(NamedTuple):
    """A route in a file: `path` as the host sees it, and the profile the file is named after."""

    route: Route
    path: str
    profile: str = ""


class Listing(NamedTuple):
    """The rules and routes that files list."""

    rules: Tuple[ListedRule, ...] = ()
    routes: Tuple[ListedRoute, ...] = ()

    def of(self, paths: Collection[str]) -> "Listing":
        """What the files at these paths list."""
        return Listing(
            tuple(rule for rule in self.rules if rule.path in paths),
            tuple(route for route in self.routes if route.path in paths),
        )

    @property
    def state(self) -> State:
        """The rules and routes without where they stand."""
        return State(
            tuple(rule.rule for rule in self.rules), tuple(route.route for route in self.routes)
        )


class Files(NamedTuple):
    """What route and rule files list: in our blocks, and outside them."""

    ours: Listing
    foreign: Listing  # of its routes only destination, table and metric
