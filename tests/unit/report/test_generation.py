"""What the commands say: in JSON, in lines and in tables for people."""

import json
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from support.golden.cases import CASES
from support.hosts import kernel_rules, make_plan, route, two_uplinks
from symroute_nm.cli.terminal import draw_tables
from symroute_nm.model.host import TableName
from symroute_nm.model.iproute2 import format_rule
from symroute_nm.model.network import Address, Hop, Route, Rule
from symroute_nm.model.places import FRAGMENT
from symroute_nm.model.plan import Skip
from symroute_nm.model.profiles import Profile
from symroute_nm.model.settings import GenerateOptions, InterfaceSettings, Settings
from symroute_nm.report import generation, inspection, links
from symroute_nm.report.generation import command_lines
from symroute_nm.rpdb.proof import put_plan
from symroute_nm.targets.base import EarlierBlocks
from symroute_nm.workflow.activation import BRING_UP, DELETE, Command, find_commands
from symroute_nm.workflow.inspect import inspect_host
from symroute_nm.workflow.proposal import propose

DEFAULTS = Settings()


@pytest.fixture
def made(tmp_path):
    return propose(tmp_path, two_uplinks(), DEFAULTS, GenerateOptions())


def shown(host, width=200):
    found = inspect_host(host, DEFAULTS)
    return draw_tables(inspection.tables(found), inspection.lines(found), width)


def inspected(host, settings=DEFAULTS):
    return inspection.as_json(inspect_host(host, settings))


def test_inspection_tells_what_is_there_from_what_is_awaited():
    wished = {
        "eth0": InterfaceSettings(addresses=(ip_address("10.0.6.100"), ip_address("10.0.6.5")))
    }
    wishing = inspect_host(two_uplinks(), Settings(interface=wished))
    found = inspection.as_json(wishing)
    eth0, eth1 = found["uplinks"]
    assert ["10.0.6.5/24", "2001:db8:6::5/64"] == eth0["addresses"]
    assert ["10.0.6.100"] == eth0["awaited"]
    assert [] == eth1["awaited"]
    assert "10.0.6.100 (awaited)" in draw_tables(inspection.tables(wishing), [], 200)


def test_inspection_says_what_the_host_is():
    found = inspected(two_uplinks())
    eth0, eth1 = found["uplinks"]
    assert ("eth0", "eth0", "") == (eth0["link"], eth0["profile"], eth0["problem"])
    assert ["10.0.6.5/24", "2001:db8:6::5/64"] == eth0["addresses"]
    assert {"version": 4, "address": "10.0.5.1", "origin": "main's default route (metric 100)"} == (
        eth1["gateways"][0]
    )
    assert {"network": "172.17.0.0/16", "link": "docker0"} in found["internal"]
    assert ["docker0", "lo"] == [each["link"] for each in found["skipped"]]
    assert ("rules", "probed") == (found["guard"]["name"], found["guard"]["reason"])
    assert [4] == found["forwarding"]


def test_inspection_knows_our_rules_from_others():
    ours = make_plan(two_uplinks(), DEFAULTS).uplinks[0].rules
    host = named(CASES["wg-quick"]())
    found = inspected(host._replace(rules=host.rules + ours))["rules"]
    assert {32764: False, 32765: False, 20000: True, 20001: True, 20002: True} == {
        each["priority"]: each["ours"] for each in found
    }


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_inspection_can_be_shown_and_is_json(name):
    found = inspected(CASES[name]())
    assert found == json.loads(json.dumps(found))
    text = shown(CASES[name]())
    assert [] == [each["link"] for each in found["uplinks"] if each["link"] not in text]


def test_people_see_internal_networks_and_tables_without_a_name_and_whole_addresses():
    host = two_uplinks()
    routes = (Route(ip_network("192.0.2.0/24"), table=777, hops=(Hop("eth0"),)),)
    rules = (Rule(4, 900, source=ip_network("192.0.2.7/32"), table=778),)
    address = "2001:db8:1111:2222:3333:4444:5555:6666"
    long = Address("eth0", ip_interface(address + "/64"))
    host = host._replace(
        routes=host.routes + routes, rules=host.rules + rules, addresses=(*host.addresses, long)
    )
    text = shown(host)
    found = inspected(host)["unnamed"]
    assert [{"id": 777, "routes": 1, "rules": 0}, {"id": 778, "routes": 0, "rules": 1}] == found
    assert [] == [each for each in ("172.17.0.0/16", "777", "778", address) if each not in text]
    assert "\u2026" not in shown(host, 50)


def test_of_thousands_of_internal_networks_people_see_some():
    host = two_uplinks()
    routes = tuple(route("172.18.%d.0/24" % number, "docker0") for number in range(20))
    text = shown(host._replace(routes=host.routes + routes))
    assert "172.18.6.0/24" in text
    assert "172.18.8.0/24" not in text
    assert "and 13 more (--json has all)" in text
    assert "more" not in shown(host)


def test_a_profile_that_is_missing_is_a_problem_not_an_error():
    eth1 = inspected(CASES["no-profile"]())["uplinks"][1]
    assert (None, True) == (eth1["profile"], "no ifcfg profile" in eth1["problem"])


def test_neither_markup_nor_control_characters_get_through():
    host = two_uplinks()
    links = tuple(
        each._replace(name="[red]\x1b[31m\x07") if each.name == "docker0" else each
        for each in host.links
    )
    text = shown(host._replace(links=links))
    assert r"[red]\x1b[31m\x07" in text
    assert "\x1b" not in text


def test_the_summary_names_files_tables_and_verdicts(made):
    found = generation.summary(
        made, [Command(BRING_UP, "nmcli connection up x")], GenerateOptions(dry_run=True)
    )
    assert found == json.loads(json.dumps(found))
    assert (True, True, ["nmcli connection up x"]) == (
        found["changed"],
        found["dry_run"],
        found["commands"],
    )
    assert {"create"} == {each["change"] for each in found["files"]}
    assert [{"id": 100, "name": "eth0"}, {"id": 101, "name": "eth1"}] == [
        each["table"] for each in found["uplinks"]
    ]
    assert all(each["after"] for each in found["addresses"])
    assert not all(each["before"] for each in found["addresses"])


def activation(made, session=None, host=None):
    found = find_commands(
        host or two_uplinks(), DEFAULTS, made, ip_address(session) if session else None
    )
    return [command.text for command in found if command.kind == BRING_UP]


def commands(made, host):
    return [command.text for command in find_commands(host, DEFAULTS, made, None)]


def named(host):
    """The host with the tables' names that a run before has written."""
    names = tuple(
        TableName(100 + number, "eth%d" % number, FRAGMENT, owned=True) for number in range(3)
    )
    return host._replace(tables=(*host.tables, *names))


def in_force(made):
    """The host with the files' rules and routes in its kernel."""
    return named(put_plan(two_uplinks(), DEFAULTS, made.plan))


def unchanged(made):
    """As it is generated again."""
    return made._replace(changes=tuple(each._replace(before=each.after) for each in made.changes))


@pytest.mark.parametrize(
    ("session", "order"),
    [
        (None, ["eth0", "eth1"]),
        ("10.0.6.5", ["eth1", "eth0"]),
        ("10.0.5.5", ["eth0", "eth1"]),
        ("2001:db8:6::5", ["eth1", "eth0"]),
        ("192.0.2.1", ["eth0", "eth1"]),
    ],
)
def test_the_sessions_own_link_comes_last(made, session, order):
    assert ["nmcli connection up 'System %s'" % name for name in order] == activation(made, session)


def test_only_connections_whose_files_change_go_down(made):
    there = in_force(made)
    kept = made._replace(
        changes=tuple(
            each._replace(before=each.after) if each.path.endswith("eth0") else each
            for each in made.changes
        )
    )
    earlier = [
        route("10.99.0.0/24", each.uplink.link.name, table=each.table.id)
        for each in made.plan.uplinks
    ]
    more = there._replace(routes=(*there.routes, *earlier))
    assert ["nmcli connection up 'System eth1'"] == activation(kept, host=more)
    # Whatever is written: nobody need go down for what is in force already.
    assert [] == activation(made, host=there)
    assert [] == commands(unchanged(made), there)


def test_what_the_kernel_lacks_is_brought_up_though_no_file_changes(made):
    both = ["nmcli connection up 'System eth0'", "nmcli connection up 'System eth1'"]
    assert both == commands(unchanged(made), named(two_uplinks()))  # generated twice
    there = in_force(made)
    down_up = there._replace(
        routes=tuple(each for each in there.routes if not (each.table == 100 and each.version == 4))
    )
    assert both[:1] == commands(unchanged(made), down_up)
    deleted = there._replace(
        rules=tuple(each for each in there.rules if not (each.version == 6 and each.iif == "eth1"))
    )
    assert both[1:] == commands(unchanged(made), deleted)


def test_what_the_kernel_adds_to_rules_and_routes_is_no_difference(made):
    there = in_force(made)
    seen = there._replace(
        rules=tuple(each._replace(protocol=3) for each in there.rules),
        routes=tuple(
            each._replace(
                metric=each.metric or (1024 if each.version == 6 else 0), protocol=3, scope=253
            )
            for each in there.routes
        ),
    )
    assert [] == commands(unchanged(made), seen)


def test_a_gateway_that_changed_is_brought_up(made):
    there = in_force(made)
    other = there._replace(
        routes=tuple(
            route("default", "eth0", "10.0.6.254", table=100)
            if each.table == 100 and each.version == 4 and each.default
            else each
            for each in there.routes
        )
    )
    assert ["nmcli connection up 'System eth0'"] == commands(unchanged(made), other)


@pytest.mark.parametrize(("text", "family"), [("172.30.0.0/16", ""), ("fd00:30::/64", "-6 ")])
def test_throw_routes_that_nothing_plans_are_to_be_deleted(made, text, family):
    there = in_force(made)
    stale = tuple(route(text, table=table, type="throw") for table in (100, 7))
    there = there._replace(routes=(*there.routes, *stale, route(text, "eth0", table=101)))
    assert ["ip %sroute del throw %s table 100" % (family, text)] == commands(
        unchanged(made), there
    )


def test_planned_throw_routes_stay(tmp_path):
    settings = Settings(guard="throw")
    made = unchanged(propose(tmp_path, two_uplinks(), settings, GenerateOptions()))
    there = named(put_plan(two_uplinks(), settings, made.plan))
    assert any(each.type == "throw" for each in there.routes)
    assert [] == find_commands(there, settings, made, None)


def test_names_are_quoted_for_the_shell(tmp_path):
    profiles = (
        Profile("eth0", id="$(reboot) it's", device="eth0"),
        Profile("eth1", id="", device="eth1"),
    )
    host = two_uplinks()._replace(profiles=profiles)
    made = propose(tmp_path, host, DEFAULTS, GenerateOptions())
    assert ["nmcli connection up '$(reboot) it'\"'\"'s'", "nmcli connection up eth1"] == activation(
        made, host=host
    )


def test_rules_in_force_that_no_file_lists_any_more_are_to_be_deleted(made):
    stale = make_plan(CASES["three-uplinks"](), DEFAULTS).uplinks[2].rules
    host = named(two_uplinks())._replace(rules=(*kernel_rules(), *stale))
    deleted = [each for each in commands(made, host) if "rule del" in each]
    assert len(stale) == len(deleted)
    assert any("20002" in each and "10.0.7.5" in each for each in deleted)


def test_rules_of_another_priority_base_are_to_be_deleted(tmp_path):
    before = propose(tmp_path, two_uplinks(), DEFAULTS, GenerateOptions())
    settings = Settings(priority_base=10000)
    there = in_force(before)
    made = propose(tmp_path, there, settings, GenerateOptions())
    found = [command.text for command in find_commands(there, settings, made, None)]
    rules = [rule for each in before.plan.uplinks for rule in each.rules]
    assert len(rules) == len([each for each in found if "rule del priority 2000" in each])
    specific = "priority 20001 from 10.0.6.5/32 lookup main suppress_prefixlength 0"
    assert "ip rule del " + specific in found
    assert 2 == len([each for each in found if each.startswith("nmcli")])


def test_of_blocks_that_are_kept_the_rules_stay_but_not_those_of_planned_uplinks(made):
    third = make_plan(CASES["three-uplinks"](), DEFAULTS).uplinks[2].rules
    moved = tuple(
        each._replace(source=ip_network("10.0.6.99/32"))
        for each in made.plan.uplinks[0].rules
        if each.version == 4 and each.source
    )
    there = in_force(made)
    there = there._replace(rules=(*there.rules, *third, *moved))
    kept = unchanged(made)._replace(earlier_blocks=EarlierBlocks(kept=("/x/rule-eth2",)))
    assert [
        "ip rule del priority 20000 from 10.0.6.99/32 lookup 100 suppress_prefixlength 0",
        "ip rule del priority 20001 from 10.0.6.99/32 lookup main suppress_prefixlength 0",
        "ip rule del priority 20002 from 10.0.6.99/32 lookup 100",
    ] == commands(kept, there)
    assert 3 + len(third) == len(commands(unchanged(made), there))


def test_rules_of_others_are_never_to_be_deleted(made):
    there = in_force(made)
    foreign = (
        Rule(4, 30000, mark=1, mask=1, table=100),
        Rule(4, 9, iif="eth0", table=7),
        Rule(4, 20005, iif="eth0", table=254, suppress_prefixlength=0),
    )
    assert [] == commands(unchanged(made), there._replace(rules=(*there.rules, *foreign)))


def test_when_the_last_blocks_go_so_do_their_rules(tmp_path, made):
    there = in_force(made)
    single = there._replace(
        addresses=tuple(each for each in there.addresses if each.link != "eth1"),
        routes=tuple(each for each in there.routes if each.hop.link != "eth1"),
    )
    none = propose(tmp_path, single, DEFAULTS, GenerateOptions())
    assert [] == commands(none, single)
    gone = none._replace(earlier_blocks=EarlierBlocks(gone=("/x/rule-eth0",)))
    rules = [rule for each in made.plan.uplinks for rule in each.rules]
    assert len(rules) == len(commands(gone, single))


def test_links_of_one_reason_stand_together():
    skips = [Skip("veth%d" % number, "port of docker0") for number in range(10)]
    lines = links.skip_lines([Skip("lo", "loopback"), *skips])
    assert [
        "skipped lo: loopback",
        "skipped veth0, veth1, veth2, veth3, veth4, veth5, veth6, veth7 and 2 more: "
        "port of docker0",
    ] == lines


def test_nothing_to_bring_to_life_says_nothing():
    assert [] == command_lines([])


def test_what_takes_a_connection_down_stands_apart():
    up, rule, throw = "nmcli connection up x", "ip rule del y", "ip -6 route del throw z table 7"
    first, second = (
        "to bring it to life now, symroute-nm apply (no connection goes down), or:",
        "to delete what no file lists any more (no connection goes down):",
    )
    assert [first, "  " + up, second, "  " + rule, "  " + throw] == command_lines(
        [Command(BRING_UP, up), Command(DELETE, rule), Command(DELETE, throw)]
    )
    assert [second, "  " + rule] == command_lines([Command(DELETE, rule)])
    assert [first, "  " + up] == command_lines([Command(BRING_UP, up)])


def test_verdicts_before_and_after(made):
    lines = generation.verdict_lines(made)
    assert "10.0.6.5 (eth0): asymmetric -> symmetric" in lines
    assert len(made.proof.after) == len(lines)


@pytest.mark.parametrize(
    ("table", "name"), [(254, "main"), (255, "local"), (253, "default"), (252, "252")]
)
def test_the_kernels_tables_have_names(table, name):
    assert "from all lookup " + name == format_rule(Rule(6, 1, table=table))
