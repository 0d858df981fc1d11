"""A `Plan`: what each uplink gets, which links get nothing and why, what the user should know."""

from itertools import chain
from typing import NamedTuple, Optional, Tuple

from symroute_nm.model.marking import Marking
from symroute_nm.model.network import Address, IPAddress, Link, Route, Rule
from symroute_nm.model.prefixes import PrefixSet
from symroute_nm.model.profiles import Profile

# Kinds of `Skip`: the user leaves the link out; nothing of the link's leads out.
EXCLUDED, NO_WAY_OUT = "excluded", "no way out"


class Gateway(NamedTuple):
    """A way out of a link and where it was learnt; `address` is None on point-to-point links."""

    version: int
    address: Optional[IPAddress]
    origin: str
    onlink: bool = False


class Skip(NamedTuple):
    """A link, or one family of it, that gets no table of its own, and why.

    `kind` is what code decides by: EXCLUDED, NO_WAY_OUT, or "" for all others.
    """

    link: str
    reason: str
    kind: str = ""


class Uplink(NamedTuple):
    """A link with global addresses and a way out of its own, for the families in `gateways`."""

    link: Link
    addresses: Tuple[Address, ...]
    gateways: Tuple[Gateway, ...]  # at most one a family
    profile: Optional[Profile] = None

    def gateway(self, version: int) -> Optional[Gateway]:
        """The way out in that family, if it has one there."""
        return next((gateway for gateway in self.gateways if gateway.version == version), None)


class OwnTable(NamedTuple):
    """The table that belongs to one uplink; `named` where an administrator's file names it."""

    id: int
    name: str
    named: bool = False


class UplinkPlan(NamedTuple):
    """What one uplink gets; routes and rules in the order in which they are to be added."""

    uplink: Uplink
    table: OwnTable
    routes: Tuple[Route, ...]
    rules: Tuple[Rule, ...]


class LeftOut(NamedTuple):
    """One family's networks that are too many for own tables: the replies of `links` go by main."""

    links: Tuple[str, ...]
    networks: PrefixSet


class Plan(NamedTuple):
    """The whole cure for a host; empty `uplinks`: nothing to do."""

    uplinks: Tuple[UplinkPlan, ...] = ()
    skips: Tuple[Skip, ...] = ()
    guard: str = "rules"  # rules throw none
    guard_reason: str = ""
    notes: Tuple[str, ...] = ()  # what the user should know of the decisions taken
    table_names: bool = False
    left_out: Tuple[LeftOut, ...] = ()
    marking: Optional[Marking] = None  # None: no marks

    @property
    def rules(self) -> Tuple[Rule, ...]:
        """The rules of all uplinks, in the order in which they are to be added."""
        return tuple(chain.from_iterable(planned.rules for planned in self.uplinks))

    @property
    def routes(self) -> Tuple[Route, ...]:
        """The routes of all own tables, in the order in which they are to be added."""
        return tuple(chain.from_iterable(planned.routes for planned in self.uplinks))
