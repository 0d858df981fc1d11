"""What only a diagnosis needs: rule files' texts, services, ARP sysctls, the firewall's DNATs."""

import os
import re
import stat
from pathlib import Path
from typing import Callable, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from symroute_nm import programs
from symroute_nm.errors import Refusal, SymrouteError, SystemFailure, pass_on_exhaustion
from symroute_nm.files import access
from symroute_nm.files.access import Tree
from symroute_nm.kernel.loaded_marks import marked_links
from symroute_nm.model.network import Link
from symroute_nm.model.observations import Arp, ConfigFile, Observations, Published, Unread
from symroute_nm.model.places import NETWORK_SCRIPTS
from symroute_nm.model.profiles import BACKUP_NAME
from symroute_nm.readers.published_ports import parse_iptables, parse_masqueraded, parse_nft

FILES, PORTS = "rule files", "published ports"  # subjects of `Unread`

# The dispatcher script reads no other names; of backups there is no profile.
_NAME = re.compile(r"(?:route|rule)6?-.+")
_UNIT = "NetworkManager-dispatcher.service"
# org.freedesktop.nm_dispatcher.service: by this alias D-Bus has systemd start the dispatcher.
_ALIAS = "dbus-org.freedesktop.nm-dispatcher.service"
_ADMIN_UNITS = ("etc/systemd/system", "run/systemd/system")
_VENDOR_UNITS = ("usr/lib/systemd/system", "lib/systemd/system")
_FIREWALLD = "etc/systemd/system/multi-user.target.wants/firewalld.service"
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


def read_evidence(root: Path, links: Iterable[Link]) -> Observations:
    """What the files below `root` and this kernel say; what cannot be read stands in `unread`."""
    with Tree(root) as tree:
        files, unread = _read_files(tree)
        service, rpfilter = _dispatcher_service(tree), _ipv6_rpfilter(tree)
    texts, unlisted = _read_listings()
    published = {each for listing, text in texts for each in listing.parse(text)}
    masqueraded = {each for _, text in texts for each in parse_masqueraded(text)}
    marked = {link for _, text in texts for link in marked_links(text)}
    return Observations(
        files=files,
        dispatcher_service=service,
        ipv6_rpfilter=rpfilter,
        arp=tuple(_arp(link.name for link in links if not link.loopback)),
        published=tuple(sorted(published, key=str)),
        masqueraded=tuple(sorted(masqueraded, key=str)),
        marked=tuple(sorted(marked)),
        unread=(*unread, *unlisted),
    )


def read_config_files(root: Path) -> Tuple[ConfigFile, ...]:
    """The route and rule files below `root`; raises `SystemFailure` for one that is unreadable."""
    with Tree(root) as tree:
        files, unread = _read_files(tree)
    for omission in unread:
        raise SystemFailure(omission.reason, "check its permissions; run as root")
    return files


def _read_files(tree: Tree) -> Tuple[Tuple[ConfigFile, ...], List[Unread]]:
    found, unread = [], []
    try:
        names = tree.names(NETWORK_SCRIPTS)
    except (FileNotFoundError, NotADirectoryError):
        return (), []
    except OSError as error:
        folder = tree.shown(NETWORK_SCRIPTS)
        return (), [Unread(FILES, f"{folder}: {error.strerror or error}")]
    except Refusal as refusal:
        return (), [Unread(FILES, refusal.message)]
    for name in names:
        if not _NAME.fullmatch(name) or BACKUP_NAME.fullmatch(name):
            continue
        try:
            content = access.read_below(tree, f"{NETWORK_SCRIPTS}/{name}")
        except SymrouteError as error:
            unread.append(Unread(FILES, error.message))
        else:
            path = f"{NETWORK_SCRIPTS}/{_printable(name)}"
            text = content.decode("utf-8", "replace")
            found.append(ConfigFile(path, text.replace("\0", "\ufffd")))
    return tuple(found), unread


def _printable(name: str) -> str:
    """A file's name, which may be any bytes, as text that JSON takes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _dispatcher_service(tree: Tree) -> str:
    """What keeps systemd from starting the dispatcher: ``masked``, ``disabled`` or ""."""
    if any(
        _is_masked(tree, f"{folder}/{name}") for folder in _ADMIN_UNITS for name in (_UNIT, _ALIAS)
    ):
        return "masked"
    shipped = any(tree.mode(f"{folder}/{_UNIT}") for folder in _VENDOR_UNITS)
    # What the link leads to may be missing in a tree: that it is there must do.
    enabled = any(tree.has(f"{folder}/{_ALIAS}") for folder in _ADMIN_UNITS + _VENDOR_UNITS)
    return "disabled" if shipped and not enabled else ""


def _is_masked(tree: Tree, unit: str) -> bool:
    """systemd.unit(5): a unit that is empty or a link to /dev/null cannot be started."""
    target = tree.points_to(unit)
    if target is not None:
        return target == "/dev/null"
    found = tree.status(unit)
    return found is not None and stat.S_ISREG(found.st_mode) and found.st_size == 0


def _ipv6_rpfilter(tree: Tree) -> str:
    if not tree.has(_FIREWALLD):
        return ""
    try:
        text = access.read_below(tree, _FIREWALLD_CONF).decode("utf-8", "replace")
    except SymrouteError:
        return _RPFILTER_DEFAULT
    found = _RPFILTER.findall(text)
    return found[-1].lower() if found else _RPFILTER_DEFAULT


def _arp(links: Iterable[str]) -> Iterator[Arp]:
    """ip-sysctl.rst: the higher of all's and the link's own value; of arp_filter, either."""
    general = [(name, _sysctl("all", name)) for name in _ARP]
    for link in links:
        yield Arp(link, *(max(least, _sysctl(link, name)) for name, least in general))


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
        return [], [Unread(PORTS, "only root may list the firewall's rules")]
    found, unread = [], []
    present = [listing for listing in _LISTINGS if programs.find(listing.command[0])]
    for listing in present:
        try:
            found.append((listing, _run(listing.command)))
        except SystemFailure as error:
            unread.append(Unread(PORTS, error.message))
    if not present:
        unread.append(Unread(PORTS, "neither iptables-save nor nft is installed"))
    return found, unread


def _run(command: Sequence[str]) -> str:
    ran = programs.run(command, seconds=_TIMEOUT_SECONDS)
    if ran.code:
        raise SystemFailure(f"{' '.join(command)}: {ran.complaint}")
    return ran.output
