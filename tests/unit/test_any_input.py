"""Anything for input: one clear line and an exit code of ours, nothing written, and soon.

The same every time; ``python tests/soak/inputs.py`` goes on where this ends.
"""

import copy
import json

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from support.fuzzing import (
    PARSERS,
    check_files,
    check_host,
    documents,
    limited,
    read_root,
)
from support.strategies import TIMES


def steady(number):
    """So many examples, the same every time, unless more are asked for (SYMROUTE_EXAMPLES=20)."""
    return settings(
        max_examples=number * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # Not made smaller: of the whole program that takes many minutes.
        phases=(Phase.explicit, Phase.generate),
    )


# What parsers stumble over, as bytes to put in.
PIECES = [
    b"",
    b"\n",
    b"\r\n",
    b"\0",
    b" ",
    b"\t",
    b"=",
    b"'",
    b'"',
    b"\\",
    b"#",
    b"$'",
    b"`",
    b";",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"/",
    b"%",
    b"-",
    b"*",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b"\x1b[31m",
    b"0",
    b"-1",
    b"4294967296",
    b"9" * 400,
    b"0x",
    b"NaN",
    b"Infinity",
    b"null",
    b"true",
    b"1e999",
    b"\\ud800",
    b"ADDRESS0=",
    b"# BEGIN symroute-nm\n",
    b"# END symroute-nm\n",
    b"../",
    b"fe80::1%x",
    b"0.0.0.0/0",
    b"::/0",
    b"lookup",
    b"priority",
]
EDITS = st.lists(
    st.tuples(
        st.integers(0, 9999),
        st.integers(0, 40),
        st.one_of(st.sampled_from(PIECES), st.binary(max_size=6)),
    ),
    min_size=1,
    max_size=6,
)


def edit(content, edits):
    """The content with pieces in place of what stood there."""
    for number, length, piece in edits:
        place = number % (len(content) + 1)
        content = content[:place] + piece + content[place + length :]
    return content


def contents(seeds):
    return st.one_of(st.builds(edit, st.sampled_from(seeds), EDITS), st.binary(max_size=60))


@pytest.mark.parametrize("name", sorted(PARSERS))
def test_no_parser_stumbles(name):
    @steady(100)
    @given(contents(PARSERS[name].seeds))
    def check(content):
        with limited():
            PARSERS[name].check(content)

    check()


MEBIBYTE = 1 << 20


@pytest.mark.parametrize(
    ("name", "content"),
    [  # each took seconds, or for ever, or was a traceback
        ("settings", b"[symroute]\nexclude=" + b"[" * MEBIBYTE),
        ("rules", b"priority " + b"9" * MEBIBYTE + b" lookup 5"),
        ("conversion", b"a" * MEBIBYTE),
        ("conversion", b"a " * 200000),
        ("conversion", b"ADDRESS0=" + b" #'" * 300000),
        ("conversion", b"ADDRESS" + b"9" * 5000 + b"=10.0.0.0"),
        (
            "conversion",
            b"".join(
                b"ADDRESS%d=10.0.0.0\nNETMASK%d=255.0.0.0\n" % (number, number)
                for number in range(4000)
            ),
        ),
        ("profile", b"A='" * 300000),
        ("tables", b"9" * MEBIBYTE),
        ("firewall", b"*nat\n-A DNAT " + b"'a" * 1000),
        ("snapshot", b'{"a":' * 100000),
        ("snapshot", b'{"format": "symroute-nm host", "version": 1' + b', "x": 1' * 100000 + b"}"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_huge_takes_no_longer(name, content):
    with limited(20):
        PARSERS[name].check(content)


# -- snapshots ------------------------------------------------------------------------------------

DOCUMENTS = documents()
WORDS = [
    "",
    "eth0",
    "eth1",
    "eth2",
    "lo",
    "docker0",
    "main",
    "lookup",
    "goto",
    "nop",
    "blackhole",
    "unicast",
    "throw",
    "local",
    "broadcast",
    "vrf",
    "bridge",
    "bond",
    "team",
    "static",
    "dhcp",
    "10.0.6.1",
    "10.0.5.1",
    "10.0.6.5",
    "10.0.6.255",
    "0.0.0.0",
    "127.0.0.1",
    "224.0.0.1",
    "10.0.6.5/24",
    "10.0.6.5/32",
    "10.0.6.0/25",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "::/0",
    "::1",
    "fe80::1",
    "fe80::1/64",
    "2001:db8:6::1",
    "2001:db8:6::5/64",
    "2001:db8:6::/64",
    "::ffff:10.0.0.1",
    "uidrange 0-99",
    "a*b",
    "$(x)",
    "-rf",
    "eth0;x",
    "\u00e9" * 7,
    "x" * 300,
    "../x",
    "a b",
    "a\nb",
    "\x1b[31m",
    "\u202e",
    "\ud800",
    "52:54:00:00:00:02",
]
NUMBERS = [
    0,
    1,
    2,
    4,
    6,
    99,
    100,
    101,
    253,
    254,
    255,
    20000,
    20001,
    20002,
    32766,
    2**31,
    2**32 - 1,
    2**32,
    -1,
]
OTHERS = [None, True, False, 1.5, [], {}, [[]], [{}], "x", 7]
CHANGES = st.lists(
    st.tuples(st.integers(0, 99999), st.integers(0, 9), st.integers(0, 999)), min_size=1, max_size=4
)


def places(value, path=()):
    """Where in a document something stands."""
    if path:
        yield path
    children = (
        value.items()
        if isinstance(value, dict)
        else (enumerate(value) if isinstance(value, list) else ())
    )
    for key, each in children:
        yield from places(each, (*path, key))


def at(document, path):
    for key in path:
        document = document[key]
    return document


def alike(value, number):
    """Another value of its type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return NUMBERS[number % len(NUMBERS)]
    if isinstance(value, str):
        return WORDS[number % len(WORDS)]
    return list(reversed(value)) if isinstance(value, list) else value


def change(document, changes):
    """The document with values deleted, doubled, exchanged for another's or of another type."""
    document = copy.deepcopy(document)
    for place, how, number in changes:
        found = [each for each in places(document) if 1 < len(each)]
        if not found:
            break
        path = found[place % len(found)]
        parent, key = at(document, path[:-1]), path[-1]
        if how == 0:
            del parent[key]
        elif how == 1:
            parent[key] = OTHERS[number % len(OTHERS)]
        elif how == 2 and isinstance(parent, list):
            parent.insert(key, copy.deepcopy(parent[number % len(parent)]))
        elif how <= 5:
            same = [each for each in found if each[-1] == key]
            parent[key] = copy.deepcopy(at(document, same[number % len(same)]))
        else:
            parent[key] = alike(parent[key], number)
    return document


OPTIONS = st.sampled_from(
    [
        (),
        ("--guard", "throw"),
        ("--guard", "none"),
        ("--guard", "rules"),
        ("--force",),
        ("--table-names",),
        ("--sources", "network"),
        ("--sources", "address"),
        ("--iif",),
        ("--table", "eth0=users:7"),
        ("--gateway", "eth0=10.0.6.9"),
        ("--exclude", "d*"),
        ("--prune",),
    ]
)


@steady(40)
@given(st.sampled_from(sorted(DOCUMENTS)), CHANGES, OPTIONS)
def test_any_snapshot_is_planned_for_or_refused(name, changes, options):
    with limited():
        check_host(json.dumps(change(DOCUMENTS[name], changes)).encode("ascii"), *options)


# -- files below the root -------------------------------------------------------------------------

SCRIPTS = "/etc/sysconfig/network-scripts/"
SETTINGS = PARSERS["settings"].seeds
MINE = [
    *PARSERS["block"].seeds,
    *PARSERS["conversion"].seeds,
    *PARSERS["rules"].seeds,
    b"10.7.0.0/16 via 10.0.6.1 dev eth0",
    b"# mine\n\n",
    b"",
]
OWN_FILES = st.dictionaries(
    st.sampled_from(
        [
            SCRIPTS + kind + name
            for kind in ("route-", "route6-", "rule-", "rule6-")
            for name in ("eth0", "eth1")
        ]
        + [
            "/etc/iproute2/rt_tables",
            "/etc/iproute2/rt_tables.d/symroute-nm.conf",
            "/etc/iproute2/rt_tables.d/mine.conf",
        ]
    ),
    contents(MINE),
    max_size=4,
)
HOW = st.sampled_from(
    [(), ("--convert",), ("--force",), ("--prune", "--force"), ("--guard", "throw")]
)
PLANNED = ["two-uplinks", "three-uplinks", "no-drop-ins", "ipv6-on-one"]


@steady(15)
@given(st.sampled_from(PLANNED), OWN_FILES, HOW)
@example("no-drop-ins", {SCRIPTS + "route6-eth1": b"# BEGIN symroute-nm\n"}, ())
def test_files_of_others_are_never_lost(name, files, options):
    with limited():
        check_files(json.dumps(DOCUMENTS[name]).encode("ascii"), files, *options)


@steady(25)
@given(contents(SETTINGS))
def test_any_configuration_is_followed_or_refused(content):
    with limited():
        check_files(
            json.dumps(DOCUMENTS["two-uplinks"]).encode("ascii"), {"/etc/symroute-nm.conf": content}
        )


NAMES = st.builds(
    edit,
    st.sampled_from(
        [
            b"etc/sysconfig/network-scripts/ifcfg-eth0",
            b"etc/sysconfig/network-scripts/ifcfg-eth0:1",
            b"etc/sysconfig/network-scripts/rule-eth0",
            b"etc/iproute2/rt_tables.d/a.conf",
            b"etc/iproute2/rt_tables",
            b"var/lib/dhclient/dhclient-eth0.lease",
            b"var/lib/NetworkManager/internal-12345678-1234-1234-1234-123456789abc-eth0.lease",
            b"run/NetworkManager/devices/2",
        ]
    ),
    st.lists(
        st.tuples(
            st.integers(30, 99),
            st.integers(0, 3),
            st.sampled_from(
                [
                    b"\n",
                    b"\x1b[31m",
                    b"\xff",
                    b"..",
                    b" ",
                    b"'",
                    b'"',
                    b"$(x)",
                    b"*",
                    b"~",
                    b"\xe2\x80\xa8",
                ]
            ),
        ),
        max_size=2,
    ),
)
FOREIGN = [
    seed for name in ("profile", "tables", "leases", "rules") for seed in PARSERS[name].seeds
]


@pytest.mark.usefixtures("no_firewall")
@steady(40)
@given(st.dictionaries(NAMES, contents(FOREIGN), max_size=5))
def test_whatever_is_below_the_root_can_be_told_in_a_snapshot(files):
    with limited():
        read_root(files)
