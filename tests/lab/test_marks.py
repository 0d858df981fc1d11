"""Forwarded connections judged by packets: ports published to containers, at both addresses.

The same flows, without marks and with them; set by nft, by iptables-legacy, and beside firewalld.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Iterator, List, Set, Tuple

import pytest

from support.network import traffic
from support.network.lab import PROFILES, REPEATED, SIZE, Flow, broken, names
from support.network.marks import MARKS, PublishingLab, converse
from support.network.topology import SERVER

NOTHING: Set[str] = set()
BACKENDS = ("nft", "iptables")
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
NEEDED = {
    "nft": ("nft", "iptables-save"),
    "iptables": ("iptables-legacy", "ip6tables-legacy"),
    "firewalld": ("firewalld", "firewall-cmd", "dbus-daemon", "dbus-send"),
}
SYSCTLS = ("all", *SERVER, "docker0", "docker1")


def make(
    script: Path, backend: str = "nft", best: str = "eth1", firewalld: str = ""
) -> PublishingLab:
    wanted = NEEDED[backend] + (NEEDED["firewalld"] if firewalld else ())
    lacking = [each for each in wanted if not shutil.which(each, path=PATH)]
    if lacking:
        pytest.skip("install the packages with: " + " ".join(lacking))
    return PublishingLab(script, PROFILES, best, backend == "iptables", firewalld)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def host(script: Path, backend: str) -> Iterator[PublishingLab]:
    """The publishing host, once with nft and once with nothing but iptables-legacy."""
    with make(script, backend) as made:
        yield made


@pytest.fixture
def plain(script: Path) -> Iterator[PublishingLab]:
    """The publishing host with nft."""
    with make(script) as made:
        yield made


def generate(lab: PublishingLab, *options: str) -> str:
    """`generate`, then a boot; what it says on stderr."""
    ran = lab.symroute("generate", *options)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert set(lab.boot().splitlines()) <= REPEATED
    return ran.stderr


def rp_filter(lab: PublishingLab, value: int) -> None:
    lab.inside(
        "srv",
        traffic.set_sysctls,
        tuple((f"ipv4/conf/{sysctl}/rp_filter", str(value)) for sysctl in SYSCTLS),
    )


def loaded(lab: PublishingLab) -> List[str]:
    """The lines of nft and iptables that have our name."""
    listings = "; ".join(("nft list ruleset", "iptables-save", "ip6tables-save"))
    lines = lab.run(["sh", "-c", listings]).stdout.splitlines()
    # A jump that iptables has made counts its packets in nft's listing.
    plain = (re.sub(r"counter packets \d+ bytes \d+ ", "", line) for line in lines)
    return [line for line in plain if "symroute" in line]


def unanswered(best: str) -> Set[str]:
    """What fails without marks: the other uplink's addresses from afar, and across."""
    (other,) = set(SERVER) - {best}
    flows = [
        Flow(client, kind, address, port)
        for client in ("user", "admin")
        for kind in ("tcp", "udp")
        for address in SERVER[other]
        for port in (8080, 8081)
    ]
    for neighbour, link in (("neighbour0", "eth1"), ("neighbour1", "eth0")):
        four, six = SERVER[link]
        for port in (8080, 8081):
            flows += [Flow(neighbour, "tcp", four, port), Flow(neighbour, "tcp", six, port)]
            # An IPv6 datagram is answered directly: there is no rp_filter, and no firewall sees it.
            flows.append(Flow(neighbour, "udp", four, port))
    return names(flows)


@pytest.mark.parametrize(("backend", "best"), [("nft", "eth1"), ("iptables", "eth0")])
def test_published_ports_answer_by_one_uplink_without_marks_and_by_both_with(
    script: Path, backend: str, best: str
) -> None:
    with make(script, backend, best) as lab:
        generate(lab)
        assert unanswered(best) == broken(lab.check(lab.wanted()))
        said = generate(lab, "--forwarded")
        assert "is answered by that uplink" in said
        assert NOTHING == broken(lab.check(lab.wanted()))
        rp_filter(lab, 2)
        assert NOTHING == broken(lab.check(lab.wanted()))


@pytest.mark.parametrize("guard", ["rules", "throw"])
def test_a_container_network_made_later_answers_at_once(plain: PublishingLab, guard: str) -> None:
    generate(plain, "--forwarded", "--guard", guard)
    plain.add_container("late", "docker2", "172.19")
    plain.add_ipv6("late", "docker2", "fd00:19")
    plain.serve("late")
    plain.publish("172.19", "fd00:19", 8082)
    assert NOTHING == broken(plain.check(plain.published((8080, 8081, 8082))))


def test_connections_from_before_go_on(host: PublishingLab) -> None:
    generate(host)
    before = [converse(host.ns(client), SERVER["eth1"][0], 8080) for client in ("user", "admin")]
    generate(host, "--forwarded")
    during = [converse(host.ns(client), SERVER["eth0"][0], 8080) for client in ("user", "admin")]
    assert [True] * 4 == [traffic.echoes(connection, SIZE) for connection in before + during]


def test_again_and_again_is_as_good_as_once(host: PublishingLab) -> None:
    generate(host, "--forwarded")
    once, rules = loaded(host), host.rules()
    for event in ("pre-up", "up", "down", "vpn-pre-up", "vpn-up", "reload"):
        assert "" == host.must([MARKS, "eth0", event])
    host.boot()
    assert (once, rules) == (loaded(host), host.rules())
    assert NOTHING == broken(host.check(host.published()))


NO_TURNING_BACK = """
table inet watch {
  chain forward {
    type filter hook forward priority 0;
    iifname "eth0" oifname "eth0" drop
    iifname "eth1" oifname "eth1" drop
  }
}
"""


@pytest.mark.parametrize("iif", ["--iif", "--no-iif"])
def test_transit_between_the_uplinks_is_not_broken(host: PublishingLab, iif: str) -> None:
    # By its own gateway it would arrive as well, past this host.
    host._nft("srv", NO_TURNING_BACK)
    host.ip(
        "neighbour0",
        ["route add 10.0.5.0/24 via 10.0.6.5", "route add 2001:db8:5::/64 via 2001:db8:6::5"],
    )
    host.ip(
        "neighbour1",
        ["route add 10.0.6.0/24 via 10.0.5.5", "route add 2001:db8:6::/64 via 2001:db8:5::5"],
    )
    flows = [
        Flow("neighbour0", kind, address)
        for kind in ("ping", "tcp")
        for address in ("10.0.5.7", "2001:db8:5::7")
    ]
    flows += [
        Flow("neighbour1", kind, address)
        for kind in ("ping", "tcp")
        for address in ("10.0.6.7", "2001:db8:6::7")
    ]
    generate(host, iif)
    assert NOTHING == broken(host.check(flows))
    generate(host, "--forwarded", iif)
    assert NOTHING == broken(host.check([*flows, *host.published()]))


ONWARD = """
table ip onward {
  chain prerouting {
    type nat hook prerouting priority -100;
    ip daddr 10.0.6.5 tcp dport 8085 dnat to 10.0.5.7:5000
    ip daddr 10.0.5.5 tcp dport 8085 dnat to 10.0.6.7:5000
  }
  chain postrouting {
    type nat hook postrouting priority 100;
    ip daddr { 10.0.5.7, 10.0.6.7 } masquerade
  }
}
"""


@pytest.mark.parametrize("options", [("--iif",), ("--no-iif", "--sources", "network")])
def test_a_port_sent_on_to_a_server_behind_the_other_uplink_answers(
    plain: PublishingLab, options: Tuple[str, ...]
) -> None:
    plain._nft("srv", ONWARD)
    generate(plain, "--forwarded", *options)
    assert NOTHING == broken(
        plain.check(
            [
                Flow(client, "tcp", address, 8085)
                for client in ("user", "admin")
                for address, _ in SERVER.values()
            ]
        )
    )


OTHERS = """
table inet others {
  chain first {
    type filter hook prerouting priority -160;
    iifname { "eth0", "eth1" } ct state new ct mark set 0x20000
    meta mark set 0x40000
    tcp dport 8081 meta mark set 0x1
  }
  chain forward {
    type filter hook forward priority 0;
    meta mark == 0x40064 ct mark == 0x20064 counter comment "both"
    meta mark == 0x40065 ct mark == 0x20065 counter comment "both"
    meta mark & 0xffffff80 == 0 meta mark != 0x1 counter comment "lost"
    meta mark == 0x1 counter comment "theirs"
  }
}
"""


def test_other_bits_of_marks_are_never_changed(plain: PublishingLab) -> None:
    generate(plain, "--forwarded")
    plain._nft("srv", OTHERS)
    plain.check(plain.published())
    counted = {}
    for line in plain.run(["nft", "list", "chain", "inet", "others", "forward"]).stdout.split("\n"):
        if "counter packets" in line:
            words = line.split()
            name = words[-1].strip('"')
            counted[name] = counted.get(name, 0) + int(words[words.index("packets") + 1])
    assert 0 == counted["lost"]
    assert 0 < counted["both"] and 0 < counted["theirs"]


@pytest.mark.parametrize(
    ("backend", "firewalld"), [("nft", "nftables"), ("nft", "iptables"), ("iptables", "iptables")]
)
def test_firewalld_may_reload_and_docker_restart(
    script: Path, backend: str, firewalld: str
) -> None:
    with make(script, backend, firewalld=firewalld) as lab:
        generate(lab, "--forwarded")
        assert NOTHING == broken(lab.check(lab.wanted()))
        lab.must(["firewall-cmd", "--reload"])
        lab.publish_all()
        assert NOTHING == broken(lab.check(lab.wanted()))
        lab.boot()
        lab.restart_firewalld()
        lab.publish_all()
        assert NOTHING == broken(lab.check(lab.wanted()))
        ran = lab.symroute("verify", "--forwarded")
        assert (0, "plan, files and kernel agree\n") == (ran.returncode, ran.stdout)
        assert 0 == lab.symroute("remove").returncode
        lab.must(["firewall-cmd", "--reload"])
        # nft's table is its own: what remove prints ends that, or the next boot.
        assert (backend == "nft") == bool(loaded(lab))


def test_remove_leaves_nothing_to_the_last_rule(host: PublishingLab) -> None:
    before = set(host.files())
    generate(host, "--forwarded")
    assert loaded(host)
    ran = host.symroute("remove", "--json")
    for command in json.loads(ran.stdout)["commands"]:
        host.must(command.split())
    assert ([], []) == (loaded(host), host.rules())
    left = {each for each in set(host.files()) - before if "var-lib" not in each}
    assert NOTHING == left


def test_without_forwarded_the_marks_go_again(host: PublishingLab) -> None:
    generate(host, "--forwarded")
    ran = host.symroute("generate", "--json")
    assert 0 == ran.returncode, ran.stderr
    assert "connections are not marked any more" in ran.stderr
    for command in json.loads(ran.stdout)["commands"]:
        if not command.startswith("nmcli"):
            host.run(command.split())
    host.boot()
    assert [] == loaded(host)
    assert [] == [rule for rule in host.rules() if "fwmark" in rule]
    assert unanswered("eth1") == broken(host.check(host.wanted()))


def agreement(host: PublishingLab) -> Tuple[int, List[str]]:
    ran = host.symroute("verify", "--forwarded", "--json")
    return ran.returncode, json.loads(ran.stdout)["marks"]


def test_apply_sets_them_with_a_way_back_and_verify_looks(host: PublishingLab) -> None:
    generate(host)
    late = host.symroute("apply", "--forwarded", "--timeout", "1")
    assert 3 == late.returncode
    assert ([], False) == (loaded(host), any("fwmark" in rule for rule in host.rules()))
    kept = host.symroute("apply", "--forwarded", "--yes")
    assert 0 == kept.returncode, kept.stderr
    assert NOTHING == broken(host.check(host.wanted()))
    generate(host, "--forwarded")
    assert (0, []) == agreement(host)
    if host.legacy:
        host.must(["iptables", "-t", "mangle", "-D", "symroute_nm", "1"])
    else:
        host.must(["nft", "flush", "table", "inet", "symroute_nm"])
    code, marks = agreement(host)
    assert 1 == code and any("connections from eth0 get 0x64/0x7f" in mark for mark in marks)
    host.must(["sh", "-c", "echo 0 > /proc/sys/net/ipv4/conf/all/src_valid_mark"])
    assert any("src_valid_mark" in each for each in agreement(host)[1])
    assert 0 == host.symroute("apply", "--forwarded", "--yes").returncode
    assert (0, []) == agreement(host)
    host.path(MARKS).chmod(0o644)
    ran = host.symroute("verify", "--forwarded")
    assert 1 == ran.returncode and "is not run by NetworkManager" in ran.stdout


def test_remove_and_undo_with_apply(host: PublishingLab) -> None:
    generate(host, "--forwarded")
    once = loaded(host)
    assert 0 == host.symroute("remove", "--apply", "--yes").returncode
    assert ([], []) == (loaded(host), host.rules())
    assert 0 == host.symroute("undo", "--apply", "--yes").returncode
    assert once == loaded(host)
    assert 0o755 == host.path(MARKS).stat().st_mode & 0o7777
    assert NOTHING == broken(host.check(host.wanted()))


def prerouting(lab: PublishingLab) -> List[str]:
    lines = [
        line
        for program in ("iptables", "ip6tables")
        for line in lab.must([program + "-save", "-t", "mangle"]).splitlines()
    ]
    return [line for line in lines if line.startswith("-A ")]


@pytest.mark.parametrize("backend", ["iptables"], indirect=True)
def test_the_way_back_puts_the_jump_where_it_was(host: PublishingLab) -> None:
    generate(host, "--forwarded")
    host.must(["iptables", "-t", "mangle", "-I", "PREROUTING", "-p", "sctp", "-j", "ACCEPT"])
    host.must(["iptables", "-t", "mangle", "-A", "PREROUTING", "-p", "udp", "-j", "ACCEPT"])
    host.must(["iptables", "-t", "mangle", "-D", "symroute_nm", "1"])
    before = prerouting(host)
    assert 3 == host.symroute("apply", "--forwarded", "--timeout", "1").returncode
    assert before == prerouting(host)
    assert 0 == host.symroute("apply", "--forwarded", "--yes").returncode
    assert len(before) + 1 == len(prerouting(host))


def test_chains_that_nft_has_replaced_are_seen_and_go(plain: PublishingLab) -> None:
    generate(plain, "--forwarded")
    for program in ("iptables", "ip6tables"):
        plain.must([program, "-t", "mangle", "-N", "symroute_nm"])
        plain.must([program, "-t", "mangle", "-A", "PREROUTING", "-j", "symroute_nm"])
    before = sorted(loaded(plain))
    assert (1, ["iptables sets marks, too, and nft is planned"]) == agreement(plain)
    assert 3 == plain.symroute("apply", "--forwarded", "--timeout", "1").returncode
    assert before == sorted(loaded(plain))
    assert 0 == plain.symroute("remove", "--apply", "--yes").returncode
    assert [] == loaded(plain)


def found(lab: PublishingLab) -> Set[str]:
    ran = lab.symroute("diagnose", "--json")
    return {finding["code"] for finding in json.loads(ran.stdout)["findings"]}


def test_diagnose_recommends_it_and_sees_when_it_is_in_force(plain: PublishingLab) -> None:
    generate(plain)
    said = plain.symroute("diagnose").stdout
    assert "[published-ports]" in said and "symroute-nm generate --forwarded" in said
    generate(plain, "--forwarded")
    assert NOTHING == found(plain) & {"published-ports", "marks-missing"}
    plain.must(["nft", "delete", "table", "inet", "symroute_nm"])
    assert {"published-ports", "marks-missing"} <= found(plain)
    plain.must([MARKS])
    assert NOTHING == found(plain) & {"published-ports", "marks-missing"}
