"""Marks: their values, what is refused, the rules that go by them, and what is read back."""

from ipaddress import ip_address, ip_network

import pytest

from support.golden.cases import wg_quick
from support.hosts import kernel_rules, make_plan, two_uplinks
from symroute_nm.diagnosis.explain import explain
from symroute_nm.errors import InputError, Refusal
from symroute_nm.kernel import loaded_marks
from symroute_nm.kernel.loaded_marks import LoadedMarks, find_differences
from symroute_nm.model.marking import DIRECT, Mark, Marking
from symroute_nm.model.network import TABLE_MAIN, Rule
from symroute_nm.model.ours import is_usable_mask, our_rules
from symroute_nm.model.settings import (
    MARK_MASK,
    GenerateOptions,
    InterfaceSettings,
    Settings,
    TableChoice,
)
from symroute_nm.readers.settings import parse_settings
from symroute_nm.report.explanation import as_json, lines
from symroute_nm.rpdb.database import Rpdb
from symroute_nm.rpdb.proof import prove, put_plan
from symroute_nm.rpdb.rules import Packet
from symroute_nm.targets import marks
from symroute_nm.targets.ifcfg.render import render
from symroute_nm.workflow import proposal
from symroute_nm.workflow.activation import find_commands
from symroute_nm.workflow.commit import install_changes

ON = Settings(forwarded=True)
NFT = {"firewalls": ("nft",)}


def tables(*ids):
    links = ("eth0", "eth1")
    return {link: InterfaceSettings(TableChoice(id=number)) for link, number in zip(links, ids)}


def values(host, settings=ON):
    return {each.link: each.value for each in make_plan(host, settings).marking.marks}


def test_a_mark_is_its_tables_number_where_that_fits():
    assert {"eth0": 100, "eth1": 101} == values(two_uplinks(**NFT))
    assert {"eth0": 7, "eth1": 127} == values(
        two_uplinks(**NFT), ON._replace(interface=tables(7, 127))
    )
    shifted = ON._replace(mark_mask=0xFF000000)
    assert {"eth0": 0x64000000, "eth1": 0x65000000} == values(two_uplinks(**NFT), shifted)


@pytest.mark.parametrize(
    ("ids", "chosen"),
    [
        ((100, 228), (100, 1)),  # the same seven bits
        ((128, 129), (2, 1)),  # 128 would be 0, which is no mark; 129 wishes for 1
        ((1 << 31, 5), (1, 5)),
    ],
)
def test_where_it_does_not_fit_each_still_has_its_own(ids, chosen):
    assert dict(zip(("eth0", "eth1"), chosen)) == values(
        two_uplinks(**NFT), ON._replace(interface=tables(*ids))
    )


def test_a_whole_mark_of_others_keeps_its_meaning():
    rule = Rule(4, 500, mark=0x8064, mask=0xFFFFFFFF, table=9)
    host = two_uplinks(rules=(*kernel_rules(), rule), **NFT)
    assert 0x64 not in values(host).values()
    assert any("rule 500" in each and "whole mark" in each for each in make_plan(host, ON).notes)


def test_wg_quick_is_neither_hindered_nor_spoken_of():
    plan = make_plan(wg_quick()._replace(firewalls=("nft",)), ON)
    assert 0xCA6C & MARK_MASK not in [each.value for each in plan.marking.marks]
    assert not any("whole mark" in each for each in plan.notes)


@pytest.mark.parametrize(("mask", "proposed"), [(0x10, "0xff000000"), (0x7F00007F, "0xff0000")])
def test_bits_that_a_rule_of_others_goes_by_are_refused(mask, proposed):
    host = two_uplinks(rules=(*kernel_rules(), Rule(4, 500, mark=mask, mask=mask, table=9)), **NFT)
    with pytest.raises(Refusal, match="rule 500 .*mark-mask = %s" % proposed):
        make_plan(host, ON)
    make_plan(host, ON._replace(mark_mask=0xFF00))


def test_our_own_rules_of_an_earlier_run_are_no_others():
    host = two_uplinks(**NFT)
    plan = make_plan(host, ON)
    there = put_plan(host, ON, plan)
    names = tuple(
        each._replace(owned=True, id=number, name=name)
        for each, number, name in ((host.tables[0], 100, "eth0"), (host.tables[0], 101, "eth1"))
    )
    there = there._replace(tables=(*host.tables, *names))
    assert {rule for each in plan.uplinks for rule in each.rules} == our_rules(there, ON)
    # Known without the setting, too, so that they can be deleted.
    assert our_rules(there, ON) == our_rules(there, Settings())
    assert plan.marking == make_plan(there, ON).marking
    assert plan.marking._replace(mask=0xFF00) == make_plan(
        there, ON._replace(mark_mask=0xFF00)
    ).marking._replace(marks=plan.marking.marks)


def test_more_uplinks_than_values_are_refused():
    with pytest.raises(Refusal, match="2 uplinks, but mark mask 0x3 has room for 1"):
        make_plan(
            two_uplinks(
                rules=(
                    *kernel_rules(),
                    Rule(4, 9, mark=1, mask=0xFFFFFFFF, table=9),
                    Rule(4, 9, mark=2, mask=0xFFFFFFFF, table=9),
                ),
                **NFT,
            ),
            ON._replace(mark_mask=3),
        )


@pytest.mark.parametrize(
    ("firewalls", "kernel", "backend"),
    [
        (("nft", "iptables", "firewalld"), "4.18.0-553.el8_10.x86_64", "nft"),
        (("nft", "iptables", "firewalld"), "3.10.0-1160.el7.x86_64", "firewalld"),
        (("iptables",), "5.14.0-427.el9.x86_64", "iptables"),
    ],
)
def test_what_sets_the_marks(firewalls, kernel, backend):
    host = two_uplinks(firewalls=firewalls, kernel=kernel)
    assert backend == make_plan(host, ON).marking.backend
    assert (backend == "firewalld") == (DIRECT in render(make_plan(host, ON), host))


@pytest.mark.parametrize("fields", [{}, {"firewalls": ("nft",), "kernel": "3.10.0-1160.el7"}])
def test_without_anything_to_set_them_marks_are_refused(fields):
    with pytest.raises(Refusal, match="need nft or iptables"):
        make_plan(two_uplinks(**fields), ON)


@pytest.mark.parametrize("text", ["0", "1", "0x5", "0xffffffff", "0x1ffffffff", "-1", "seven"])
def test_a_mask_is_neighbouring_bits(text):
    with pytest.raises(InputError, match=r"mark-mask.*no mask of neighbouring bits"):
        parse_settings("[symroute]\nmark-mask = %s\n" % text)


@pytest.mark.parametrize("mask", [0x3, 0x7F, 0xFF0000, 0xFF000000, 0xFFFF0000, 0x7FFFFFFF])
def test_usable_masks(mask):
    assert is_usable_mask(mask)
    assert mask == parse_settings("[symroute]\nmark-mask = %#x\nforwarded = yes" % mask).mark_mask


def way(plan, host, packet):
    put = put_plan(host, ON, plan)
    return Rpdb(put.rules, put.routes, put.links).decide(packet).links


@pytest.mark.parametrize("guard", ["rules", "throw"])
@pytest.mark.parametrize("transit", [True, False])
def test_the_proof_holds_and_the_model_says_where_packets_go(guard, transit):
    host = two_uplinks(**NFT)
    settings = ON._replace(guard=guard, iif=transit)
    plan = make_plan(host, settings)
    proof = prove(host, settings, plan)
    assert proof.holds and proof.marked
    container, afar = ip_address("172.17.0.2"), ip_address("198.51.100.9")
    for asker in (afar, ip_address("10.0.5.7"), ip_address("10.0.6.7")):
        answer = Packet(asker, source=container, iif="docker0")
        assert {"eth0"} == way(plan, host, answer._replace(mark=0x64))
        assert {"eth1"} == way(plan, host, answer._replace(mark=0x65))
    # What comes in goes where it went without a mark.
    for destination in (container, ip_address("10.0.5.7"), afar):
        asked = Packet(destination, source=ip_address("10.0.6.7"), iif="eth0")
        assert way(plan, host, asked) == way(plan, host, asked._replace(mark=0x64))


def test_the_proof_sees_a_rule_that_takes_marked_answers_away():
    thief = Rule(4, 100, iif="docker0", table=TABLE_MAIN)
    host = two_uplinks(rules=(*kernel_rules(), thief), **NFT)
    proof = prove(host, ON, make_plan(host, ON))
    assert not proof.holds
    assert all(each.symmetric for each in proof.after)


@pytest.mark.parametrize("thief", [{"iif": "eth1"}, {"source": ip_network("10.0.5.0/24")}])
def test_answers_that_come_in_by_another_uplink_are_proved(thief):
    settings = ON._replace(sources="network", iif=True)
    host = two_uplinks(**NFT)
    plan = make_plan(host, settings)
    for source in ("10.0.5.7", "198.51.100.9"):
        answer = Packet(ip_address("203.0.113.9"), ip_address(source), "eth1", mark=0x64)
        assert {"eth0"} == way(plan, host, answer)
    assert prove(host, settings, plan).holds
    taken = two_uplinks(rules=(*kernel_rules(), Rule(4, 100, table=TABLE_MAIN, **thief)), **NFT)
    proof = prove(taken, settings, make_plan(taken, settings))
    assert any(
        failure.mark == 0x64 and failure.decision.rule.priority == 100
        for each in proof.marked
        for failure in each.failures
    )


def test_rules_by_mark_need_room_before_the_others():
    host = two_uplinks(**NFT)
    with pytest.raises(InputError, match=r"priority-base = 4 leaves no room .*set 5 or more"):
        make_plan(host, ON._replace(priority_base=4))
    lowest = min(
        rule.priority
        for each in make_plan(host, ON._replace(priority_base=5)).uplinks
        for rule in each.rules
    )
    assert 1 == lowest


def test_explain_knows_whose_mark_it_is():
    packet = Packet(ip_address("198.51.100.9"), ip_address("172.17.0.2"), "docker0", mark=0x65)
    made = two_uplinks(**NFT)
    found = explain(made, ON, packet, make_plan(made, ON))
    assert "eth1" == found.marked_by == as_json(found)["marked_by"]
    assert "mark 0x65 (of what came in by eth1) (as after generate):" in lines(found)[0]
    assert lines(found)[-1].startswith("=> leaves via 10.0.5.1 dev eth1")
    assert "" == explain(two_uplinks(), Settings(), packet, None).marked_by


# -- what is loaded -------------------------------------------------------------------------------

TWO = Marking("nft", 0x7F, (Mark("eth0", 0x64), Mark("eth1", 0x65)))
FOUR = frozenset((4,))
CHAIN = (
    ":symroute_nm - [0:0]",
    "-A PREROUTING -j symroute_nm",
    *(
        "-A symroute_nm -i %s -m conntrack --ctstate NEW --ctdir ORIGINAL "
        "-m connmark --mark 0x0/0x7f -j CONNMARK --set-xmark %s/0x7f" % each
        for each in (("eth0", "0x64"), ("eth1", "0x65"))
    ),
    *(
        "-A symroute_nm -m connmark --mark %s/0x7f -m mark --mark 0x0/0x7f -j MARK --set-xmark "
        "%s/0x7f" % (each, each)
        for each in ("0x64", "0x65")
    ),
)


def test_a_whole_chain_is_no_difference_and_each_missing_line_is_one():
    marking = TWO._replace(backend="iptables")
    assert () == find_differences(marking, LoadedMarks("", CHAIN, (), True), FOUR)
    for line in CHAIN[1:]:
        less = tuple(each for each in CHAIN if each != line)
        assert 1 == len(find_differences(marking, LoadedMarks("", less, (), True), FOUR))
    assert find_differences(marking, LoadedMarks("", CHAIN, (), True), frozenset((4, 6)))
    assert find_differences(marking, LoadedMarks("", CHAIN, (), False), FOUR)
    assert find_differences(TWO, LoadedMarks("", CHAIN, (), True), FOUR)
    assert find_differences(None, LoadedMarks("", CHAIN, (), True))
    assert () == find_differences(None, LoadedMarks("", (), (), True))


TABLE = """table inet symroute_nm {
  chain prerouting {
    type filter hook prerouting priority -50; policy accept;
    iifname "eth0" ct state new ct direction original ct mark & 0x0000007f == 0x00000000 \
fib daddr type unicast ct mark set ct mark | 0x00000064
    iifname "eth1" ct state new ct direction original ct mark & 0x0000007f == 0x00000000 \
fib daddr type unicast ct mark set ct mark | 0x00000065
    ct mark & 0x0000007f == 0x00000064 {0}mark & 0x0000007f == 0x00000000 {0}mark set {0}mark | \
0x00000064
    ct mark & 0x0000007f == 0x00000065 {0}mark & 0x0000007f == 0x00000000 {0}mark set {0}mark | \
0x00000065
  }
}"""


@pytest.mark.parametrize("word", ["meta ", ""])
def test_a_whole_table_is_no_difference_and_each_missing_line_is_one(word):
    lines = TABLE.replace("{0}", word).split("\n")
    assert () == find_differences(TWO, LoadedMarks("\n".join(lines), (), (), True), FOUR)
    for number in range(3, 7):
        less = "\n".join(lines[:number] + lines[number + 1 :])
        assert 1 == len(find_differences(TWO, LoadedMarks(less, (), (), True), FOUR))


def test_what_another_backend_has_left_is_a_difference():
    both = LoadedMarks(TABLE.replace("{0}", "meta "), CHAIN, CHAIN, True)
    assert ("iptables sets marks, too, and nft is planned",) == find_differences(TWO, both, FOUR)
    chains = TWO._replace(backend="iptables")
    assert ("nft sets marks, too, and iptables is planned",) == find_differences(chains, both, FOUR)
    assert 2 == len(find_differences(None, both))
    script = loaded_marks.unload_script(*both.backends)
    assert "nft delete table inet symroute_nm" in script and "ip6tables -w -t mangle -X" in script


def test_chains_go_when_the_script_comes_to_use_nft(tmp_path):
    def write(*firewalls):
        host = two_uplinks(firewalls=firewalls)
        made = proposal.propose(tmp_path, host, ON, GenerateOptions())
        install_changes(tmp_path, made.changes, print, everything=False)
        return find_commands(host, ON, made, None)

    assert not any("symroute_nm" in each for each in write("iptables"))
    assert "ip6tables -w -t mangle -X symroute_nm" in write("iptables", "nft")
    assert "nft delete table inet symroute_nm" in write("iptables")
    assert not any("symroute_nm" in each for each in write("iptables"))


def test_links_are_found_in_any_listing():
    assert {"eth0", "eth1"} == loaded_marks.marked_links("\n".join(("*mangle", *CHAIN, "COMMIT")))
    without = [each for each in CHAIN if "PREROUTING" not in each]
    assert set() == loaded_marks.marked_links("\n".join(without))


# -- firewalld's direct.xml -----------------------------------------------------------------------

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
    with_ours = marks.put(THEIRS, OURS, DIRECT)
    assert with_ours == marks.put(with_ours, OURS, DIRECT)
    assert THEIRS == marks.take_out(with_ours)
    assert THEIRS == marks.take_out(THEIRS)


def test_a_file_of_our_own_goes_away_also_after_firewalld_wrote_it_anew():
    made = marks.put(None, OURS, DIRECT)
    assert None is marks.take_out(made)
    joined = made.replace(b"\n  <", b"<").replace(b'"mangle" chain', b'"mangle"  chain')
    assert marks.has_elements(joined)
    assert None is marks.take_out(joined)


def test_what_firewalld_wrote_anew_stays_as_it_is_and_a_change_in_it_does_not():
    chain, jump, rule = OURS.encode("ascii").splitlines(keepends=True)
    anew = THEIRS.replace(
        b"<direct>\n",
        b"<direct>\n"
        + rule.replace(b'ipv="ipv4" table="mangle"', b'table="mangle" ipv="ipv4"')
        + chain
        + jump,
    )
    assert anew == marks.put(anew, OURS, DIRECT)
    for changed in (
        anew.replace(b"-i eth0", b"-i eth1"),
        anew.replace(jump, b""),
        anew.replace(b'"symroute_nm" priority="0"', b'"symroute_nm" priority="9"'),
        anew.replace(jump, jump + jump),
    ):
        assert marks.put(THEIRS, OURS, DIRECT) == marks.put(changed, OURS, DIRECT)


@pytest.mark.parametrize("content", [b"", b"<direct/>\n", b"<direct></direct><direct></direct>"])
def test_what_is_no_direct_xml_is_refused(content):
    with pytest.raises(Refusal, match="not one </direct>"):
        marks.put(content, OURS, DIRECT)
