"""Leases and active connections, as the DHCP clients and NetworkManager write them."""

import os
import pathlib
import tempfile
import time
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.program import unprivileged
from symroute_nm.model.host import Lease
from symroute_nm.readers import leases

UUID = "0c7d7f3c-6a0e-4bb4-8d62-5a3a3c1f8b11"
OTHER_UUID = "5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03"

DHCLIENT = """\
# The format of this file is documented in the dhclient.leases(5) manual page.
default-duid "\\000\\001\\000\\001*}\\";{\\350RT\\000\\0224V";
lease {
  interface "eth0";
  fixed-address 10.0.6.5;
  option subnet-mask 255.255.255.0;
  option routers 10.0.6.254;
  option domain-name "a } lease { interface \\"eth9\\"; ";
  expire 2 2030/01/01 00:00:00;
}
lease {
  interface "eth0";
  fixed-address 10.0.6.5;
  option routers 10.0.6.1, 10.0.6.2;
  option dhcp-server-identifier 10.0.6.3;
  renew never;
}
"""


def write(root, path, text, age=0):
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(text if isinstance(text, bytes) else text.encode())
    moment = 1700000000 - age
    os.utime(str(target), (moment, moment))


def found(root, **names):
    return {lease.link: str(lease.gateway) for lease in leases.read_leases(root, **names)}


def dhclient(link, *options):
    lines = "".join(f"  option {option};\n" for option in options)
    return f'lease {{\n  interface "{link}";\n{lines}}}\n'


@pytest.fixture
def plain_root():
    """A root folder that every user can reach."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder).chmod(0o755)
        yield pathlib.Path(folder)


# dhclient


def test_nothing_there_nothing_found(tmp_path):
    assert () == leases.read_leases(tmp_path)
    assert {} == dict(leases.read_connections(tmp_path))


@pytest.mark.parametrize(
    "path",
    [
        "var/lib/dhclient/dhclient--eth0.lease",
        f"var/lib/dhclient/dhclient-{UUID}-eth0.lease",
        f"var/lib/NetworkManager/dhclient-{UUID}-eth0.lease",
        f"run/NetworkManager/dhclient-{UUID}-eth0.lease",
        "var/lib/dhcp/dhclient.leases",
        "var/lib/dhcp/dhclient.eth0.leases",
    ],
)
def test_dhclient_wherever_it_writes(tmp_path, path):
    write(tmp_path, path, DHCLIENT)
    expected = Lease(link="eth0", gateway=ip_address("10.0.6.1"), path="/" + path)
    assert (expected,) == leases.read_leases(tmp_path)


def test_ipv6_leases_name_no_router(tmp_path):
    write(tmp_path, "var/lib/dhclient/dhclient6-eth0.lease", DHCLIENT)
    assert {} == found(tmp_path)
    assert {} == dict(leases.parse_dhclient(DHCLIENT.replace("lease {\n  i", "lease6 {\n  i")))


def test_last_lease_of_each_link_wins():
    text = dhclient("eth0", "routers 10.0.6.1") + dhclient("eth1", "routers 10.0.5.1")
    text += dhclient("eth0", "routers 10.0.6.2")
    expected = {"eth0": ip_address("10.0.6.2"), "eth1": ip_address("10.0.5.1")}
    assert expected == dict(leases.parse_dhclient(text))


def test_a_last_lease_without_router_takes_the_earlier_one_away():
    text = dhclient("eth0", "routers 10.0.6.1") + dhclient("eth0", "subnet-mask 255.255.255.0")
    assert {"eth0": None} == dict(leases.parse_dhclient(text))


def test_a_lease_that_breaks_off_does_not_count():
    text = dhclient("eth0", "routers 10.0.6.1")
    second = dhclient("eth0", "routers 10.0.6.2")
    for end in range(len(second) - 2):
        assert {"eth0": ip_address("10.0.6.1")} == dict(leases.parse_dhclient(text + second[:end]))


@pytest.mark.parametrize(
    "options, expected",
    [
        (["rfc3442-classless-static-routes 0,10,0,6,1"], "10.0.6.1"),
        (["rfc3442-classless-static-routes 0 10 0 6 1"], "10.0.6.1"),
        (["rfc3442-classless-static-routes 24,10,0,7,10,0,6,9,0,10,0,6,1"], "10.0.6.1"),
        (["rfc3442-classless-static-routes 32,169,254,169,254,10,0,6,2,0,10,0,6,1"], "10.0.6.1"),
        (["ms-classless-static-routes 0,10,0,6,1"], "10.0.6.1"),
        (["classless-static-routes 24.10.0.7 10.0.6.9, 0 10.0.6.1"], "10.0.6.1"),
        (["routers 10.0.6.2", "rfc3442-classless-static-routes 0,10,0,6,1"], "10.0.6.1"),
        (["rfc3442-classless-static-routes 0,10,0,6,1", "routers 10.0.6.2"], "10.0.6.1"),
        (["rfc3442-classless-static-routes 24,10,0,7,10,0,6,9", "routers 10.0.6.2"], "10.0.6.2"),
        (["rfc3442-classless-static-routes 24,10,0", "routers 10.0.6.2"], "10.0.6.2"),
        (["rfc3442-classless-static-routes 0,10,0"], None),
        (["rfc3442-classless-static-routes 99,x"], None),
        (["routers 0.0.0.0"], None),
        (["routers"], None),
        (["routers fe80::1"], None),
        (["routers 10.0.6"], None),
        (["routers gateway.example, 10.0.6.1"], "10.0.6.1"),
        ([""], None),
    ],
)
def test_options_of_dhclient(options, expected):
    gateway = leases.parse_dhclient(dhclient("eth0", *options))["eth0"]
    assert (expected and ip_address(expected)) == gateway


# NetworkManager's own client


@pytest.mark.parametrize(
    "text, expected",
    [
        (
            "# a lease\nADDRESS=10.0.6.5\nNETMASK=255.255.255.0\nROUTER=10.0.6.1\n",
            {"eth0": "10.0.6.1"},
        ),
        ("ROUTER=10.0.6.1 10.0.6.2\n", {"eth0": "10.0.6.1"}),
        ("ROUTER='10.0.6.1'\r\n", {"eth0": "10.0.6.1"}),
        ("ROUTER=10.0.6.2\nROUTES=10.0.7.0/24,10.0.6.9 0.0.0.0/0,10.0.6.1\n", {"eth0": "10.0.6.1"}),
        ("ROUTER=10.0.6.2\nROUTES=10.0.7.0/24,10.0.6.9\n", {"eth0": "10.0.6.2"}),
        ("ADDRESS=10.0.6.5\n", {}),
        ("ROUTER=x\n", {}),
        ("", {}),
    ],
)
def test_internal_client(tmp_path, text, expected):
    write(tmp_path, f"var/lib/NetworkManager/internal-{UUID}-eth0.lease", text)
    assert expected == found(tmp_path)


def test_a_link_name_may_have_dashes(tmp_path):
    write(tmp_path, f"run/NetworkManager/internal-{UUID}-br-lan-1.lease", "ROUTER=10.0.6.1\n")
    write(tmp_path, "run/NetworkManager/internal-eth0.lease", "ROUTER=10.0.6.1\n")
    assert {"br-lan-1": "10.0.6.1"} == found(tmp_path)


def test_the_file_written_last_decides(tmp_path):
    path = "var/lib/dhclient/dhclient-%s-eth0.lease"
    write(tmp_path, path % OTHER_UUID, dhclient("eth0", "routers 10.0.6.1"), age=10)
    write(tmp_path, path % UUID, dhclient("eth0", "routers 10.0.6.2"), age=20)
    assert {"eth0": "10.0.6.1"} == found(tmp_path)
    write(tmp_path, path % UUID, dhclient("eth0", "routers 10.0.6.2"), age=5)
    assert {"eth0": "10.0.6.2"} == found(tmp_path)


# the state of the devices

STATE = """\
[device]
managed=true
connection-uuid=%s
nm-owned=false
route-metric-default-effective=100

[dhcp4]
dhcp4.ip_address=10.0.6.5
dhcp4.routers=10.0.6.1 10.0.6.2
"""


def test_connections(tmp_path):
    folder = "run/NetworkManager/devices/"
    write(tmp_path, folder + "2", STATE % UUID.upper())
    write(tmp_path, folder + "3", "[device]\nmanaged=false\n")
    write(tmp_path, folder + "4", "[device]\nconnection-uuid=\n")
    write(tmp_path, folder + "5", f"[other]\nconnection-uuid={UUID}\n")
    write(tmp_path, folder + "6", "[device]\nconnection-uuid=../../etc\n")
    write(tmp_path, folder + "0", STATE % UUID)
    write(tmp_path, folder + "x", STATE % UUID)
    write(tmp_path, folder + "9" * 11, STATE % UUID)
    write(tmp_path, folder + "11", b"\xff\xfe\0[device\n=\n[device]\n" + (STATE % UUID).encode())
    (tmp_path / folder / "7").mkdir()
    (tmp_path / folder / "8").symlink_to("nowhere")
    os.mkfifo(str(tmp_path / folder / "10"))
    assert {2: UUID, 11: UUID} == dict(leases.read_connections(tmp_path))


def test_the_state_goes_before_every_file(tmp_path):
    write(tmp_path, "run/NetworkManager/devices/2", STATE % UUID, age=1000)
    write(tmp_path, "var/lib/dhclient/dhclient--eth0.lease", dhclient("eth0", "routers 10.0.6.9"))
    assert {"eth0": "10.0.6.9"} == found(tmp_path)
    assert {"eth0": "10.0.6.1"} == found(tmp_path, names={2: "eth0", 3: "eth1"})


@pytest.mark.parametrize(
    "text, expected",
    [
        (STATE, "10.0.6.1"),
        (
            "[dhcp4]\ndhcp4.routers=10.0.6.2\n"
            "dhcp4.rfc3442_classless_static_routes=10.0.7.0/24 10.0.6.9 0.0.0.0/0 10.0.6.1\n",
            "10.0.6.1",
        ),
        ("[dhcp4]\ndhcp4.routers=\n", None),
        ("[dhcp6]\ndhcp4.routers=10.0.6.1\n", None),
        ("", None),
    ],
)
def test_options_of_the_state(text, expected):
    assert (expected and ip_address(expected)) == leases.parse_state(text)


# what others break

PATHS = [
    "var/lib/dhclient/dhclient--eth0.lease",
    f"var/lib/NetworkManager/internal-{UUID}-eth0.lease",
    "run/NetworkManager/devices/2",
]


@pytest.mark.parametrize("path", PATHS)
def test_what_cannot_be_read_is_no_lease(tmp_path, path):
    good = dhclient("eth0", "routers 10.0.6.1") + "\nROUTER=10.0.6.1\n" + STATE % UUID
    write(tmp_path, path, good)
    assert {"eth0": "10.0.6.1"} == found(tmp_path, names={2: "eth0"})
    write(tmp_path, path, good + "#" * (1 << 20))
    assert {} == found(tmp_path, names={2: "eth0"})
    (tmp_path / path).unlink()
    (tmp_path / path).mkdir()
    assert {} == found(tmp_path, names={2: "eth0"})
    (tmp_path / path).rmdir()
    os.mkfifo(str(tmp_path / path))
    assert {} == found(tmp_path, names={2: "eth0"})


def test_no_permission_is_no_lease(plain_root):
    write(plain_root, PATHS[1], "ROUTER=10.0.6.1\n")
    write(plain_root, PATHS[0], dhclient("eth1", "routers 10.0.5.1"))
    with unprivileged():
        assert {"eth0": "10.0.6.1", "eth1": "10.0.5.1"} == found(plain_root)
    (plain_root / "var/lib/NetworkManager").chmod(0)
    with unprivileged():
        assert {"eth1": "10.0.5.1"} == found(plain_root)
    (plain_root / PATHS[0]).chmod(0)
    with unprivileged():
        assert {} == found(plain_root)


PIECES = st.sampled_from(
    [
        "lease",
        "{",
        "}",
        ";",
        ",",
        '"',
        "\\",
        "\n",
        " ",
        "#",
        "option",
        "interface",
        "routers",
        "eth0",
        "10.0.6.1",
        "0",
        "33",
        "rfc3442-classless-static-routes",
        "ROUTER=",
        "ROUTES=",
        "=",
        "0.0.0.0/0",
        "[dhcp4]",
        "[device]",
        "dhcp4.routers=",
        "\0",
        "\ufffd",
        "'",
    ]
)


@given(st.one_of(st.text(), st.lists(PIECES).map(" ".join), st.lists(PIECES).map("".join)))
def test_parsing_never_raises(text):
    for gateway in leases.parse_dhclient(text).values():
        assert gateway is None or 4 == gateway.version
    leases.parse_internal(text)
    leases.parse_state(text)


OPTION = "option rfc3442-classless-static-routes"


@pytest.mark.parametrize(
    "piece",
    [
        '"',
        '"\\',
        '\\"',
        "{",
        "}",
        "lease {",
        "lease { option ",
        "a",
        " ",
        "a b;",
        "ROUTES=a ",
        "[",
        OPTION,
        "1,",
        "=",
        "\n",
    ],
)
def test_a_mebibyte_of_anything_takes_seconds(piece):
    text = piece * ((1 << 20) // len(piece))
    start = time.monotonic()
    leases.parse_dhclient(text)
    leases.parse_dhclient(f'lease {{ interface "eth0"; {OPTION} {text};}}')
    leases.parse_internal("ROUTES=" + text)
    leases.parse_state("[dhcp4]\ndhcp4.rfc3442_classless_static_routes=" + text)
    assert 15 > time.monotonic() - start
