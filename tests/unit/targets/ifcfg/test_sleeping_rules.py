"""Administrators' rules that our own writing wakes up, and what generate does about them."""

from ipaddress import ip_network

import pytest

from support.hosts import make_plan, two_uplinks
from symroute_nm.errors import Refusal
from symroute_nm.model.network import Rule
from symroute_nm.model.observations import ConfigFile
from symroute_nm.model.profiles import Profile
from symroute_nm.model.settings import GenerateOptions, Settings
from symroute_nm.targets.base import with_rules
from symroute_nm.targets.ifcfg.sleeping_rules import find_sleeping_rules
from symroute_nm.workflow.proposal import check_proof, propose

SCRIPTS = "/etc/sysconfig/network-scripts"
RULE = Rule(4, 100, source=ip_network("10.0.6.5/32"), table=254)


def lines(name, *text):
    return ConfigFile(f"{SCRIPTS}/{name}", "".join(each + "\n" for each in text))


def write(root, name, text):
    path = root / SCRIPTS.lstrip("/") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_rules_that_the_kernel_has_do_not_sleep():
    here = two_uplinks()
    awake = here._replace(rules=(*here.rules, RULE._replace(protocol=3)))
    file = lines("rule-eth0", "# mine", "priority 100 from 10.0.6.5 lookup main")

    assert (RULE,) == find_sleeping_rules([file], here, {"eth0"}).rules
    assert () == find_sleeping_rules([file], awake, {"eth0"}).rules


def test_a_line_that_is_not_understood_is_told():
    text = ("not from 10.0.6.5 lookup main", "from 10.0.6.5 frobnicate", "realms 7 lookup main")
    sleeping = find_sleeping_rules([lines("rule-eth0", *text)], two_uplinks(), {"eth0"})

    # The second is none to `ip`, either, and is named as such.
    (note,) = sleeping.notes
    assert "rule-eth0: this line is not understood" in note
    assert note.endswith("realms 7 lookup main")
    assert [True] == [rule.invert for rule in sleeping.rules]


def test_a_rule_without_priority_comes_before_ours_at_worst():
    here = two_uplinks()
    plan = make_plan(here, Settings())

    woken = with_rules(here, plan, [RULE._replace(priority=0), RULE])

    assert {19999, 100} == {rule.priority for rule in woken.rules if rule.source}


def test_a_sleeping_rule_of_the_device_is_part_of_the_proof(tmp_path):
    profiles = (Profile("users", device="eth0"), Profile("eth1", device="eth1"))
    write(tmp_path, "rule-eth0", "priority 100 from 10.0.6.5 lookup main\n")

    made = propose(tmp_path, two_uplinks(profiles=profiles), Settings(), GenerateOptions())

    assert any(
        "rule-eth0: its own rules come alive with ours" in note
        for note in made.check.sleeping.notes
    )
    with pytest.raises(Refusal, match=r"by rule 100 \(from 10\.0\.6\.5/32 lookup main\)"):
        check_proof(made, GenerateOptions())


def test_a_sleeping_rule_at_one_of_our_priorities_is_refused(tmp_path):
    write(tmp_path, "rule-eth0", "priority 20001 to 10.0.0.0/8 lookup main\n")

    with pytest.raises(Refusal, match="priority 20001 is taken"):
        propose(tmp_path, two_uplinks(), Settings(), GenerateOptions())


def test_our_own_block_is_not_the_administrators(tmp_path):
    made = propose(tmp_path, two_uplinks(), Settings(), GenerateOptions())
    for change in made.changes:
        path = tmp_path / change.path.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(change.after)

    again = propose(tmp_path, two_uplinks(), Settings(), GenerateOptions())

    assert () == again.check.sleeping.notes
    assert {"keep"} == {each.kind for each in again.changes}
