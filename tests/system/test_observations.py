"""What commands say of the firewall: missing, failing, hanging, any bytes."""

import os

import pytest

from support.trees import write
from symroute_nm import programs
from symroute_nm.model.network import Link
from symroute_nm.model.observations import PUBLISHED_PORTS, Unread
from symroute_nm.readers import observations


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """An otherwise empty PATH, where a test puts its own commands."""
    monkeypatch.setattr(programs, "FOLDERS", (str(tmp_path / "bin"),))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "bin").mkdir()

    def add(name, script):
        write(tmp_path, "bin/" + name, b"#!/bin/sh\n" + script.encode(), 0o755)

    return add


def ports(root):
    found = observations.read_observations(root, [Link(1, "lo", loopback=True)])
    return found.published, tuple(each for each in found.unread if each.subject == PUBLISHED_PORTS)


def test_without_any_command_it_is_said(tmp_path, commands):
    assert (
        (),
        (Unread(PUBLISHED_PORTS, "neither iptables-save nor nft is installed"),),
    ) == ports(tmp_path)


def test_a_command_that_fails_is_said_and_the_others_count(tmp_path, commands):
    commands("iptables-save", "echo; echo 'no permission here' >&2; exit 4")
    commands("nft", "echo ' tcp dport 8080 dnat to 172.17.0.2:80'")
    published, unread = ports(tmp_path)
    assert ["172.17.0.2"] == [str(each.target) for each in published]
    assert (Unread(PUBLISHED_PORTS, "iptables-save: no permission here"),) == unread


def test_a_command_that_hangs_is_left(tmp_path, commands, monkeypatch):
    monkeypatch.setattr(observations, "_TIMEOUT_SECONDS", 0.2)
    commands("nft", "exec /bin/sleep 60")
    _, (unread,) = ports(tmp_path)
    assert "nft list ruleset" in unread.reason and "takes too long" in unread.reason


def test_a_command_that_cannot_be_run_is_said(tmp_path, commands):
    commands("nft", "exit 0")
    (tmp_path / "bin" / "nft").write_bytes(b"\x7fELFnonsense")
    _, (unread,) = ports(tmp_path)
    assert unread.reason.startswith("nft list ruleset: ")


def test_any_bytes_from_a_command(tmp_path, commands):
    commands("nft", r"printf '\377\376 dnat to \n tcp dport 1 dnat to 172.17.0.2:1\n'")
    assert 1 == len(ports(tmp_path)[0])


def test_who_is_not_root_asks_no_firewall(tmp_path, commands, monkeypatch):
    commands("nft", "echo ' tcp dport 8080 dnat to 172.17.0.2:80'")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert ((), (Unread(PUBLISHED_PORTS, "only root may list the firewall's rules"),)) == ports(
        tmp_path
    )
