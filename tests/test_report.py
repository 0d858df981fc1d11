"""What the commands say: in JSON, in lines and in tables for people."""

import io
import json
from ipaddress import ip_address

import pytest
from case_hosts import CASES
from hosts import kernel_rules, two_uplinks
from rich.console import Console

from symroute_nm import report
from symroute_nm.choices import Manner, Settings
from symroute_nm.generation import prepare
from symroute_nm.model import Profile, Skip
from symroute_nm.plan import make_plan

DEFAULTS = Settings()


@pytest.fixture
def made(tmp_path):
    return prepare(tmp_path, two_uplinks(), DEFAULTS, Manner())


def shown(host, width=200):
    stream = io.StringIO()
    console = Console(file=stream, width=width)
    for each in report.inspection_tables(report.inspection(host, DEFAULTS)):
        console.print(each)
    return stream.getvalue()


def test_inspection_says_what_the_host_is():
    found = report.inspection(two_uplinks(), DEFAULTS)
    eth0, eth1 = found["uplinks"]
    assert ("eth0", "eth0", "") == (eth0["link"], eth0["profile"], eth0["problem"])
    assert ["10.0.6.5/24", "2001:db8:6::5/64"] == eth0["addresses"]
    assert {"version": 4, "address": "10.0.5.1", "origin": "main's default route (metric 100)"} == (
        eth1["gateways"][0])
    assert {"network": "172.17.0.0/16", "link": "docker0"} in found["internal"]
    assert ["docker0", "lo"] == [each["link"] for each in found["skipped"]]
    assert ("rules", "probed") == (found["guard"]["name"], found["guard"]["reason"])
    assert [4] == found["forwarding"]


def test_inspection_knows_our_rules_from_others():
    ours = make_plan(two_uplinks(), DEFAULTS).uplinks[0].rules
    host = CASES["wg-quick"]()
    found = report.inspection(host._replace(rules=host.rules + ours), DEFAULTS)["rules"]
    assert {32764: False, 32765: False, 20000: True, 20001: True, 20002: True} == {
        each["priority"]: each["ours"] for each in found}


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_inspection_can_be_shown_and_is_json(name):
    found = report.inspection(CASES[name](), DEFAULTS)
    assert found == json.loads(json.dumps(found))
    text = shown(CASES[name]())
    assert [] == [each["link"] for each in found["uplinks"] if each["link"] not in text]


def test_a_profile_that_is_missing_is_a_problem_not_an_error():
    eth1 = report.inspection(CASES["no-profile"](), DEFAULTS)["uplinks"][1]
    assert (None, True) == (eth1["profile"], "no ifcfg profile" in eth1["problem"])


def test_neither_markup_nor_control_characters_get_through():
    host = two_uplinks()
    links = tuple(each._replace(name="[red]\x1b[31m\x07") if each.name == "docker0" else each
                  for each in host.links)
    text = shown(host._replace(links=links))
    assert r"[red]\x1b[31m\x07" in text
    assert "\x1b" not in text


def test_the_summary_names_files_tables_and_verdicts(made):
    found = report.summary(made, ["nmcli connection up x"], dry_run=True)
    assert found == json.loads(json.dumps(found))
    assert (True, True, ["nmcli connection up x"]) == (
        found["changed"], found["dry_run"], found["commands"])
    assert {"create"} == {each["change"] for each in found["files"]}
    assert [{"id": 100, "name": "eth0"}, {"id": 101, "name": "eth1"}] == [
        each["table"] for each in found["uplinks"]]
    assert all(each["after"] for each in found["addresses"])
    assert not all(each["before"] for each in found["addresses"])


def activation(made, session=None, host=None):
    commands = report.activation(host or two_uplinks(), DEFAULTS, made,
                                 ip_address(session) if session else None)
    return [each for each in commands if each.startswith("nmcli")]


@pytest.mark.parametrize(
    ("session", "order"),
    [(None, ["eth0", "eth1"]), ("10.0.6.5", ["eth1", "eth0"]), ("10.0.5.5", ["eth0", "eth1"]),
     ("2001:db8:6::5", ["eth1", "eth0"]), ("192.0.2.1", ["eth0", "eth1"])],
)
def test_the_sessions_own_link_comes_last(made, session, order):
    assert ["nmcli connection up 'System %s'" % name for name in order] == activation(made, session)


def test_only_connections_whose_files_change_go_down(made):
    kept = made._replace(changes=tuple(
        each._replace(before=each.after) if each.path.endswith("eth0") else each
        for each in made.changes))
    assert ["nmcli connection up 'System eth1'"] == activation(kept)
    nothing = made._replace(changes=tuple(
        each._replace(before=each.after) for each in made.changes))
    assert [] == activation(nothing)


def test_names_are_quoted_for_the_shell(tmp_path):
    profiles = (Profile("eth0", id="$(reboot) it's", device="eth0"),
                Profile("eth1", id="", device="eth1"))
    host = two_uplinks()._replace(profiles=profiles)
    made = prepare(tmp_path, host, DEFAULTS, Manner())
    assert ["nmcli connection up '$(reboot) it'\"'\"'s'", "nmcli connection up eth1"] == activation(
        made, host=host)


def test_rules_in_force_that_no_file_lists_any_more_are_to_be_deleted(made):
    stale = make_plan(CASES["three-uplinks"](), DEFAULTS).uplinks[2].rules
    host = two_uplinks()._replace(rules=(*kernel_rules(), *stale))
    commands = report.activation(host, DEFAULTS, made, None)
    deleted = [each for each in commands if "rule del" in each]
    assert len(stale) == len(deleted)
    assert any("20002" in each and "10.0.7.5" in each for each in deleted)


def test_links_of_one_reason_stand_together():
    skips = [Skip("veth%d" % number, "port of docker0") for number in range(10)]
    lines = report.skip_lines([Skip("lo", "loopback"), *skips])
    assert ["skipped lo: loopback",
            "skipped veth0, veth1, veth2, veth3, veth4, veth5, veth6, veth7 and 2 more: "
            "port of docker0"] == lines


def test_nothing_to_bring_to_life_says_nothing():
    assert [] == report.activation_lines([])


def test_verdicts_before_and_after(made):
    lines = report.verdict_lines(made.proof)
    assert "10.0.6.5 (eth0): asymmetric -> symmetric" in lines
    assert len(made.proof.after) == len(lines)
