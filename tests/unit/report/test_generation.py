"""What `generate` says: in JSON, and in lines for people."""

import json

import pytest

from support.hosts import two_uplinks
from symroute_nm.model.settings import GenerateOptions, Settings
from symroute_nm.report import generation
from symroute_nm.report.generation import command_lines
from symroute_nm.workflow.activation import BRING_UP, DELETE, Command
from symroute_nm.workflow.proposal import propose

DEFAULTS = Settings()


@pytest.fixture
def made(tmp_path):
    return propose(tmp_path, two_uplinks(), DEFAULTS, GenerateOptions())


def test_the_summary_names_files_tables_and_verdicts(made):
    found = generation.summary(
        made, [Command(BRING_UP, "nmcli connection up x")], GenerateOptions(dry_run=True)
    )
    assert found == json.loads(json.dumps(found))
    assert (True, True, ["nmcli connection up x"]) == (
        found["changed"],
        found["dry_run"],
        found["commands"],
    )
    assert {"create"} == {file["change"] for file in found["files"]}
    assert [{"id": 100, "name": "eth0"}, {"id": 101, "name": "eth1"}] == [
        uplink["table"] for uplink in found["uplinks"]
    ]
    assert all(address["after"] for address in found["addresses"])
    assert not all(address["before"] for address in found["addresses"])


def test_nothing_to_bring_to_life_says_nothing():
    assert [] == command_lines([])


def test_what_takes_a_connection_down_stands_apart():
    up, rule, throw = "nmcli connection up x", "ip rule del y", "ip -6 route del throw z table 7"
    first, second = (
        "to bring it to life now, symroute-nm apply (no connection goes down), or:",
        "to delete what no file lists any more (no connection goes down):",
    )
    assert [first, "  " + up, second, "  " + rule, "  " + throw] == command_lines(
        [Command(BRING_UP, up), Command(DELETE, rule), Command(DELETE, throw)]
    )
    assert [second, "  " + rule] == command_lines([Command(DELETE, rule)])
    assert [first, "  " + up] == command_lines([Command(BRING_UP, up)])


def test_verdicts_before_and_after(made):
    lines = generation.verdict_lines(made)
    assert "10.0.6.5 (eth0): asymmetric -> symmetric" in lines
    assert len(made.proof.after) == len(lines)
