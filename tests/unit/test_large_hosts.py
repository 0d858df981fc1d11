"""Hosts with hundreds of uplinks, or of containers: planned, proved, and told in a few lines."""

import time
from ipaddress import ip_address

from support.golden.cases import plain
from support.hosts import BRIDGE, DOCKER0, kernel_rules, link, make_plan, route, vlans
from symroute_nm.model.places import NETWORK_SCRIPTS
from symroute_nm.model.route_set import pack
from symroute_nm.model.settings import Settings
from symroute_nm.report.links import skip_lines
from symroute_nm.rpdb.lookup import Rpdb
from symroute_nm.rpdb.proof import prove
from symroute_nm.rpdb.rules import Packet
from symroute_nm.targets.base import EarlierBlocks
from symroute_nm.targets.ifcfg.earlier_blocks import sort_earlier_blocks
from symroute_nm.targets.ifcfg.render import render

UPLINKS, CONTAINERS, ROUTERS = 500, 400, 8000
# Seconds, and characters a file or of notes: loose, for slow machines.
PATIENCE, SIZE = 60, 20000
AT_ONCE = 5  # seconds, of which it takes a hundredth


def containers():
    """Two uplinks, and a bridge with the ends of as many containers."""
    ports = [
        link(100 + number, f"veth{number:07x}", kind="veth", master="docker0")
        for number in range(CONTAINERS)
    ]
    return plain([DOCKER0, *ports], [BRIDGE], forwarding=(4,))


def test_five_hundred_vlans_are_planned_and_proved():
    made, began = vlans(UPLINKS, step=2), time.monotonic()
    plan = make_plan(made, Settings())

    assert UPLINKS == len({uplink.table.id for uplink in plan.uplinks})
    assert prove(made, Settings(), plan).holds
    files = render(plan, made, EarlierBlocks().tables)
    assert time.monotonic() - began < PATIENCE
    assert 2 * UPLINKS + 1 == len(files)
    longest = max(len(text) for path, text in files.items() if "network-scripts" in path)
    assert longest < SIZE
    assert len("".join(plan.notes)) < SIZE


def test_hundreds_of_links_that_are_down_keep_their_blocks_in_no_time():
    made = vlans(UPLINKS, step=2)
    plan = make_plan(made, Settings(interfaces=("bond0.0", "bond0.1")))
    paths = [
        f"{NETWORK_SCRIPTS}/{kind}-{profile.name}"
        for profile in made.profiles
        for kind in ("route", "rule")
    ]

    began = time.monotonic()
    found = sort_earlier_blocks(made, plan, paths, paths[:4], prune=False)

    assert time.monotonic() - began < AT_ONCE
    assert (set(paths[4:]), ()) == (set(found.kept), found.gone)


def test_thousands_of_routers_to_one_network_are_told_apart_in_no_time():
    routers = [
        route("2001:db8:77::/48", "eth0", f"fe80::{number:x}") for number in range(1, ROUTERS)
    ]
    database = Rpdb(kernel_rules(), pack(routers))

    began = time.monotonic()
    found = database.decide(Packet(ip_address("2001:db8:77::1")))

    assert time.monotonic() - began < AT_ONCE
    assert [router.hop for router in routers] == list(found.hops)


def test_hundreds_of_containers_change_nothing_and_are_told_in_a_line():
    plan = make_plan(containers(), Settings())

    few = make_plan(plain([DOCKER0], [BRIDGE], forwarding=(4,)), Settings())
    assert few.uplinks == plan.uplinks
    assert prove(containers(), Settings(), plan).holds
    lines = skip_lines(plan.skips)
    assert [
        "skipped veth0000000, veth0000001, veth0000002, veth0000003, veth0000004, veth0000005, "
        "veth0000006, veth0000007 and 392 more: port of docker0"
    ] == [line for line in lines if "veth" in line]
