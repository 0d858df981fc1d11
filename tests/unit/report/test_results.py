"""What `generate` says: in JSON, and in lines for people."""

import json

import pytest

from support.hosts import two_uplinks
from symroute_nm.model.plan import Skip
from symroute_nm.model.settings import GenerateOptions, Settings
from symroute_nm.report import results
from symroute_nm.workflow.proposal import propose

DEFAULTS = Settings()


@pytest.fixture
def made(tmp_path):
    return propose(tmp_path, two_uplinks(), DEFAULTS, GenerateOptions())


def test_the_summary_names_files_tables_and_verdicts(made):
    found = results.summary(made, ["nmcli connection up x"], dry_run=True)
    assert found == json.loads(json.dumps(found))
    assert (True, True, ["nmcli connection up x"]) == (
        found["changed"],
        found["dry_run"],
        found["commands"],
    )
    assert {"create"} == {each["change"] for each in found["files"]}
    assert [{"id": 100, "name": "eth0"}, {"id": 101, "name": "eth1"}] == [
        each["table"] for each in found["uplinks"]
    ]
    assert all(each["after"] for each in found["addresses"])
    assert not all(each["before"] for each in found["addresses"])


def test_links_of_one_reason_stand_together():
    skips = [Skip(f"veth{number}", "port of docker0") for number in range(10)]
    lines = results.skip_lines([Skip("lo", "loopback"), *skips])
    assert [
        "skipped lo: loopback",
        "skipped veth0, veth1, veth2, veth3, veth4, veth5, veth6, veth7 and 2 more: "
        "port of docker0",
    ] == lines


def test_verdicts_before_and_after(made):
    lines = results.verdict_lines(made)
    assert "10.0.6.5 (eth0): asymmetric -> symmetric" in lines
    assert len(made.proof.after) == len(lines)
