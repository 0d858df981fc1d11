"""Readers are bounded, and what the system lacks ends in a message, not in a traceback."""

import contextlib
import os
import resource
import subprocess
import sys
import time
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.program import ROOT
from support.strategies import examples
from symroute_nm.errors import InputError, Refusal
from symroute_nm.files import access
from symroute_nm.kernel import loaded_marks
from symroute_nm.kernel.loaded_marks import LoadedMarks
from symroute_nm.model.observations import Published
from symroute_nm.readers import snapshot
from symroute_nm.readers.published_ports import parse_iptables, parse_masqueraded, parse_nft
from symroute_nm.targets import direct_xml

COMMANDS = (("inspect",), ("generate", "--dry-run"), ("diagnose",), ("snapshot",), ("--version",))
HOST = ROOT / "tests" / "cases" / "two-uplinks" / "host.json"
_WORDS = st.lists(
    st.sampled_from(
        [
            "tcp",
            "dport",
            "{",
            "}",
            "{}",
            "80",
            "ip",
            "ip6",
            "daddr",
            "saddr",
            "dnat",
            "to",
            "map",
            ":",
            ",",
            "10.0.0.1",
            "10.0.0.1:80",
            "[::1]:80",
            '"',
            '""',
            "#",
            "!=",
            "@set",
            "masquerade",
            "MASQUERADE",
            "-A",
            "-s",
            "-d",
            "-p",
            "-j",
            "DNAT",
            "--to-destination",
            "--dport",
            "--comment",
            "*nat",
            "\n",
            "prefix",
            "log",
            "\\",
            "th",
            "meta l4proto",
            "addr . port",
            "iifname",
            "ct mark & 0x1 ==",
            "ct mark set ct mark | 0x1",
            "-A symroute_nm -i",
            "-j symroute_nm",
            "-I PREROUTING",
            "10.2.2.0/16",
            "$",
            "(",
            ")",
            "'",
            "é",
        ]
    )
    | st.text(max_size=6),
    max_size=25,
)


def test_what_is_logged_is_no_condition():
    line = 'log prefix "tcp dport {} " tcp dport 80 dnat to 172.17.0.2:8080 # ip daddr {}'
    assert [Published(ip_address("172.17.0.2"), "8080", "tcp", "80")] == list(parse_nft(line))
    assert [] == list(parse_nft('comment "dnat to 10.0.0.1"'))
    assert [] == list(parse_masqueraded('ip saddr 10.0.0.0/8 accept comment "masquerade"'))
    assert [ip_network("10.0.0.0/8")] == list(
        parse_masqueraded(
            '-A P -m comment --comment "-s 9.9.9.9 \\" -s 8.8.8.8" -s 10.0.0.0/8 -j MASQUERADE'
        )
    )


@given(_WORDS)
@example(["tcp", "dport", "{}", "dnat", "to", "10.0.0.1"])
@example(["ip", "daddr", "{}", "dnat", "to", "10.0.0.1"])
@examples(400)
def test_any_listing_is_read(words):
    text = " ".join(words)
    for whole in (text, "*nat\n-A P " + text, "dnat to " + text, text + " dnat to 10.0.0.1:80"):
        list(parse_nft(whole))
        list(parse_iptables(whole))
        list(parse_masqueraded(whole))
        loaded_marks.marked_links(whole)
        loaded_marks.find_differences(None, LoadedMarks(whole, tuple(whole.split("\n")), ()))


@given(
    st.lists(
        st.sampled_from(
            [
                b"<chain ",
                b"<rule ",
                b'chain="symroute_nm"',
                b"/>",
                b">",
                b"</rule>",
                b"<direct>",
                b"</direct>",
                b" ",
                b"\n",
                b"-j symroute_nm",
                b'a="b"',
                b"<",
                b"x",
            ]
        ),
        max_size=25,
    ).map(b"".join)
)
@examples(300)
def test_any_direct_xml_is_read(content):
    left = direct_xml.take_out(content)
    if not direct_xml.has_elements(content):
        assert left == content
    with contextlib.suppress(Refusal):
        direct_xml.put(content, '  <chain chain="symroute_nm"/>\n', "direct.xml")


def test_many_blanks_in_direct_xml_take_no_time():
    began = time.monotonic()
    content = b"<direct>" + b" " * (1 << 20) + b"<rule " * (1 << 16)
    content += b'chain="symroute_nm" ' * (1 << 16)
    with pytest.raises(Refusal):
        direct_xml.put(content, "", "direct.xml")
    assert time.monotonic() - began < 5


def test_a_file_of_others_is_bounded(tmp_path):
    place = tmp_path / "direct.xml"
    with place.open("wb") as stream:
        stream.truncate((64 << 20) + 1)  # sparse
    with pytest.raises(Refusal, match=r"direct\.xml is longer than 64 MiB"):
        access.read(tmp_path, "/direct.xml")
    with pytest.raises(InputError, match="is longer than 1048576 bytes"):
        access.read_small(place)


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_an_endless_snapshot_is_refused_at_once(tmp_path, kind):
    place = tmp_path / "host.json"
    if kind == "fifo":
        os.mkfifo(str(place))
    else:
        place.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="not a regular file"):
        snapshot.read_host(place)
    with pytest.raises(InputError, match="not a regular file"):
        access.read_small(place)


def run(words, **options):
    return subprocess.run(
        [sys.executable, "-m", "symroute_nm", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
        **options,
    )


@pytest.mark.parametrize("limit", [*range(3, 13), 16, 18, 19, 20, 21, 22, 24, 27, 30])
def test_few_descriptors_end_in_a_message(limit):
    for words in COMMANDS:
        ran = run(
            words, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
        )
        said = ran.stderr.decode()
        if b"symroute-nm" not in ran.stderr + ran.stdout and limit < 6:
            continue  # Python itself could not begin
        assert ran.returncode in (0, 1, 2, 3, 4), said
        assert "Traceback" not in said
        assert "Too many open files" in said or ran.returncode != 4, said


@pytest.mark.parametrize("mebibytes", [40, 60, 80, 100, 150])
def test_little_memory_ends_in_a_message(mebibytes):
    words = ("generate", "--dry-run", "--host", str(HOST))
    ran = run(
        words,
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_AS, (mebibytes << 20, mebibytes << 20)
        ),
    )
    if b"symroute-nm" in ran.stderr:
        assert ran.returncode in (0, 1, 2, 3, 4) and b"Traceback" not in ran.stderr, ran.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_do_no_harm(closed):
    command = f"exec {sys.executable} -m symroute_nm inspect {closed}"
    ran = subprocess.run(
        ["sh", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        timeout=60,
    )
    assert ran.returncode in (0, 1, 4) and b"Traceback" not in ran.stderr, ran.stderr
