"""A `Host`: all that a plan depends on, and what its kernel can, by release."""

import re
from typing import NamedTuple, Optional, Tuple

from symroute_nm.model.network import Address, IPAddress, Link, Rule
from symroute_nm.model.observations import Observations
from symroute_nm.model.profiles import Profile
from symroute_nm.model.route_set import RouteSet


class TableName(NamedTuple):
    """A line of an rt_tables file; `owned` where it stands in our own block."""

    id: int
    name: str
    path: str = ""
    owned: bool = False


class Lease(NamedTuple):
    """What a DHCP lease says of the way out of a link."""

    link: str
    gateway: IPAddress
    path: str = ""


class Host(NamedTuple):
    """All that a plan depends on; sorted, so that equal hosts are equal values."""

    links: Tuple[Link, ...] = ()
    addresses: Tuple[Address, ...] = ()
    routes: RouteSet = RouteSet()
    rules: Tuple[Rule, ...] = ()
    profiles: Tuple[Profile, ...] = ()
    tables: Tuple[TableName, ...] = ()
    leases: Tuple[Lease, ...] = ()
    kernel: str = ""  # uname -r
    suppress: Optional[bool] = None  # FRA_SUPPRESS_PREFIXLEN works; None: not probed
    forwarding: Tuple[int, ...] = ()  # IP versions that the host forwards
    rp_filter: int = 0  # net.ipv4.conf.all.rp_filter
    dispatcher: str = ""  # path of the script that applies the files
    network_service: bool = False  # initscripts' network.service is enabled
    drop_ins: bool = True  # iproute2 reads rt_tables.d
    firewalls: Tuple[str, ...] = ()  # of nft, iptables, firewalld: what is there
    evidence: Optional[Observations] = None  # None: not read
    on_trial: Tuple[Rule, ...] = ()  # without who added them: ours, though no file lists them


# linux 7764a45a8f1f and 73f5698e7721: fib_rules know suppress_prefixlength since 3.12.
_SUPPRESS_SINCE = (3, 12)
# linux f6d0cbcf09c5: nf_tables can ask the routing tables (fib) since 4.10.
_FIB_SINCE = (4, 10)


def suppresses(release: str) -> bool:
    """Whether rules can have suppress_prefixlength; distributors may have brought it earlier."""
    return _version(release) >= _SUPPRESS_SINCE


def has_nft_fib(release: str) -> bool:
    """Whether nftables has all that our table needs."""
    return _version(release) >= _FIB_SINCE


def _version(release: str) -> Tuple[int, int]:
    """The first two numbers of ``uname -r``; (0, 0) for what has none."""
    numbers = re.match(r"^(\d+)\.(\d+)", release)
    return (int(numbers.group(1)), int(numbers.group(2))) if numbers else (0, 0)
