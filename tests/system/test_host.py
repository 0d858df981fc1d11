"""The host as the real kernel shows it: what ip(8) says is what we say."""

import json
import sys
from ipaddress import ip_address, ip_interface, ip_network
from typing import Any, Dict, List, Tuple

import pytest

from support.network.namespaces import HOSTILE, Namespace, kernel, two_uplinks
from symroute_nm.model.host import Host
from symroute_nm.readers.snapshot import dump_host, load_host

NUMBER = 0xFFFFFFFF
TYPES = {
    "1": "unicast",
    "2": "local",
    "3": "broadcast",
    "4": "anycast",
    "5": "multicast",
    "6": "blackhole",
    "7": "unreachable",
    "8": "prohibit",
    "9": "throw",
}
ANY = {4: "0.0.0.0/0", 6: "::/0"}


def links(space: Namespace) -> Dict[str, Any]:
    return {
        entry["ifname"]: (
            entry["ifindex"],
            entry.get("linkinfo", {}).get("info_kind", ""),
            entry["address"],
            entry.get("master", ""),
            "LOOPBACK" in entry["flags"],
            "UP" in entry["flags"],
            "LOWER_UP" in entry["flags"],
        )
        for entry in space.ask("link")
    }


def addresses(space: Namespace) -> List[Any]:
    found = []
    for link in space.ask("addr"):
        for each in link["addr_info"]:
            found.append(
                (
                    link["ifname"],
                    ip_interface(f"{each['local']}/{each['prefixlen']}"),
                    ip_address(each["address"]) if "address" in each else None,
                    int(each["scope"]),
                    each.get("dynamic", False),
                    each.get("temporary", False),
                )
            )
    return sorted(found, key=str)


def hop(content: Dict[str, Any]) -> Any:
    gateway = content.get("gateway") or content.get("via", {}).get("host")
    return (
        content.get("dev", ""),
        ip_address(gateway) if gateway else None,
        "onlink" in content["flags"],
        content.get("weight", 1),
    )


def routes(space: Namespace, version: int) -> List[Any]:
    found = []
    for entry in space.ask(f"-{version}", "route", "show", "table", "all"):
        kind = TYPES[entry.get("type", "1")]
        hops = [hop(one) for one in entry.get("nexthops", [entry])]
        found.append(
            (
                ip_network(ANY[version] if entry["dst"] == "default" else entry["dst"]),
                int(entry.get("table", 254)),
                kind,
                () if kind in ("blackhole", "unreachable", "prohibit", "throw") else tuple(hops),
                entry.get("metric", 0),
                int(entry.get("tos", "0"), 0),
                int(entry.get("protocol", 3)),  # 3, boot, is what -N leaves out
                int(entry.get("scope", 0)),
                ip_address(entry["prefsrc"]) if "prefsrc" in entry else None,
            )
        )
    return sorted(found, key=str)


def network(content: Dict[str, Any], key: str) -> Any:
    address = content.get(key, "all")
    if address == "all":
        return None
    bits = ip_address(address).max_prefixlen
    return ip_network(f"{address}/{content.get(key + 'len', bits)}")


def action(content: Dict[str, Any]) -> str:
    if "goto" in content:
        return "goto"
    if "nop" in content:
        return "nop"
    return TYPES[content["action"]] if "action" in content else "lookup"


def rules(space: Namespace, version: int) -> List[Any]:
    found = []
    for entry in space.ask(f"-{version}", "rule"):
        mark = int(entry.get("fwmark", "0"), 0)
        group = entry.get("suppress_ifgroup")
        found.append(
            (
                entry["priority"],
                network(entry, "src"),
                network(entry, "dst"),
                entry.get("iif", ""),
                entry.get("oif", ""),
                mark,
                int(entry.get("fwmask", "0"), 0) or (NUMBER if mark else 0),
                int(entry.get("tos", "0"), 0),
                "not" in entry,
                action(entry),
                int(entry.get("table", 0)),
                entry.get("goto", 0),
                entry.get("suppress_prefixlen"),
                int(group) if group is not None else None,
                "l3mdev" in entry,
                any(
                    key in entry
                    for key in ("uid_start", "ipproto", "sport", "sport_start", "dport", "tun_id")
                ),
                int(entry.get("protocol", 0)),
            )
        )
    return found


def our_links(host: Host) -> Dict[str, Any]:
    return {
        link.name: (
            link.ifindex,
            link.kind,
            link.mac,
            link.master,
            link.loopback,
            link.up,
            link.carrier,
        )
        for link in host.links
    }


def our_rules(host: Host, version: int) -> List[Any]:
    return [
        (
            rule.priority,
            rule.source,
            rule.destination,
            rule.iif,
            rule.oif,
            rule.mark,
            rule.mask,
            rule.tos,
            rule.invert,
            rule.action,
            rule.table,
            rule.target,
            rule.suppress_prefixlength,
            rule.suppress_ifgroup,
            rule.l3mdev,
            bool(rule.opaque),
            rule.protocol,
        )
        for rule in host.rules
        if rule.version == version
    ]


def our_routes(host: Host, version: int) -> List[Any]:
    found = [
        (
            route.destination,
            route.table,
            route.type,
            tuple(tuple(one) for one in route.hops),
            route.metric,
            route.tos,
            route.protocol,
            route.scope,
            route.source,
        )
        for route in host.routes
        if route.version == version
    ]
    return sorted(found, key=str)


@pytest.fixture
def wired(namespace: Namespace) -> Namespace:
    """A veth pair v0 and v1, the latter a port of br0, and a macvlan on v0."""
    namespace.ip("""
        link add br0 type bridge
        link add v0 type veth peer name v1
        link set v1 master br0 up
        link set v0 up
        link set br0 up
        link add link v0 name mv0 type macvlan mode bridge
        link add down0 type bridge
        addr add 10.0.0.5/24 dev v0
        addr add 2001:db8::5/64 dev v0 nodad
        """)
    return namespace


def test_links(wired: Namespace) -> None:
    host = kernel(wired)
    assert {"lo", "br0", "v0", "v1", "mv0", "down0"} == {link.name for link in host.links}
    assert links(wired) == our_links(host)


def test_addresses_of_every_kind(wired: Namespace) -> None:
    wired.sysctl("ipv6/conf/v0/use_tempaddr", "2")
    wired.ip("""
        addr add 10.0.0.6/24 dev v0
        addr add 10.1.0.5/24 dev v0 valid_lft 1000 preferred_lft 500
        addr add 10.2.0.1 peer 10.2.0.2 dev v0
        addr add 10.2.1.1 peer 10.3.0.0/24 dev v0
        addr add 169.254.7.7/16 dev v0 scope link
        addr add 2001:db8:1::5 peer 2001:db8:1::6 dev v0 nodad
        addr add 2001:db8:2::77/64 dev v0 valid_lft 5000 preferred_lft 5000 mngtmpaddr nodad
        addr add fe80::5/64 dev v0 nodad
        addr add fd00::1/128 dev lo
        """)
    host = kernel(wired)
    expected = addresses(wired)
    assert expected == sorted((tuple(address) for address in host.addresses), key=str)
    assert 2 <= sum(dynamic for *_, dynamic, _ in expected)
    assert 1 <= sum(temporary for *_, temporary in expected)
    assert 3 == sum(peer is not None for _, _, peer, *_ in expected)


def test_ipv4_routes_of_every_kind(wired: Namespace) -> None:
    wired.ip("""
        route add 192.0.2.0/24 via 10.0.0.1
        route add 192.0.2.0/24 via 10.0.0.2 metric 50 src 10.0.0.5
        route append 192.0.2.0/24 via 10.0.0.99
        route add 192.0.3.0/24 nexthop via 10.0.0.1 weight 3 nexthop via 10.9.9.9 dev v0 onlink
        route add 192.0.4.0/24 via 172.31.0.1 dev v0 onlink table 100
        route add 192.0.5.0/24 via inet6 fe80::1 dev v0
        route add 192.0.6.0/24 dev v0 tos 0x10
        route add throw 192.0.7.0/24 table 5000
        route add blackhole 192.0.8.0/24
        route add unreachable 192.0.9.0/24 metric 7
        route add prohibit default table 70000
        route add local 192.0.10.0/24 dev lo table 9
        route add broadcast 192.0.11.255 dev v0
        route add default via 10.0.0.1 proto dhcp metric 100
        route add 192.0.12.0/24 dev v0 scope link proto static
        route add 192.0.13.0/24 dev v0 scope link proto 99 metric 4294967295
        """)
    assert routes(wired, 4) == our_routes(kernel(wired), 4)


def test_ipv4_routes_that_name_nexthop_objects(wired: Namespace) -> None:
    wired.ip("""
        nexthop add id 1 via 10.0.0.1 dev v0
        nexthop add id 2 via 10.0.0.2 dev v0
        nexthop add id 3 group 1/2,5
        route add 192.0.20.0/24 nhid 1
        route add 192.0.21.0/24 nhid 3
        """)
    assert routes(wired, 4) == our_routes(kernel(wired), 4)


def test_ipv6_routes_of_every_kind(wired: Namespace) -> None:
    wired.ip(
        """
        route add 2001:db8:3::/64 via 2001:db8::1
        route add 2001:db8:4::/64 nexthop via 2001:db8::1 weight 2 nexthop via 2001:db8::2
        route add default via fe80::1 dev v0 metric 100
        route add default via fe80::2 dev v0 metric 200 proto ra
        route add blackhole 2001:db8:5::/64
        route add throw 2001:db8:6::/64 table 200
        route add unreachable 2001:db8:7::/64 metric 7
        route add prohibit default table 70000
        route add 2001:db8:9::/64 dev v0 proto 99 metric 5
        route add anycast 2001:db8:a::1 dev v0
        route add local 2001:db8:b::/64 dev lo table 9
        """,
        "-6",
    )
    assert routes(wired, 6) == our_routes(kernel(wired), 6)


def test_of_equal_ipv4_routes_the_one_that_the_kernel_takes_stands_first(
    namespace: Namespace,
) -> None:
    two_uplinks(namespace)
    namespace.ip("""
        route add 192.0.2.0/24 via 10.0.6.1
        route append 192.0.2.0/24 via 10.0.5.1
        """)
    (taken,) = namespace.ask("route", "get", "192.0.2.1")
    found = [
        route.hop.link
        for route in kernel(namespace).routes
        if route.destination == ip_network("192.0.2.0/24")
    ]
    assert [taken["dev"], "eth1"] == found


@pytest.mark.parametrize("order", [("eth0", "eth1"), ("eth1", "eth0")])
def test_of_equal_ipv6_routes_the_one_that_the_kernel_takes_stands_first(
    namespace: Namespace, order: Tuple[str, str]
) -> None:
    two_uplinks(namespace)
    namespace.ip("".join(f"route append 2001:db8:9::/48 dev {each}\n" for each in order), "-6")
    (taken,) = namespace.ask("-6", "route", "get", "2001:db8:9::1")
    found = [
        route.hop.link
        for route in kernel(namespace).routes
        if route.destination == ip_network("2001:db8:9::/48")
    ]
    assert order == tuple(found)
    assert taken["dev"] == found[0]


def test_rules_with_every_selector(wired: Namespace) -> None:
    wired.ip("""
        rule add pref 100 from 10.0.0.0/24 to 10.1.0.0/16 iif v0 fwmark 16/0xff tos 0x10 lookup 100
        rule add pref 101 not from 10.0.0.5 oif v1 lookup 5000
        rule add pref 102 fwmark 7 goto 32766
        rule add pref 103 goto 150
        rule add pref 104 lookup main suppress_prefixlength 0
        rule add pref 105 lookup main suppress_ifgroup 7
        rule add pref 106 uidrange 0-99 lookup 100
        rule add pref 107 ipproto tcp sport 100-200 dport 443 lookup 100
        rule add pref 108 l3mdev
        rule add pref 109 from 10.9.0.0/16 blackhole
        rule add pref 110 from 10.9.0.0/16 unreachable
        rule add pref 111 from 10.9.0.0/16 prohibit
        rule add pref 112 iif gone lookup 100 protocol static
        rule add pref 112 iif lo lookup 101
        rule add pref 113 nop
        rule add pref 114 fwmark 0/0xff lookup 70000
        rule add pref 115 tun_id 7 lookup 100
        rule add pref 4000000000 lookup main suppress_prefixlength 24
        rule add lookup 9
        """)
    wired.ip(
        """
        rule add pref 100 from 2001:db8::/64 iif v0 lookup main suppress_prefixlength 0
        rule add pref 101 to 2001:db8::/33 fwmark 1 lookup 70000
        rule add pref 102 not from 2001:db8::5 unreachable
        """,
        "-6",
    )
    host = kernel(wired)
    assert rules(wired, 4) == our_rules(host, 4)
    assert rules(wired, 6) == our_rules(host, 6)


def test_selectors_that_are_not_modelled_are_named(wired: Namespace) -> None:
    wired.ip("""
        rule add pref 106 uidrange 0-99 lookup 100
        rule add pref 107 ipproto tcp sport 100-200 dport 443 lookup 100
        """)
    by_priority = {rule.priority: rule.opaque for rule in kernel(wired).rules}
    assert ("uid_range 0:99",) == by_priority[106]
    assert {"ip_proto 6", "sport_range 100:200", "dport_range 443:443"} <= set(by_priority[107])
    # A newer kernel's attributes have no names, but they have numbers.
    assert not [each for each in by_priority[107] if "unknown" in each]


def test_sysctls(wired: Namespace) -> None:
    assert ((), 0) == (kernel(wired).forwarding, kernel(wired).rp_filter)
    wired.sysctl("ipv4/ip_forward", "1")
    wired.sysctl("ipv4/conf/all/rp_filter", "2")
    wired.sysctl("ipv4/conf/v0/rp_filter", "1")
    host = kernel(wired)
    assert ((4,), 2) == (host.forwarding, host.rp_filter)
    assert {"v0": 1, "v1": 0} == {
        link.name: link.rp_filter for link in host.links if link.name in ("v0", "v1")
    }
    wired.sysctl("ipv6/conf/all/forwarding", "1")
    assert (4, 6) == kernel(wired).forwarding


def test_the_host_does_not_depend_on_the_order_in_which_it_was_made(namespace: Namespace) -> None:
    with Namespace() as other:
        for space, order in ((namespace, (0, 1)), (other, (1, 0))):
            two_uplinks(space, order)
            for number in (7, 3) if order[0] else (3, 7):
                space.ip(f"route add 198.51.{number}.0/24 via 10.0.6.1")
                space.ip(f"rule add pref {number} from 10.0.6.5 lookup 100")
        assert dump_host(kernel(namespace)) == dump_host(kernel(other))


def test_a_snapshot_is_what_the_kernel_shows(wired: Namespace, tmp_path: Any) -> None:
    wired.ip("rule add pref 107 ipproto tcp sport 100-200 dport 443 lookup 100")
    ran = wired.symroute("snapshot", "--root", str(tmp_path))
    assert (0, b"") == (ran.returncode, ran.stderr)
    host = load_host(ran.stdout, "snapshot")
    alone = kernel(wired, probe=True)
    assert alone == host._replace(drop_ins=alone.drop_ins, evidence=None)


def test_inspect_needs_no_root(namespace: Namespace) -> None:
    two_uplinks(namespace)
    root = namespace.symroute("inspect", "--json")
    nobody = namespace.symroute_as_nobody("inspect", "--json")
    assert (0, b"") == (nobody.returncode, nobody.stderr)
    mine, theirs = json.loads(root.stdout.decode()), json.loads(nobody.stdout.decode())
    for found in (mine, theirs):
        found.pop("guard")  # the probe may need a privilege
    assert ["eth0", "eth1"] == [uplink["link"] for uplink in theirs["uplinks"]]
    assert mine == theirs
    assert 0 == namespace.symroute_as_nobody("inspect").returncode


def test_hostile_link_names_break_nothing(namespace: Namespace, tmp_path: Any) -> None:
    two_uplinks(namespace)
    for name in HOSTILE:
        namespace.link(name, "type", "bridge")
    ran = namespace.symroute("snapshot", "--root", str(tmp_path))
    assert (0, b"") == (ran.returncode, ran.stderr)
    names = {link.name for link in load_host(ran.stdout, "snapshot").links}
    assert {name.decode("utf-8", "backslashreplace") for name in HOSTILE} <= names
    (tmp_path / "host.json").write_bytes(ran.stdout)
    for environment in ({}, {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}):
        for words in (["inspect"], ["inspect", "--json"], ["generate", "-x", "eth1"]):
            for host in ([], ["--host", str(tmp_path / "host.json")]):
                ran = namespace.symroute(*words, "--root", str(tmp_path), *host, **environment)
                assert 0 == ran.returncode, ran.stderr
                assert b"Traceback" not in ran.stderr
                assert b"\x1b" not in ran.stdout + ran.stderr


def test_a_host_with_many_routes_is_read_whole(wired: Namespace) -> None:
    count = 20000
    wired.ip(
        "\n".join(
            "route add 100.{}.{}.0/24 via 10.0.0.1 table 77".format(*divmod(number, 256))
            for number in range(count)
        )
    )
    assert count == sum(route.table == 77 for route in kernel(wired).routes)
    # Of its snapshot, far more is written than any buffer holds.
    ran = wired.symroute("snapshot")
    assert count == sum(route.table == 77 for route in load_host(ran.stdout, "snapshot").routes)
    program = f"{sys.executable} -m symroute_nm snapshot"
    unread = wired.run(["bash", "-c", program + " | head -c 9; exit ${PIPESTATUS[0]}"])
    assert (0, ran.stdout[:9], b"") == (unread.returncode, unread.stdout, unread.stderr)
    full = wired.run(["bash", "-c", program + " > /dev/full"])
    assert (4, b"symroute-nm: standard output: No space left on device") == (
        full.returncode,
        full.stderr.split(b";")[0],
    )
