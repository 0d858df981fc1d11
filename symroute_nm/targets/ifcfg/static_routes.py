"""Static routes of the administrator's own that are not applied as before beside ours.

Without a rule file NetworkManager reads the routes; with one it leaves them to the dispatcher
script, which hands each line to ``ip route add``. The two differ: NetworkManager passes over what
follows ``dev`` and knows the link without it, clears host bits, reaches a gateway outside the
link's networks all the same, gives a route without metric the connection's own, and leaves out what
it does not know.
"""

import re
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence, Set, Tuple

from symroute_nm.errors import InputError, shown
from symroute_nm.files.blocks import split, take_out
from symroute_nm.model.host import Host
from symroute_nm.model.ip_lines import WITHOUT_HOPS, LineError, RouteLine, read_route
from symroute_nm.model.iproute2 import format_hop
from symroute_nm.model.network import (
    IP6_RT_PRIO_USER,
    IPV4,
    TABLE_MAIN,
    Hop,
    IPAddress,
    IPNetwork,
    Route,
    contains,
    host_network,
)
from symroute_nm.model.route_set import pack
from symroute_nm.model.trial import TriedLine
from symroute_nm.targets.ifcfg import networkmanager
from symroute_nm.targets.ifcfg.acceptance import KERNEL_PROTOCOL, try_routes
from symroute_nm.targets.ifcfg.broken_lines import find_flawed_lines
from symroute_nm.targets.ifcfg.conversion import convert, is_variables_form
from symroute_nm.targets.ifcfg.listing import table_numbers
from symroute_nm.targets.ifcfg.names import parse_path

# linux fc1e64e1092f: IPv6 knows onlink since 4.16.
_ONLINK6_SINCE = (4, 16)
# NetworkManager heeds these, too; the dispatcher script ADDRESSn, NETMASKn and GATEWAYn alone.
_PASSED_OVER = re.compile(rb"\s*((?:METRIC|OPTIONS)[0-9]+)=")
FIRST_METRIC = 100  # NetworkManager's own begin there


class Pair(NamedTuple):
    """The names of a profile and its link: the script reads the files of both."""

    profile: str
    link: str


class OwnLine(NamedTuple):
    """A line of the administrator's in a route file that the script reads for a profile and link.

    `now` is the route that NetworkManager makes of it as long as there is no rule file; None: none.
    """

    path: str
    number: int
    text: str
    version: int
    profile: str
    link: str
    now: Optional[RouteLine] = None
    flawed: bool = False  # named by `broken_lines`

    @property
    def place(self) -> str:
        """``PATH line N``."""
        return f"{self.path} line {self.number}"

    @property
    def tried(self) -> TriedLine:
        """As it is handed to `ip`."""
        return TriedLine(self.version, self.text)


def has_routes(content: bytes) -> bool:
    """Whether a route file holds anything but blank lines and comments."""
    return any(_is_route(line) for line in content.split(b"\n"))


def _is_route(line: bytes) -> bool:
    word = line.lstrip()
    return bool(word) and not word.startswith(b"#")


def own_lines(content: bytes, path: str, pair: Pair, *, by_networkmanager: bool) -> List[OwnLine]:
    """The lines of a file outside our block; `by_networkmanager`: it reads the file now.

    None of one in ``ADDRESSn=`` form. Refusal for damaged markers.
    """
    if is_variables_form(content):
        return []
    name = parse_path(path)
    version = name.version if name else IPV4
    flawed = find_flawed_lines(content)
    lines: List[OwnLine] = []
    for number, text in numbered_lines(content, path):
        now = networkmanager.read_line(text, version, pair.link) if by_networkmanager else None
        lines.append(
            OwnLine(path, number, text, version, pair.profile, pair.link, now, number in flawed)
        )
    return lines


def numbered_lines(content: bytes, path: str) -> Iterator[Tuple[int, str]]:
    """The lines outside our block that are neither blank nor comments, with their numbers.

    Lines that a backslash joins are one to the shell's `read`, with the number of the first.
    """
    parts = split(content, path)
    behind = parts.before.count(b"\n") + (parts.block or b"").count(b"\n")
    for text, first in ((parts.before, 1), (parts.after, behind + 1)):
        joined, start = b"", first
        for number, line in enumerate(text.split(b"\n") if text else (), first):
            start = start if joined else number
            joined += line
            if (len(joined) - len(joined.rstrip(b"\\"))) % 2:
                joined = joined[:-1]
                continue
            if _is_route(joined):
                yield start, joined.decode("utf-8", "surrogateescape")
            joined = b""
        if _is_route(joined):
            yield start, joined.decode("utf-8", "surrogateescape")


def passed_over(content: bytes) -> Iterator[str]:
    """What the script does not take of a file in ``ADDRESSn=`` form, and NetworkManager does."""
    for number, line in enumerate(content.split(b"\n"), 1):
        assignment = _PASSED_OVER.match(line)
        if assignment:
            yield (
                f"line {number} sets {assignment.group(1).decode('ascii')}, which the dispatcher "
                "script passes over: rewrite the file in ip form"
            )


def find_faults(line: OwnLine, host: Host, refusal: str) -> List[str]:
    """Why `ip` does not make of a line what NetworkManager makes of it now, as parts of sentences.

    `refusal` is why the kernel refuses it, "" where it does not.
    """
    if line.now is None:
        return []
    if line.text.endswith("\r"):
        return ["ends in CR LF, and ip refuses the CR"]
    try:
        read = read_route(line.text, line.version, table_numbers(host))
    except LineError as error:
        return [f"{error}, and ip refuses that"]
    faults: List[str] = []
    linked = read.type not in WITHOUT_HOPS
    named = {hop.link for hop in read.hops if hop.link}
    if named - {line.link}:
        other = min(named - {line.link})
        faults.append(f"names dev {other}, which NetworkManager passes over and ip does not")
    if linked and any(not hop.link and hop.gateway is None for hop in read.hops):
        faults.append("names no link, and ip refuses that")
    if read.host_bits and line.version == IPV4:
        faults.append("has host bits set, and ip refuses that")
    if not faults and refusal:
        faults.append(f"{refusal}; NetworkManager applies it all the same")
    if not faults and _meaning(read) != _meaning(line.now):
        faults.append("is another route to ip than to NetworkManager")
    return faults


def _meaning(line: RouteLine) -> Tuple[object, ...]:
    """What of a route decides where packets go; the link is compared before."""
    gateways = {hop.gateway for hop in line.hops if hop.gateway is not None and int(hop.gateway)}
    return (line.type, line.destination, line.table, gateways, line.tos, line.source)


def correct_line(line: OwnLine, host: Host, metric: int = 0) -> List[str]:
    """Lines of which `ip` makes what NetworkManager makes of this one; none where it makes nothing.

    Two where the gateway is on no network of the link and the kernel may not know ``onlink``.
    """
    now = line.now
    if now is None:
        return []
    words = [] if now.type == "unicast" else [now.type]
    words.append("default" if not now.destination.prefixlen else _destination(now.destination))
    before: List[str] = []
    hop = now.hop
    if now.type not in WITHOUT_HOPS:
        onlink = hop.onlink
        if hop.gateway is not None:
            words += ["via", str(hop.gateway)]
            if not onlink and not _reaches(host, line.link, hop.gateway):
                onlink = _knows_onlink(host, line.version)
                if not onlink:
                    before = [f"{hop.gateway} dev {line.link}"]
        words += ["dev", line.link, *(["onlink"] if onlink else [])]
    number = now.metric or metric
    words += ["metric", str(number)] if number or "metric" in now.given else []
    words += now.words
    words += ["src", str(now.source)] if now.source is not None else []
    words += ["tos", f"0x{now.tos:02x}"] if now.tos and line.version == IPV4 else []
    words += ["table", str(now.table)] if now.table != TABLE_MAIN else []
    return [*before, " ".join(words)]


def _destination(network: IPNetwork) -> str:
    return str(network.network_address if network.prefixlen == network.max_prefixlen else network)


def _reaches(host: Host, link: str, gateway: IPAddress) -> bool:
    """Whether a gateway is on a network of the link."""
    if gateway.version != IPV4 and gateway.is_link_local:
        return True
    wanted = host_network(gateway)
    return any(
        address.link == link and contains(address.network, wanted) for address in host.addresses
    )


def _knows_onlink(host: Host, version: int) -> bool:
    release = re.match(r"([0-9]+)\.([0-9]+)", host.kernel)
    if version == IPV4 or release is None:
        return True
    return (int(release.group(1)), int(release.group(2))) >= _ONLINK6_SINCE


class MainChange(NamedTuple):
    """A destination that main would lead to otherwise: the line's way, the one before, a metric."""

    now: Hop
    then: Hop
    metric: int  # with which the line changes nothing


def find_main_change(
    lines: Sequence[RouteLine], line: RouteLine, host: Host, left: Set[IPAddress]
) -> Optional[MainChange]:
    """Whether main leads elsewhere once the script sets a line, which has no metric, in it.

    `lines` are all that the script sets, `left` the gateways of default routes that NetworkManager
    sets beside. The kernel takes the lowest metric: `ip` gives IPv4 0 and IPv6 1024.
    """
    if line.table != TABLE_MAIN or line.type in WITHOUT_HOPS or not line.hops:
        return None
    there = [route for route in pack(host.routes).to(TABLE_MAIN, line.destination) if route.hops]
    before = sorted(there, key=_by_metric)
    if not before:
        return None
    # What NetworkManager has made of these lines goes.
    replaced = {
        (other.hop.link, other.hop.gateway)
        for other in lines
        if other.destination == line.destination and other.hops
    }
    after = [route for route in there if not _goes(route, replaced, left)]
    after += [
        other.route for other in lines if other.destination == line.destination and other.hops
    ]
    best_now, best_then = before[0].hop, sorted(after, key=_by_metric)[0].hop
    if (best_now.link, best_now.gateway) == (best_then.link, best_then.gateway):
        return None
    last = max(FIRST_METRIC, before[-1].kernel_metric + 1)
    return MainChange(best_now, best_then, find_present_metric(line, host) or last)


def find_present_metric(line: RouteLine, host: Host) -> int:
    """The metric of main's route to the line's destination by the same way; 0: there is none."""
    for route in pack(host.routes).to(TABLE_MAIN, line.destination):
        if route.metric and _way(route) == (line.hop.link, line.hop.gateway):
            return route.metric
    return 0


def _goes(
    route: Route, replaced: Set[Tuple[str, Optional[IPAddress]]], left: Set[IPAddress]
) -> bool:
    kept = route.protocol == KERNEL_PROTOCOL or (route.default and route.hop.gateway in left)
    return _way(route) in replaced and not kept


def _way(route: Route) -> Tuple[str, Optional[IPAddress]]:
    return (route.hop.link, route.hop.gateway)


def _by_metric(route: Route) -> int:
    return route.kernel_metric


def describe_main_change(line: RouteLine, change: MainChange) -> str:
    """The part of a sentence that says what a line without a metric changes."""
    number = 0 if line.version == IPV4 else IP6_RT_PRIO_USER
    what = "a default route" if not line.destination.prefixlen else f"a route to {line.destination}"
    return (
        f"is {what} without a metric: ip gives it {number}, so that main would lead there by "
        f"{format_hop(change.then)}, no longer by {format_hop(change.now)}"
    )


def has_metric(line: RouteLine) -> bool:
    """Whether a line gives its route a metric, by any of the words for it."""
    return bool({"metric", "priority", "preference"}.intersection(line.given))


def read_script_line(line: OwnLine, host: Host) -> Optional[RouteLine]:
    """What `ip` makes of a line, by its own link where the kernel chooses that; None: nothing."""
    try:
        read = read_route(line.text, line.version, table_numbers(host))
    except LineError:
        return None
    if read.host_bits and line.version == IPV4:
        return None
    hops = tuple(hop if hop.link else hop._replace(link=line.link) for hop in read.hops)
    return read._replace(hops=hops)


def rewrite(content: bytes, path: str, pair: Pair, host: Host, *, by_networkmanager: bool) -> bytes:
    """A route file with lines that `ip` takes, of which it makes what NetworkManager makes now.

    One in ``ADDRESSn=`` form is converted. Where NetworkManager does not read the file, lines in
    ip form stay. InputError for a route that the kernel does not take.
    """
    converted = is_variables_form(content)
    if converted:
        content = convert(take_out(content, path) or b"", pair.link, path)
    elif not by_networkmanager:
        return content
    content = _correct_lines(content, path, pair, host)
    if converted:
        lines = own_lines(content, path, pair, by_networkmanager=False)
        for line, refused in zip(lines, try_routes(host, [line.tried for line in lines])):
            if refused.text:
                raise InputError(
                    f"{path}: converted, {shown(line.text)} {refused.text}",
                    "correct its ADDRESSn, GATEWAYn or OPTIONSn, and run it again",
                )
    return content


def _correct_lines(content: bytes, path: str, pair: Pair, host: Host) -> bytes:
    lines = own_lines(content, path, pair, by_networkmanager=True)
    refusals = try_routes(host, [line.tried for line in lines])
    corrected: Dict[int, List[str]] = {}
    texts = content.split(b"\n")
    for line, refused in zip(lines, refusals):
        joined = texts[line.number - 1].endswith(b"\\")  # several lines for one
        if find_faults(line, host, refused.text) and not joined:
            metric = find_present_metric(line.now, host) if line.now and refused.again else 0
            corrected[line.number] = correct_line(line, host, metric)
    if not corrected:
        return content
    written: List[bytes] = []
    for number, text in enumerate(texts, 1):
        new = [line.encode("utf-8", "surrogateescape") for line in corrected.get(number, [])]
        written += new or [text]
    return b"\n".join(written)
