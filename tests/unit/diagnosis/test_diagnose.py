"""Diagnosis: each finding provoked, and none on the host that is cured."""

import json
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from support.golden.cases import CASES
from support.hosts import address, host, link, make_plan, route, two_uplinks, with_routes
from symroute_nm.diagnosis import foreign
from symroute_nm.diagnosis.diagnose import diagnose
from symroute_nm.model.host import TableName
from symroute_nm.model.network import Rule
from symroute_nm.model.observations import Arp, ConfigFile, Observations, Published, Unread
from symroute_nm.model.places import FRAGMENT
from symroute_nm.model.profiles import Profile
from symroute_nm.model.route_set import pack
from symroute_nm.model.settings import InterfaceSettings, Settings, TableChoice
from symroute_nm.readers import snapshot
from symroute_nm.report import diagnosis
from symroute_nm.rpdb.lookup import Rpdb
from symroute_nm.rpdb.proof import put_plan
from symroute_nm.targets.ifcfg.findings import find_obstacle
from symroute_nm.targets.ifcfg.render import render

SCRIPTS = "/etc/sysconfig/network-scripts"
TUN0 = link(9, "tun0", kind="tun")
MASQUERADED = (ip_network("172.17.0.0/16"),)
QUIET = (Arp("eth0", 1, 2), Arp("eth1", 1, 2))


def cured(there=None, **fields):
    """The host after `generate` and a boot, with the files that it has then."""
    there = there or two_uplinks()
    settings = Settings(**fields)
    plan = make_plan(there, settings)
    names = tuple(
        TableName(uplink.table.id, uplink.table.name, FRAGMENT, owned=True)
        for uplink in plan.uplinks
    )
    files = tuple(
        ConfigFile(path, text)
        for path, text in sorted(render(plan, there).items())
        if path.startswith(SCRIPTS)
    )
    return put_plan(there, settings, plan)._replace(
        tables=(*there.tables, *names),
        evidence=Observations(files=files, arp=QUIET, masqueraded=MASQUERADED),
    )


def bare(**fields):
    """The host before, all looked at."""
    return two_uplinks(evidence=Observations(arp=QUIET, masqueraded=MASQUERADED), **fields)


def observed(there, **fields):
    return there._replace(evidence=(there.evidence or Observations())._replace(**fields))


def with_rules(there, *rules):
    return there._replace(
        rules=tuple(sorted(there.rules + rules, key=lambda each: (each.version, each.priority)))
    )


def with_file(there, name, text):
    new = ConfigFile(f"{SCRIPTS}/{name}", text)
    kept = [file for file in there.evidence.files if file.path != new.path]
    return observed(there, files=tuple(sorted([*kept, new])))


def findings(there, code="", **fields):
    found = diagnose(there, Settings(**fields)).findings
    return [each for each in found if code in ("", each.code)]


def the(there, code, **fields):
    (found,) = findings(there, code, **fields)
    return found


def ours(there, **fields):
    return [
        rule
        for rule in there.rules
        if rule.priority in (20000, 20001, 20002)
        and all(getattr(rule, name) == value for name, value in fields.items())
    ]


def loud(there, name, **fields):
    return there._replace(
        links=tuple(
            device._replace(**fields) if device.name == name else device for device in there.links
        )
    )


# -- the verdicts ------------------------------------------------------------------------------


def test_the_unconfigured_host_is_asymmetric_and_says_by_which_link_and_route():
    found = diagnose(bare(), Settings())
    assert not found.symmetric
    first = diagnosis.as_json(found)["addresses"][0]
    assert ("10.0.6.5", "eth0", False) == (first["address"], first["link"], first["symmetric"])
    afar = next(failure for failure in first["failures"] if failure["gateway"])
    assert ("eth1", "10.0.5.1") == (afar["leaves_by"], afar["gateway"])
    assert "32766: from all lookup main" == afar["rule"]
    assert "default via 10.0.5.1 dev eth1 table 254 metric 100" == afar["route"]


@pytest.mark.parametrize("guard", ["rules", "throw"])
def test_the_cured_host_is_symmetric_and_nothing_is_found(guard):
    found = diagnose(cured(guard=guard), Settings())
    assert found.symmetric and found.outcomes
    assert () == found.findings


def test_one_uplink_is_fine_and_said_to_be():
    there = host(
        [link(2, "eth0")],
        [address("eth0", "10.0.6.5/24")],
        [route("default", "eth0", "10.0.6.1")],
        evidence=Observations(),
    )
    found = diagnose(there, Settings())
    assert found.symmetric
    assert {"symmetric": True, "addresses": [], "findings": []} == diagnosis.as_json(found)
    assert ["fewer than two uplinks in any family: replies have one way out"] == diagnosis.lines(
        found
    )


@pytest.mark.parametrize(
    ("everywhere", "own", "effective", "dropped"),
    [
        (0, 0, 0, False),
        (1, 0, 1, True),
        (0, 1, 1, True),
        (1, 2, 2, False),
        (2, 1, 2, False),
    ],
)
def test_rp_filter_in_effect_is_the_higher_and_only_strict_drops(
    everywhere, own, effective, dropped
):
    there = loud(bare(rp_filter=everywhere), "eth0", rp_filter=own)
    outcome = diagnose(there, Settings()).outcomes[0]
    assert effective == outcome.rp_filter
    assert {dropped} == {failure.dropped for failure in outcome.astray}


def test_even_loose_rp_filter_drops_what_has_no_way_back():
    blackhole = Rule(4, 100, source=ip_network("10.0.6.5/32"), action="blackhole")
    there = loud(with_rules(cured(), blackhole), "eth0", rp_filter=2)
    astray = diagnose(there, Settings()).outcomes[0].astray
    # What a container asks comes in by docker0, which has no rp_filter.
    assert {True, False} == {failure.dropped for failure in astray}
    assert all(failure.dropped != failure.failure.internal for failure in astray)


def test_requests_of_containers_are_judged_by_the_bridges_rp_filter():
    there = loud(cured(guard="none"), "docker0", rp_filter=1)
    astray = diagnose(there, Settings()).outcomes[0].astray
    assert [True] == [failure.dropped for failure in astray if failure.failure.internal]


def test_ipv6_has_no_rp_filter():
    outcomes = {
        str(outcome.address.ip): outcome
        for outcome in diagnose(bare(rp_filter=1), Settings()).outcomes
    }
    six = outcomes["2001:db8:6::5"]
    assert six.rp_filter is None
    assert {False} == {failure.dropped for failure in six.astray}


def test_the_text_is_a_line_for_each_symmetric_address():
    assert [
        "10.0.6.5 (eth0): symmetric",
        "2001:db8:6::5 (eth0): symmetric",
        "10.0.5.5 (eth1): symmetric",
        "2001:db8:5::5 (eth1): symmetric",
    ] == diagnosis.lines(diagnose(cured(), Settings()))


def test_the_text_of_the_asymmetric_host_says_why_and_what_helps():
    text = "\n".join(diagnosis.lines(diagnose(bare(rp_filter=1, dispatcher=""), Settings())))
    assert "10.0.6.5 (eth0): asymmetric\n  from 10.0.6.5 to " in text
    assert "such requests do not even get in: rp_filter drops them" in text
    assert "to cure it: symroute-nm generate" in text
    assert "[dispatcher-missing]\n  dnf install NetworkManager-dispatcher-routing-rules" in text


def test_json_is_json():
    text = json.dumps(diagnosis.as_json(diagnose(bare(dispatcher=""), Settings())))
    (found,) = json.loads(text)["findings"]
    assert {"code", "severity", "message", "remedy"} == set(found)


# -- whether files are applied -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("kernel", "command"), [("5.14.0-427.el9.x86_64", "dnf"), ("3.10.0-1160.el7.x86_64", "yum")]
)
def test_a_missing_dispatcher_is_an_error_where_files_wait_for_it(kernel, command):
    found = the(cured()._replace(dispatcher="", kernel=kernel), "dispatcher-missing")
    assert "error" == found.severity
    assert command + " install NetworkManager-dispatcher-routing-rules" == found.remedy
    assert "warning" == the(bare(dispatcher=""), "dispatcher-missing").severity


def test_rhel_10_has_no_package_to_install():
    kernel = "6.12.0-55.9.1.el10_0.x86_64"
    found = the(cured()._replace(dispatcher="", kernel=kernel), "dispatcher-missing")
    assert "RHEL 10 has no package with it" in found.message
    assert "install" not in found.remedy and "ipv4.routing-rules" in found.remedy


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, None),
        ({"dispatcher": "", "network_service": True}, None),
        ({"dispatcher": ""}, "dispatcher-missing"),
        ({"dispatcher": "/etc/NetworkManager/dispatcher.d/x.sh"}, "dispatcher-not-pre-up"),
    ],
)
def test_who_applies_the_files_is_decided_once(fields, code):
    there = cured()._replace(**fields)
    absence = find_obstacle(there)
    assert (code, [code] if code else []) == (
        absence and absence.code,
        [finding.code for finding in findings(there)],
    )


def test_a_script_outside_pre_up():
    there = cured()._replace(dispatcher="/etc/NetworkManager/dispatcher.d/10-ifcfg-rh-routes.sh")
    assert (
        "ln -s /etc/NetworkManager/dispatcher.d/10-ifcfg-rh-routes.sh "
        "/etc/NetworkManager/dispatcher.d/pre-up.d/10-ifcfg-rh-routes.sh"
    ) == the(there, "dispatcher-not-pre-up").remedy


def test_a_masked_and_a_disabled_dispatcher():
    masked = the(observed(cured(), dispatcher_service="masked"), "dispatcher-masked")
    assert "systemctl unmask NetworkManager-dispatcher.service" == masked.remedy.split("\n")[0]
    disabled = the(observed(cured(), dispatcher_service="disabled"), "dispatcher-disabled")
    assert "systemctl enable NetworkManager-dispatcher.service" == disabled.remedy


def test_where_network_service_applies_the_files_no_dispatcher_is_missed():
    there = observed(
        cured()._replace(dispatcher="", network_service=True), dispatcher_service="masked"
    )
    assert [] == findings(there)


def renamed(there, name="Wired_connection_1"):
    """eth0's profile has another name than the device."""
    return there._replace(
        profiles=tuple(
            profile._replace(name=name) if profile.device == "eth0" else profile
            for profile in there.profiles
        )
    )


def test_files_named_after_the_device():
    found = the(renamed(cured()), "files-named-after-device")
    assert "error" == found.severity
    assert [
        f"mv {SCRIPTS}/{kind}-eth0 {SCRIPTS}/{kind}-Wired_connection_1"
        for kind in ("route", "route6", "rule", "rule6")
    ] == found.remedy.split("\n")


def test_files_named_after_the_device_are_not_moved_over_others():
    there = with_file(renamed(cured()), "route-Wired_connection_1", "198.51.100.0/24 via 10.0.6.9")
    found = the(there, "files-named-after-device")
    assert (
        f"cat {SCRIPTS}/route-eth0 >> {SCRIPTS}/route-Wired_connection_1 && rm {SCRIPTS}/route-eth0"
        == found.remedy.split("\n")[0]
    )


def test_files_named_after_the_profile_are_right():
    assert [] == findings(cured(renamed(two_uplinks())))


def test_a_file_named_after_a_device_may_be_another_devices_profile():
    swapped = (Profile("eth0", device="eth1", id="a"), Profile("eth1", device="eth0", id="b"))
    there = cured()._replace(profiles=swapped)
    assert [] == findings(there, "files-named-after-device")


def test_an_uplink_without_ifcfg_profile():
    there = bare(profiles=(Profile("eth0", device="eth0"),))
    found = the(there, "profile-not-ifcfg")
    assert "error" == found.severity
    assert "nmcli connection migrate --plugin ifcfg-rh" in found.remedy
    # Symmetric by other means (NetworkManager's own routing-rules): worth a word, no error.
    by_others = cured()._replace(profiles=(Profile("eth0", device="eth0"),))
    assert "notice" == the(by_others, "profile-not-ifcfg").severity


def test_nm_controlled_no():
    profiles = tuple(
        profile._replace(managed=profile.device != "eth0") for profile in two_uplinks().profiles
    )
    assert "remove that line" == the(bare(profiles=profiles), "nm-controlled-no").remedy
    assert [] == findings(cured()._replace(profiles=profiles, network_service=True))


def test_an_unusable_profile():
    profiles = tuple(
        profile._replace(rules=profile.device == "eth0") for profile in two_uplinks().profiles
    )
    found = the(bare(profiles=profiles), "profile-unusable")
    assert "ROUTING_RULE" in found.message and "rule-eth0" in found.remedy


def test_variables_form_of_an_uplink():
    text = "ADDRESS0=192.0.2.0\nNETMASK0=255.255.255.0\nGATEWAY0=10.0.6.9\n"
    found = the(with_file(cured(), "route-eth0", text), "variables-form")
    assert ("notice", "symroute-nm generate --convert") == (found.severity, found.remedy)
    assert [] == findings(with_file(cured(), "route-eth7", text), "variables-form")


def test_variables_form_with_ip_lines_runs_them_as_commands():
    text = "ADDRESS0=192.0.2.0\nNETMASK0=255.255.255.0\n\n# mine\ndefault via 10.0.6.1 table 7\n"
    found = the(with_file(cured(), "route-eth0", text), "variables-form")
    assert "error" == found.severity
    assert "'default via 10.0.6.1 table 7'" in found.message


def test_lines_that_the_script_cannot_read():
    there = with_file(cured(), "route-eth9", "192.0.2.0/24 via 10.0.6.9\r\n")
    assert "line 1 ends in CR LF" in the(there, "broken-lines").message


# -- our own rules and tables ------------------------------------------------------------------


def test_duplicates_of_our_rules():
    once = cured()
    rules = ours(once, version=4, iif="eth0")
    found = the(with_rules(once, *(rule._replace(protocol=3) for rule in rules)), "duplicate-rules")
    assert [
        "ip rule del priority 20001 from all iif eth0 lookup main suppress_prefixlength 0",
        "ip rule del priority 20002 from all iif eth0 lookup 100",
    ] == found.remedy.split("\n")


def test_remedies_are_safe_to_paste():
    rule = Rule(4, 20002, iif="a;reboot", table=100)
    assert (
        "ip rule del priority 20002 from all iif 'a;reboot' lookup 100"
        in the(with_rules(cured(), rule), "leaked-rules").remedy
    )


def test_duplicates_of_a_line_without_priority():
    line = "from 10.0.6.77 lookup 7"
    there = with_file(cured(), "rule-eth0-more", line)
    rules = [Rule(4, each, source=ip_network("10.0.6.77/32"), table=7) for each in (32764, 32765)]
    assert [] == findings(with_rules(there, rules[1]), "duplicate-rules")
    found = the(with_rules(there, *rules), "duplicate-rules")
    assert "rule-eth0-more lists the rule from 10.0.6.77/32 lookup 7 without a priority" in (
        found.message
    )
    assert found.remedy.startswith("ip rule del priority 32764 from 10.0.6.77/32 lookup 7\n")


def test_leaked_rules():
    there = cured()
    files = tuple(file for file in there.evidence.files if not file.path.endswith("/rule6-eth1"))
    found = the(observed(there, files=files), "leaked-rules")
    gone = ours(there, version=6, iif="eth1") + ours(
        there, version=6, source=ip_network("2001:db8:5::5/128")
    )
    assert len(gone) == len(found.remedy.split("\n")) == 5
    assert "ip -6 rule del priority 20002 from all iif eth1 lookup 101" in found.remedy.split("\n")


def test_nothing_is_called_leaked_where_files_were_not_read():
    there = observed(cured(), files=(), unread=(Unread("rule files", "no permission"),))
    assert ["not-read"] == [finding.code for finding in findings(there)]


@pytest.mark.parametrize("name", ["lookup 100", "table users", "table 0x64"])
def test_listed_rules_are_known_in_every_spelling(name):
    there = cured()
    text = next(file.text for file in there.evidence.files if file.path.endswith("/rule-eth0"))
    text = text.replace("lookup 100", name).replace("from 10.0.6.5 ", "from 10.0.6.5/32 ")
    there = with_file(there, "rule-eth0", text.replace("priority ", "pref "))
    named = there._replace(tables=(*there.tables, TableName(100, "users")))
    assert [] == findings(named)


def test_missing_rules():
    there = cured()
    rules = tuple(rule for rule in there.rules if rule not in ours(there, iif="eth0"))
    found = the(there._replace(rules=rules), "missing-rules")
    # Own replies go by other rules; transit alone is amiss.
    assert "warning" == found.severity
    assert "nmcli connection up 'System eth0'" == found.remedy
    assert f"{SCRIPTS}/rule-eth0 and {SCRIPTS}/rule6-eth0" in found.message


def test_missing_rules_that_make_the_host_asymmetric_are_an_error():
    there = cured()
    unborn = two_uplinks()._replace(evidence=there.evidence)
    assert {"error"} == {finding.severity for finding in findings(unborn, "missing-rules")}


def test_rules_of_a_link_that_is_down_are_not_missed():
    there = cured()
    rules = tuple(rule for rule in there.rules if rule not in ours(there, iif="eth0"))
    down = loud(there._replace(rules=rules), "eth0", up=False)
    assert [] == findings(down, "missing-rules")


def moved(there):
    """eth0's lease is in another network now."""
    new = address("eth0", "10.0.9.5/24", dynamic=True)
    kept = [assigned for assigned in there.addresses if str(assigned.ip) != "10.0.6.5"]
    gateway = route("default", "eth0", "10.0.9.1", metric=101)
    return with_routes(
        there._replace(addresses=(*kept, new)), gateway, route("10.0.9.0/24", "eth0")
    )


def test_a_lease_that_moved_to_another_network():
    found = the(moved(cured()), "stale-source")
    assert "our rules from 10.0.6.5/32 match no address of this host: eth0 has 10.0.9.5/24 now" == (
        found.message
    )
    assert "symroute-nm generate" == found.remedy


def test_a_lease_that_is_gone_with_its_gateway_needs_prune():
    there = cured()
    gone = there._replace(
        addresses=tuple(assigned for assigned in there.addresses if assigned.link != "eth0"),
        routes=pack(entry for entry in there.routes if entry.hop.link != "eth0"),
    )
    assert {"symroute-nm generate --prune"} == {
        finding.remedy for finding in findings(gone, "stale-source")
    }


def test_one_is_not_many():
    there = cured()
    rule = ours(there, version=4, iif="eth0")[0]
    assert (
        "1 rule of ours stands in the kernel more than once"
        in the(with_rules(there, rule._replace(protocol=3)), "duplicate-rules").message
    )
    without = there._replace(rules=tuple(each for each in there.rules if each != rule))
    assert (
        f"1 rule of {SCRIPTS}/rule-eth0 is not in the kernel"
        in the(without, "missing-rules").message
    )


def test_a_lease_that_changed_within_its_network_is_fine():
    addresses = tuple(
        assigned._replace(dynamic=str(assigned.ip) == "10.0.6.5")
        for assigned in two_uplinks().addresses
    )
    there = cured(two_uplinks()._replace(addresses=addresses))
    renewed = there._replace(
        addresses=tuple(
            assigned._replace(interface=ip_interface("10.0.6.99/24"))
            if str(assigned.ip) == "10.0.6.5"
            else assigned
            for assigned in there.addresses
        )
    )
    assert [] == findings(renewed, "stale-source")


def test_an_own_table_emptied_by_link_down_and_up():
    there = cured()
    emptied = there._replace(
        routes=pack(entry for entry in there.routes if entry.table != 100 or entry.version == 6)
    )
    found = the(emptied, "routes-missing")
    assert "error" == found.severity
    assert "our rules for eth0 look up table 100, which has no IPv4 default route" in found.message
    assert "nmcli connection up 'System eth0'" == found.remedy
    assert [] == findings(loud(emptied, "eth0", carrier=False), "routes-missing")


def test_a_table_that_leaked_rules_alone_look_up_needs_no_routes():
    there = cured()
    emptied = there._replace(
        routes=pack(entry for entry in there.routes if entry.table != 100 or entry.version == 6)
    )
    files = tuple(file for file in there.evidence.files if not file.path.endswith("/rule-eth0"))
    emptied = observed(emptied, files=files)
    assert [] == findings(emptied, "routes-missing")
    assert "leaked-rules" in {finding.code for finding in findings(emptied)}


def test_rules_leaked_by_another_priority_base():
    there = cured()
    moved_up = [each._replace(priority=each.priority - 5000) for each in ours(there)]
    found = the(with_rules(there, *moved_up), "leaked-rules")
    assert len(moved_up) == len(found.remedy.split("\n"))
    assert "ip rule del priority 15002 from 10.0.6.5/32 lookup 100" in found.remedy.split("\n")
    assert [] == findings(with_rules(there, *moved_up), "foreign-rules")
    assert [] == findings(with_rules(there, *moved_up), "foreign-tables")


def test_leaked_rules_that_take_replies_away_are_an_error():
    wrong = Rule(4, 15002, source=ip_network("10.0.6.5/32"), table=101)
    found = diagnose(with_rules(cured(), wrong), Settings())
    assert [("leaked-rules", "error")] == [
        (finding.code, finding.severity) for finding in found.findings
    ]
    assert "1 rule of ours in the kernel no rule file lists, so nothing deletes it: " in (
        found.findings[0].message
    )
    assert not found.symmetric and "to cure it" not in "\n".join(diagnosis.lines(found))


@pytest.mark.parametrize("text", ["172.30.0.0/16", "fd00:30::/64"])
def test_throw_routes_for_a_network_that_is_gone(text):
    network = ip_network(text)
    throws = tuple(route(text, table=table, type="throw") for table in (100, 101, 7))
    known = with_routes(cured(), *throws, route(text, "docker0"))
    assert [] == findings(known, "stale-routes")
    found = diagnose(with_routes(cured(), *throws), Settings())
    stale = [finding for finding in found.findings if finding.code == "stale-routes"]
    family = "-6 " if network.version == 6 else ""
    assert {f"ip {family}route del throw {network} table {table}" for table in (100, 101)} == {
        each.remedy for each in stale
    }
    # Asked from there, main's best default route answers: wrong for eth0, as it happens right for
    # eth1, whose it is.
    assert {100: "error", 101: "warning"} == {
        int(each.remedy.split()[-1]): each.severity for each in stale
    }
    assert "to cure it" not in "\n".join(diagnosis.lines(found))


def test_a_throw_in_the_place_of_an_own_default_route_is_stale():
    there = cured()
    throw = route("default", table=100, type="throw", metric=5)
    assert ["stale-routes"] == [
        finding.code for finding in diagnose(with_routes(there, throw), Settings()).findings
    ]


def test_throws_for_an_address_without_connected_route_are_not_stale():
    there = two_uplinks()
    without = there._replace(
        routes=pack(entry for entry in there.routes if str(entry.destination) != "10.0.6.0/24")
    )
    assert [] == findings(cured(without, guard="throw"), "stale-routes")


def test_what_the_files_would_cure_says_generate():
    assert "to cure it: symroute-nm generate (first with --dry-run)" in diagnosis.lines(
        diagnose(bare(), Settings())
    )
    there = cured()
    only_kernel = two_uplinks(tables=there.tables)._replace(evidence=there.evidence)
    found = diagnose(only_kernel, Settings())
    assert not found.symmetric
    assert "to cure it" not in "\n".join(diagnosis.lines(found))


# -- others ------------------------------------------------------------------------------------


def test_a_vpns_rule_before_ours_that_takes_replies_away():
    there = with_rules(cured(), Rule(4, 5270, table=52))
    there = with_routes(
        there._replace(links=(*there.links, TUN0)), route("default", "tun0", table=52)
    )
    found = the(there, "foreign-rules")
    assert "error" == found.severity
    assert "rule 5270 (from all lookup 52) comes before ours" in found.message
    assert "symroute-nm explain 10.0." in found.remedy
    assert "priority-base = 5267" in found.remedy


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("strongswan", "rule 220 (from all lookup 220)"),
        ("calico-wireguard", "rule 99 (not from all fwmark"),
    ],
)
def test_nobody_is_told_to_come_before_a_vpns_own_peers(name, words):
    found = the(cured(CASES[name]()), "foreign-rules")
    assert ("warning", True) == (found.severity, words in found.message)
    assert "priority-base" not in found.remedy
    assert "right where a VPN made the rule for its peers" in found.remedy


def test_a_blackhole_rule_before_ours():
    blackhole = Rule(4, 1, source=ip_network("10.0.6.0/24"), action="blackhole")
    found = the(with_rules(cured(), blackhole), "foreign-rules")
    assert "rule 1 (from 10.0.6.0/24 blackhole) comes before ours" in found.message
    assert "priority-base" not in found.remedy


@pytest.mark.parametrize("action", ["blackhole", "prohibit", "unreachable"])
def test_nobody_is_told_to_come_before_a_prohibition(action):
    rule = Rule(4, 5000, source=ip_network("10.0.6.0/24"), action=action)
    found = the(with_rules(cured(), rule), "foreign-rules")
    assert "priority-base" not in found.remedy
    assert "somebody's decision to forbid these packets" in found.remedy


def vpn(*taken):
    others = (Rule(4, each, table=7) for each in taken)
    there = with_rules(cured(), Rule(4, 5270, table=52), *others)
    return with_routes(
        there._replace(links=(*there.links, TUN0)), route("default", "tun0", table=52)
    )


@pytest.mark.parametrize(
    ("taken", "base"),
    [((), 5267), ((5267,), 5264), ((5269,), 5266), ((5265, 5268), 5262), ((0, 1), 5267)],
)
def test_the_priority_base_that_is_told_is_free(taken, base):
    found = [
        finding
        for finding in findings(vpn(*taken), "foreign-rules")
        if "rule 5270" in finding.message
    ]
    assert [f"priority-base = {base} in" in each.remedy for each in found] == [True]


def test_no_priority_base_is_told_where_none_is_free():
    there = with_rules(cured(), Rule(4, 3, table=52))
    there = with_routes(
        there._replace(links=(*there.links, TUN0)), route("default", "tun0", table=52)
    )
    assert "priority-base" not in the(there, "foreign-rules").remedy


def test_a_rule_that_leads_past_ours_decides_on_nothing_itself():
    onward = Rule(4, 100, source=ip_network("10.0.5.0/24"), action="goto", target=20000)
    past = onward._replace(target=30000)
    last = Rule(4, 30000, iif="docker0", table=7)
    assert [] == findings(with_rules(cured(), onward), "foreign-rules")
    there = with_rules(cured(), past, last)
    assert not diagnose(there, Settings()).symmetric


def test_many_routes_are_not_gone_through_for_each_address(monkeypatch):
    asked = []

    class Counted(Rpdb):
        def ways(self, template, within=None):
            asked.append(template)
            return super().ways(template, within)

        def classes(self, *_):
            raise AssertionError("a class for each route")

    monkeypatch.setattr(foreign, "Rpdb", Counted)
    handmade = Rule(
        4,
        100,
        source=ip_network("10.0.5.5/32"),
        table=101,
        destination=ip_network("198.51.100.0/24"),
    )
    assert "notice" == the(with_rules(cured(), handmade), "foreign-rules").severity
    assert 4 == len(asked)


def test_a_rule_that_cannot_be_judged_is_an_error():
    there = with_rules(cured(), Rule(4, 100, table=52, opaque=("uidrange 0-99",)))
    assert "error" == the(there, "foreign-rules").severity


def test_a_rule_of_others_that_decides_rightly_is_a_notice():
    handmade = Rule(4, 100, source=ip_network("10.0.5.5/32"), table=101)
    there = with_rules(cured(), handmade._replace(destination=ip_network("198.51.100.0/24")))
    assert "notice" == the(there, "foreign-rules").severity


@pytest.mark.parametrize(
    "rule",
    [
        Rule(4, 5210, mark=0x80000, mask=0xFF0000, table=254),
        Rule(4, 1000, l3mdev=True),
        Rule(4, 1, table=255),
        Rule(4, 30400, source=ip_network("10.0.6.5/32"), table=30400),
    ],
)
def test_rules_of_others_that_decide_on_no_reply_are_nothing(rule):
    assert [] == findings(with_rules(cured(), rule), "foreign-rules")


def test_a_rule_of_others_at_our_priorities():
    there = with_rules(bare(), Rule(4, 20001, table=7), Rule(4, 20003, table=8))
    assert (
        "set priority-base = 20004 in /etc/symroute-nm.conf" == the(there, "priority-taken").remedy
    )


@pytest.mark.parametrize(("taken", "base"), [(19999, 20004), (20001, 20006)])
def test_a_rule_of_others_at_the_priorities_of_marks(taken, base):
    there = with_rules(bare(), Rule(4, taken, table=7))
    found = diagnose(there, Settings(forwarded=True)).findings
    (remedy,) = [each.remedy for each in found if each.code == "priority-taken"]
    assert f"set priority-base = {base} in /etc/symroute-nm.conf" == remedy
    assert taken in range(20000, 20003) or not findings(there, "priority-taken")


def test_a_rule_of_our_form_that_nothing_names_may_be_left_by_us():
    there = with_rules(bare(), Rule(4, 20002, source=ip_network("10.0.6.5/32"), table=100))
    assert [
        "set priority-base = 20003 in /etc/symroute-nm.conf",
        "if an earlier run left the rule: ip rule del priority 20002 from 10.0.6.5/32 lookup 100",
    ] == the(there, "priority-taken").remedy.split("\n")


def test_a_rule_of_others_that_looks_up_our_table():
    there = with_rules(cured(), Rule(4, 30000, mark=1, mask=1, table=100))
    assert "looks up our table 100" in the(there, "foreign-tables").message


def neighbours(**fields):
    addresses = [address("eth0", "10.0.6.5/24"), address("eth1", "10.0.6.6/25")]
    routes = [
        route("default", "eth1", "10.0.6.1", metric=100),
        route("default", "eth0", "10.0.6.1", metric=101),
    ]
    return host([link(2, "eth0"), link(3, "eth1")], addresses, routes, **fields)


def test_two_uplinks_on_one_network():
    found = the(
        neighbours(evidence=Observations(arp=(Arp("eth0"), Arp("eth1", 1, 2)))), "shared-network"
    )
    assert "eth0 and eth1 are on one network (10.0.6.0/24)" in found.message
    assert "eth0: arp_ignore 0, arp_announce 0, arp_filter 0" in found.message
    assert "eth1: arp_ignore" not in found.message
    assert (
        "sysctl -w net/ipv4/conf/eth0/arp_ignore=1 net/ipv4/conf/eth0/arp_announce=2"
        == found.remedy.split("\n")[0]
    )


@pytest.mark.parametrize("arp", [Arp("eth0", 1, 2), Arp("eth0", 2, 2), Arp("eth0", 0, 2, 1)])
def test_two_uplinks_on_one_network_with_strict_arp_are_fine(arp):
    arps = (arp, arp._replace(link="eth1"))
    assert [] == findings(neighbours(evidence=Observations(arp=arps)), "shared-network")


@pytest.mark.parametrize("arp", [Arp("eth0", 1, 1), Arp("eth0", 8, 2), Arp("eth0", 0, 2)])
def test_half_of_it_is_not_enough(arp):
    arps = (arp, Arp("eth1", 1, 2))
    assert "warning" == the(neighbours(evidence=Observations(arp=arps)), "shared-network").severity


def test_firewalld_drops_asymmetric_ipv6():
    there = observed(bare(), ipv6_rpfilter="yes")
    found = the(there, "firewalld-rpfilter")
    assert "2001:db8:6::5" in found.message
    outcomes = {
        str(outcome.address.ip): outcome for outcome in diagnose(there, Settings()).outcomes
    }
    assert {True} == {failure.dropped for failure in outcomes["2001:db8:6::5"].astray}


@pytest.mark.parametrize(
    "there",
    [
        observed(bare(), ipv6_rpfilter="no"),
        observed(bare(), ipv6_rpfilter="loose"),
        observed(cured(), ipv6_rpfilter="yes"),
    ],
)
def test_firewalld_drops_nothing_where_it_may_not_or_all_is_symmetric(there):
    assert [] == findings(there, "firewalld-rpfilter")


WEB = Published(ip_address("172.17.0.2"), "80", "tcp", "8080")


def test_a_published_port_answers_by_the_default_only():
    found = the(observed(cured(), published=(WEB,)), "published-ports")
    assert "docker0 (tcp 8080 to 172.17.0.2:80) answer by eth1" in found.message
    assert "who asks them by eth0 gets none" in found.message
    assert "docker run -p 10.0.5.5:PORT:PORT" in found.remedy


@pytest.mark.parametrize(
    "published",
    [
        WEB._replace(at=(ip_network("10.0.5.5/32"),)),  # asked at the right address only
        WEB._replace(at=(ip_network("127.0.0.1/32"),)),
        WEB._replace(target=ip_address("10.0.6.99")),  # no internal network
        WEB._replace(target=ip_address("203.0.113.9")),  # beyond the default route
        WEB._replace(target=ip_address("10.0.6.5")),  # this host
    ],
)
def test_ports_that_answer_where_they_are_asked_are_fine(published):
    assert [] == findings(observed(cured(), published=(published,)), "published-ports")


def test_a_published_port_at_the_other_address_alone_never_answers():
    there = observed(cured(), published=(WEB._replace(at=(ip_network("10.0.6.5/32"),)),))
    assert "who asks them by eth0 gets none" in the(there, "published-ports").message


@pytest.mark.parametrize(
    "pieces",
    [["0.0.0.0/1", "128.0.0.0/1"], ["0.0.0.0/2", "64.0.0.0/2", "128.0.0.0/2", "192.0.0.0/2"]],
)
def test_answers_may_leave_by_a_vpns_default_in_pieces(pieces):
    there = observed(cured(), published=(WEB,))
    there = with_routes(
        there._replace(links=(*there.links, TUN0)), *(route(piece, "tun0") for piece in pieces)
    )
    found = the(there, "published-ports")
    assert "answer by tun0 whatever" in found.message
    assert "who asks them by eth0 or eth1 gets none" in found.message


def test_restored_marks_bring_a_containers_answers_back():
    marked = Rule(4, 25000, mark=1, mask=1, table=7)
    there = with_rules(observed(cured(), published=(WEB,)), marked)
    there = with_routes(there, route("default", "eth0", "10.0.6.1", table=7))
    assert [] == findings(there, "published-ports")


def test_a_second_card_without_known_gateway():
    addresses = [
        address("eth0", "10.0.6.5/24"),
        address("eth1", "10.0.5.5/24"),
        address("docker0", "172.17.0.1/16"),
    ]
    there = host(
        [link(2, "eth0"), link(3, "eth1"), link(4, "docker0", kind="bridge")],
        addresses,
        [route("default", "eth0", "10.0.6.1")],
        evidence=Observations(),
    )
    found = the(there, "no-gateway")
    assert "no gateway of eth1 is known: who asks 10.0.5.5 from beyond 10.0.5.0/24" in found.message
    assert "--gateway eth1=ADDRESS" in found.remedy
    told = {"eth1": InterfaceSettings(gateways=(ip_address("10.0.5.1"),))}
    assert [] == findings(there, "no-gateway", interface=told)
    assert [] == findings(there, "no-gateway", exclude=("eth1",))
    assert [] == findings(loud(there, "eth1", up=False, carrier=False), "no-gateway")
    assert [] == findings(loud(there, "eth1", carrier=False), "no-gateway")


def test_what_was_not_read_is_said():
    there = observed(cured(), unread=(Unread("published ports", "only root may list them"),))
    assert (
        "published ports were not looked at: only root may list them"
        == the(there, "not-read").message
    )
    assert (
        "snapshot was made without them" in the(cured()._replace(evidence=None), "not-read").message
    )


def test_nobody_misses_published_ports_where_there_is_no_internal_network():
    there = observed(
        neighbours(evidence=Observations(arp=QUIET)),
        unread=(Unread("published ports", "only root may list them"),),
    )
    assert [] == findings(there, "not-read")


def test_errors_come_first():
    there = observed(
        with_rules(bare(dispatcher=""), Rule(4, 1, action="blackhole")),
        unread=(Unread("published ports", "?"),),
    )
    assert ["error", "warning", "notice"] == [finding.severity for finding in findings(there)]


# -- a snapshot carries it all -----------------------------------------------------------------


def test_a_snapshot_keeps_the_evidence():
    there = with_file(
        observed(
            cured(),
            published=(WEB._replace(at=(ip_network("10.0.5.5/32"),)),),
            unread=(Unread("rule files", "x"),),
            ipv6_rpfilter="yes",
            dispatcher_service="masked",
        ),
        "route-eth9",
        "# " + "x" * 100000 + "\n",
    )
    assert there == snapshot.load_host(snapshot.dump_host(there).encode(), "it")


def test_a_snapshot_without_evidence_is_as_before():
    text = snapshot.dump_host(two_uplinks())
    assert "evidence" not in text
    assert two_uplinks() == snapshot.load_host(text.encode(), "it")


def test_choices_of_tables_do_not_confuse_it():
    wanted = {"eth0": InterfaceSettings(table=TableChoice("users", 2))}
    there = cured(two_uplinks(), interface=wanted, table_names=True)
    named = there._replace(
        tables=(
            *there.tables,
            TableName(2, "users", owned=True),
            TableName(100, "eth1", owned=True),
        )
    )
    assert [] == findings(named)


def test_a_network_that_is_routed_as_it_is_gets_a_notice():
    found = the(observed(cured(), masqueraded=()), "routed-services")
    assert ("notice", "symroute-nm generate --forwarded") == (found.severity, found.remedy)
    assert "172.17.0.0/16 behind docker0" in found.message
    assert "leave by eth1" in found.message and "not by eth0" in found.message


@pytest.mark.parametrize(
    "fields",
    [
        {"masqueraded": MASQUERADED},
        {"masqueraded": (ip_network("0.0.0.0/0"),)},
        {"masqueraded": (), "unread": (Unread("published ports", "no"),)},
    ],
)
def test_what_is_masqueraded_or_not_known_gets_none(fields):
    assert [] == findings(observed(cured(), **fields), "routed-services")


def test_without_forwarding_nothing_is_routed():
    there = observed(cured(), masqueraded=())._replace(forwarding=())
    assert [] == findings(there, "routed-services")
