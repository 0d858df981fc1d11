"""ifcfg files on disk: which of them are profiles, what they say, and whose link they are."""

import os
import pathlib
import tempfile
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.program import unprivileged
from symroute_nm.errors import SystemFailure
from symroute_nm.model.network import Link
from symroute_nm.model.profiles import Profile, profiles_for
from symroute_nm.readers.ifcfg import profiles as ifcfg

FOLDER = "etc/sysconfig/network-scripts"
MAC = "52:54:00:12:34:56"
OTHER_MAC = "52:54:00:ab:cd:ef"
UUID = "0c7d7f3c-6a0e-4bb4-8d62-5a3a3c1f8b11"


def write(root, name, text="TYPE=Ethernet\nDEVICE=eth0\n"):
    folder = root / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    content = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(content)


def names(root):
    return [each.name for each in ifcfg.read_profiles(root)]


@pytest.fixture
def plain_root():
    """A root folder that every user can reach."""
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder).chmod(0o755)
        yield pathlib.Path(folder)


# parse


def test_reads_every_field():
    text = """
    # Ethernet
    NAME="to users"
    TYPE="Ethernet"
    DEVICE='eth0'
    HWADDR=52-54-0-12-34-56   # as printed on the card
    UUID=0C7D7F3C-6A0E-4BB4-8D62-5A3A3C1F8B11
    BOOTPROTO=None
    ONBOOT=no
    NM_CONTROLLED=yes
    IPADDR=10.0.6.5
    GATEWAY=10.0.6.1
    IPV6_DEFAULTGW=fe80::1%eth0
    ROUTING_RULE_1="priority 5 from 10.0.6.5 table 6"
    """
    assert ifcfg.parse("System_eth0", text) == Profile(
        name="System_eth0",
        id="to users",
        device="eth0",
        hwaddr=MAC,
        uuid=UUID,
        type="Ethernet",
        method="none",
        gateways=(ip_address("10.0.6.1"), ip_address("fe80::1")),
        managed=True,
        onboot=False,
        rules=True,
        problem="",
    )


def test_defaults_of_a_short_file():
    profile = ifcfg.parse("eth0", "DEVICE=eth0\n")
    assert profile == Profile(
        name="eth0", id="System eth0", device="eth0", uuid=ifcfg.generated_uuid("eth0")
    )


def test_a_file_without_uuid_has_the_one_that_networkmanager_makes():
    # The UUIDs of "System eth0" and "System eth1" on every cloud image of CentOS.
    assert "5fb06bd0-0bb0-7ffb-45f1-d6edd65f3e03" == ifcfg.parse("eth0", "DEVICE=eth0").uuid
    assert "9c92fad9-6ecb-3e6c-eb4d-8a47c6f50c04" == ifcfg.parse("eth1", "DEVICE=eth1").uuid


def test_crlf_and_blanks_do_not_matter():
    profile = ifcfg.parse("eth0", "DEVICE=eth0 \r\n\tONBOOT=no\r\n")
    assert ("eth0", False) == (profile.device, profile.onboot)


@pytest.mark.parametrize("text", ["yes", "true", "t", "y", "1", "YES", "True", "'y'", '"1"'])
def test_what_is_yes(text):
    assert ifcfg.parse("eth0", f"DEVICE=eth0\nONBOOT={text}\n").onboot
    assert ifcfg.boolean(text.strip("'\""), default=False)


@pytest.mark.parametrize("text", ["no", "false", "f", "n", "0", "NO", "False", "$'n'"])
def test_what_is_no(text):
    assert not ifcfg.parse("eth0", f"DEVICE=eth0\nNM_CONTROLLED={text}\n").managed


@pytest.mark.parametrize("text", ["", "on", "off", "2", "maybe", "no|yes", "'no"])
def test_what_is_neither_leaves_the_default(text):
    profile = ifcfg.parse("eth0", f"DEVICE=eth0\nNM_CONTROLLED={text}\nONBOOT={text}\n")
    assert (True, True) == (profile.managed, profile.onboot)
    assert not ifcfg.boolean(text, default=False)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("52:54:00:12:34:56", MAC),
        ("52:54:00:AB:CD:EF", OTHER_MAC),
        ("52-54-00-ab-cd-ef", OTHER_MAC),
        (" 52:54:0:12:34:56 ", MAC),
        ("80:" * 19 + "80", "80:" * 19 + "80"),
        ("52-54:00:12:34:56", ""),
        ("525400123456", ""),
        ("52:54:00:12:34", ""),
        ("52:54:00:12:34:567", ""),
        ("52:54:00:12:34:5g", ""),
        ("52:54:00:12:34:56:", ""),
        ("\u0665\u0662:54:00:12:34:56", ""),
        ("", ""),
    ],
)
def test_hardware_addresses(text, expected):
    assert expected == ifcfg.hardware_address(text)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("GATEWAY=10.0.6.1", ["10.0.6.1"]),
        ("BOOTPROTO=dhcp\nDEFROUTE=no\nGATEWAY=10.0.6.1", ["10.0.6.1"]),
        ("GATEWAY1=10.0.6.2\nGATEWAY0=10.0.6.1", ["10.0.6.1", "10.0.6.2"]),
        (
            "GATEWAY10=10.0.6.3\nGATEWAY2=10.0.6.2\nGATEWAY=10.0.6.1",
            ["10.0.6.1", "10.0.6.2", "10.0.6.3"],
        ),
        ("GATEWAY=0.0.0.0", []),
        ("GATEWAY=10.0.6.1 10.0.6.2", []),
        ("GATEWAYDEV=eth0\nGATEWAY_PING_TIMEOUT=5", []),
        ("IPV6_DEFAULTGW=2001:db8::1", ["2001:db8::1"]),
        ("IPV6_DEFAULTGW=fe80::1%eth0", ["fe80::1"]),
        ("IPV6_DEFAULTGW=fe80::1%eth1", []),
        ("IPV6_DEFAULTGW=::", []),
        ("IPV6_DEFAULTGW=10.0.6.1", []),
    ],
)
def test_gateways(text, expected):
    found = ifcfg.parse("eth0", f"DEVICE=eth0\n{text}\n").gateways
    assert [ip_address(each) for each in expected] == list(found)


@pytest.mark.parametrize(
    "key, expected",
    [
        ("ROUTING_RULE_1", True),
        ("ROUTING_RULE6_20", True),
        ("ROUTING_RULE_", False),
        ("ROUTING_RULE", False),
        ("ROUTING_RULES_1", False),
    ],
)
def test_routing_rules(key, expected):
    assert expected == ifcfg.parse("eth0", f"DEVICE=eth0\n{key}=x\n").rules


@pytest.mark.parametrize(
    "text, expected",
    [
        ("TYPE=Bond", "Bond"),
        ("DEVICETYPE=Team", "Team"),
        ("DEVICE=team0\nTEAM_CONFIG='{}'", "Team"),
        ("DEVICETYPE=TeamPort", "Ethernet"),
        ("DEVICETYPE=TeamPort\nTYPE=Vlan", "Vlan"),
        ("", ""),
    ],
)
def test_types(text, expected):
    assert expected == ifcfg.parse("x", f"DEVICE=x\n{text}\n").type


@pytest.mark.parametrize("device", ["a/b", ".", "..", "eth0:1", "a b", "x" * 16, "\u00e9" * 8])
def test_a_device_name_that_no_kernel_takes_is_none(device):
    assert "" == ifcfg.parse("x", f"TYPE=Ethernet\nDEVICE='{device}'\n").device


@pytest.mark.parametrize("device", ["a*b", "$(x)", "-rf", "eth0;x", "\u00e9" * 7 + "x"])
def test_a_device_name_that_the_kernel_takes_is_kept(device):
    assert device == ifcfg.parse("x", f"TYPE=Ethernet\nDEVICE='{device}'\n").device


STATIC = "DEVICE=eth0\nIPADDR=10.0.6.5\n"


@pytest.mark.parametrize(
    "text, word",
    [
        ("ONBOOT=yes", "neither TYPE nor DEVICE"),
        ("DEVICE=eth0|1", "neither TYPE nor DEVICE"),
        ("export DEVICE=eth0", "neither TYPE nor DEVICE"),
        ("\ufeffDEVICE=eth0", "neither TYPE nor DEVICE"),
        ("DEVICE='eth0", "neither TYPE nor DEVICE"),
        ("DEVICE=ppp0\nTYPE=xDSL", "TYPE=xDSL"),
        ("DEVICE=eth0\nBOOTPROTO=dhpc", "BOOTPROTO=dhpc"),
        ("DEVICE=eth0\nBOOTPROTO=ibft", "BOOTPROTO=ibft"),
        ("TYPE=Ethernet\nHWADDR=525400123456", "HWADDR=525400123456 is not a hardware address"),
        (STATIC + "GATEWAY=10.0.6", "GATEWAY=10.0.6 is not an address"),
        (STATIC + "GATEWAY=010.0.6.1", "GATEWAY=010.0.6.1 is not an address"),
        (STATIC + "GATEWAY=fe80::1", "GATEWAY=fe80::1 is not an address"),
        (STATIC + "GATEWAY=$'a\\nb'", "GATEWAY='a\\nb' is not an address"),
        ("DEVICE=eth0\nIPADDR=10.0.6.5/24", "IPADDR=10.0.6.5/24 is not an address"),
        ("DEVICE=eth0\nBOOTPROTO=dhcp\nIPADDR1=x", "IPADDR1=x is not an address"),
        (STATIC + "IPADDR1=10.0.6.6\nGATEWAY1=x", "GATEWAY1=x is not an address"),
        ("DEVICE=eth0\nIPV6INIT=yes\nIPV6ADDR=2001:db8::5\nIPV6_DEFAULTGW=x", "IPV6_DEFAULTGW=x"),
        # What a real NetworkManager 1.42 says of each: "failure to read file".
        (STATIC + "DNS1=202.xxx.xxx.xxx", "line 3: DNS1=202.xxx.xxx.xxx is not an address"),
        ("DEVICE=eth0\nBOOTPROTO=dhcp\nDNS1=1.1.1.1\nDNS2=x", "line 4: DNS2=x is not an address"),
        (
            "DEVICE=br0\nTYPE=Bridge\nMACADDR=ab:cd:ef:gh:ij",
            "line 3: MACADDR=ab:cd:ef:gh:ij is not",
        ),
        ("DEVICE=eth0\nUUID=x12345y6-789z-1x23-y456-7890z1x2345y", "line 2: UUID=x12345y6"),
        ("DEVICE=team0\nTEAM_CONFIG='{\"runner'", 'line 2: TEAM_CONFIG={"runner is not JSON'),
        ("DEVICE=eth0\nTEAM_MASTER=t\nTEAM_PORT_CONFIG='{\"prio:9}'", "line 3: TEAM_PORT_CONFIG="),
        ("DEVICE=eth0\nBOOTPROTO=static\nNETMASK=255.255.255.0", "there is no IPADDR"),
        ("DEVICE=eth0\nIPADDR='10.0.6.5\nPREFIX=24", "line 2: the address is static"),
        ("DEVICE=eth0\nIPADDR=<your IPv4 address>\nNETMASK=255.255.255.0", "line 2: the address"),
        (STATIC + "PREFIX=33", "PREFIX=33 is not a prefix length"),
        (STATIC + "NETMASK=24", "NETMASK=24 is not an address"),
        ("DEVICE=eth0\nIPV6INIT=yes\nIPV6ADDR=2001:db8::5/129", "IPV6ADDR=2001:db8::5/129 is not"),
        ("DEVICE=eth0\nTYPE=Ethernet\nBONDING_MASTER=yes", "line 3: BONDING_MASTER=yes"),
        ("TYPE=Bond\nBONDING_OPTS=mode=1", "a bond needs a DEVICE"),
        ("DEVICE=br0\nTYPE=Bridge\nBRIDGING_OPTS='group_address=1'", "line 3: 'group_address=1'"),
        ("DEVICE=br0\nTYPE=Bridge\nBRIDGE_MACADDR=x", "line 3: BRIDGE_MACADDR=x"),
        ("DEVICE=eth0.3\nVLAN=yes\nVLAN_ID=4096", "line 3: VLAN_ID=4096"),
        ("DEVICE=uplink\nVLAN=yes\nPHYSDEV=eth0", "gives the number of the VLAN"),
        ("DEVICE=vlan5\nVLAN=yes", "gives the link that the VLAN is on"),
    ],
)
def test_problems(text, word):
    assert word in ifcfg.parse("eth0", text).problem


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("DEVICE=eth0", "System eth0"),
        ("DEVICE=eth0\nNAME=users", "users"),
        ("DEVICE=bond0\nTYPE=Bond", "Bond eth0"),
        ("DEVICE=bond0\nTYPE=bond", "Bond eth0"),
        ("DEVICE=bond0\nBONDING_MASTER=yes", "Bond eth0"),
        ("DEVICE=bond0\nTYPE=Ethernet\nBONDING_OPTS=mode=1", "Bond eth0"),
        ("DEVICE=bond0\nBONDING_OPTS=mode=1", "System eth0"),
        ("DEVICE=br0\nTYPE=Bridge", "Bridge eth0"),
        ("DEVICE=team0\nDEVICETYPE=Team", "Team eth0"),
        ("DEVICE=team0\nTEAM_CONFIG='{}'", "Team eth0"),
        ("DEVICE=eth1\nDEVICETYPE=TeamPort", "System eth0"),
        ("DEVICE=eth0.3\nVLAN=yes", "Vlan eth0"),
        ("DEVICE=eth0.3\nTYPE=Vlan", "Vlan eth0"),
        ("DEVICE=eth0.3\nTYPE=Ethernet\nVLAN=yes", "System eth0"),
        ("TYPE=Wireless\nESSID=office", "System office (eth0)"),
    ],
)
def test_names_as_networkmanager_makes_them(text, name):
    assert name == ifcfg.parse("eth0", text).id


@pytest.mark.parametrize(
    "text",
    [
        "DEVICE=eth0",
        "DEVICE=$'eth0' # it's that one\r",
        "TYPE=Ethernet",
        "DEVICE=eth0\nTYPE=ETHERNET",
        "DEVICE=ctc0\nTYPE=CTC",
        "DEVICE=team0\nTEAM_CONFIG='{}'",
        "DEVICE=eth0\nBOOTPROTO=DHCP",
        "DEVICE=eth0\nGATEWAY=x",  # no address: NetworkManager does not look at it
        "DEVICE=eth0\nBOOTPROTO=dhcp\nGATEWAY=x",
        "DEVICE=eth0\nIPADDR4=x",  # counting stops at IPADDR2
        STATIC + "GATEWAY='10.0.6",  # rejected quoting is as good as nothing
        STATIC + "GATEWAY=10.0.6.1\nIPADDR1=10.0.6.6\nGATEWAY1=x",  # the first one decides
        "DEVICE=eth0\nIPV6ADDR=2001:db8::5\nIPV6_DEFAULTGW=x",  # IPV6INIT is not set
        STATIC + "DNS1=1.1.1.1#dns.example\nDNS2=2001:db8::53\nDNS4=x",  # counting stops at DNS3
        "DEVICE=eth0\nBOOTPROTO=none\nDNS1=x",  # no family that has any
        "DEVICE=eth0\nMACADDR=stable\nUUID=5FB06BD0-0bb0-7ffb-45f1-d6edd65f3e03",
        "DEVICE=br0\nTYPE=Bridge\nBRIDGING_OPTS='priority=x nonsense=1'",  # warned of
        "DEVICE=eth0.3\nVLAN=yes",
        "DEVICE=vlan5\nVLAN=yes\nPHYSDEV=eth0",
        "NM_CONTROLLED=no",
        "NM_CONTROLLED=no\nDEVICE=eth0\nTYPE=xDSL\nBOOTPROTO=x",
    ],
)
def test_no_problem(text):
    assert "" == ifcfg.parse("eth0", text).problem


# read


def test_no_folder_no_profiles(tmp_path):
    assert () == ifcfg.read_profiles(tmp_path)
    (tmp_path / "etc").write_text("a file")
    assert () == ifcfg.read_profiles(tmp_path)


def test_reads_sorted_and_leaves_out_what_networkmanager_ignores(tmp_path):
    for name in (
        "ifcfg-eth1",
        "ifcfg-eth0",
        "ifcfg-System eth2",
        "route-eth0",
        "ifup-eth",
        "ifcfg-",
        "ifcfg-a.bak",
        "ifcfg-a~",
        "ifcfg-a.orig",
        "ifcfg-a.rej",
        "ifcfg-a.rpmnew",
        "ifcfg-a.augnew",
        "ifcfg-a.augtmp",
        "ifcfg-a.BAK",
        "ifcfg-a;5f3c2A1b",
    ):
        write(tmp_path, name)
    write(tmp_path, "ifcfg-lo", "DEVICE=lo\n")
    assert ["System eth2", "eth0", "eth1"] == names(tmp_path)


def test_reads_what_networkmanager_reads_although_it_looks_like_a_backup(tmp_path):
    for name in (
        "ifcfg-eth0.rpmsave",
        "ifcfg-eth0.rpmorig",
        "ifcfg-eth0.old",
        "ifcfg-eth0.bak1",
        "ifcfg-eth0;5f3c2a1",
        "ifcfg-eth0;5f3c2a1g",
    ):
        write(tmp_path, name)
    assert 6 == len(ifcfg.read_profiles(tmp_path))


def test_an_alias_file_is_one_only_beside_its_base(tmp_path):
    write(tmp_path, "ifcfg-eth0")
    write(tmp_path, "ifcfg-eth0:1", "DEVICE=eth0:1\nIPADDR=10.0.6.6\n")
    write(tmp_path, "ifcfg-eth1:1", "DEVICE=eth1\n")
    assert ["eth0", "eth1:1"] == names(tmp_path)


def test_what_cannot_be_read_is_a_profile_with_a_problem(tmp_path):
    write(tmp_path, "ifcfg-big", b"DEVICE=eth0\n" * 100000)
    (tmp_path / FOLDER / "ifcfg-folder").mkdir()
    (tmp_path / FOLDER / "ifcfg-gone").symlink_to("nowhere")
    (tmp_path / FOLDER / "ifcfg-loop").symlink_to("ifcfg-loop")
    os.mkfifo(str(tmp_path / FOLDER / "ifcfg-pipe"))
    found = {each.name: each.problem for each in ifcfg.read_profiles(tmp_path)}
    assert ["big", "folder", "gone", "loop", "pipe"] == sorted(found)
    assert "longer than 1048576 bytes" in found["big"]
    assert "not a regular file" in found["folder"]
    assert "not a regular file" in found["pipe"]
    assert "points to nowhere" in found["gone"]
    assert "cannot be read" in found["loop"]


def test_no_permission(plain_root):
    write(plain_root, "ifcfg-eth0")
    (plain_root / FOLDER / "ifcfg-eth0").chmod(0)
    with unprivileged():
        assert "Permission denied" in ifcfg.read_profiles(plain_root)[0].problem
    (plain_root / FOLDER).chmod(0)
    with unprivileged(), pytest.raises(SystemFailure, match="Permission denied"):
        ifcfg.read_profiles(plain_root)


def test_a_folder_that_cannot_be_listed_is_a_failure(tmp_path):
    (tmp_path / "etc/sysconfig").mkdir(parents=True)
    (tmp_path / FOLDER).symlink_to("network-scripts")
    with pytest.raises(SystemFailure, match="cannot be listed"):
        ifcfg.read_profiles(tmp_path)


def test_binary_files_and_names_do_not_hurt(tmp_path):
    write(tmp_path, "ifcfg-eth0", bytes(range(256)) * 100)
    write(tmp_path, os.fsdecode(b"ifcfg-\xff\n"), "DEVICE=eth1\n")
    assert ["", "eth1"] == [each.device for each in ifcfg.read_profiles(tmp_path)]


@given(st.text(max_size=20), st.one_of(st.text(), st.binary()))
def test_parse_never_raises(name, text):
    assert name == ifcfg.parse(name, text).name


KEYS = [
    "DEVICE",
    "TYPE",
    "HWADDR",
    "UUID",
    "BOOTPROTO",
    "IPADDR",
    "IPADDR1",
    "GATEWAY",
    "GATEWAY0",
    "IPV6INIT",
    "IPV6ADDR",
    "IPV6_DEFAULTGW",
    "NM_CONTROLLED",
    "ONBOOT",
    "DEVICETYPE",
]


@given(st.lists(st.tuples(st.sampled_from(KEYS), st.text(max_size=12))))
def test_parse_never_raises_on_wrong_values(pairs):
    profile = ifcfg.parse("x", "".join("{}='{}'\n".format(*pair) for pair in pairs))
    assert all(gateway.version in (4, 6) for gateway in profile.gateways)
    assert "\n" not in profile.problem


# match

ETH0 = Link(ifindex=2, name="eth0", mac=MAC, permanent_mac=MAC)


def profile(name, **fields):
    return Profile(name=name, **fields)


def matched(link, *found):
    return [each.name for each in profiles_for(link, found)]


@pytest.mark.parametrize(
    "fields, expected",
    [
        ({"device": "eth0"}, True),
        ({"device": "eth1"}, False),
        ({"device": "ETH0"}, False),
        ({"hwaddr": MAC}, True),
        ({"hwaddr": OTHER_MAC}, False),
        ({"device": "eth0", "hwaddr": MAC}, True),
        ({"device": "eth0", "hwaddr": OTHER_MAC}, False),
        ({"device": "eth1", "hwaddr": MAC}, False),
        ({"hwaddr": MAC, "type": "Ethernet"}, True),
        ({"hwaddr": MAC, "type": "Bond"}, False),
        ({}, False),
        ({"uuid": UUID}, False),
        ({"device": "eth0", "managed": False}, True),
        ({"device": "eth0", "problem": "broken"}, True),
    ],
)
def test_device_and_hardware_address_bind(fields, expected):
    assert expected == bool(profiles_for(ETH0, (profile("x", **fields),)))


def test_the_permanent_address_counts_where_it_is_known():
    port = ETH0._replace(mac=OTHER_MAC)
    assert ["x"] == matched(port, profile("x", hwaddr=MAC))
    assert [] == matched(port, profile("x", hwaddr=OTHER_MAC))
    assert ["x"] == matched(port._replace(permanent_mac=""), profile("x", hwaddr=OTHER_MAC))


def test_a_cloned_address_is_forgiven_to_the_active_profile():
    cloned = ETH0._replace(mac=OTHER_MAC, permanent_mac="", connection=UUID)
    assert ["x"] == matched(cloned, profile("x", device="eth0", hwaddr=MAC, uuid=UUID))
    assert [] == matched(cloned, profile("x", device="eth0", hwaddr=MAC))


def test_a_link_without_hardware_address_is_bound_by_name_alone():
    tunnel = Link(ifindex=9, name="tun0", kind="tun")
    assert ["y"] == matched(tunnel, profile("x", hwaddr=MAC), profile("y", device="tun0"))


@pytest.mark.parametrize("kind, expected", [("vlan", False), ("bridge", False), ("veth", True)])
def test_an_address_that_is_borrowed_does_not_bind(kind, expected):
    link = Link(ifindex=5, name="eth0.100", kind=kind, mac=MAC)
    assert expected == bool(profiles_for(link, (profile("eth0", hwaddr=MAC, type="Ethernet"),)))


def test_infiniband_compares_the_last_eight_octets():
    port = ":".join(f"{number:02x}" for number in range(20))
    other = ":".join(["80", "00", *port.split(":")[2:]])
    link = Link(ifindex=3, name="ib0", mac=other, permanent_mac=other)
    assert ["x"] == matched(link, profile("x", hwaddr=port))


def test_the_active_connection_decides():
    active = ETH0._replace(connection=UUID.upper())
    first, second = profile("a", device="eth0"), profile("b", device="eth0", uuid=UUID)
    assert ["b"] == matched(active, first, second)
    assert ["b"] == matched(active, first, profile("b", uuid=UUID))
    assert ["a", "b"] == matched(active, first, profile("b", device="eth0"))
    assert ["a"] == matched(active, first, profile("b", device="eth1", uuid=UUID))


def test_several_stay_several_and_the_named_come_first():
    found = [profile("a", hwaddr=MAC), profile("c", device="eth0"), profile("b", device="eth0")]
    assert ["b", "c", "a"] == matched(ETH0, *found)


def test_what_starts_at_boot_and_works_is_preferred():
    good = profile("good", device="eth0")
    assert ["good"] == matched(ETH0, good, profile("off", device="eth0", onboot=False))
    assert ["good"] == matched(ETH0, good, profile("bad", device="eth0", problem="broken"))
    assert ["off"] == matched(ETH0, profile("off", device="eth0", onboot=False))


def test_what_keeps_networkmanager_off_stays():
    off = profile("off", device="eth0", managed=False, onboot=False)
    assert ["good", "off"] == matched(ETH0, profile("good", device="eth0"), off)


@pytest.mark.parametrize(
    ("text", "gateways"),
    [
        ("DEVICE=eth0:1\nIPADDR=10.0.9.5\nGATEWAY=10.0.9.1\n", ["10.0.6.1", "10.0.9.1"]),
        ("DEVICE=eth0:1\nGATEWAY=10.0.6.1\n", ["10.0.6.1"]),
        ("DEVICE=eth0:2\nGATEWAY=10.0.9.1\n", ["10.0.6.1"]),  # not its own name: passed over
        ("GATEWAY=10.0.9.1\n", ["10.0.6.1"]),
        ("DEVICE=eth0:1\nGATEWAY=10.0.9\n", ["10.0.6.1"]),
        ("DEVICE=eth0:1\nIPV6_DEFAULTGW=2001:db8::1\n", ["10.0.6.1"]),
    ],
)
def test_an_alias_files_gateway_is_its_profiles(tmp_path, text, gateways):
    write(tmp_path, "ifcfg-eth0", "DEVICE=eth0\nIPADDR=10.0.6.5\nGATEWAY=10.0.6.1\n")
    write(tmp_path, "ifcfg-eth0:1", text)
    write(tmp_path, "ifcfg-eth0:1.bak", "DEVICE=eth0:1.bak\nGATEWAY=10.0.8.1\n")

    (profile,) = ifcfg.read_profiles(tmp_path)
    assert gateways == [str(gateway) for gateway in profile.gateways]


def test_an_alias_file_that_cannot_be_read_does_no_harm(tmp_path):
    write(tmp_path, "ifcfg-eth0", "DEVICE=eth0\nGATEWAY=10.0.6.1\n")
    (tmp_path / FOLDER / "ifcfg-eth0:1").mkdir()

    assert [(ip_address("10.0.6.1"),)] == [each.gateways for each in ifcfg.read_profiles(tmp_path)]
