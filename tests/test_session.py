"""Over which address the administrator is logged in."""

import os
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

import pytest

from symroute_nm.session import session_address

SAYS = "from symroute_nm.session import session_address; print(session_address())"


@pytest.mark.parametrize(
    ("connection", "address"),
    [
        ("192.0.2.7 50022 10.0.6.5 22", "10.0.6.5"),
        ("fe80::2%eth0 50022 fe80::5%eth0 22", "fe80::5"),
        ("2001:db8::7 50022 2001:db8:6::5 22", "2001:db8:6::5"),
    ],
)
def test_the_servers_end_of_the_connection(monkeypatch, connection, address):
    monkeypatch.setenv("SSH_CONNECTION", connection)
    assert ip_address(address) == session_address()


@pytest.mark.parametrize("connection", ["", "x", "a b c d", "1 2", "192.0.2.7 1 \udcff 22"])
def test_what_is_no_connection_is_passed_over(monkeypatch, connection):
    monkeypatch.delenv("SSH_CONNECTION", raising=False)
    from_ancestors = session_address()
    monkeypatch.setenv("SSH_CONNECTION", connection)
    assert from_ancestors == session_address()


def test_sudo_drops_the_variable_but_our_ancestors_have_it():
    inner = "import os, subprocess, sys; del os.environ['SSH_CONNECTION']; " \
        "subprocess.check_call([sys.executable, '-c', %r])" % SAYS
    ran = subprocess.run(
        [sys.executable, "-c", inner], check=True, cwd=str(Path(__file__).parent.parent),
        env=dict(os.environ, SSH_CONNECTION="192.0.2.7 50022 10.0.6.5 22"),
        stdout=subprocess.PIPE)
    assert b"10.0.6.5\n" == ran.stdout
