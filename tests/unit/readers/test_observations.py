"""The reader for what only a diagnosis needs: files below a root, commands that may be missing."""

import os

import pytest

from symroute_nm.model.network import Link
from symroute_nm.model.observations import PUBLISHED_PORTS, RULE_FILES
from symroute_nm.readers import observations

SCRIPTS = "etc/sysconfig/network-scripts"
UNITS = "etc/systemd/system"
VENDOR = "usr/lib/systemd/system"
UNIT = "NetworkManager-dispatcher.service"
ALIAS = "dbus-org.freedesktop.nm-dispatcher.service"


# What the commands say is looked at in system/test_evidence.py.
pytestmark = pytest.mark.usefixtures("no_firewall")


def put(root, path, content=""):
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content if isinstance(content, bytes) else content.encode())
    return place


def lead(root, path, target):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).symlink_to(target)


def read(root):
    return observations.read_observations(root, [Link(1, "lo", loopback=True)])


def test_an_empty_root(tmp_path):
    found = read(tmp_path)
    assert ((), "", "") == (found.files, found.dispatcher_service, found.ipv6_rpfilter)
    assert () == tuple(each for each in found.unread if each.subject != PUBLISHED_PORTS)


def test_route_and_rule_files_are_read_and_nothing_else(tmp_path):
    for name in (
        "rule-eth0",
        "rule6-a b",
        "route-eth0",
        "route6-eth0",
        "rule-eth0.bak",
        "rule-",
        "route-eth0~",
        "rule-eth0.rpmnew",
        "ifcfg-eth0",
        "rules-eth0",
        "xrule-eth0",
    ):
        put(tmp_path, f"{SCRIPTS}/{name}", name)
    assert ["route-eth0", "route6-eth0", "rule-eth0", "rule6-a b"] == [
        file.text for file in read(tmp_path).files
    ]
    assert f"/{SCRIPTS}/route-eth0" == read(tmp_path).files[0].path


def test_any_bytes_are_text_that_a_snapshot_takes(tmp_path):
    put(tmp_path, SCRIPTS + "/rule-eth0", b"\xff\0from all\n")
    assert "\ufffd\ufffdfrom all\n" == read(tmp_path).files[0].text


def test_what_is_no_file_or_too_long_is_said(tmp_path):
    (tmp_path / SCRIPTS / "rule-folder").mkdir(parents=True)
    os.mkfifo(str(tmp_path / SCRIPTS / "rule-fifo"))
    put(tmp_path, SCRIPTS + "/rule-long", "x" * (1 << 20) + "y")
    found = read(tmp_path)
    assert () == found.files
    said = [each.reason for each in found.unread if each.subject == RULE_FILES]
    assert ["rule-fifo", "rule-folder", "rule-long"] == [
        line.split(" is ")[0].rpartition("/")[2] for line in said
    ]


@pytest.mark.parametrize("folder", ["etc/systemd/system", "run/systemd/system"])
@pytest.mark.parametrize("name", [UNIT, ALIAS])
def test_a_masked_dispatcher(tmp_path, folder, name):
    lead(tmp_path, f"{folder}/{name}", "/dev/null")
    assert "masked" == read(tmp_path).dispatcher_service


def test_an_empty_unit_is_masked_and_any_other_is_not(tmp_path):
    unit = put(tmp_path, f"{UNITS}/{UNIT}")
    assert "masked" == read(tmp_path).dispatcher_service
    unit.write_text("[Unit]\n")
    assert "" == read(tmp_path).dispatcher_service


def test_a_disabled_dispatcher_is_one_without_its_dbus_name(tmp_path):
    put(tmp_path, f"{VENDOR}/{UNIT}", "[Unit]\n")
    assert "disabled" == read(tmp_path).dispatcher_service
    lead(tmp_path, f"{UNITS}/{ALIAS}", f"/{VENDOR}/{UNIT}")
    assert "" == read(tmp_path).dispatcher_service


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, "yes"),
        ("", "yes"),
        ("IPv6_rpfilter=no\n", "no"),
        ("# IPv6_rpfilter=no\n", "yes"),
        ("IPv6_rpfilter = Loose \n", "loose"),
        ("IPv6_rpfilter=yes\nIPv6_rpfilter=no\n", "no"),
    ],
)
def test_firewalld_counts_where_it_is_enabled(tmp_path, text, expected):
    if text is not None:
        put(tmp_path, "etc/firewalld/firewalld.conf", text)
    assert "" == read(tmp_path).ipv6_rpfilter
    lead(tmp_path, UNITS + "/multi-user.target.wants/firewalld.service", "/nowhere")
    assert expected == read(tmp_path).ipv6_rpfilter


def test_arp_sysctls_are_those_in_effect(tmp_path, monkeypatch):
    for name, values in {"all": (1, 0, 1), "eth0.100": (0, 2, 0)}.items():
        for key, value in zip(("arp_ignore", "arp_announce", "arp_filter"), values):
            put(tmp_path, f"conf/{name}/{key}", f"{value}\n")
    monkeypatch.setattr(observations, "_PROC", tmp_path / "conf")
    links = [Link(1, "lo", loopback=True), Link(2, "eth0.100"), Link(3, "eth9")]
    assert [("eth0.100", 1, 2, 1), ("eth9", 1, 0, 1)] == [
        tuple(each) for each in observations.read_observations(tmp_path, links).arp
    ]
