"""Static routes of the administrator's own that are not applied as before beside ours (pure).

Without a rule file NetworkManager reads the routes (parse_route_line() of its ifcfg-rh reader);
with one it leaves them to the dispatcher script, which hands each line to ``ip route add``. The two
differ: NetworkManager passes over what follows ``dev`` and knows the link without it, clears host
bits, and gives a route without metric the connection's own.
"""

from ipaddress import IPv4Network, ip_network
from typing import Iterator, List, Mapping, Tuple

from symroute_nm.blocks import is_variables_form, split
from symroute_nm.model import ANY

# ip-route(8): types before the destination; those of the second row lead to no link.
_TYPES = ("unicast", "local", "broadcast", "multicast", "nat",
          "throw", "unreachable", "prohibit", "blackhole")
_LINKED = _TYPES[:5]


def altered_routes(content: bytes, link: str, path: str = "the file") -> Tuple[str, ...]:
    """What is wrong with the own lines of a profile's route file once `ip` is given them.

    A sentence for each line that `ip` refuses or takes otherwise than NetworkManager, beginning
    with its number; `link` is the profile's. Refusal for damaged markers.
    """
    if is_variables_form(content):
        return ()
    parts = split(content, path)
    lines = parts.before.split(b"\n") if parts.block is None else [
        *parts.before.split(b"\n")[:-1], *[b""] * parts.block.count(b"\n"),
        *parts.after.split(b"\n")]
    return tuple(
        "line %d %s" % (number, fault)
        for number, line in enumerate(lines, 1)
        for fault in _faults(line.decode("utf-8", "surrogateescape"), link)
    )


def _faults(text: str, link: str) -> Iterator[str]:
    words = text.split()
    if not words or words[0].startswith("#"):
        return
    if text.endswith("\r"):
        yield "ends in CR LF, and ip refuses the CR: use LF alone (dos2unix)"
    kind = words[0] if words[0] in _TYPES else "unicast"
    bare = [each for each in words[:2] if each not in (kind, "to")] + words[2:]
    following = dict(zip(bare[1:], [*bare[2:], ""]))
    yield from _link_faults(following, kind, link)
    yield from _destination_faults(bare[:1], following)


def _link_faults(following: Mapping[str, str], kind: str, link: str) -> Iterator[str]:
    named = following.get("dev", link)
    if named != link:
        yield ("names dev %s, which NetworkManager passes over and ip does not: write dev %s"
               % (named, link))
    if kind in _LINKED and not {"dev", "via", "nexthop"}.intersection(following):
        yield "names no link, and ip refuses that: write dev %s behind it" % link


def _destination_faults(first: List[str], following: Mapping[str, str]) -> Iterator[str]:
    destination = "".join(first)
    try:
        network = ip_network(ANY[4] if destination == "default" else destination, strict=False)
    except ValueError:
        return  # NetworkManager does not read it, either
    # The kernel clears those of IPv6 itself.
    if isinstance(network, IPv4Network) and destination.partition("/")[0] not in (
            "default", str(network.network_address)):
        yield "has host bits set, and ip refuses that: write %s" % network
    if not network.prefixlen and not {"metric", "table"}.intersection(following):
        yield ("is a default route without a metric: ip gives it 0, so that it goes before all "
               "others: write metric and a number behind it")
