"""Lines of route and rule files: what we read, and what `ip` and the kernel make of them."""

import random
from typing import Iterator, List

import pytest

from support.network.namespaces import Namespace, kernel, two_uplinks
from symroute_nm.kernel import scratch
from symroute_nm.model.ip_lines import LineError, read_route, read_rule
from symroute_nm.model.trial import TriedLine
from symroute_nm.targets.ifcfg.acceptance import try_routes

TABLES = {"main": 254, "local": 255, "default": 253}
# Beginnings and words that are told apart by them, right and wrong.
RULE_WORDS = (
    *("not", "from 10.0.6.5", "from 10/8", "to 10.9.9.9/16", "pref 9", "o 0x10", "prio 7"),
    *("tos 10", "dsfield 0x8", "fwmark 5", "fwmark 0x0/0xff", "fw 5", "t 7", "tab main"),
    *("look 7", "lookup 7", "suppress_p 0", "sup_pl 0", "iif eth0", "dev eth0", "oif eth1"),
    *("uidrange 0-9", "ipproto tcp", "dport 80", "sport 1-9", "prohibit", "unr", "reject"),
    *("nop", "type blackhole", "goto 32766", "from 010.0.0.0/8", "table nowhere", "realm 5"),
)
ROUTE_WORDS = (
    *("via 10.0.6.9", "via 10.0.6.5", "via 10.7.7.7", "via 0.0.0.0", "dev eth0", "dev eth1"),
    *("dev eth7", "oif eth0", "onlink", "metric 7", "m 8", "priority 9", "tab 7", "table main"),
    *("scope link", "scope host", "src 10.0.6.5", "src 10.9.9.9", "mtu lock 1400", "mtu 1400"),
    *("weight 5", "tos 10", "proto static", "initcwnd 10", "initc 9", "adv 7", "window 9"),
    *("nexthop via 10.0.6.9 dev eth0", "nexthop via 10.0.6.9", "10.0.6.9"),
)
DESTINATIONS = (
    *("10.9.0.0/16", "10.9.9.9/16", "default", "10.9.9.9", "10/8"),
    *("local 10.9.9.9", "to 10.9.0.0/16", "nonsense"),
)
SIX = (
    *("via 2001:db8:6::9", "via fe80::9", "via ::0", "via 2001:db8:ff::1", "via 2001:db8:6::5"),
    *("dev eth0", "dev eth1", "onlink", "metric 7", "tab 7", "src 2001:db8:6::5", "mtu 1400"),
)
SIX_DESTINATIONS = ("2001:db8:9::/48", "2001:db8:9::9/48", "default")


def lines(first: List[str], words: List[str], number: int) -> Iterator[str]:
    """That many lines, the same each time."""
    chance = random.Random(16)
    for _ in range(number):
        chosen = [chance.choice(first)] if first else []
        chosen += chance.sample(words, chance.randrange(0 if first else 1, 4))
        if chance.random() < 0.3:
            chance.shuffle(chosen)
        yield " ".join(chosen)


@pytest.fixture
def space(namespace: Namespace) -> Namespace:
    two_uplinks(namespace)
    return namespace


def test_rules_are_read_as_ip_reads_them(space: Namespace) -> None:
    for line in lines([], list(RULE_WORDS), 300):
        taken = space.run(["ip", "-4", "rule", "add", *line.split()])
        added = [rule for rule in kernel(space).rules if rule.version == 4]
        added = [rule for rule in added if rule.priority not in (0, 32766, 32767)]
        try:
            rule = read_rule(line, 4, TABLES)
        except LineError:
            assert taken.returncode != 0, line
            assert [] == added, line
            continue
        if taken.returncode == 0 and rule is not None:
            (there,) = added
            # Of a kernel newer than pyroute2: the masks of ports.
            opaque = [text for text in there.opaque if not text.startswith("attribute")]
            there = there._replace(opaque=tuple(opaque))
            assert there._replace(protocol=0) == rule._replace(priority=there.priority), line
        elif taken.returncode:
            assert b"RTNETLINK answers" in taken.stderr or b"Error: " in taken.stderr, line
            assert b"argument" not in taken.stderr, (line, taken.stderr)
        for rule in added:
            space.ip(f"rule del pref {rule.priority}")


@pytest.mark.parametrize(
    ("family", "first", "words"), [(4, DESTINATIONS, ROUTE_WORDS), (6, SIX_DESTINATIONS, SIX)]
)
def test_routes_are_taken_and_refused_as_the_kernel_does(
    space: Namespace, family: int, first: List[str], words: List[str]
) -> None:
    host = kernel(space)
    for line in lines(list(first), list(words), 400):
        if "nexthop" in line and line.count("dev") > 1:
            continue  # the link before must be that behind
        (refused,) = try_routes(host, [TriedLine(family, line)])
        said = space.run(["ip", f"-{family}", "route", "add", *line.split()])
        if said.returncode == 0:
            network = str(read_route(line, family, TABLES).destination)
            command = ["ip", f"-{family}", "route", "flush", "table", "all", "exact", network]
            space.run(command)
        assert bool(refused.text) == bool(said.returncode), (line, refused, said.stderr)


def test_the_scratch_namespace_says_what_the_kernel_says(space: Namespace) -> None:
    host = kernel(space)
    tried = [TriedLine(4, line) for line in lines(list(DESTINATIONS), list(ROUTE_WORDS), 60)]
    taken = []
    for line in tried:
        said = space.run(["ip", "-4", "route", "add", *line.text.split()])
        taken.append(not said.returncode)
    found = space.call(scratch.try_lines, host, tried)
    assert found is not None
    assert taken == [not text for text in found]
