"""firewalld's direct.xml: our elements beside those of others."""

import pytest

from symroute_nm.errors import Refusal
from symroute_nm.model.marking import DIRECT
from symroute_nm.targets import direct_xml

OURS = (
    '  <chain ipv="ipv4" table="mangle" chain="symroute_nm"/>\n'
    '  <rule ipv="ipv4" table="mangle" chain="PREROUTING" priority="0">-j symroute_nm</rule>\n'
    '  <rule ipv="ipv4" table="mangle" chain="symroute_nm" priority="0">-i eth0 -j ACCEPT</rule>\n'
)
THEIRS = (
    b'<?xml version="1.0" encoding="utf-8"?>\n<direct>\n  <!-- mine -->\n'
    b'  <rule ipv="ipv4" table="filter" chain="INPUT" priority="0">-j ACCEPT</rule>\n</direct>\n'
)


def test_our_elements_come_and_go_and_theirs_stay():
    with_ours = direct_xml.put(THEIRS, OURS, DIRECT)
    assert with_ours == direct_xml.put(with_ours, OURS, DIRECT)
    assert THEIRS == direct_xml.take_out(with_ours)
    assert THEIRS == direct_xml.take_out(THEIRS)


def test_a_file_of_our_own_goes_away_also_after_firewalld_wrote_it_anew():
    made = direct_xml.put(None, OURS, DIRECT)
    assert None is direct_xml.take_out(made)
    joined = made.replace(b"\n  <", b"<").replace(b'"mangle" chain', b'"mangle"  chain')
    assert direct_xml.has_elements(joined)
    assert None is direct_xml.take_out(joined)


def test_what_firewalld_wrote_anew_stays_as_it_is_and_a_change_in_it_does_not():
    chain, jump, rule = OURS.encode("ascii").splitlines(keepends=True)
    anew = THEIRS.replace(
        b"<direct>\n",
        b"<direct>\n"
        + rule.replace(b'ipv="ipv4" table="mangle"', b'table="mangle" ipv="ipv4"')
        + chain
        + jump,
    )
    assert anew == direct_xml.put(anew, OURS, DIRECT)
    for changed in (
        anew.replace(b"-i eth0", b"-i eth1"),
        anew.replace(jump, b""),
        anew.replace(b'"symroute_nm" priority="0"', b'"symroute_nm" priority="9"'),
        anew.replace(jump, jump + jump),
    ):
        assert direct_xml.put(THEIRS, OURS, DIRECT) == direct_xml.put(changed, OURS, DIRECT)


@pytest.mark.parametrize("content", [b"", b"<direct/>\n", b"<direct></direct><direct></direct>"])
def test_what_is_no_direct_xml_is_refused(content):
    with pytest.raises(Refusal, match="not one </direct>"):
        direct_xml.put(content, OURS, DIRECT)
