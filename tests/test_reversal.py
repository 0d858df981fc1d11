"""`remove` and `undo`: what is told before and after, and what is left to do by hand."""

import json
import sys

import pytest
from hosts import two_uplinks

from symroute_nm import backups, cli, reading, reversal
from symroute_nm.choices import Settings
from symroute_nm.plan import make_plan
from symroute_nm.snapshot import dump_host

FINE, INPUT = 0, 2
RULE = "etc/sysconfig/network-scripts/rule-eth0"


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the command line in this interpreter; its exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def running(*words):
        monkeypatch.setattr(sys, "argv", ["symroute-nm", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return running


@pytest.fixture
def root(tmp_path, run):
    """A root into which the files of the two-uplink host were written."""
    (tmp_path / "host.json").write_text(dump_host(two_uplinks()))
    (tmp_path / "root").mkdir()
    words = ("--host", tmp_path / "host.json", "--root", tmp_path / "root")
    assert FINE == run("generate", *words)[0]
    return tmp_path / "root"


def contents(root):
    return {each: each.read_bytes() for each in (root / "etc").rglob("*") if each.is_file()}


def test_a_broken_configuration_is_told_before_anything_is_removed(run, root):
    (root / "etc/symroute-nm.conf").write_text("rubbish\n")
    before = contents(root)
    code, out, err = run("remove", "--root", root)
    assert (INPUT, "", True) == (code, out, "symroute-nm.conf" in err)
    assert before == contents(root)


def test_the_commands_for_what_is_in_force_are_in_the_json_and_in_the_text(
        run, root, monkeypatch):
    monkeypatch.setattr(reversal, "commands", lambda *_: ["ip rule del priority 20000"])
    found = json.loads(run("remove", "--root", root, "--dry-run", "--json")[1])
    assert (True, ["ip rule del priority 20000"]) == (found["dry_run"], found["commands"])
    assert "  ip rule del priority 20000\n" in run("remove", "--root", root)[1]


def test_the_rules_in_force_are_found_while_the_files_are_there(monkeypatch, tmp_path):
    rules = make_plan(two_uplinks(), Settings()).uplinks[0].rules
    host = two_uplinks()
    monkeypatch.setattr(reading, "read_host",
                        lambda *_, **__: host._replace(rules=host.rules + rules))
    assert len(rules) == len(reversal.commands(tmp_path.__class__("/"), Settings()))
    assert [] == reversal.commands(tmp_path, Settings())


def test_undo_says_what_it_did_and_what_is_left_to_do(run, root):
    code, out, _ = run("undo", "--root", root)
    assert (FINE, True, True) == (code, "restored   /" + RULE in out, "diagnose names" in out)
    assert {} == contents(root)
    found = json.loads(run("undo", "--root", root, "--json")[1])
    assert {"path": "/" + RULE, "change": "create"} in found["files"]
    assert ["diagnose" in each for each in found["notes"]] == [True]


def test_undo_that_changes_nothing_says_so(run, root):
    (name,) = [each.name for each in backups.backups(root)]
    run("undo", "--root", root)
    code, out, _ = run("undo", name, "--root", root)
    assert (FINE, False, True) == (code, "restored" in out, "nothing to change" in out)
    found = json.loads(run("undo", name, "--root", root, "--json")[1])
    assert {"keep"} == {each["change"] for each in found["files"]}
