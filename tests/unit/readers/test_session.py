"""Over which address the administrator is logged in."""

from ipaddress import ip_address

import pytest

from symroute_nm.readers.session import session_address


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
