"""Rules as iproute2 writes and reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symroute_nm.model.iproute2 import format_rule, parse_rule
from symroute_nm.model.network import Rule

_WORDS = st.sampled_from(
    ["priority", "from", "lookup", "10.0.0.1", "fe80::1%eth0", "9" * 20, "0x", "\\", "\n", "!", "#"]
)


@given(st.lists(st.one_of(_WORDS, st.text(max_size=8)), max_size=20))
def test_any_line_is_a_rule_or_none(words):
    rule = parse_rule(" ".join(words), 4, {})
    assert rule is None or rule.version == 4


@pytest.mark.parametrize(
    "line",
    [
        "from 10.0.6.5",
        "from 2001:db8::1 lookup 7",
        "from nonsense lookup 7",
        "lookup nowhere",
        "priority x from 10.0.6.5 lookup 7",
        "priority -1 lookup 7",
        "from",
        "",
        "# x y",
        "realms 7 lookup 7",
        "ipproto frobnicate lookup 7",
    ],
)
def test_rules_that_are_not_understood_are_none(line):
    parsed = parse_rule(line, 4, {"main": 254})
    assert parsed is None or (line == "from 10.0.6.5" and parsed.table == 254)


@pytest.mark.parametrize(
    "line",
    [
        "priority 1_000 from all lookup 5",
        "priority 0b11 lookup 5",
        "priority \u0663 lookup 5",
        "priority 4294967296 lookup 5",
        "from 10.0.0.0/0.255.255.255 lookup 5",
        "from fe80::1 lookup 5",
        "priority 08 lookup 5",
    ],
)
def test_what_python_takes_and_ip_does_not_is_not_understood(line):
    assert parse_rule(line, 4, {}) is None


def test_a_network_has_no_zone():
    assert parse_rule("from fe80::1%eth0 lookup 5", 6, {}) is None


def test_numbers_as_ip_takes_them():
    assert (8, 31, 7) == tuple(
        parse_rule(f"priority {each} lookup 5", 4, {}).priority for each in ("010", "0x1f", "+7")
    )


@pytest.mark.parametrize(
    ("table", "name"), [(254, "main"), (255, "local"), (253, "default"), (252, "252")]
)
def test_the_kernels_tables_have_names(table, name):
    assert "from all lookup " + name == format_rule(Rule(6, 1, table=table))
