"""What the user says, as immutable types: configuration file and command line together (pure)."""

from types import MappingProxyType
from typing import Mapping, NamedTuple, Optional, Tuple

from symroute_nm.model import IPAddress

# The low seven bits, room for 127 uplinks: no whole byte is left. Others' defaults: VPC CNI 0x80
# (AWS_VPC_K8S_CNI_CONNMARK), Cilium 0xf00 (MARK_MAGIC_HOST_MASK), CNI portmap and netavark 0x2000,
# kubelet and kube-proxy 0x4000 and 0x8000 (iptablesMasqueradeBit 14, iptablesDropBit 15), Tailscale
# 0xff0000, Calico 0xffff0000 (iptablesMarkMask), Docker's encrypted overlays 0xd0c4e3, wg-quick
# 0xca6c; Istio marks inside pods. See https://github.com/fwmark/registry.
MARK_MASK = 0x7F


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
