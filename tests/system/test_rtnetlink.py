"""Routes as we read them against pyroute2's reading of the same messages."""

from ipaddress import ip_address
from typing import Any, Iterator, List, Optional, Tuple

import pytest

from support.network.namespaces import Namespace
from symroute_nm.kernel import netlink, rtnetlink
from symroute_nm.model.network import Route
from symroute_nm.model.route_set import pack

KINDS = {
    1: "unicast",
    2: "local",
    3: "broadcast",
    4: "anycast",
    5: "multicast",
    6: "blackhole",
    7: "unreachable",
    8: "prohibit",
    9: "throw",
}
LINES = """
    link add v0 type veth peer name v1
    link set v0 up
    link set v1 up
    addr add 10.0.0.5/24 dev v0
    addr add 10.0.1.5/24 dev v1
    addr add 192.0.2.1/32 peer 192.0.2.9/32 dev v1
    route add default via 10.0.0.1 metric 4294967295
    route add default via 10.0.1.1 dev v1 metric 7 table 4000000000
    route add 198.51.100.0/24 nexthop via 10.0.0.1 weight 3 nexthop via 10.0.1.1 dev v1 onlink
    route add 198.51.101.0/24 tos 0x10 via 10.0.0.1 src 10.0.0.5 mtu 1400 table 5
    route add 203.0.113.0/24 via 100.64.0.1 dev v0 onlink
    route add blackhole 10.1.0.0/16
    route add unreachable 10.2.0.0/16 table 255
    route add prohibit 10.3.0.0/16
    route add throw 10.4.0.0/16 table 7
    route add 10.5.0.0/16 via inet6 fe80::1 dev v0
    route add multicast 239.0.0.0/8 dev v1
    route append 10.6.0.0/16 via 10.0.0.2
    route append 10.6.0.0/16 via 10.0.0.1
"""
LINES_6 = """
    addr add 2001:db8::5/64 dev v0 nodad
    addr add 2001:db8:1::5/64 dev v1 nodad
    route add default via fe80::1 dev v0 metric 5
    route add 2001:db8:2::/48 nexthop via fe80::1 dev v0 weight 2 nexthop via fe80::2 dev v1
    route add 2001:db8:3::/48 from 2001:db8::/64 via fe80::1 dev v0
    route add blackhole 2001:db8:4::/48
    route add throw 2001:db8:5::/48 table 9
    route add anycast 2001:db8:6::1 dev v1
    route add 2001:db8:7::/48 via fe80::1 dev v0 pref high expires 300
"""
NAMES = {1: "lo"}


def theirs(message: Any) -> Optional[Tuple[Any, ...]]:
    """What pyroute2 makes of a route, in the terms of `ours`; None for what is not to be known."""
    fields = message.fields
    if fields["family"] not in (2, 10) or fields["src_len"] or fields["flags"] & 0x200:
        return None
    kind = KINDS[fields["type"]]
    alone = [{"oif": message.attribute("RTA_OIF"), "flags": fields["flags"], "hops": 0}]
    several = message.attribute("RTA_MULTIPATH")
    hops = (
        [
            (
                str(each["oif"]),
                gateway(each.get_attr if several else message.attribute),
                bool(each["flags"] & 4),
                each["hops"] + 1,
            )
            for each in several or alone
        ]
        if kind not in ("blackhole", "unreachable", "prohibit", "throw")
        else []
    )
    destination = message.attribute("RTA_DST") or {2: "0.0.0.0", 10: "::"}[fields["family"]]
    return (
        f"{destination}/{fields['dst_len']}",
        message.attribute("RTA_TABLE"),
        kind,
        hops,
        message.attribute("RTA_PRIORITY") or 0,
        fields["tos"],
        fields["proto"],
        fields["scope"],
        message.attribute("RTA_PREFSRC"),
    )


def gateway(attribute: Any) -> Optional[str]:
    plain, via = attribute("RTA_GATEWAY"), attribute("RTA_VIA")
    return plain or (via["addr"] if via else None)


def ours(route: Route) -> Tuple[Any, ...]:
    return (
        str(route.destination),
        route.table,
        route.type,
        [
            (hop.link, str(hop.gateway) if hop.gateway else None, hop.onlink, hop.weight)
            for hop in route.hops
        ],
        route.metric,
        route.tos,
        route.protocol,
        route.scope,
        str(route.source) if route.source else None,
    )


def read() -> List[Tuple[Any, ...]]:
    """Pairs: the same message as they and as we read it."""
    with netlink.open_netlink() as connection:
        names = {number: str(number) for number in range(100)}
        reader = rtnetlink.RouteReader(names)
        found = netlink.collect(connection, netlink.ROUTES, reader.read)
        expected = netlink.dump(connection, netlink.ROUTES)
    return [(theirs(one), ours(other) if other else None) for one, other in zip(expected, found)]


def test_routes_are_read_as_pyroute2_reads_them(namespace: Namespace) -> None:
    namespace.ip(LINES)
    namespace.ip(LINES_6, "-6")
    pairs = namespace.call(read)
    assert len(LINES.splitlines() + LINES_6.splitlines()) < len(pairs)
    assert [] == [pair for pair in pairs if pair[0] != pair[1]]
    known = [each for _, each in pairs if each]
    assert {
        "unicast",
        "local",
        "broadcast",
        "anycast",
        "multicast",
        "blackhole",
        "unreachable",
        "prohibit",
        "throw",
    } == {each[2] for each in known}
    assert {1, 2} <= {len(each[3]) for each in known}
    assert ip_address("fe80::1") in {
        ip_address(hop[1])
        for each in known
        for hop in each[3]
        if hop[1] and each[0] == "10.5.0.0/16"
    }
    assert None in [one for one, _ in pairs]  # the one for some sources only


# They differ in the table, whose number may be more than a byte, in the metric or the destination.
ALIKE = "".join(
    f"route add {where} dev v0 table {table} metric {metric}\n"
    for where in ("198.51.100.0/24", "198.51.100.0/25", "default")
    for table in (9, 300, 70000)
    for metric in (1, 2)
)
BARE = "route add blackhole default table 300"  # nothing behind the table's number


def put_away() -> List[List[Route]]:
    """All routes in order: each message read for itself, put away by what is alike, the host's."""
    with netlink.open_netlink() as connection:
        reader = rtnetlink.RouteReader(NAMES)
        messages = [(raw, 0) for raw in netlink.dump_raw(connection, netlink.ROUTES)]
        alone = filter(None, (reader.read(*message) for message in messages))
        return [
            list(pack(alone)),
            list(reader.pack(messages)),
            list(rtnetlink.read_routes(connection, NAMES)),
        ]


@pytest.mark.parametrize(
    "lines, option",
    [(LINES, "-4"), (LINES_6, "-6"), (ALIKE, "-4"), (BARE, "-4")],
    ids=["ipv4", "ipv6", "alike", "bare"],
)
def test_routes_put_away_are_those_that_are_read(
    namespace: Namespace, lines: str, option: str
) -> None:
    if lines != LINES:
        namespace.ip("link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up")
    namespace.ip(lines, option)
    alone, together, found = namespace.call(put_away)
    assert lines.count("route add") <= len(alone)
    assert alone == together == found


def test_what_many_routes_have_in_common_is_one_object(namespace: Namespace) -> None:
    namespace.ip(
        "link add v0 type veth peer name v1\nlink set v0 up\nlink set v1 up\n"
        "addr add 10.0.0.5/24 dev v0"
    )
    namespace.ip("\n".join(f"route add 100.64.{number}.0/24 via 10.0.0.1" for number in range(50)))
    assert 1 == namespace.call(count_ways)


def count_ways() -> int:
    return len({id(route.hops) for route in routes() if route.hop.gateway})


def routes() -> Iterator[Route]:
    with netlink.open_netlink() as connection:
        return iter(rtnetlink.read_routes(connection, NAMES))
