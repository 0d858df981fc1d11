"""What is to be done by hand so that what was written is in force."""

from ipaddress import ip_address, ip_network

import pytest

from support.golden.cases import CASES
from support.hosts import kernel_rules, make_plan, route, two_uplinks, with_routes, with_table_names
from symroute_nm.model.network import Rule
from symroute_nm.model.profiles import Profile
from symroute_nm.model.route_set import pack
from symroute_nm.model.settings import GenerateOptions, Settings
from symroute_nm.rpdb.proof import put_plan
from symroute_nm.targets.base import EarlierBlocks
from symroute_nm.workflow.activation import BRING_UP, find_commands
from symroute_nm.workflow.commit import install_changes
from symroute_nm.workflow.proposal import propose

DEFAULTS = Settings()


@pytest.fixture
def made(tmp_path):
    return propose(tmp_path, two_uplinks(), DEFAULTS, GenerateOptions())


def activation(made, session=None, host=None):
    found = find_commands(
        host or two_uplinks(), DEFAULTS, made, ip_address(session) if session else None
    )
    return [command.text for command in found if command.kind == BRING_UP]


def commands(made, host):
    return [command.text for command in find_commands(host, DEFAULTS, made, None)]


def in_force(made):
    """The host with the files' rules and routes in its kernel."""
    return with_table_names(put_plan(two_uplinks(), DEFAULTS, made.plan))


def unchanged(made):
    """As it is generated again."""
    return made._replace(
        changes=tuple(change._replace(before=change.after) for change in made.changes)
    )


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
    assert [f"nmcli connection up 'System {name}'" for name in order] == activation(made, session)


def test_only_connections_whose_files_change_go_down(made):
    there = in_force(made)
    kept = made._replace(
        changes=tuple(
            change._replace(before=change.after) if change.path.endswith("eth0") else change
            for change in made.changes
        )
    )
    earlier = [
        route("10.99.0.0/24", uplink.uplink.link.name, table=uplink.table.id)
        for uplink in made.plan.uplinks
    ]
    more = with_routes(there, *earlier)
    assert ["nmcli connection up 'System eth1'"] == activation(kept, host=more)
    # Whatever is written: nobody need go down for what is in force already.
    assert [] == activation(made, host=there)
    assert [] == commands(unchanged(made), there)


def test_what_the_kernel_lacks_is_brought_up_though_no_file_changes(made):
    both = ["nmcli connection up 'System eth0'", "nmcli connection up 'System eth1'"]
    assert both == commands(unchanged(made), with_table_names(two_uplinks()))  # generated twice
    there = in_force(made)
    down_up = there._replace(
        routes=pack(
            entry for entry in there.routes if not (entry.table == 100 and entry.version == 4)
        )
    )
    assert both[:1] == commands(unchanged(made), down_up)
    deleted = there._replace(
        rules=tuple(rule for rule in there.rules if not (rule.version == 6 and rule.iif == "eth1"))
    )
    assert both[1:] == commands(unchanged(made), deleted)


def test_what_the_kernel_adds_to_rules_and_routes_is_no_difference(made):
    there = in_force(made)
    seen = there._replace(
        rules=tuple(rule._replace(protocol=3) for rule in there.rules),
        routes=pack(
            entry._replace(
                metric=entry.metric or (1024 if entry.version == 6 else 0), protocol=3, scope=253
            )
            for entry in there.routes
        ),
    )
    assert [] == commands(unchanged(made), seen)


def test_a_gateway_that_changed_is_brought_up(made):
    there = in_force(made)
    other = there._replace(
        routes=pack(
            route("default", "eth0", "10.0.6.254", table=100)
            if entry.table == 100 and entry.version == 4 and entry.default
            else entry
            for entry in there.routes
        )
    )
    assert ["nmcli connection up 'System eth0'"] == commands(unchanged(made), other)


@pytest.mark.parametrize(("text", "family"), [("172.30.0.0/16", ""), ("fd00:30::/64", "-6 ")])
def test_throw_routes_that_nothing_plans_are_to_be_deleted(made, text, family):
    there = in_force(made)
    stale = tuple(route(text, table=table, type="throw") for table in (100, 7))
    there = with_routes(there, *stale, route(text, "eth0", table=101))
    assert [f"ip {family}route del throw {text} table 100"] == commands(unchanged(made), there)


def test_planned_throw_routes_stay(tmp_path):
    settings = Settings(guard="throw")
    made = unchanged(propose(tmp_path, two_uplinks(), settings, GenerateOptions()))
    there = with_table_names(put_plan(two_uplinks(), settings, made.plan))
    assert any(entry.type == "throw" for entry in there.routes)
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
    host = with_table_names(two_uplinks())._replace(rules=(*kernel_rules(), *stale))
    deleted = [command for command in commands(made, host) if "rule del" in command]
    assert len(stale) == len(deleted)
    assert any("20002" in each and "10.0.7.5" in each for each in deleted)


def test_rules_of_another_priority_base_are_to_be_deleted(tmp_path):
    before = propose(tmp_path, two_uplinks(), DEFAULTS, GenerateOptions())
    settings = Settings(priority_base=10000)
    there = in_force(before)
    made = propose(tmp_path, there, settings, GenerateOptions())
    found = [command.text for command in find_commands(there, settings, made, None)]
    rules = [rule for uplink in before.plan.uplinks for rule in uplink.rules]
    assert len(rules) == len([each for each in found if "rule del priority 2000" in each])
    specific = "priority 20001 from 10.0.6.5/32 lookup main suppress_prefixlength 0"
    assert "ip rule del " + specific in found
    assert 2 == len([each for each in found if each.startswith("nmcli")])


def test_of_blocks_that_are_kept_the_rules_stay_but_not_those_of_planned_uplinks(made):
    third = make_plan(CASES["three-uplinks"](), DEFAULTS).uplinks[2].rules
    moved = tuple(
        rule._replace(source=ip_network("10.0.6.99/32"))
        for rule in made.plan.uplinks[0].rules
        if rule.version == 4 and rule.source
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
        addresses=tuple(address for address in there.addresses if address.link != "eth1"),
        routes=pack(entry for entry in there.routes if entry.hop.link != "eth1"),
    )
    none = propose(tmp_path, single, DEFAULTS, GenerateOptions())
    assert [] == commands(none, single)
    gone = none._replace(earlier_blocks=EarlierBlocks(gone=("/x/rule-eth0",)))
    rules = [rule for uplink in made.plan.uplinks for rule in uplink.rules]
    assert len(rules) == len(commands(gone, single))


def test_chains_go_when_the_script_comes_to_use_nft(tmp_path):
    marked = Settings(forwarded=True)

    def write(*firewalls):
        host = two_uplinks(firewalls=firewalls)
        made = propose(tmp_path, host, marked, GenerateOptions())
        install_changes(tmp_path, made.changes, print, everything=False)
        return [command.text for command in find_commands(host, marked, made, None)]

    assert not any("symroute_nm" in text for text in write("iptables"))
    assert "ip6tables -w -t mangle -X symroute_nm" in write("iptables", "nft")
    assert "nft delete table inet symroute_nm" in write("iptables")
    assert not any("symroute_nm" in text for text in write("iptables"))
