"""Addresses that an uplink does not have now: which may be awaited, and what they get."""

from ipaddress import ip_address, ip_network

import pytest

from support.hosts import (
    BRIDGE,
    DOCKER0,
    address,
    host,
    kernel_rules,
    link,
    make_plan,
    plain,
    route,
    two_uplinks,
)
from symroute_nm.diagnosis.diagnose import diagnose
from symroute_nm.errors import InputError
from symroute_nm.model.host import TableName
from symroute_nm.model.network import Address
from symroute_nm.model.settings import InterfaceSettings, Settings
from symroute_nm.plan.uplinks import find_uplinks
from symroute_nm.rpdb.proof import prove, put_plan


def awaiting(**links):
    """Settings that await these addresses: ``awaiting(eth0=["10.0.6.100"])``."""
    return Settings(
        interface={
            name: InterfaceSettings(addresses=tuple(map(ip_address, texts)))
            for name, texts in links.items()
        }
    )


def sources(plan, name="eth0"):
    return sorted(
        {
            str(rule.source)
            for uplink in plan.uplinks
            if uplink.uplink.link.name == name
            for rule in uplink.rules
            if rule.source
        }
    )


def test_an_awaited_address_gets_the_rules_of_the_uplinks_own():
    plan = make_plan(two_uplinks(), awaiting(eth0=["10.0.6.100", "2001:db8:6::100"]))

    assert ["10.0.6.100/32", "10.0.6.5/32", "2001:db8:6::100/128", "2001:db8:6::5/128"] == sources(
        plan
    )
    assert make_plan(two_uplinks(), Settings()).uplinks[0].routes == plan.uplinks[0].routes


def test_it_is_proved_as_long_as_it_is_awaited_and_once_it_is_there():
    wished = awaiting(eth0=["10.0.6.100"])
    plan = make_plan(plain(), wished)
    proof = prove(plain(), wished, plan)
    come = plain(addresses=[address("eth0", "10.0.6.100/32")])

    asked = [verdict for verdict in proof.after if str(verdict.address.ip) == "10.0.6.100"]
    assert [True] == [each.symmetric for each in asked]
    assert [False] == [
        verdict.symmetric for verdict in proof.before if verdict.address == asked[0].address
    ]
    assert proof.holds
    assert make_plan(come, wished).uplinks == plan.uplinks
    assert prove(come, wished, plan).holds


def test_what_the_uplink_has_already_changes_nothing():
    assert (
        make_plan(plain(), Settings()).uplinks
        == make_plan(plain(), awaiting(eth0=["10.0.6.5"])).uplinks
    )


def test_sources_by_network_are_its_network_as_well():
    wished = awaiting(eth0=["10.0.6.100"])._replace(sources="network")

    assert ["10.0.6.0/24"] == sources(make_plan(plain(), wished))


def test_with_the_rules_in_force_nobody_calls_them_stale():
    wished = awaiting(eth0=["10.0.6.100"])
    plan = make_plan(plain(), wished)
    made = put_plan(plain(), wished, plan)
    made = made._replace(
        tables=tuple(
            TableName(uplink.table.id, uplink.table.name, owned=True) for uplink in plan.uplinks
        )
    )

    assert "stale-source" not in {finding.code for finding in diagnose(made, wished).findings}
    assert "stale-source" in {finding.code for finding in diagnose(made, Settings()).findings}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("10.0.5.100", "eth1 leads to its network"),
        ("10.0.5.5", "it is eth1's"),
        ("172.17.0.9", "docker0 leads to its network"),
        ("10.0.6.1", "that is the gateway"),
        ("10.0.6.255", "a network's own or its broadcast address"),
        ("10.0.6.0", "a network's own or its broadcast address"),
        ("2001:db8::1", "no IPv6 gateway of eth0 is known"),
        ("127.0.0.5", "no address at which others can ask"),
        ("169.254.1.1", "no address at which others can ask"),
        ("fe80::1", "no address at which others can ask"),
        ("224.0.0.18", "no address at which others can ask"),
        ("ff02::12", "no address at which others can ask"),
        ("0.0.0.0", "no address at which others can ask"),
        ("255.255.255.255", "no address at which others can ask"),
    ],
)
def test_what_cannot_be_this_uplinks_is_refused(text, words):
    made = plain([DOCKER0], [BRIDGE])

    with pytest.raises(
        InputError,
        match=r"\[interface eth0\] addresses: {}: .*{}".format(text.replace(".", r"\."), words),
    ):
        find_uplinks(made, awaiting(eth0=[text]))


def test_an_address_is_awaited_on_one_link_only():
    made = host(
        [link(2, "eth0"), link(3, "eth1")],
        [address("eth0", "10.0.6.5/24"), address("eth1", "10.0.6.6/24")],
        [route("default", "eth0", "10.0.6.1"), route("default", "eth1", "10.0.6.1")],
    )

    assert ["10.0.6.5/32", "10.0.6.9/32"] == sources(make_plan(made, awaiting(eth0=["10.0.6.9"])))
    with pytest.raises(InputError, match=r"\[interface eth1\] claims it, too"):
        find_uplinks(made, awaiting(eth0=["10.0.6.9"], eth1=["10.0.6.9"]))


@pytest.mark.parametrize("kind", ["lo", "dummy"])
def test_a_link_that_leads_nowhere_may_hold_it(kind):
    made = plain([link(9, "dummy0", kind="dummy")])
    holder = "lo" if kind == "lo" else "dummy0"
    made = made._replace(
        addresses=(*made.addresses, Address(holder, address("x", "10.0.6.100/32").interface))
    )

    assert "10.0.6.100/32" in sources(make_plan(made, awaiting(eth0=["10.0.6.100"])))


def test_a_network_behind_the_uplinks_router_is_its_own_too():
    behind = route("192.0.2.0/24", "eth0", "10.0.6.9")
    wished = awaiting(eth0=["192.0.2.9"])

    assert () == make_plan(plain(routes=[behind]), wished).notes
    assert "on no network of eth0" in make_plan(plain(), wished).notes[0]


def test_a_link_that_is_no_uplink_now_is_noted():
    made = plain([DOCKER0], [BRIDGE])
    notes = make_plan(made, awaiting(docker0=["172.17.0.9"], eth9=["10.0.9.9"])).notes

    assert 1 == len(notes)
    assert "docker0 is no uplink now" in notes[0]


def test_a_lease_in_whose_network_it_is_keeps_the_wide_rule():
    made = plain(rules=kernel_rules())
    made = made._replace(
        addresses=tuple(
            assigned._replace(dynamic=True) if assigned.link == "eth0" else assigned
            for assigned in made.addresses
        )
    )

    assert [str(ip_network("10.0.6.0/24")), "10.0.6.100/32"] == sources(
        make_plan(made, awaiting(eth0=["10.0.6.100"]))
    )
