"""The administrator's static routes: what `ip` takes otherwise than NetworkManager did."""

import re

import pytest

from support.golden.cases import plain, profile_names
from support.hosts import two_uplinks
from support.static_routes import LINES
from symroute_nm.errors import InputError, Refusal
from symroute_nm.files import blocks, install
from symroute_nm.model.observations import ConfigFile
from symroute_nm.model.places import NETWORK_SCRIPTS
from symroute_nm.model.settings import GenerateOptions, Settings
from symroute_nm.targets.ifcfg.dead_lines import find_dead_lines
from symroute_nm.targets.ifcfg.static_routes import Pair, own_lines, passed_over
from symroute_nm.workflow.proposal import check_lines, propose

ROUTE = NETWORK_SCRIPTS + "/route-eth0"
ROUTE6 = NETWORK_SCRIPTS + "/route6-eth0"


@pytest.fixture
def root(tmp_path):
    (tmp_path / NETWORK_SCRIPTS[1:]).mkdir(parents=True)
    return tmp_path


def made(root, host=None):
    return propose(root, host or plain(), Settings(), GenerateOptions())


def problems(root, text, path=""):
    """What is wrong with a file of these lines in eth0's route file."""
    path = path or (ROUTE6 if b":" in text else ROUTE)
    (root / path[1:]).write_bytes(text)
    check = made(root, two_uplinks()).check
    return [each.partition(path + " ")[2] for each in check.problems]


@pytest.mark.parametrize(("line", "fault"), LINES)
def test_what_is_wrong_with_a_line(root, line, fault):
    said = problems(root, b"# mine\n" + line.encode() + b"\n")
    assert [bool(fault)] * len(said) == [each.startswith(f"line 2 {fault}") for each in said]
    assert bool(fault) == bool(said)


@pytest.mark.parametrize("line", [line for line, fault in LINES if fault])
def test_the_line_that_is_to_be_written_has_no_fault(root, line):
    (said,) = problems(root, line.encode() + b"\n")
    remedy = re.search(r": write '([^']*)'(?:, and before it '([^']*)')?", said)
    if "src" in line or "scope link" in line:
        assert said.endswith(": write it as ip takes it")
        return
    last, first = remedy.groups()
    text = "\n".join([*([first] if first else []), last, ""])
    assert [] == problems(root, text.encode())


def test_only_our_own_lines_are_spared_and_lines_behind_the_block_count_on(root):
    text = blocks.put(b"192.168.0.0/16\n", "10.9.9.9/8\n") + b"192.168.1.0/24\n\n192.168.2.0/24"
    lines = own_lines(text, ROUTE, Pair("eth0", "eth0"), by_networkmanager=True)
    assert [1, 5, 7] == [line.number for line in lines]


def test_of_the_addresses_form_the_script_does_not_take_all():
    content = b"ADDRESS0=10.0.0.0\n#METRIC0=1\n METRIC0=5\n10.1.0.0/16\nOPTIONS0='mtu 1400'\n"
    assert ["line 3 sets METRIC0", "line 5 sets OPTIONS0"] == [
        each.split(",")[0] for each in passed_over(content)
    ]


NEVER = [
    "default 10.0.6.1",
    "192.168.0.0/22 table private",
    "192.168.0.0/16 via 10.9.9.9 proto static",
    "192.168.0.0/16 dev eth7 proto static",
    "flush cache",
]


@pytest.mark.parametrize("ruled", [False, True])
@pytest.mark.parametrize("line", NEVER)
def test_a_line_that_never_works_is_named_whether_or_not_there_is_a_rule_file(root, line, ruled):
    if ruled:
        (root / NETWORK_SCRIPTS[1:] / "rule-eth0").write_bytes(b"# mine\n")
    (root / ROUTE[1:]).write_text(f"{line}\n")
    check = made(root).check
    assert () == check.problems
    (said,) = check.flaws
    assert said.startswith(f"{ROUTE} line 1 never works, as the host is now: '{line}' ")
    files = [ConfigFile(ROUTE, f"{line}\n"), ConfigFile(f"{NETWORK_SCRIPTS}/rule-eth0", "")]
    assert [said] == find_dead_lines(files, plain())
    assert [] == find_dead_lines(files[:1], plain())  # NetworkManager's own, or nobody's


def test_a_line_that_networkmanager_leaves_out_comes_into_force_and_that_is_said(root):
    (root / ROUTE[1:]).write_text("192.168.0.0/16 via 10.0.6.254 dev eth0 tab 7\n")
    check = made(root).check
    assert () == check.problems
    (said,) = check.warnings
    assert said.startswith(f"{ROUTE} line 1: NetworkManager passes over ")


def test_without_onlink_in_ipv6_the_gateway_gets_a_route_of_its_own(root):
    host = plain()._replace(kernel="3.10.0-1160.el7.x86_64")
    (root / ROUTE6[1:]).write_text("2001:db8:9::/48 via 2001:db8:ff::1\n")
    (said,) = made(root, host).check.problems
    assert said.endswith(
        ": write '2001:db8:9::/48 via 2001:db8:ff::1 dev eth0', "
        "and before it '2001:db8:ff::1 dev eth0'"
    )


@pytest.mark.parametrize(
    ("line", "metric"),
    [("default via 10.0.5.1 dev eth1", 0), ("default via 10.0.6.1 dev eth0", 101)],
)
def test_a_default_route_without_a_metric_is_refused_where_main_would_change(root, line, metric):
    link = line.split()[-1]
    path = f"{NETWORK_SCRIPTS}/route-{link}"
    said = problems(root, f"{line}\n".encode(), path)
    assert bool(metric) == bool(said)
    if metric:
        assert said[0].endswith(f": write '{line} metric {metric}'")


@pytest.mark.parametrize("path", [ROUTE, ROUTE6])
def test_a_route_that_would_be_lost_is_refused_and_named(root, path):
    (root / path[1:]).write_bytes(b"\n2001:db8:9::/48\n" if path == ROUTE6 else b"\n10.9.0.0/16\n")
    with pytest.raises(Refusal, match=f"{path} line 2 names no link.*--force"):
        check_lines(made(root).check, GenerateOptions())
    warned = check_lines(made(root).check, GenerateOptions(force=True))
    assert [f"warning: {path} line 2 names no link"] == [
        warning.split(",")[0] for warning in warned
    ]


def test_where_a_rule_file_is_already_there_nothing_changes(root):
    (root / ROUTE[1:]).write_bytes(b"10.9.0.0/16\n")
    (root / NETWORK_SCRIPTS[1:] / "rule6-eth0").write_bytes(b"")
    assert [] == check_lines(made(root).check, GenerateOptions())


def test_another_run_is_not_refused_for_what_the_first_was_forced_to(root):
    (root / ROUTE[1:]).write_bytes(b"10.9.0.0/16\n")
    install.install(root, made(root).changes)
    assert [] == check_lines(made(root).check, GenerateOptions())


OF_THE_DEVICE = [
    (b"# nothing\n", []),
    (b"10.9.0.0/16 via 10.0.6.9\n", [f"{ROUTE}: its routes come alive"]),
    (b"ADDRESS0=10.9.0.0\n", [f"{ROUTE}: its routes come alive"]),
]


@pytest.mark.parametrize(("content", "said"), OF_THE_DEVICE)
def test_routes_in_a_file_of_the_device_come_alive_and_that_is_said(root, content, said):
    (root / ROUTE[1:]).write_bytes(content)
    warned = check_lines(made(root, profile_names()).check, GenerateOptions())
    assert [f"warning: {line}" for line in said] == [
        warning.split(" with")[0] for warning in warned
    ]


def test_a_default_route_that_sleeps_in_a_file_of_the_device_is_refused(root):
    (root / ROUTE[1:]).write_bytes(b"default via 10.0.6.1 dev eth0\n")
    with pytest.raises(Refusal, match="line 1 is a default route"):
        check_lines(made(root, profile_names()).check, GenerateOptions())


@pytest.mark.parametrize(
    ("by_eth0", "by_eth1", "refused"),
    [
        (b"", b"", True),
        (b"", b" metric 5", False),
        (b" table 7", b"", False),
    ],
)
def test_one_destination_by_two_links_needs_a_metric(root, by_eth0, by_eth1, refused):
    for link, rest in ((b"eth0", by_eth0), (b"eth1", by_eth1)):
        path = root / NETWORK_SCRIPTS[1:] / ("route-" + link.decode())
        path.write_bytes(b"192.168.0.0/16 dev " + link + rest + b"\n")
    if refused:
        with pytest.raises(Refusal, match=r"route-eth1 line 1 leads to 192\.168\.0\.0/16 without"):
            check_lines(made(root).check, GenerateOptions())
    else:
        assert [] == check_lines(made(root).check, GenerateOptions())


NINE = "ADDRESS0=10.9.0.0\nNETMASK0=255.255.0.0\n"
CONVERTED = [
    (NINE + "GATEWAY0=10.0.6.9\nOPTIONS0='weight 5'\n", "10.9.0.0/16 via 10.0.6.9 dev eth0"),
    (
        NINE + "GATEWAY0=10.0.6.9\nMETRIC0=5\nOPTIONS0='mtu lock 1400'\n",
        "10.9.0.0/16 via 10.0.6.9 dev eth0 metric 5 mtu lock 1400",
    ),
    (NINE + "OPTIONS0='scope link'\n", "10.9.0.0/16 dev eth0 scope link"),
    (
        NINE + "OPTIONS0='local scope host'\n",
        "local 10.9.0.0/16 dev eth0 scope host table 255",
    ),
    (NINE + "GATEWAY0=10.77.0.1\n", "10.9.0.0/16 via 10.77.0.1 dev eth0 onlink"),
    (
        "ADDRESS0=10.9.0.0 NETMASK0=255.255.0.0 GATEWAY0=10.0.6.9 # one line",
        "# one line\n10.9.0.0/16 via 10.0.6.9 dev eth0",
    ),
]


@pytest.mark.parametrize(("text", "line"), CONVERTED)
def test_what_is_converted_is_what_ip_takes(root, text, line):
    (root / ROUTE[1:]).write_text(text)
    options = GenerateOptions(convert=True)
    proposal = propose(root, two_uplinks(), Settings(), options)
    (change,) = [change for change in proposal.changes if change.path == ROUTE]
    assert line == change.after.decode().partition("# BEGIN")[0].strip()
    assert () == (*proposal.check.problems, *proposal.check.flaws)


@pytest.mark.parametrize("options", ["scope link", "local", "frobnicate 5", "src 10.9.9.9"])
def test_what_cannot_be_converted_is_named(root, options):
    (root / ROUTE[1:]).write_text(NINE + f"GATEWAY0=10.0.6.9\nOPTIONS0='{options}'\n")
    with pytest.raises(
        InputError, match=f"{ROUTE}: converted, '(local )?10.9.0.0/16 .*GATEWAYn or OPTIONS"
    ):
        propose(root, two_uplinks(), Settings(), GenerateOptions(convert=True))


def test_lines_in_ip_form_are_corrected_on_request_and_the_others_stay(root):
    text = "# mine\n192.168.5.0/24 via 10.1.1.132\n\n10.8.0.0/16  via 10.0.6.9\n10.7.0.0/16\n"
    (root / ROUTE[1:]).write_text(text)
    proposal = propose(root, two_uplinks(), Settings(), GenerateOptions(convert=True))
    (change,) = [change for change in proposal.changes if change.path == ROUTE]
    assert [
        "# mine",
        "192.168.5.0/24 via 10.1.1.132 dev eth0 onlink",
        "",
        "10.8.0.0/16  via 10.0.6.9",
        "10.7.0.0/16 dev eth0",
    ] == change.after.decode().splitlines()[:5]
    assert () == proposal.check.problems
    (root / NETWORK_SCRIPTS[1:] / "rule-eth0").write_text("# so that the script reads it today\n")
    proposal = propose(root, two_uplinks(), Settings(), GenerateOptions(convert=True))
    (change,) = [change for change in proposal.changes if change.path == ROUTE]
    assert change.after.decode().startswith(text)
