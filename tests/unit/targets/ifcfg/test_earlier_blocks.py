"""What becomes of blocks of earlier runs."""

import pytest

from support.golden.cases import CASES
from support.hosts import make_plan
from symroute_nm.model.host import TableName
from symroute_nm.model.places import FRAGMENT, NETWORK_SCRIPTS, RT_TABLES
from symroute_nm.model.plan import OwnTable
from symroute_nm.model.settings import Settings
from symroute_nm.targets.base import EarlierBlocks
from symroute_nm.targets.ifcfg.earlier_blocks import sort_earlier_blocks
from symroute_nm.targets.ifcfg.names import profile_of

HOST = CASES["stale-kept"]()
SCRIPTS = NETWORK_SCRIPTS + "/"
WANTED = {SCRIPTS + "route-eth0", SCRIPTS + "rule-eth0", FRAGMENT}


def leave(host=HOST, owned=(), wanted=WANTED, prune=False, settings=Settings()):  # noqa: B008  # immutable
    paths = [each if each.startswith("/") else SCRIPTS + each for each in owned]
    return sort_earlier_blocks(host, make_plan(host, settings), paths, wanted, prune=prune)


def test_what_the_plan_writes_is_no_leftover():
    assert EarlierBlocks() == leave(owned=sorted(WANTED))


def test_a_link_that_may_come_back_keeps_its_block_and_its_table():
    host = HOST._replace(tables=(TableName(7, "other"), TableName(102, "eth2", owned=True)))
    found = leave(host, ["rule-eth2", "route-eth2"])
    assert ((), (SCRIPTS + "route-eth2", SCRIPTS + "rule-eth2")) == (found.gone, found.kept)
    assert (OwnTable(102, "eth2"),) == found.tables


def test_prune_takes_it_away():
    found = leave(owned=["rule-eth2", "route-eth2"], prune=True)
    assert EarlierBlocks((SCRIPTS + "route-eth2", SCRIPTS + "rule-eth2")) == found


def test_a_profile_that_is_gone_takes_its_blocks_with_it():
    assert EarlierBlocks((SCRIPTS + "rule-eth9",)) == leave(owned=["rule-eth9"])


def test_an_excluded_link_loses_its_block():
    found = leave(owned=["rule6-eth2"], settings=Settings(exclude=("eth2",)))
    assert EarlierBlocks((SCRIPTS + "rule6-eth2",)) == found


def test_the_other_place_of_names_is_given_up():
    assert EarlierBlocks((RT_TABLES,)) == leave(owned=[RT_TABLES, FRAGMENT])


@pytest.mark.parametrize("prune", [False, True])
def test_without_uplinks_all_stays_unless_pruned(prune):
    owned = ["rule-eth0", "rule-eth9", FRAGMENT]
    found = leave(CASES["one-uplink"](), owned, (), prune)
    paths = (SCRIPTS + "rule-eth0", SCRIPTS + "rule-eth9", FRAGMENT)
    assert ((paths, ()) if prune else ((), paths)) == (found.gone, found.kept)


@pytest.mark.parametrize(
    ("path", "profile"),
    [
        ("route-eth0", "eth0"),
        ("route6-eth0", "eth0"),
        ("rule-eth0", "eth0"),
        ("rule6-Wired_connection_1", "Wired_connection_1"),
        ("rule-a-b", "a-b"),
        ("ifcfg-eth0", ""),
        ("route", ""),
        ("rt_tables", ""),
        ("symroute-nm.conf", ""),
    ],
)
def test_the_profile_that_a_file_is_named_after(path, profile):
    assert profile == profile_of("/some/folder/" + path)
