"""NICs come, go and change: generate again gives what a fresh host gets, and tells what changed.

All with the real dispatcher script, in a network namespace.
"""

import json
import re
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

import pytest

from support.network.machine import NETWORK_SCRIPTS
from support.network.nics import Nic, NicHost

DRIFT = 1
FRAGMENT = "etc/iproute2/rt_tables.d/symroute-nm.conf"
USERS, ADMINS, BACKUP = Nic(1, "eth0", 6), Nic(2, "eth1", 5), Nic(3, "eth2", 7)
TWO, THREE = (USERS, ADMINS), (USERS, ADMINS, BACKUP)


class Case(NamedTuple):
    """What somebody does to the cards of a host, and what is to come of it."""

    before: Tuple[Nic, ...]
    act: Callable[[NicHost], None]
    after: Tuple[Nic, ...]
    told: Tuple[str, ...]
    options: Tuple[str, ...] = ()


def changed(nic: Nic, **fields: object) -> Case:
    """One of two cards gets another something."""
    after = nic._replace(**fields)
    return Case(TWO, lambda host: host.change([(nic, after)]), (USERS, after), ())


def take_out(host: NicHost) -> None:
    """The card and its profile."""
    host.unplug("eth2")
    host.path(NETWORK_SCRIPTS + "/ifcfg-eth2").unlink()


def swap(host: NicHost) -> None:
    """Each card gets the other's name; profiles are bound to the cards."""
    host.change(list(zip(NAMED, SWAPPED)))


def lose(link: str, network: str) -> Tuple[str, ...]:
    """What is told of another uplink whose table no longer has a network."""
    return tuple(
        f"{link}: its table no longer has {each}"
        for each in (f"10.0.{network}.0/24", f"2001:db8:{network}::/64")
    )


NAMED = (USERS._replace(profile="users"), ADMINS._replace(profile="admins"))
SWAPPED = (NAMED[0]._replace(name="eth1"), NAMED[1]._replace(name="eth0"))
RENAMED = ADMINS._replace(name="ens4", profile="eth1")
CASES: Dict[str, Case] = {
    "added": Case(
        TWO,
        lambda host: host.plug(BACKUP),
        THREE,
        (
            "eth0: its table now has 10.0.7.0/24",
            "eth0: its table now has 2001:db8:7::/64",
            "eth1: its table now has 10.0.7.0/24",
            "eth1: its table now has 2001:db8:7::/64",
            "eth2: new uplink, table 102",
        ),
    ),
    "taken out": Case(
        THREE,
        take_out,
        TWO,
        (*lose("eth0", "7"), *lose("eth1", "7"), "eth2: no uplink any more (ifcfg-eth2 is gone)"),
    ),
    "taken out for good": Case(
        THREE,
        lambda host: host.unplug("eth2"),
        TWO,
        (
            *lose("eth0", "7"),
            *lose("eth1", "7"),
            "eth2: no uplink any more (there is no such link now)",
        ),
        ("--prune",),
    ),
    "renamed": Case(
        THREE,
        lambda host: host.change([(ADMINS, RENAMED)]),
        (USERS, RENAMED, BACKUP),
        ("ens4: was eth1 (same HWADDR)",),
    ),
    "swapped": Case(
        NAMED,
        swap,
        SWAPPED,
        (
            "eth0: was eth1 (same HWADDR)",
            "eth0: table 101 -> 100",
            "eth1: was eth0 (same HWADDR)",
            "eth1: table 100 -> 101",
        ),
    ),
    "moved": changed(ADMINS, network=8)._replace(
        told=(
            "eth0: its table now has 10.0.8.0/24 and no longer has 10.0.5.0/24",
            "eth0: its table now has 2001:db8:8::/64 and no longer has 2001:db8:5::/64",
            "eth1: address 10.0.5.5 -> 10.0.8.5",
            "eth1: network 10.0.5.0/24 -> 10.0.8.0/24",
            "eth1: gateway 10.0.5.1 -> 10.0.8.1 (main's default route (metric 102))",
            "eth1: address 2001:db8:5::5 -> 2001:db8:8::5",
            "eth1: network 2001:db8:5::/64 -> 2001:db8:8::/64",
            "eth1: gateway 2001:db8:5::1 -> 2001:db8:8::1 (main's default route (metric 102))",
        )
    ),
    "another address": changed(ADMINS, host=9)._replace(
        told=("eth1: address 10.0.5.5 -> 10.0.5.9", "eth1: address 2001:db8:5::5 -> 2001:db8:5::9")
    ),
    "another gateway": changed(ADMINS, gateway=2)._replace(
        told=(
            "eth1: gateway 10.0.5.1 -> 10.0.5.2 (main's default route (metric 102))",
            "eth1: gateway 2001:db8:5::1 -> 2001:db8:5::2 (main's default route (metric 102))",
        )
    ),
    "another profile": changed(ADMINS, profile="admins")._replace(
        told=("eth1: profile eth1 -> admins",)
    ),
}
every_case = pytest.mark.parametrize("name", sorted(CASES))


def generate(host: NicHost, *options: str) -> Dict[str, object]:
    """What `generate --json` says."""
    ran = host.symroute("generate", "--json", *options)
    assert 0 == ran.returncode, ran.stderr
    found: Dict[str, object] = json.loads(ran.stdout)
    return found


def ids(tree: Dict[str, str]) -> Dict[str, str]:
    """The tables' ids by the fragment: {name: id}."""
    lines = [line.split() for line in tree.get(FRAGMENT, "").split("\n") if line[:1].isdigit()]
    return {name: number for number, name in lines}


def written(host: NicHost) -> Dict[str, str]:
    """{path: text} of all that `generate` may write to."""
    return {
        path: content.decode()
        for path, (content, _) in host.files().items()
        if not (path.startswith("var-lib") or "/ifcfg-" in path)
    }


def by_name(tree: Dict[str, str]) -> Dict[str, List[str]]:
    """The same with names for ids, so that kept ids do not count."""
    names = {number: name for name, number in ids(tree).items()}
    number = re.compile(r"\b(?<=table )[0-9]+\b|\b(?<=lookup )[0-9]+\b|^[0-9]+ ", re.M)
    found = {
        path: number.sub(lambda each: names.get(each.group().strip(), each.group()), text)
        for path, text in tree.items()
    }
    return {
        path: sorted(text.split("\n")) if path == FRAGMENT else text.split("\n")
        for path, text in found.items()
    }


def assert_ids_are_kept(before: Dict[str, str], after: Dict[str, str]) -> None:
    """A table that stays has its id; of a card with another name, too."""
    assert {name: number for name, number in before.items() if name in after} == {
        name: number for name, number in after.items() if name in before
    }
    assert len(set(after.values()) - set(before.values())) == max(0, len(after) - len(before))


def kernel(host: NicHost) -> Tuple[List[str], List[str]]:
    """All rules and own tables' routes, with names for ids: iproute2 reads the fragment."""
    return sorted(host.rules()), sorted(
        re.sub(r" \[detached\]", "", route) for route in host.routes()
    )


def fresh(script: Path, nics: Sequence[Nic]) -> Tuple[Dict[str, List[str]], object]:
    """The tree and the kernel of a host that never had other cards."""
    with NicHost(script, nics) as host:
        generate(host)
        assert "" == host.boot()
        return by_name(written(host)), kernel(host)


@every_case
def test_generating_again_gives_what_a_fresh_host_gets(script: Path, name: str) -> None:
    case = CASES[name]
    tree, rules_and_routes = fresh(script, case.after)
    with NicHost(script, case.before) as host:
        generate(host)
        host.boot()
        earlier = written(host)
        case.act(host)
        old_files = written(host)
        assert DRIFT == host.symroute("verify").returncode
        told = host.symroute("generate", "--dry-run", *case.options).stderr.splitlines()
        assert list(case.told) == told
        # By the dispatcher script: as the commands say.
        found = generate(host, *case.options)
        assert found["changed"]
        assert len(case.told) == len(found["alterations"])
        assert tree == by_name(written(host))
        assert_ids_are_kept(ids(earlier), ids(written(host)))
        host.follow(found["commands"])
        assert rules_and_routes == kernel(host)
        assert 0 == host.symroute("verify").returncode
        # Back, and over netlink.
        assert 0 == host.symroute("undo").returncode
        assert old_files == written(host)
        host.down_up()
        ran = host.symroute("generate", "--apply", "--yes", *case.options)
        assert 0 == ran.returncode, ran.stderr
        assert set(case.told) <= set(ran.stdout.splitlines())
        assert tree == by_name(written(host))
        assert rules_and_routes == kernel(host)
        assert 0 == host.symroute("verify").returncode
        assert not generate(host)["alterations"]


@pytest.mark.parametrize("name", ["renamed", "moved"])
def test_apply_alone_leaves_nothing_to_do_but_the_files(script: Path, name: str) -> None:
    case = CASES[name]
    _, rules_and_routes = fresh(script, case.after)
    with NicHost(script, case.before) as host:
        generate(host)
        host.boot()
        case.act(host)
        ran = host.symroute("apply", "--yes")
        assert 0 == ran.returncode, ran.stderr
        found = generate(host)
        assert (True, []) == (found["changed"], found["commands"])
        assert rules_and_routes == kernel(host)
        assert 0 == host.symroute("verify").returncode


def test_a_card_that_is_out_for_a_while_keeps_its_blocks_and_its_table(script: Path) -> None:
    with NicHost(script, THREE) as host:
        generate(host)
        host.boot()
        tree, rules_and_routes = written(host), kernel(host)
        host.unplug("eth2")
        told = host.symroute("generate", "--dry-run").stderr
        assert set(told.splitlines()) > {*lose("eth0", "7"), *lose("eth1", "7")}
        assert told.count("kept /etc/sysconfig/network-scripts/") == 4
        found = generate(host)
        assert {path: text for path, text in tree.items() if "-eth2" in path} == {
            path: text for path, text in written(host).items() if "-eth2" in path
        }
        assert ids(tree) == ids(written(host))
        host.follow(found["commands"])
        assert 0 == host.symroute("verify").returncode
        host.plug(BACKUP)
        host.follow(generate(host)["commands"])
        assert tree == written(host)
        assert rules_and_routes == kernel(host)


@pytest.mark.parametrize("away", [("generate", "--exclude", "eth2"), ("remove",)])
def test_what_is_still_in_force_is_known_until_the_next_boot(
    script: Path, away: Tuple[str, ...]
) -> None:
    options = away[1:]
    with NicHost(script, THREE) as host:
        generate(host)
        host.boot()
        tree = by_name(written(host))
        assert 0 == host.symroute(*away).returncode
        # Nobody did what it said: the rules of a table that no file names are still there.
        assert DRIFT == host.symroute("verify", *options).returncode
        assert 0 == host.symroute("generate", *options).returncode
        ran = host.symroute("apply", "--yes", *options)
        assert 0 == ran.returncode, ran.stderr
        assert 0 == host.symroute("verify", *options).returncode
        generate(host)
        assert tree == by_name(written(host))
        assert {"eth0": "100", "eth1": "101", "eth2": "102"} == ids(written(host))
