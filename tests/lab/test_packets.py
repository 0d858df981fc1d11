"""The rule set judged by packets: the real dispatcher script applies what `generate` writes, and
hosts behind stateful firewalls ask for answers."""

from typing import Set

import pytest

from support.network.lab import (
    GUARDS,
    PROFILES,
    REPEATED,
    Flow,
    Lab,
    broken,
    container_flows,
    generate,
    names,
)
from support.network.topology import SERVER


def asymmetric(lab: Lab) -> Set[str]:
    """What fails on an unconfigured host: the other uplink from afar, and across."""
    (other,) = set(SERVER) - {lab.best}
    afar = [
        Flow(client, kind, address)
        for client in ("user", "admin")
        for kind in ("ping", "tcp")
        for address in SERVER[other]
    ]
    across = []
    for neighbour, device in (("neighbour0", "eth1"), ("neighbour1", "eth0")):
        four, six = SERVER[device]
        # IPv6 has no rp_filter, and no firewall sees the direct answer to a ping: that one works.
        across += [Flow(neighbour, "ping", four), Flow(neighbour, "tcp", four)]
        across += [Flow(neighbour, "tcp", six)]
    return names(afar + across)


def test_an_unconfigured_host_is_asymmetric(lab: Lab) -> None:
    assert asymmetric(lab) == broken(lab.flows())


@pytest.mark.parametrize("guard", GUARDS)
def test_every_flow_works(lab: Lab, guard: str) -> None:
    generate(lab, "--guard", guard)
    assert "" == lab.boot()
    assert set() == broken(lab.flows())


def test_the_guard_chosen_unasked_works(plain: Lab) -> None:
    generate(plain)
    assert "" == plain.boot()
    assert set() == broken(plain.flows())


def test_the_plain_recipe_cuts_containers_off_and_nothing_else(lab: Lab) -> None:
    generate(lab, "--guard", "none")
    assert "" == lab.boot()
    published = Flow("user", "tcp", SERVER[lab.best][0], 8080)
    assert names([*container_flows("container"), published]) == broken(lab.flows())


@pytest.mark.parametrize("guard", GUARDS)
def test_down_leaves_nothing_and_up_restores_all(lab: Lab, guard: str) -> None:
    generate(lab, "--guard", guard)
    lab.boot()
    rules, routes = lab.rules(), sorted(lab.routes())
    assert rules and routes
    assert "" == "".join(lab.down(device) for device in PROFILES)
    assert [] == lab.rules()
    left = lab.routes()
    # A throw route belongs to no device: it stays, in a table that no rule asks any more.
    assert [] == [route for route in left if not (guard == "throw" and " route throw " in route)]
    said = "".join(lab.up(device) for device in PROFILES)
    assert (REPEATED if left else set()) == set(said.splitlines())
    assert sorted(rules) == sorted(lab.rules())
    assert routes == sorted(lab.routes())
    assert set() == broken(lab.flows())


@pytest.mark.parametrize("guard", GUARDS)
@pytest.mark.parametrize("device", sorted(PROFILES))
def test_one_uplink_down_leaves_the_other_whole(plain: Lab, guard: str, device: str) -> None:
    generate(plain, "--guard", guard)
    plain.boot()
    (other,) = set(PROFILES) - {device}
    assert "" == plain.down(device)
    flows = [Flow(each, "tcp", to) for each in ("user", "admin") for to in SERVER[other]]
    flows += [Flow("srv", "tcp", "198.51.100.2"), Flow("container", "tcp", "198.51.100.2")]
    flows += [Flow("container", "tcp", SERVER[other][0])]
    assert set() == broken(plain.check(flows))
    plain.up(device)
    assert set() == broken(plain.flows())


@pytest.mark.parametrize("guard", GUARDS)
def test_pre_up_twice_changes_nothing(plain: Lab, guard: str) -> None:
    generate(plain, "--guard", guard)
    plain.boot()
    rules, routes = plain.rules(), plain.routes()
    assert len(set(rules)) == len(rules) > 0
    assert REPEATED == set(plain.boot().splitlines())
    assert rules == plain.rules()
    assert routes == plain.routes()


def test_a_container_network_made_later_works_at_once(plain: Lab) -> None:
    generate(plain, "--guard", "rules")
    plain.boot()
    plain.add_container("late", "docker1", "172.18")
    assert set() == broken(plain.check(container_flows("late")))


def test_throw_routes_need_generating_again_for_a_container_network_made_later(plain: Lab) -> None:
    generate(plain, "--guard", "throw")
    plain.boot()
    plain.add_container("late", "docker1", "172.18")
    inward = names([flow for flow in container_flows("late") if flow.destination in _addresses()])
    assert inward == broken(plain.check(container_flows("late")))
    generate(plain, "--guard", "throw")
    plain.boot()
    assert set() == broken(plain.check(plain.expected() + container_flows("late")))


def _addresses() -> Set[str]:
    return {address for addresses in SERVER.values() for address in addresses}


@pytest.mark.parametrize("guard", ("rules", "throw", "none"))
def test_generating_twice_writes_once(plain: Lab, guard: str) -> None:
    bare = plain.files()
    generate(plain, "--guard", guard)
    written = plain.files()
    assert set(bare) < set(written)
    generate(plain, "--guard", guard)
    assert written == plain.files()


def test_generating_on_the_cured_host_changes_nothing(plain: Lab) -> None:
    generate(plain)
    plain.boot()
    written = plain.files()
    generate(plain)
    assert written == plain.files()
