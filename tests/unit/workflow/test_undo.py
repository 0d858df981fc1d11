"""`remove` and `undo`: what is told before and after, and what is left to do by hand."""

import json

import pytest

from support.hosts import make_plan, two_uplinks
from symroute_nm.files import backups
from symroute_nm.model.settings import Settings
from symroute_nm.readers.snapshot import dump_host
from symroute_nm.workflow import remove

FINE, INPUT, REFUSED = 0, 2, 3
RULE = "etc/sysconfig/network-scripts/rule-eth0"


@pytest.fixture
def root(tmp_path, run):
    """A root into which the files of the two-uplink host were written."""
    (tmp_path / "host.json").write_text(dump_host(two_uplinks()))
    (tmp_path / "root").mkdir()
    words = ("--host", tmp_path / "host.json", "--root", tmp_path / "root")
    assert FINE == run("generate", *words)[0]
    return tmp_path / "root"


def contents(root):
    return {path: path.read_bytes() for path in (root / "etc").rglob("*") if path.is_file()}


def test_a_broken_configuration_is_told_before_anything_is_removed(run, root):
    (root / "etc/symroute-nm.conf").write_text("rubbish\n")
    before = contents(root)
    code, out, err = run("remove", "--root", root)
    assert (INPUT, "", True) == (code, out, "symroute-nm.conf" in err)
    assert before == contents(root)


def test_the_commands_for_what_is_in_force_are_in_the_json_and_in_the_text(run, root, monkeypatch):
    monkeypatch.setattr(remove, "find_commands", lambda *_: ["ip rule del priority 20000"])
    found = json.loads(run("remove", "--root", root, "--dry-run", "--json")[1])
    assert (True, ["ip rule del priority 20000"]) == (found["dry_run"], found["commands"])
    assert "  ip rule del priority 20000\n" in run("remove", "--root", root)[1]


def test_the_rules_in_force_are_found_while_the_files_are_there(monkeypatch, tmp_path, no_firewall):
    rules = make_plan(two_uplinks(), Settings()).uplinks[0].rules
    host = two_uplinks()
    monkeypatch.setattr(
        remove, "read_host", lambda *_, **__: host._replace(rules=host.rules + rules)
    )
    assert len(rules) == len(remove.find_commands(tmp_path.__class__("/"), Settings()))
    assert [] == remove.find_commands(tmp_path, Settings())


def test_undo_says_what_it_did_and_what_is_left_to_do(run, root):
    code, out, _ = run("undo", "--root", root)
    assert (FINE, True, True) == (code, "removed    /" + RULE in out, "apply --files" in out)
    assert {} == contents(root)
    found = json.loads(run("undo", "--root", root, "--json")[1])
    assert {"path": "/" + RULE, "change": "create"} in found["files"]
    assert ["apply --files" in note for note in found["notes"]] == [True]


def test_undo_that_changes_nothing_says_so(run, root):
    (name,) = [backup.name for backup in backups.backups(root)]
    run("undo", "--root", root)
    code, out, _ = run("undo", name, "--root", root)
    assert (FINE, False, True) == (code, "restored" in out, "nothing to change" in out)
    found = json.loads(run("undo", name, "--root", root, "--json")[1])
    assert {"keep"} == {file["change"] for file in found["files"]}


def test_undo_of_what_was_edited_since_is_refused_with_the_diff_and_changes_nothing(run, root):
    place = root / RULE
    place.write_bytes(place.read_bytes() + b"from 192.0.2.1 lookup 7 priority 900\n")
    before = contents(root)
    for words in ((), ("--json",)):
        code, out, err = run("undo", "--root", root, *words)
        assert (REFUSED, "") == (code, out)
        assert "-from 192.0.2.1 lookup 7 priority 900" in err
        assert before == contents(root)


def test_undo_of_a_remove_undo_again_and_the_list(run, root):
    generated = contents(root)
    assert FINE == run("remove", "--root", root)[0]
    assert FINE == run("undo", "--root", root)[0]
    assert generated == contents(root)
    assert FINE == run("undo", "--root", root)[0]
    assert {} == contents(root)
    names = [backup.name for backup in backups.backups(root)]
    assert 4 == len(names)
    assert list(reversed(names)) == json.loads(run("undo", "--list", "--json", "--root", root)[1])
    assert list(reversed(names)) == run("undo", "--list", "--root", root)[1].split()
    # By its name, an earlier one: before the generate there was nothing, and so it is now.
    assert FINE == run("undo", names[0], "--root", root)[0]
