"""What the user says, as immutable types: configuration file and command line together (pure)."""

from types import MappingProxyType
from typing import Mapping, NamedTuple, Optional, Tuple

from symroute_nm.model import IPAddress


class TableChoice(NamedTuple):
    """The user's word on an uplink's own table; 0 and "" where nothing is said."""

    name: str = ""
    id: int = 0


class InterfaceSettings(NamedTuple):
    """What the user says of one interface."""

    table: TableChoice = TableChoice()
    gateways: Tuple[IPAddress, ...] = ()  # at most one a family
    profile: str = ""
    addresses: Tuple[IPAddress, ...] = ()  # that the link may get besides those it has


class Settings(NamedTuple):
    """Configuration file and options together."""

    guard: str = "auto"  # auto rules throw none
    sources: str = "auto"  # auto address network
    iif: Optional[bool] = None  # None: unless it would cut new container networks off
    table_names: bool = False
    priority_base: int = 20000
    most_networks: int = 256  # of other uplinks in an own table, one by one
    interfaces: Tuple[str, ...] = ()  # shell patterns; empty: all
    exclude: Tuple[str, ...] = ()
    interface: Mapping[str, InterfaceSettings] = MappingProxyType({})


class Manner(NamedTuple):
    """How `generate` goes about it, whatever the plan is."""

    dry_run: bool = False
    check: bool = False
    prune: bool = False
    convert: bool = False
    force: bool = False


class Confirmation(NamedTuple):
    """How long a change of the running kernel waits to be confirmed, in seconds, and whether."""

    timeout: float
    yes: bool = False  # keep it at once
