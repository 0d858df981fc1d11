"""Marks: their values, what is refused, and the rules that go by them."""

from ipaddress import ip_address, ip_network

import pytest

from support.golden.cases import wg_quick
from support.hosts import kernel_rules, make_plan, two_uplinks
from symroute_nm.diagnosis.explain import explain
from symroute_nm.errors import InputError, Refusal
from symroute_nm.model.marking import DIRECT
from symroute_nm.model.network import TABLE_MAIN, Rule
from symroute_nm.model.ours import is_usable_mask, our_rules
from symroute_nm.model.settings import (
    MARK_MASK,
    InterfaceSettings,
    Settings,
    TableChoice,
)
from symroute_nm.readers.settings import parse_settings
from symroute_nm.report.explanation import as_json, lines
from symroute_nm.rpdb.lookup import Rpdb
from symroute_nm.rpdb.proof import prove, put_plan
from symroute_nm.rpdb.rules import Packet
from symroute_nm.targets.ifcfg.render import render

ON = Settings(forwarded=True)
NFT = {"firewalls": ("nft",)}


def tables(*ids):
    links = ("eth0", "eth1")
    return {link: InterfaceSettings(TableChoice(id=number)) for link, number in zip(links, ids)}


def values(host, settings=ON):
    return {mark.link: mark.value for mark in make_plan(host, settings).marking.marks}


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
    assert any("rule 500" in note and "whole mark" in note for note in make_plan(host, ON).notes)


def test_wg_quick_is_neither_hindered_nor_spoken_of():
    plan = make_plan(wg_quick()._replace(firewalls=("nft",)), ON)
    assert 0xCA6C & MARK_MASK not in [mark.value for mark in plan.marking.marks]
    assert not any("whole mark" in note for note in plan.notes)


@pytest.mark.parametrize(("mask", "proposed"), [(0x10, "0xff000000"), (0x7F00007F, "0xff0000")])
def test_bits_that_a_rule_of_others_goes_by_are_refused(mask, proposed):
    host = two_uplinks(rules=(*kernel_rules(), Rule(4, 500, mark=mask, mask=mask, table=9)), **NFT)
    with pytest.raises(Refusal, match=f"rule 500 .*mark-mask = {proposed}"):
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
    assert {rule for uplink in plan.uplinks for rule in uplink.rules} == our_rules(there, ON)
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
        parse_settings(f"[symroute]\nmark-mask = {text}\n")


@pytest.mark.parametrize("mask", [0x3, 0x7F, 0xFF0000, 0xFF000000, 0xFFFF0000, 0x7FFFFFFF])
def test_usable_masks(mask):
    assert is_usable_mask(mask)
    assert mask == parse_settings(f"[symroute]\nmark-mask = {mask:#x}\nforwarded = yes").mark_mask


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
    assert all(verdict.symmetric for verdict in proof.after)


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
        for verdict in proof.marked
        for failure in verdict.failures
    )


def test_rules_by_mark_need_room_before_the_others():
    host = two_uplinks(**NFT)
    with pytest.raises(InputError, match=r"priority-base = 4 leaves no room .*set 5 or more"):
        make_plan(host, ON._replace(priority_base=4))
    lowest = min(
        rule.priority
        for uplink in make_plan(host, ON._replace(priority_base=5)).uplinks
        for rule in uplink.rules
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
