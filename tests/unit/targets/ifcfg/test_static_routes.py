"""The administrator's static routes: what `ip` takes otherwise than NetworkManager did."""

import pytest

from support.golden.cases import plain, profile_names
from support.static_routes import LINES
from symroute_nm.errors import Refusal
from symroute_nm.files import blocks, install
from symroute_nm.model.places import NETWORK_SCRIPTS
from symroute_nm.model.settings import GenerateOptions, Settings
from symroute_nm.targets.ifcfg.static_routes import altered_routes
from symroute_nm.workflow.proposal import check_lines, propose

ROUTE = NETWORK_SCRIPTS + "/route-eth0"
ROUTE6 = NETWORK_SCRIPTS + "/route6-eth0"


@pytest.mark.parametrize(("line", "fault"), LINES)
def test_what_is_wrong_with_a_line(line, fault):
    found = altered_routes(b"# mine\n" + line.encode() + b"\n", "eth0")
    said = [each.partition("line 2 ")[2] for each in found]
    assert [bool(fault)] * len(said) == [each.startswith(fault) for each in said]
    assert bool(fault) == bool(said)


def test_only_our_own_lines_are_spared_and_lines_behind_the_block_count_on():
    content = blocks.put(b"192.168.0.0/16\n", "10.9.9.9/8\n") + b"192.168.1.0/24\n\n192.168.2.0/24"
    found = altered_routes(content, "eth0")
    assert ["line 1", "line 5", "line 7"] == [each[:6] for each in found]


def test_of_the_addresses_form_the_script_does_not_take_all():
    content = b"ADDRESS0=10.0.0.0\n#METRIC0=1\n METRIC0=5\n10.1.0.0/16\nOPTIONS0='mtu 1400'\n"
    assert ["line 3 sets METRIC0", "line 5 sets OPTIONS0"] == [
        route.split(",")[0] for route in altered_routes(content, "eth0")
    ]


@pytest.fixture
def root(tmp_path):
    (tmp_path / NETWORK_SCRIPTS[1:]).mkdir(parents=True)
    return tmp_path


def made(root, host=None):
    return propose(root, host or plain(), Settings(), GenerateOptions())


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
