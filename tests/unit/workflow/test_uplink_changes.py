"""What is said of the uplinks of earlier blocks when a plan changes them."""

import pytest

from support.golden.cases import CASES
from support.hosts import (
    BY_ETH0,
    BY_ETH1,
    ETH0,
    ETH1,
    USERS,
    address,
    host,
    make_plan,
    plain,
    two_uplinks,
)
from symroute_nm.model.host import TableName
from symroute_nm.model.observations import ConfigFile
from symroute_nm.model.places import NETWORK_SCRIPTS
from symroute_nm.model.profiles import Profile
from symroute_nm.model.settings import InterfaceSettings, Settings, TableChoice
from symroute_nm.targets.ifcfg.listing import read_files
from symroute_nm.targets.ifcfg.render import render
from symroute_nm.workflow.uplink_changes import (
    earlier_tables,
    find_uplink_changes,
    read_previous_uplinks,
)


def blocks_of(made, settings):
    """The route and rule files of a host's plan, as they stand in the folder."""
    plan = make_plan(made, settings)
    texts = render(plan, made)
    named = made._replace(
        tables=(
            *made.tables,
            *(TableName(uplink.table.id, uplink.table.name, owned=True) for uplink in plan.uplinks),
        )
    )
    return named, [
        ConfigFile(path, f"# BEGIN symroute-nm\n{text}# END symroute-nm\n")
        for path, text in texts.items()
        if path.startswith(NETWORK_SCRIPTS)
    ]


def told(before, after, one=Settings(), other=Settings(), gone=()):  # noqa: B008  # immutable
    """What is said when the second host follows the first, each with its settings."""
    named, files = blocks_of(before, one)
    earlier = read_previous_uplinks(read_files(files, named).ours)
    plan = make_plan(after, other, earlier_tables(earlier))
    return [change.text for change in find_uplink_changes(earlier, plan, after, gone)]


@pytest.mark.parametrize(
    "settings",
    [
        Settings(),
        Settings(guard="throw"),
        Settings(guard="none"),
        Settings(table_names=True),
        Settings(sources="network"),
        Settings(priority_base=15000),
    ],
)
@pytest.mark.parametrize("name", ["two-uplinks", "three-uplinks"])
def test_nothing_is_said_where_nothing_changed(name, settings):
    made = CASES[name]()
    assert [] == told(made, made, settings, settings)


def test_nothing_is_said_at_first_then_of_each_new_uplink():
    two, three = CASES["two-uplinks"](), CASES["three-uplinks"]()
    assert () == find_uplink_changes((), make_plan(two, Settings()), two, ())
    assert "eth2: new uplink, table 102" in told(two, three)


def test_another_guard_is_told_with_its_reason():
    throw = Settings(guard="throw")
    assert (
        "guard by rules -> throw (asked for)" == told(two_uplinks(), two_uplinks(), other=throw)[0]
    )
    assert "guard by throw -> rules (probed)" == told(two_uplinks(), two_uplinks(), throw)[0]


def test_another_id_is_told():
    chosen = Settings(interface={"eth1": InterfaceSettings(table=TableChoice(id=300))})
    assert ["eth1: table 101 -> 300"] == told(plain(), plain(), other=chosen)


def test_addresses_that_come_and_go_are_told_each():
    more = plain(addresses=[address("eth0", "10.0.6.9/24")])
    assert ["eth0: new address 10.0.6.9"] == told(plain(), more)
    assert ["eth0: address 10.0.6.9 is gone"] == told(more, plain())


def test_a_family_that_comes_is_told_with_its_gateway():
    said = told(plain(), two_uplinks())
    assert "eth0: new address 2001:db8:6::5" in said
    assert "eth0: new gateway 2001:db8:6::1 (main's default route (metric 101))" in said


def test_why_an_uplink_is_gone():
    three = CASES["three-uplinks"]()
    without = three._replace(
        profiles=tuple(profile for profile in three.profiles if profile.name != "eth2")
    )
    away = Settings(exclude=("eth2",))
    said = told(three, three, other=away, gone=("eth2",))
    assert "eth2: no uplink any more (excluded (eth2))" in said
    assert "eth2: no uplink any more (ifcfg-eth2 is gone)" in told(
        three, without, other=away, gone=("eth2",)
    )


def test_a_link_is_known_again_by_its_profile_then_by_its_name():
    renamed = host(
        [ETH0, ETH1._replace(name="ens4")],
        [USERS, address("ens4", "10.0.5.5/24")],
        [BY_ETH0, BY_ETH1._replace(hops=(BY_ETH1.hop._replace(link="ens4"),))],
        profiles=(Profile("eth0", device="eth0"), Profile("eth1", device="ens4")),
    )
    assert ["ens4: was eth1 (same profile ifcfg-eth1)"] == told(
        plain(), renamed._replace(tables=(*plain().tables, TableName(101, "eth1", owned=True)))
    )
    other = plain(profiles=(Profile("eth0", device="eth0"), Profile("admins", device="eth1")))
    assert ["eth1: profile eth1 -> admins"] == told(plain(), other, gone=("eth1",))


def test_a_block_of_which_nothing_is_understood_shows_no_uplink():
    named, files = blocks_of(plain(), Settings())
    damaged = [
        file._replace(text="# BEGIN symroute-nm\nwhat\n# END symroute-nm\n") for file in files
    ]
    assert () == read_previous_uplinks(read_files(damaged, named).ours)


def test_the_table_is_the_own_one_whatever_stands_first():
    named, files = blocks_of(plain(), Settings())
    rules = [file for file in files if "/rule-" in file.path]
    found = read_previous_uplinks(read_files(rules, named).ours)
    assert {"eth0": 100, "eth1": 101} == earlier_tables(found)
    assert ["eth0", "eth1"] == [each.link for each in found]
