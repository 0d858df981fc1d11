"""`diagnose` on the real two-network host: what it says, against what packets and kernel do.

Where a finding has a remedy that can be run here, it is run, and the finding must be gone.
"""

import json
from pathlib import Path
from typing import Any, Dict, Iterator, List, Set, Tuple

import pytest

from support.network.lab import PROFILES, Flow, Lab, broken, generate
from support.network.machine import DISPATCHER, NETWORK_SCRIPTS
from support.network.namespaces import Namespace
from support.network.namespaces import two_uplinks as lay_out
from support.network.topology import GATEWAY, SERVER

# The container's port 8080 is published at both of the host's addresses.
ALWAYS = {"published-ports"}


def diagnose(host: Lab, *options: str) -> Tuple[int, Dict[str, Any]]:
    """Exit code and what `diagnose --json` says."""
    ran = host.symroute("diagnose", "--json", *options)
    assert "" == ran.stderr
    return ran.returncode, json.loads(ran.stdout)


def codes(found: Dict[str, Any]) -> Set[str]:
    return {finding["code"] for finding in found["findings"]}


def the(found: Dict[str, Any], code: str) -> Dict[str, str]:
    (finding,) = [each for each in found["findings"] if each["code"] == code]
    return finding


def mend(host: Lab, finding: Dict[str, str]) -> None:
    """Run a finding's remedy on the server."""
    ran = host.run(["sh", "-e", "-c", finding["remedy"]])
    assert (0, "") == (ran.returncode, ran.stderr), finding["remedy"]


@pytest.fixture
def cured(plain: Lab) -> Lab:
    """The lab after `generate` and a boot."""
    generate(plain)
    assert "" == plain.boot()
    return plain


def filtered(host: Lab) -> int:
    """How many packets rp_filter has dropped on the server (TcpExt IPReversePathFilter)."""
    lines = host.run(["cat", "/proc/net/netstat"]).stdout.splitlines()
    rows = [line.split() for line in lines if line.startswith("TcpExt:")]
    return int(dict(zip(*rows))["IPReversePathFilter"])


def test_asymmetric_before_and_symmetric_after(lab: Lab) -> None:
    code, before = diagnose(lab)
    assert (1, False) == (code, before["symmetric"])
    # Each address is asymmetric at least for the other uplink's neighbours.
    assert {(address, link) for link in SERVER for address in SERVER[link]} == {
        (assigned["address"], assigned["link"])
        for assigned in before["addresses"]
        if not assigned["symmetric"]
    }
    generate(lab)
    code, between = diagnose(lab)
    assert 1 == code
    assert {"error"} == {
        finding["severity"] for finding in between["findings"] if finding["code"] == "missing-rules"
    }
    lab.boot()
    code, after = diagnose(lab)
    assert (0, True) == (code, after["symmetric"])
    assert ALWAYS == codes(after)
    assert set() == broken(lab.flows())


def test_what_is_said_to_be_dropped_on_arrival_is(lab: Lab) -> None:
    _, found = diagnose(lab)
    (other,) = set(SERVER) - {lab.best}
    (failures,) = [
        address["failures"]
        for address in found["addresses"]
        if address["address"] == SERVER[other][0]
    ]
    assert {True} == {failure["dropped_on_arrival"] for failure in failures}
    assert {lab.best} == {failure["leaves_by"] for failure in failures}
    assert GATEWAY[lab.best][0] in {failure["gateway"] for failure in failures}
    before = filtered(lab)
    assert 1 == len(broken(lab.check([Flow("user", "ping", SERVER[other][0])])))
    assert before < filtered(lab)


def test_the_published_port_answers_where_it_is_said_to(cured: Lab) -> None:
    _, found = diagnose(cured)
    message = the(found, "published-ports")["message"]
    assert "tcp 8080 to 172.17.0.2:80" in message and "answer by eth1" in message
    assert "by eth0 gets none" in message
    eth0, eth1 = (Flow("user", "tcp", SERVER[each][0], 8080) for each in ("eth0", "eth1"))
    assert {eth0.name} == broken(cured.check([eth0, eth1]))


def test_rules_left_behind_by_an_edit(cured: Lab) -> None:
    generate(cured, "--sources", "network")
    cured.down_up()
    code, found = diagnose(cured)
    leaked = the(found, "leaked-rules")
    assert 0 == code
    # Three stages for each of four addresses.
    assert 12 == len(leaked["remedy"].split("\n"))
    mend(cured, leaked)
    _, found = diagnose(cured)
    assert ALWAYS == codes(found)
    assert set() == broken(cured.flows())


def test_rules_that_stand_twice(cured: Lab) -> None:
    once = cured.rules()
    # Unlike `ip rule add`, restore does not ask whether a rule is there (no NLM_F_EXCL).
    double = "ip {0} rule save > {1}/r; ip {0} rule restore < {1}/r"
    for family in ("-4", "-6"):
        cured.run(["sh", "-c", double.format(family, cured.folder)])
        # It forgets priority 0, so that the kernel puts its own first rule before all others.
        cured.run(["ip", family, "rule", "del", "priority", "19999"])
    assert 2 * len(once) == len(cured.rules())
    _, found = diagnose(cured)
    mend(cured, the(found, "duplicate-rules"))
    assert sorted(once) == sorted(cured.rules())
    assert "duplicate-rules" not in codes(diagnose(cured)[1])


def test_a_line_without_priority_is_doubled_by_each_boot(cured: Lab) -> None:
    path = "{}/rule-{}".format(NETWORK_SCRIPTS, PROFILES["eth0"])
    text = cured.path(path).read_text() + "from 10.0.6.77 lookup 7\n"
    cured.path(path).write_text(text)
    cured.boot()
    assert "duplicate-rules" not in codes(diagnose(cured)[1])
    cured.boot()
    said = the(diagnose(cured)[1], "duplicate-rules")["message"]
    assert "the rule from 10.0.6.77/32 lookup 7 without a priority" in said
    assert said.endswith("2 times")


def test_a_link_set_down_and_up_by_hand(cured: Lab) -> None:
    four, six = GATEWAY["eth0"]
    cured.ip(
        "srv",
        [
            "link set eth0 down",
            "link set eth0 up",
            "addr add {}/64 dev eth0 nodad".format(SERVER["eth0"][1]),
            f"route add default via {four} dev eth0 metric 101",
            f"route add default via {six} dev eth0 metric 101",
        ],
    )
    code, found = diagnose(cured)
    assert 1 == code
    empty = [finding for finding in found["findings"] if finding["code"] == "routes-missing"]
    assert ["nmcli connection up 'System Wired_connection_1'"] * 2 == [
        each["remedy"] for each in empty
    ]
    cured.down_up()
    assert (0, ALWAYS) == (diagnose(cured)[0], codes(diagnose(cured)[1]))


def test_what_the_kernel_lacks_is_told_by_generate_again(cured: Lab) -> None:
    assert "nmcli" not in cured.symroute("generate").stdout
    cured.ip(
        "srv",
        [
            "link set eth0 down",
            "link set eth0 up",
            "addr add {}/64 dev eth0 nodad".format(SERVER["eth0"][1]),
            "route add default via {} dev eth0 metric 101".format(GATEWAY["eth0"][0]),
            "route add default via {} dev eth0 metric 101".format(GATEWAY["eth0"][1]),
        ],
    )
    said = cured.symroute("generate").stdout
    assert "nmcli connection up 'System Wired_connection_1'\n" in said
    assert 1 == said.count("nmcli")
    cured.down_up()
    assert "nmcli" not in cured.symroute("generate").stdout


def test_throw_routes_outlive_their_network(plain: Lab) -> None:
    plain.ip(
        "srv",
        [
            "link add br9 type bridge",
            "link set br9 up",
            "addr add 10.0.6.128/28 dev br9",
            "addr add 2001:db8:6::128/124 dev br9 nodad",
        ],
    )
    generate(plain)
    assert "" == plain.boot()
    assert [] == [
        finding for finding in diagnose(plain)[1]["findings"] if finding["code"] == "stale-routes"
    ]
    plain.ip("srv", ["link del br9"])
    ran = plain.symroute("generate")
    commands = [each.strip() for each in ran.stdout.splitlines() if "route del throw" in each]
    stale = [
        finding for finding in diagnose(plain)[1]["findings"] if finding["code"] == "stale-routes"
    ]
    assert commands and sorted(commands) == sorted(
        line for each in stale for line in each["remedy"].split("\n")
    )
    for each in stale:
        mend(plain, each)
    assert "stale-routes" not in codes(diagnose(plain)[1])
    assert "del throw" not in plain.symroute("generate").stdout


def test_files_named_after_the_device(plain: Lab) -> None:
    generate(plain)
    for kind in ("route", "route6", "rule", "rule6"):
        for device, profile in PROFILES.items():
            name = f"{NETWORK_SCRIPTS}/{kind}-%s"
            plain.path(name % profile).rename(plain.path(name % device))
    assert "" == plain.boot()
    assert [] == plain.rules()  # nothing is applied, and nothing warns
    code, found = diagnose(plain)
    misnamed = [
        finding for finding in found["findings"] if finding["code"] == "files-named-after-device"
    ]
    assert (1, 2) == (code, len(misnamed))
    for each in misnamed:
        plain.run(["sh", "-e", "-c", each["remedy"]])
    assert "" == plain.boot()
    assert (0, ALWAYS) == (diagnose(plain)[0], codes(diagnose(plain)[1]))


def test_a_lease_in_another_network(cured: Lab) -> None:
    cured.ip(
        "srv",
        [
            "addr del 10.0.6.5/24 dev eth0",
            "addr add 10.0.9.5/24 dev eth0",
            "route add default via 10.0.9.1 dev eth0 metric 101",
        ],
    )
    message = the(diagnose(cured)[1], "stale-source")["message"]
    assert "our rules from 10.0.6.5/32" in message and "eth0 has 10.0.9.5/24 now" in message


def test_rules_of_others_before_ours(cured: Lab) -> None:
    cured.ip("srv", ["rule add priority 100 from 10.0.5.0/24 to 10.1.0.0/16 blackhole"])
    code, found = diagnose(cured)
    assert (1, "error") == (code, the(found, "foreign-rules")["severity"])
    flow = Flow("user", "tcp", SERVER["eth1"][0])
    assert {flow.name} == broken(cured.check([flow]))
    cured.ip("srv", ["rule del priority 100"])
    assert (0, ALWAYS) == (diagnose(cured)[0], codes(diagnose(cured)[1]))


def test_the_script_gone_and_the_service_masked(cured: Lab) -> None:
    unit = cured.path("/etc/systemd/system/NetworkManager-dispatcher.service")
    unit.parent.mkdir(parents=True, exist_ok=True)
    unit.symlink_to("/dev/null")
    assert "error" == the(diagnose(cured)[1], "dispatcher-masked")["severity"]
    unit.unlink()
    pre_up = cured.path(DISPATCHER + "/pre-up.d")
    (script_link,) = pre_up.iterdir()
    script_link.unlink()
    mend(cured, the(diagnose(cured)[1], "dispatcher-not-pre-up"))
    assert ALWAYS == codes(diagnose(cured)[1])
    for path in (script_link, pre_up.parent / script_link.name):
        path.unlink()
    code, found = diagnose(cured)
    # All is in force still: it would not come back after a boot.
    assert (0, "error") == (code, the(found, "dispatcher-missing")["severity"])


def test_neighbours_on_one_network(plain: Lab) -> None:
    plain.ip("srv", ["addr add 10.0.6.9/24 dev eth1"])
    shared = the(diagnose(plain)[1], "shared-network")
    commands = [each for each in shared["remedy"].split("\n") if each.startswith("sysctl ")]
    assert 2 == len(commands)
    if plain.run(["sh", "-c", "command -v sysctl"]).returncode:
        # The same words without procps: NAME=VALUE below /proc/sys.
        commands = [
            "echo {} > /proc/sys/{}".format(*tuple(reversed(word.split("="))))
            for command in commands
            for word in command.split()[2:]
        ]
    for command in commands:
        assert 0 == plain.run(["sh", "-c", command]).returncode
    assert "shared-network" not in codes(diagnose(plain)[1])


def test_a_snapshot_is_diagnosed_alike(plain: Lab, tmp_path: Path) -> None:
    generate(plain)
    here = diagnose(plain)
    taken = plain.symroute("snapshot")
    file = tmp_path / "host.json"
    file.write_text(taken.stdout)
    assert here == diagnose(plain, "--host", str(file))


def test_diagnosing_changes_nothing(plain: Lab) -> None:
    before = (plain.files(), plain.rules(), plain.routes(), _firewall(plain))
    diagnose(plain)
    assert before == (plain.files(), plain.rules(), plain.routes(), _firewall(plain))


def _firewall(host: Lab) -> List[str]:
    return host.run(["nft", "list", "ruleset"]).stdout.splitlines()


@pytest.fixture
def namespace(script: Path) -> Iterator[Namespace]:
    """The examples' host in a network namespace of its own."""
    with Namespace() as made:
        lay_out(made)
        made.ip(
            "link add docker0 type bridge\nlink set docker0 up\naddr add 172.17.0.1/16 dev docker0"
        )
        yield made


def test_without_root_the_verdict_is_the_same_and_the_rest_is_said(namespace: Namespace) -> None:
    options = ("diagnose", "--json", "--root", "/")
    root, nobody = namespace.symroute(*options), namespace.symroute_as_nobody(*options)
    assert (1, 1) == (root.returncode, nobody.returncode)
    assert b"" == nobody.stderr
    theirs = json.loads(nobody.stdout.decode())
    assert json.loads(root.stdout.decode())["addresses"] == theirs["addresses"]
    assert "only root may list the firewall's rules" in the(theirs, "not-read")["message"]
