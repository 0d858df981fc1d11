"""What `inspect` shows: in JSON, and in tables for people."""

import json
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from support.golden.cases import CASES
from support.hosts import make_plan, route, two_uplinks, with_routes, with_table_names
from symroute_nm.cli.terminal import draw_tables
from symroute_nm.model.network import Address, Hop, Route, Rule
from symroute_nm.model.settings import InterfaceSettings, Settings
from symroute_nm.report import inspection
from symroute_nm.workflow.inspect import inspect_host

DEFAULTS = Settings()


def shown(host, width=200):
    found = inspect_host(host, DEFAULTS)
    return draw_tables(inspection.tables(found), inspection.lines(found), width)


def inspected(host, settings=DEFAULTS):
    return inspection.as_json(inspect_host(host, settings))


def test_inspection_tells_what_is_there_from_what_is_awaited():
    wished = {
        "eth0": InterfaceSettings(addresses=(ip_address("10.0.6.100"), ip_address("10.0.6.5")))
    }
    wishing = inspect_host(two_uplinks(), Settings(interface=wished))
    found = inspection.as_json(wishing)
    eth0, eth1 = found["uplinks"]
    assert ["10.0.6.5/24", "2001:db8:6::5/64"] == eth0["addresses"]
    assert ["10.0.6.100"] == eth0["awaited"]
    assert [] == eth1["awaited"]
    assert "10.0.6.100 (awaited)" in draw_tables(inspection.tables(wishing), [], 200)


def test_inspection_says_what_the_host_is():
    found = inspected(two_uplinks())
    eth0, eth1 = found["uplinks"]
    assert ("eth0", "eth0", "") == (eth0["link"], eth0["profile"], eth0["problem"])
    assert ["10.0.6.5/24", "2001:db8:6::5/64"] == eth0["addresses"]
    assert {"version": 4, "address": "10.0.5.1", "origin": "main's default route (metric 100)"} == (
        eth1["gateways"][0]
    )
    assert {"network": "172.17.0.0/16", "link": "docker0"} in found["internal"]
    assert ["docker0", "lo"] == [each["link"] for each in found["skipped"]]
    assert ("rules", "probed") == (found["guard"]["name"], found["guard"]["reason"])
    assert [4] == found["forwarding"]


def test_inspection_knows_our_rules_from_others():
    ours = make_plan(two_uplinks(), DEFAULTS).uplinks[0].rules
    host = with_table_names(CASES["wg-quick"]())
    found = inspected(host._replace(rules=host.rules + ours))["rules"]
    assert {32764: False, 32765: False, 20000: True, 20001: True, 20002: True} == {
        each["priority"]: each["ours"] for each in found
    }


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_inspection_can_be_shown_and_is_json(name):
    found = inspected(CASES[name]())
    assert found == json.loads(json.dumps(found))
    text = shown(CASES[name]())
    assert [] == [uplink["link"] for uplink in found["uplinks"] if uplink["link"] not in text]


def test_people_see_internal_networks_and_tables_without_a_name_and_whole_addresses():
    host = two_uplinks()
    routes = (Route(ip_network("192.0.2.0/24"), table=777, hops=(Hop("eth0"),)),)
    rules = (Rule(4, 900, source=ip_network("192.0.2.7/32"), table=778),)
    address = "2001:db8:1111:2222:3333:4444:5555:6666"
    long = Address("eth0", ip_interface(address + "/64"))
    host = with_routes(
        host._replace(rules=host.rules + rules, addresses=(*host.addresses, long)), *routes
    )
    text = shown(host)
    found = inspected(host)["unnamed"]
    assert [{"id": 777, "routes": 1, "rules": 0}, {"id": 778, "routes": 0, "rules": 1}] == found
    assert [] == [each for each in ("172.17.0.0/16", "777", "778", address) if each not in text]
    assert "\u2026" not in shown(host, 50)


def test_of_thousands_of_internal_networks_people_see_some():
    host = two_uplinks()
    routes = tuple(route(f"172.18.{number}.0/24", "docker0") for number in range(20))
    text = shown(with_routes(host, *routes))
    assert "172.18.6.0/24" in text
    assert "172.18.8.0/24" not in text
    assert "and 13 more (--json has all)" in text
    assert "more" not in shown(host)


def test_a_profile_that_is_missing_is_a_problem_not_an_error():
    eth1 = inspected(CASES["no-profile"]())["uplinks"][1]
    assert (None, True) == (eth1["profile"], "no ifcfg profile" in eth1["problem"])


def test_neither_markup_nor_control_characters_get_through():
    host = two_uplinks()
    links = tuple(
        link._replace(name="[red]\x1b[31m\x07") if link.name == "docker0" else link
        for link in host.links
    )
    text = shown(host._replace(links=links))
    assert r"[red]\x1b[31m\x07" in text
    assert "\x1b" not in text
