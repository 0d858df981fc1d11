"""How commands that are left to do by hand are told."""

from symroute_nm.report.activation import command_lines


def test_nothing_to_bring_to_life_says_nothing():
    assert [] == command_lines([])


def test_what_takes_a_connection_down_stands_apart():
    up, rule, throw = "nmcli connection up x", "ip rule del y", "ip -6 route del throw z table 7"
    first, second = (
        "to bring it to life now, symroute-nm apply (no connection goes down), or:",
        "to delete what no file lists any more (no connection goes down):",
    )
    assert [first, "  " + up, second, "  " + rule, "  " + throw] == command_lines([up, rule, throw])
    assert [second, "  " + rule] == command_lines([rule])
    assert [first, "  " + up] == command_lines([up])
