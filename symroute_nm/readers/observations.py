"""What only a diagnosis needs: rule files, services, ARP sysctls, what the firewall lists."""

import os
import re
from pathlib import Path
from typing import Callable, Iterable, Iterator, List, NamedTuple, Sequence, Set, Tuple

from symroute_nm import programs
from symroute_nm.errors import SymrouteError, SystemFailure, pass_on_exhaustion
from symroute_nm.files import access
from symroute_nm.files.access import Tree
from symroute_nm.kernel.loaded_marks import marked_links
from symroute_nm.model.network import IPNetwork, Link
from symroute_nm.model.observations import PUBLISHED_PORTS, Arp, Observations, Published, Unread
from symroute_nm.readers.firewall import has_firewalld
from symroute_nm.readers.ifcfg.dispatcher import find_service_fault
from symroute_nm.readers.ifcfg.route_files import read_route_files_below
from symroute_nm.readers.published_ports import parse_iptables, parse_masqueraded, parse_nft
from symroute_nm.readers.rt_tables import find_damage

_FIREWALLD_CONF = "etc/firewalld/firewalld.conf"
_RPFILTER = re.compile(r"^[ \t]*IPv6_rpfilter[ \t]*=[ \t]*(\S+)", re.MULTILINE)
_RPFILTER_DEFAULT = "yes"  # firewalld.conf(5)
_PROC = "/proc/sys/net/ipv4/conf"
_ARP = ("arp_ignore", "arp_announce", "arp_filter")
_TIMEOUT_SECONDS = 10


class _Listing(NamedTuple):
    """A command that lists the firewall, and who understands it."""

    command: Tuple[str, ...]
    parse: Callable[[str], Iterator[Published]]


# Not -t nat: of a table that is asked for by name, iptables-save loads the kernel module.
_LISTINGS = (
    _Listing(("iptables-save",), parse_iptables),
    _Listing(("ip6tables-save",), parse_iptables),
    _Listing(("nft", "list", "ruleset"), parse_nft),
)


def read_observations(root: Path, links: Iterable[Link]) -> Observations:
    """What the files below `root` and this kernel say; what cannot be read stands in `unread`."""
    with Tree(root) as tree:
        files, unread_files = read_route_files_below(tree)
        service, rpfilter = find_service_fault(tree), _read_ipv6_rpfilter(tree)
    texts, unread_listings = _read_listings()
    published: Set[Published] = set()
    masqueraded: Set[IPNetwork] = set()
    marked: Set[str] = set()
    for listing, text in texts:
        published.update(listing.parse(text))
        masqueraded.update(parse_masqueraded(text))
        marked.update(marked_links(text))
    return Observations(
        files=files,
        dispatcher_service=service,
        ipv6_rpfilter=rpfilter,
        arp=tuple(_arp(link.name for link in links if not link.loopback)),
        published=tuple(sorted(published, key=str)),
        masqueraded=tuple(sorted(masqueraded, key=str)),
        marked=tuple(sorted(marked)),
        unread=(*unread_files, *unread_listings),
        damaged_tables=find_damage(root),
    )


def _read_ipv6_rpfilter(tree: Tree) -> str:
    """firewalld.conf's IPv6_rpfilter in lower case; "" where firewalld is not enabled."""
    if not has_firewalld(tree):
        return ""
    try:
        text = access.read_below(tree, _FIREWALLD_CONF).decode("utf-8", "replace")
    except SymrouteError:
        return _RPFILTER_DEFAULT
    values = _RPFILTER.findall(text)
    return values[-1].lower() if values else _RPFILTER_DEFAULT


def _arp(links: Iterable[str]) -> Iterator[Arp]:
    """ip-sysctl.rst: the higher of all's and the link's own value; of arp_filter, either."""
    least = {name: _sysctl("all", name) for name in _ARP}
    for link in links:
        yield Arp(link, *(max(least[name], _sysctl(link, name)) for name in _ARP))


def _sysctl(link: str, name: str) -> int:
    try:
        with open(f"{_PROC}/{link}/{name}", "rb") as file:
            return int(file.read().split()[0])
    except OSError as error:
        pass_on_exhaustion(error)
        return 0
    except (ValueError, IndexError):
        return 0


def _read_listings() -> Tuple[List[Tuple[_Listing, str]], List[Unread]]:
    """What each command prints, and what could not be looked at."""
    if os.geteuid() != 0:
        return [], [Unread(PUBLISHED_PORTS, "only root may list the firewall's rules")]
    texts, unread = [], []
    present = [listing for listing in _LISTINGS if programs.find(listing.command[0])]
    for listing in present:
        try:
            texts.append((listing, _run(listing.command)))
        except SystemFailure as error:
            unread.append(Unread(PUBLISHED_PORTS, error.message))
    if not present:
        unread.append(Unread(PUBLISHED_PORTS, "neither iptables-save nor nft is installed"))
    return texts, unread


def _run(command: Sequence[str]) -> str:
    ran = programs.run(command, seconds=_TIMEOUT_SECONDS)
    if ran.code:
        raise SystemFailure(f"{' '.join(command)}: {ran.complaint}")
    return ran.output
