"""Lines tried by `ip` in a network namespace of their own, which has a host's links and addresses.

Nothing of the running kernel's state is touched: the namespace goes with the shell that it is made
for. Links are veth pairs there, whatever they are on the host: to a route that is no difference.
"""

import os
import re
import shlex
from typing import Iterator, List, Optional, Sequence

from symroute_nm import programs
from symroute_nm.errors import SystemFailure
from symroute_nm.model.host import Host
from symroute_nm.model.network import IPV4, TABLE_MAIN, Route
from symroute_nm.model.route_set import pack
from symroute_nm.model.trial import TriedLine

_KERNEL_PROTOCOL = 2  # linux/rtnetlink.h, RTPROT_KERNEL
_MOST = 4096  # lines, links and addresses; each costs `ip` a few milliseconds
_SECONDS = 20.0
_LINK_NAME = re.compile(r"(?!-)[A-Za-z0-9_.:@+-]{1,15}\Z")
_SCRIPT = """\
ip -force -batch - >/dev/null 2>&1 <<'symroute-nm'
{setup}
symroute-nm
try() {{
    number=$1; shift
    said=$(ip "$@" 2>&1) || echo "$number $said" | head -n 1
}}
{lines}
echo end
"""


def try_lines(host: Host, lines: Sequence[TriedLine]) -> Optional[Sequence[str]]:
    """What `ip` says of each line that is refused, "" where it is taken, one after the other.

    None where there can be no such namespace: no root, no util-linux, a kernel or a container that
    forbids it, too many lines.
    """
    if os.geteuid() != 0 or _MOST < len(lines) + len(host.links) + len(host.addresses):
        return None
    if not programs.find("unshare") or not programs.find("ip"):
        return None
    tries = [
        f"try {number} -{line.version} route add {_quote(line.text)}"
        for number, line in enumerate(lines)
    ]
    script = _SCRIPT.format(setup="\n".join(_setup(host)), lines="\n".join(tries))
    try:
        ran = programs.run(
            ["unshare", "--net", "sh"], script.encode("utf-8", "surrogateescape"), _SECONDS
        )
    except SystemFailure:
        return None
    said = ran.output.splitlines()
    if ran.code or not said or said[-1] != "end":
        return None
    refused = [""] * len(lines)
    for line in said[:-1]:
        number, _, text = line.partition(" ")
        refused[int(number)] = text.strip() or "no reason given"
    return refused


def _quote(text: str) -> str:
    # As the script's shell splits it.
    return " ".join(shlex.quote(word) for word in re.split(r"[ \t\n]", text) if word)


def _setup(host: Host) -> Iterator[str]:
    """Lines of ``ip -batch`` that make the host's links, addresses and connected routes."""
    links = [link for link in host.links if not link.loopback and _LINK_NAME.match(link.name)]
    yield "link set lo up"
    for number, link in enumerate(links):
        yield f"link add {link.name} type veth peer name symroute{number}"
        yield f"link set symroute{number} up"
        yield f"link set {link.name} up"
    names = {link.name for link in links}
    for address in host.addresses:
        if address.link in names:
            peer = f"peer {address.peer}/{address.interface.network.prefixlen}"
            where = f"{address.ip} {peer}" if address.peer else str(address.interface)
            fresh = "nodad" if address.version != IPV4 else ""
            yield f"addr add {where} dev {address.link} noprefixroute {fresh}"
    for route in _connected(host):
        if route.hop.link in names:
            metric = f"metric {route.metric}" if route.metric else ""
            yield (f"route append {route.destination} dev {route.hop.link} proto kernel {metric}")


def _connected(host: Host) -> List[Route]:
    """Main's routes that came with addresses."""
    return list(pack(host.routes).select(_is_connected))


def _is_connected(route: Route) -> bool:
    return (
        route.table == TABLE_MAIN
        and route.protocol == _KERNEL_PROTOCOL
        and route.type == "unicast"
        and len(route.hops) == 1
        and route.hop.gateway is None
    )
