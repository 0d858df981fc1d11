"""Lines as iproute2 reads them: words, abbreviations, numbers, and what it refuses."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symroute_nm.model.ip_lines import LineError, read_route, read_rule
from symroute_nm.model.network import Hop, Rule

TABLES = {"main": 254, "users": 7}
TEN = ip_network("10.0.0.0/8")
GATEWAY = ip_address("10.0.6.1")


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("from 10.0.0.0/8 tab 7", {"source": TEN, "table": 7}),
        ("from 10.0.0.0/8 ta users", {"source": TEN, "table": 7}),
        ("not to 10.1.2.3/8 lookup 7", {"destination": TEN, "table": 7, "invert": True}),
        ("pref 9 table 7", {"priority": 9, "table": 7}),
        ("o 9 table 7", {"priority": 9, "table": 7}),
        ("tos 10 table 7", {"tos": 0x10, "table": 7}),
        ("dsf 0x20 table 7", {"tos": 0x20, "table": 7}),
        ("from 10.0.0.0/8 prohibit", {"source": TEN, "action": "prohibit"}),
        ("from 10.0.0.0/8 type unreach", {"source": TEN, "action": "unreachable"}),
        ("black", {"action": "blackhole"}),
        ("from 10.0.0.0/8", {"source": TEN, "table": 254}),
        ("goto 30000", {"action": "goto", "target": 30000}),
        ("nop", {"action": "nop"}),
        (
            "ipproto tcp dport 80 table 7",
            {"opaque": ("dport_range 80:80", "ip_proto 6"), "table": 7},
        ),
        (
            "sport 1-9 ipproto 17 table 7",
            {"opaque": ("sport_range 1:9", "ip_proto 17"), "table": 7},
        ),
        ("uidrange 0-99 table 7", {"opaque": ("uid_range 0:99",), "table": 7}),
        ("fwmark 0x10/0xff table 7", {"mark": 16, "mask": 255, "table": 7}),
        ("fwmark 16 table 7", {"mark": 16, "mask": 0xFFFFFFFF, "table": 7}),
        ("fwmark 0 table 7", {"table": 7}),  # selects everything (fib_nl2rule)
        ("from 10/8 table 7", {"source": TEN, "table": 7}),
        ("from 012.0.0.0/8 table 7", {"source": TEN, "table": 7}),
        ("from 10.0.0.0/255.0.0.0 table 7", {"source": TEN, "table": 7}),
        ("from all iif eth0 oif eth1 table 7", {"iif": "eth0", "oif": "eth1", "table": 7}),
        ("dev eth0 table 7", {"iif": "eth0", "table": 7}),
        ("table 7 sup_pl 0", {"table": 7, "suppress_prefixlength": 0}),
        ("l3mdev", {"l3mdev": True}),
        ("table 7 proto static", {"table": 7}),
    ],
)
def test_rules(line, fields):
    rule = read_rule(line, 4, TABLES)
    assert Rule(**{"version": 4, "priority": 0, **fields}) == rule


@pytest.mark.parametrize(
    "line",
    [
        "from 10.0.0.0/8 reject",
        "something",
        "from",
        "from 10.0.0.0/33 table 7",
        "from default/0 table 7",
        "from 2001:db8::1 table 7",
        "table private",
        "table 7 table\r",
        "from 10.0.0.0/8 table 7\r",
        "priority -1 table 7",
        "iif a-name-that-is-too-long table 7",
        "l3mdev table 7",
        "uidrange 7 table 7",
        "help",
        "",
    ],
)
def test_rules_that_ip_refuses(line):
    with pytest.raises(LineError):
        read_rule(line, 4, TABLES)


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ("10.0.0.0/8 via 10.0.6.1 dev eth0", {"hops": (Hop("eth0", GATEWAY),)}),
        ("to 10.0.0.0/8 dev eth0 via 10.0.6.1", {"hops": (Hop("eth0", GATEWAY),)}),
        ("dev eth0 10.0.0.0/8", {"hops": (Hop("eth0"),)}),
        ("table users 10.0.0.0/8 dev eth0", {"table": 7, "hops": (Hop("eth0"),)}),
        ("10.0.0.0/8 oif eth0 tab 7 met 5", {"table": 7, "metric": 5, "hops": (Hop("eth0"),)}),
        ("10.0.0.0/8 dev eth0 preference 5", {"metric": 5, "hops": (Hop("eth0"),)}),
        ("unreach 10.0.0.0/8", {"type": "unreachable"}),
        ("prohibit 10.0.0.0/8 metric 9", {"type": "prohibit", "metric": 9}),
        ("throw 10.0.0.0/8 table 7", {"type": "throw", "table": 7}),
        ("local 10.0.0.0/8 dev eth0", {"type": "local", "table": 255, "hops": (Hop("eth0"),)}),
        ("10.0.0.0/8 via inet 10.0.6.1 onlink", {"hops": (Hop("", GATEWAY, onlink=True),)}),
        (
            "10.0.0.0/8 nexthop via 10.0.6.1 dev eth0 weight 5 nexthop dev eth1",
            {"hops": (Hop("eth0", GATEWAY, weight=5), Hop("eth1"))},
        ),
        ("10.0.0.0/8 dev eth0 src 10.0.6.1", {"source": GATEWAY, "hops": (Hop("eth0"),)}),
        ("10.0.0.0/8 dev eth0 tos 10", {"tos": 16, "hops": (Hop("eth0"),)}),
    ],
)
def test_routes(line, fields):
    read = read_route(line, 4, TABLES)
    assert TEN == read.destination
    assert {} == {
        name: getattr(read, name) for name, value in fields.items() if getattr(read, name) != value
    }


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("10.0.0.0/8 dev eth0 mtu lock 1400", ("mtu", "lock", "1400")),
        ("10.0.0.0/8 dev eth0 wind 1400", ("window", "1400")),
        ("10.0.0.0/8 dev eth0 initc 10 scope link", ("initcwnd", "10", "scope", "link")),
        ("10.0.0.0/8 dev eth0 proto static", ("protocol", "static")),
        ("10.0.0.0/8 dev eth0 rtt 5ms", ("rtt", "5ms")),
    ],
)
def test_words_beside(line, words):
    assert words == read_route(line, 4, TABLES).words


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("default 10.0.6.1", "'10.0.6.1', which is no word"),
        ("flush cache", "'flush' where ip wants an IPv4 address"),
        ("10.0.0.0/8 via 10.0.6.1 weight 5", "'weight', which is no word"),
        ("10.0.0.0/8 via", "nothing stands behind 'via'"),
        ("10.0.0.0/8 via 10.0.6.1 via 10.0.6.2", "a second via"),
        ("10.0.0.0/8 via 10.0.6.1\r", "where ip wants an IPv4 address"),
        ("10.0.0.0/8 dev eth0 table private", "'private', which is in no rt_tables file"),
        ("dev eth0", "names no destination"),
        ("10.0.0.0/8 dev eth0 metric x", "'x' where ip wants a number"),
        ("something with :", "IPv4 address"),
    ],
)
def test_routes_that_ip_refuses(line, reason):
    with pytest.raises(LineError, match=reason):
        read_route(line, 4, TABLES)


def test_host_bits():
    assert read_route("10.2.2.0/8 dev eth0", 4, {}).host_bits
    assert read_route("2001:db8::5/32 dev eth0", 6, {}).destination == ip_network("2001:db8::/32")


@given(st.text(max_size=60), st.sampled_from((4, 6)))
def test_any_line_is_read_or_refused(line, version):
    for read in (read_route, read_rule):
        try:
            read(line, version, TABLES)
        except LineError as error:
            assert "\n" not in str(error)
