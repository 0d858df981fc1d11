"""Rules and routes with host bits set: the kernel masks them, or refuses them, and so do we."""

import json
import subprocess
import sys
from ipaddress import ip_network

import pytest

from support.network.namespaces import two_uplinks
from symroute_nm.model.iproute2 import parse_route, parse_route_key, parse_rule
from symroute_nm.model.network import parse_network
from symroute_nm.readers import snapshot

SCRIPTS = "etc/sysconfig/network-scripts"
# As `ip rule add`, and as ip(8) lists them: with the host bits.
FOUR = ("from all to 10.2.2.0/16 lookup 5", "from 10.0.5.5/24 lookup 5")
SIX = ("from all to 2001:db8:2:2::7/48 lookup 5", "from 2001:db8:5::5/64 lookup 5")


@pytest.mark.parametrize(
    ("text", "network"),
    [
        ("10.2.2.0/16", "10.2.0.0/16"),
        ("10.0.5.5/24", "10.0.5.0/24"),
        ("10.0.5.5", "10.0.5.5/32"),
        ("2001:db8:2:2::7/48", "2001:db8:2::/48"),
        ("10.2.2.2/0", "0.0.0.0/0"),
    ],
)
def test_a_network_is_under_its_mask(text, network):
    assert ip_network(network) == parse_network(text)


def test_in_files_as_in_the_kernel():
    assert ip_network("10.2.0.0/16") == parse_rule("to 10.2.2.0/16 lookup 5", 4, {}).destination
    assert ip_network("2001:db8::/32") == parse_rule("from 2001:db8::5/32 lookup 5", 6, {}).source
    # fib_valid_key_len(): "Invalid prefix for given prefix length"
    assert parse_route("10.2.2.0/16 dev eth0", 4, {}) is None
    assert parse_route_key("10.2.2.0/16 dev eth0", 4, {}) is None
    assert (
        ip_network("2001:db8:2::/48")
        == parse_route("2001:db8:2:2::7/48 dev eth0", 6, {}).destination
    )


def test_in_snapshots():
    content = {
        "format": "symroute-nm host",
        "version": 1,
        "host": {"rules": [{"version": 4, "priority": 7, "source": "10.0.5.5/24", "table": 5}]},
    }
    (rule,) = snapshot.load_host(json.dumps(content).encode(), "host.json").rules

    assert ip_network("10.0.5.0/24") == rule.source


def shown(space):
    """The rules of both families, as `ip` lists them."""
    return [space.run(["ip", family, "rule"]).stdout.decode() for family in ("-4", "-6")]


@pytest.fixture
def root(own_folder):
    (own_folder / SCRIPTS).mkdir(parents=True)
    (own_folder / "etc/iproute2/rt_tables.d").mkdir(parents=True)
    for name in ("eth0", "eth1"):
        (own_folder / SCRIPTS / f"ifcfg-{name}").write_text(f"DEVICE={name}\nTYPE=Ethernet\n")
    return own_folder


@pytest.fixture
def space(namespace):
    two_uplinks(namespace)
    for options, rules in (("-4", FOUR), ("-6", SIX)):
        for number, rule in enumerate(rules):
            namespace.ip(f"rule add priority {100 + number} {rule}", options)
    return namespace


def test_no_command_stumbles(space, root):
    below = ("--root", str(root))
    before = shown(space)
    for line in (*FOUR, *SIX):
        assert line in "".join(before)
    for words in (
        ("inspect",),
        ("snapshot",),
        ("diagnose",),
        ("generate", "--dry-run"),
        ("explain", "10.0.6.5", "10.2.9.9"),
        ("generate",),
        ("verify",),
        ("apply", "--yes"),
        ("remove", "--apply", "--yes"),
    ):
        ran = space.symroute(*words, *below)
        assert ran.returncode in (0, 1, 3), ran.stderr.decode()
        assert b"Traceback" not in ran.stderr
    for line in (*FOUR, *SIX):
        assert line in "".join(shown(space))


def test_a_rule_that_comes_during_the_countdown_does_not_hinder_the_way_back(space, root):
    before = shown(space)
    command = [
        "nsenter",
        f"--net=/run/netns/{space.name}",
        sys.executable,
        "-m",
        "symroute_nm",
        "apply",
        "--timeout",
        "2",
        "--root",
        str(root),
    ]
    ran = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    said = b""
    while b"the kernel is changed" not in said:
        piece = ran.stderr.readline()
        assert piece, said
        said += piece
    space.ip("rule add priority 90 to 10.3.3.0/16 lookup 5")
    # At the place of one of ours, and alike under the mask.
    space.ip("rule add priority 20000 from 10.0.6.7/24 lookup 100 suppress_prefixlength 0")
    said += ran.communicate()[1]

    assert 3 == ran.returncode, said
    space.ip("rule del priority 90 to 10.3.3.0/16 lookup 5")
    left = (
        space.run(["ip", "rule"])
        .stdout.decode()
        .replace("20000:\tfrom 10.0.6.7/24 lookup 100 suppress_prefixlength 0\n", "")
    )
    assert before == [left, shown(space)[1]]
