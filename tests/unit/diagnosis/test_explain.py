"""explain: one packet's walk, as it is and as it would be, for people and for programs."""

import json
from ipaddress import ip_address, ip_network

import pytest

from support.hosts import kernel_rules, make_plan, route, two_uplinks, with_routes
from symroute_nm.diagnosis import explain as diagnosis_explain
from symroute_nm.errors import InputError
from symroute_nm.model.network import Hop, Rule
from symroute_nm.model.settings import Settings
from symroute_nm.report import explanation

SETTINGS = Settings()


def explain(source, destination, iif="", mark="0", planned=False, host=None):
    here = host or two_uplinks()
    packet = diagnosis_explain.parse_packet(here, source, destination, iif, mark)
    plan = make_plan(here, SETTINGS) if planned else None
    return diagnosis_explain.explain(here, SETTINGS, packet, plan)


def decision(*words, **options):
    shown = json.loads(json.dumps(explanation.as_json(explain(*words, **options))))
    return {
        name: shown["decision"][name] for name in ("type", "device", "gateway", "table", "priority")
    }


def test_now_the_answer_leaves_by_mains_default():
    assert {
        "type": "unicast",
        "device": "eth1",
        "gateway": "10.0.5.1",
        "table": 254,
        "priority": 32766,
    } == decision("10.0.6.5", "192.0.2.1")


def test_after_generate_it_leaves_by_its_own_uplink():
    assert {
        "type": "unicast",
        "device": "eth0",
        "gateway": "10.0.6.1",
        "table": 100,
        "priority": 20002,
    } == decision("10.0.6.5", "192.0.2.1", planned=True)


def test_on_the_link_there_is_no_gateway():
    assert {
        "type": "unicast",
        "device": "docker0",
        "gateway": None,
        "table": 254,
        "priority": 20001,
    } == decision("10.0.6.5", "172.17.0.9", planned=True)


def test_the_hosts_own_address_is_local():
    assert "local" == decision("10.0.6.5", "10.0.5.5")["type"]


@pytest.mark.parametrize("kind", ["blackhole", "unreachable", "prohibit"])
def test_what_is_dropped_says_how(kind):
    here = two_uplinks()
    here = with_routes(here, route("192.0.2.0/24", type=kind))

    found = decision("10.0.6.5", "192.0.2.1", host=here)

    assert {"type": kind, "device": None, "gateway": None, "table": 254, "priority": 32766} == found


def test_a_mark_and_the_link_of_arrival_count():
    marked = Rule(4, 50, mark=0x10, mask=0xFF, table=77)
    arrived = Rule(4, 60, iif="docker0", table=78)
    here = two_uplinks(rules=(*kernel_rules(), marked, arrived))
    here = with_routes(
        here,
        route("default", "eth0", "10.0.6.1", table=77),
        route("default", "eth0", "10.0.6.9", table=78),
    )

    assert 50 == decision("10.0.5.5", "192.0.2.1", mark="0x10", host=here)["priority"]
    assert 60 == decision("172.17.0.2", "192.0.2.1", iif="docker0", host=here)["priority"]
    assert 32766 == decision("10.0.5.5", "192.0.2.1", mark="0x11", host=here)["priority"]


def test_the_trace_lists_every_rule_tried_with_the_reason_and_ends_with_the_decision():
    trace = explanation.as_json(explain("10.0.6.5", "192.0.2.1", planned=True))["trace"]

    assert [0, 20000, 20000, 20001, 20001] == [each["priority"] for each in trace][:5]
    assert [False] * (len(trace) - 1) + [True] == [each["decided"] for each in trace]
    assert "does not match: source 10.0.6.5 is not in 10.0.5.5/32" == trace[2]["outcome"]
    assert "suppress_prefixlength" in trace[1]["outcome"]


def test_several_ways_out_are_all_listed():
    here = two_uplinks()
    both = route("198.51.100.0/24")._replace(
        hops=(Hop("eth0", ip_address("2001:db8:6::1")), Hop("eth1"))
    )
    shown = explanation.as_json(explain("any", "198.51.100.1", host=with_routes(here, both)))

    assert ["eth0", "eth1"] == [hop["device"] for hop in shown["decision"]["hops"]]


def test_a_rule_that_is_not_modelled_is_a_doubt():
    here = two_uplinks(
        rules=(
            *kernel_rules(),
            Rule(4, 40, table=254, source=ip_network("10.0.6.0/24"), opaque=("ip_proto 6",)),
        )
    )

    explained = explain("10.0.6.5", "192.0.2.1", host=here)

    assert 1 == len(explained.decision.doubts)
    assert any(line.startswith("in doubt: ") for line in explanation.lines(explained))


def test_lines_are_a_heading_a_line_for_each_rule_and_the_decision():
    lines = explanation.lines(explain("10.0.6.5", "192.0.2.1"))

    assert "from 10.0.6.5 to 192.0.2.1:" == lines[0]
    assert ["0", "32766"] == [line.split()[0] for line in lines[1:-1]]
    assert lines[-1].startswith("=> leaves via 10.0.5.1 dev eth1")


@pytest.mark.parametrize(
    "words, said",
    [
        (("10.0.6.5", "nowhere"), "destination: 'nowhere' is not an address"),
        (("10.0.6.5/24", "192.0.2.1"), "source: '10.0.6.5/24' is not an address"),
        (("fe80::1%eth0", "2001:db8::1"), "source: 'fe80::1%eth0' is not an address"),
        (("10.0.6.5", "2001:db8::1"), "of two families"),
        (("any", "192.0.2.1", "eth9"), "--iif eth9: no such link"),
        (("any", "192.0.2.1", "", "many"), "--mark many: not a mark"),
        (("any", "192.0.2.1", "", "-1"), "--mark -1: not a mark"),
        (("any", "192.0.2.1", "", "0x100000000"), "not a mark"),
    ],
)
def test_wrong_words_are_wrong_input(words, said):
    with pytest.raises(InputError, match=said):
        explain(*words)
