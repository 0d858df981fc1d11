"""Names of tables as iproute2 reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symroute_nm.files import blocks
from symroute_nm.model.host import TableName
from symroute_nm.model.settings import LARGEST_ID
from symroute_nm.readers.rt_tables import find_damage, find_malformed, parse_tables, read_tables


def names(text):
    return [(table.id, table.name) for table in parse_tables(text)]


@pytest.mark.parametrize(
    ("line", "read"),
    [  # each as `ip route add default dev lo table NAME` of iproute2 6.1 takes it
        ("100 users", [(100, "users")]),
        ("100\tusers", [(100, "users")]),
        ("  0x64 users # for people", [(100, "users")]),
        ("100 users of ours", [(100, "users")]),
        ("100users", [(100, "users")]),
        ("0150 users", [(150, "users")]),
        ("+150 users", [(150, "users")]),
        ("100 users#1", [(100, "users#1")]),
        ("100 users\r", [(100, "users")]),
        ("# 100 users", []),
        ("#100 users", []),
        ("", []),
        ("-1 users", []),
        ("4294967296 users", []),
        ("0x1ffffffff users", []),
        ("100 us\x1b[31mers", [(100, "us\ufffd[31mers")]),  # 100 is in use
        ("100 users\0x", [(100, "users")]),
    ],
)
def test_lines_as_iproute2_reads_them(line, read):
    assert read == names(line)
    assert [(7, "before"), *read, (8, "after")] == names(f"7 before\n{line}\n8 after\n")


@pytest.mark.parametrize(
    "line",
    [
        "100",
        "1000",
        "users 100",
        "\r",
        "100\0users",
        "9" * 5000 + " users",
        "# " + "x" * 600,  # longer than iproute2's buffer: the rest is a line to it
        "VPN",
    ],
)
def test_iproute2_ends_at_a_malformed_line(line):
    text = f"7 before\n{line}\n8 after\n"
    assert [(7, "before")] == names(text)
    assert 2 == find_malformed(text)
    assert 0 == find_malformed("7 before\n8 after\n")


def test_what_iproute2_does_not_read_is_no_name_but_our_block_is_ours(tmp_path):
    (tmp_path / "etc/iproute2").mkdir(parents=True)
    path = tmp_path / "etc/iproute2/rt_tables"
    content = blocks.put(b"7 before\nvpn 8\n9 lost\n", "100 eth0\n") + b"10 lost\n"
    path.write_bytes(content)
    found = [(table.id, table.name, table.owned) for table in read_tables(tmp_path)]
    assert [(7, "before", False), (100, "eth0", True)] == found
    (sentence,) = find_damage(tmp_path)
    assert sentence.startswith("/etc/iproute2/rt_tables line 2 is 'vpn 8', not a number and a name")
    path.write_bytes(content.replace(b"vpn 8", b"8 vpn"))
    assert () == find_damage(tmp_path)
    assert 5 == len(read_tables(tmp_path))


def test_names_know_where_they_stand():
    found = parse_tables("100 users\n", "/etc/iproute2/rt_tables", owned=True)
    assert (TableName(100, "users", "/etc/iproute2/rt_tables", True),) == found


@given(st.text(), st.booleans())
def test_any_text_can_be_read(text, owned):
    assert all(0 <= table.id <= LARGEST_ID for table in parse_tables(text, owned=owned))
