"""Static routes of the administrator's own that are not applied as before beside ours.

Without a rule file NetworkManager reads the routes (parse_route_line() of its ifcfg-rh reader);
with one it leaves them to the dispatcher script, which hands each line to ``ip route add``. The two
differ: NetworkManager passes over what follows ``dev`` and knows the link without it, clears host
bits, and gives a route without metric the connection's own.
"""

import re
from ipaddress import IPv4Network
from typing import Iterator, List, Mapping, NamedTuple, Tuple

from symroute_nm.files.blocks import split
from symroute_nm.model.network import ANY, parse_network
from symroute_nm.targets.ifcfg.conversion import is_variables_form

# ip-route(8): types before the destination; those of the second row lead to no link.
_TYPES = (
    "unicast",
    "local",
    "broadcast",
    "multicast",
    "nat",
    "throw",
    "unreachable",
    "prohibit",
    "blackhole",
)
_LINKED = _TYPES[:5]

# NetworkManager heeds these, too; the dispatcher script ADDRESSn, NETMASKn and GATEWAYn alone.
_PASSED_OVER = re.compile(rb"\s*((?:METRIC|OPTIONS)[0-9]+)=")


def has_routes(content: bytes) -> bool:
    """Whether a route file holds anything but blank lines and comments."""
    return any(_is_route(line) for line in content.split(b"\n"))


def _is_route(line: bytes) -> bool:
    word = line.lstrip()
    return bool(word) and not word.startswith(b"#")


def altered_routes(content: bytes, link: str, path: str = "the file") -> Tuple[str, ...]:
    """What is wrong with the own lines of a profile's route file once `ip` is given them.

    A sentence for each line that `ip` refuses or takes otherwise than NetworkManager, beginning
    with its number; `link` is the profile's. Refusal for damaged markers.
    """
    if is_variables_form(content):
        return tuple(_passed_over(content))
    sentences: List[str] = []
    for number, line in _own_lines(content, path):
        sentences += [f"line {number} {fault}" for fault in _faults(line, link)]
    return tuple(sentences)


def unmetered_routes(content: bytes, path: str = "the file") -> Tuple[Tuple[int, str], ...]:
    """Line number and destination of the own lines in ip form that go to main without a metric.

    To one destination NetworkManager sets one by each link, with the metrics of the connections;
    `ip` gives each metric 0, and the kernel takes the first alone. Refusal for damaged markers.
    """
    if is_variables_form(content):
        return ()
    read = ((number, _read(line)) for number, line in _own_lines(content, path))
    return tuple(
        (number, line.to)
        for number, line in read
        if not {"metric", "table"}.intersection(line.following)
    )


def _own_lines(content: bytes, path: str) -> Iterator[Tuple[int, str]]:
    """The lines outside our block that are neither blank nor comments, with their numbers."""
    parts = split(content, path)
    behind = parts.before.count(b"\n") + (parts.block or b"").count(b"\n")
    for text, first in ((parts.before, 1), (parts.after, behind + 1)):
        for number, line in enumerate(text.split(b"\n") if text else (), first):
            if _is_route(line):
                yield number, line.decode("utf-8", "surrogateescape")


class _Line(NamedTuple):
    """A route line: its type, its destination, and each word behind with the one that follows."""

    type: str
    to: str
    following: Mapping[str, str]


def _read(text: str) -> _Line:
    words = text.split()
    kind = words[0] if words[0] in _TYPES else "unicast"
    rest = [word for word in words[:2] if word not in (kind, "to")] + words[2:]
    return _Line(kind, "".join(rest[:1]), dict(zip(rest[1:], [*rest[2:], ""])))


def _passed_over(content: bytes) -> Iterator[str]:
    for number, line in enumerate(content.split(b"\n"), 1):
        assignment = _PASSED_OVER.match(line)
        if assignment:
            yield (
                f"line {number} sets {assignment.group(1).decode('ascii')}, which the dispatcher "
                "script passes over: rewrite the file in ip form"
            )


def _faults(text: str, link: str) -> Iterator[str]:
    line = _read(text)
    if text.endswith("\r"):
        yield "ends in CR LF, and ip refuses the CR: use LF alone (dos2unix)"
    named = line.following.get("dev", link)
    if named != link:
        yield (
            f"names dev {named}, which NetworkManager passes over and ip does not: write dev {link}"
        )
    if line.type in _LINKED and not {"dev", "via", "nexthop"}.intersection(line.following):
        yield f"names no link, and ip refuses that: write dev {link} behind it"
    yield from _destination_faults(line)


def _destination_faults(line: _Line) -> Iterator[str]:
    try:
        network = ANY[4] if line.to == "default" else parse_network(line.to)
    except ValueError:
        return  # NetworkManager does not read it, either
    # The kernel clears those of IPv6 itself.
    if isinstance(network, IPv4Network) and line.to.partition("/")[0] not in (
        "default",
        str(network.network_address),
    ):
        yield f"has host bits set, and ip refuses that: write {network}"
    if not network.prefixlen and not {"metric", "table"}.intersection(line.following):
        yield (
            "is a default route without a metric: ip gives it 0, so that it goes before all "
            "others: write metric and a number behind it"
        )
