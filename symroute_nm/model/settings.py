"""What the user says, as immutable types: configuration file and command line together."""

import re
from types import MappingProxyType
from typing import Mapping, NamedTuple, Optional, Tuple

from symroute_nm.errors import InputError, shown
from symroute_nm.model.network import (
    LARGEST_UINT32,
    TABLE_DEFAULT,
    TABLE_LOCAL,
    TABLE_MAIN,
    TABLE_UNSPEC,
    IPAddress,
)

# The low seven bits, room for 127 uplinks: no whole byte is left. Others' defaults: VPC CNI 0x80
# (AWS_VPC_K8S_CNI_CONNMARK), Cilium 0xf00 (MARK_MAGIC_HOST_MASK), CNI portmap and netavark 0x2000,
# kubelet and kube-proxy 0x4000 and 0x8000 (iptablesMasqueradeBit 14, iptablesDropBit 15), Tailscale
# 0xff0000, Calico 0xffff0000 (iptablesMarkMask), Docker's encrypted overlays 0xd0c4e3, wg-quick
# 0xca6c; Istio marks inside pods. See https://github.com/fwmark/registry.
MARK_MASK = 0x7F


_NAME = re.compile(r"^[A-Za-z0-9_.:@+-]{1,63}\Z")
_NUMBER = re.compile(r"^(0x[0-9A-Fa-f]+|[0-9]+)\Z")
_KEYWORDS = {"unspec", "default", "main", "local", "all", "cache"}
RESERVED_IDS = {TABLE_UNSPEC, TABLE_DEFAULT, TABLE_MAIN, TABLE_LOCAL}

LARGEST_ID = LARGEST_UINT32


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
    forwarded: bool = False  # mark what is forwarded
    mark_mask: int = MARK_MASK  # neighbouring bits
    interfaces: Tuple[str, ...] = ()  # shell patterns; empty: all
    exclude: Tuple[str, ...] = ()
    interface: Mapping[str, InterfaceSettings] = MappingProxyType({})


class GenerateOptions(NamedTuple):
    """How `generate` goes about it, whatever the plan is."""

    dry_run: bool = False
    check: bool = False
    prune: bool = False
    convert: bool = False
    force: bool = False


class Options(NamedTuple):
    """What the command line says, as text; None and empty: nothing said."""

    guard: Optional[str] = None
    sources: Optional[str] = None
    iif: Optional[bool] = None
    table_names: Optional[bool] = None
    forwarded: Optional[bool] = None
    interfaces: Tuple[str, ...] = ()
    exclude: Tuple[str, ...] = ()
    tables: Tuple[str, ...] = ()  # LINK=NAME[:ID]
    gateways: Tuple[str, ...] = ()  # LINK=ADDRESS


def named_links(options: Options) -> Tuple[str, ...]:
    """The links that the command line names outright, which therefore must exist."""
    pairs = options.tables + options.gateways
    plain = (name for name in options.interfaces if not set(name) & set("*?["))
    return tuple(sorted({text.partition("=")[0] for text in pairs} | set(plain)))


def check_choice(link: str, choice: TableChoice) -> None:
    """Raise `InputError` unless the name and the id can be an own table's."""
    if choice.id and (choice.id in RESERVED_IDS or not 0 < choice.id <= LARGEST_ID):
        raise InputError(
            f"{link}: {choice.id} cannot be an own table's id",
            f"use 1 to {LARGEST_ID}, but not 253 to 255",
        )
    if choice.name and not is_usable_name(choice.name):
        raise InputError(
            f"{link}: {shown(choice.name)} cannot be a table's name",
            "use letters, digits and _.:@+-, not a number and not a name that iproute2 reserves",
        )


def is_usable_name(name: str) -> bool:
    """Whether iproute2, the dispatcher script and people take the name for a table's."""
    return bool(_NAME.match(name)) and not _NUMBER.match(name) and name not in _KEYWORDS
