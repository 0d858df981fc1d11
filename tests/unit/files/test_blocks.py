"""Blocks: what is not ours stays byte for byte, damaged markers are refused, ADDRESSn converts."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from symroute_nm.errors import InputError, Refusal
from symroute_nm.files import blocks
from symroute_nm.targets.ifcfg import broken_lines, conversion
from symroute_nm.targets.ifcfg.conversion import convert

BODY = "10.0.6.0/24 dev eth0 table 100\ndefault via 10.0.6.1 dev eth0 table 100\n"
BEGIN = '# BEGIN symroute-nm: generated, change with "symroute-nm generate"\n'
BLOCK = (BEGIN + BODY + "# END symroute-nm\n").encode()

ENDS = [b"\n", b"\r\n", b"\r", b"\xef\xbb\xbf", b"\xff\xfe", b"\0"]
PIECES = st.sampled_from([*ENDS, b" ", b"# BEGIN", b"# END symroute", b"a", b"#"])
MARKERS = [b"# BEGIN symroute-nm\n", b"# END symroute-nm\n"]
VARIABLE_PIECES = [b"ADDRESS0=", b"ADDRESS", b"12=", b" ", b"\t", b"\r", b"\n", b"#", b"x"]
FOREIGN = st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=12).map(b"".join))
BODIES = st.text(st.characters(blacklist_categories=("Cs",)), max_size=40)


@given(FOREIGN, BODIES)
@example(b"", BODY)
@example(b"no newline", BODY)
@example(b"cr at the end\r", "")
@example(b"\n", "\n")
@example(b"\xef\xbb\xbf", BODY)
def test_take_out_undoes_put_for_any_bytes(content, body):
    assume(not blocks.has_marker(content) and not blocks.has_marker(body.encode()))
    assert content == blocks.take_out(blocks.put(content, body))


@given(FOREIGN, BODIES, BODIES)
def test_a_second_put_replaces_the_first_and_forgets_nothing(content, first, second):
    assume(not any(map(blocks.has_marker, (content, first.encode(), second.encode()))))
    twice = blocks.put(blocks.put(content, first), second)
    assert blocks.put(content, second) == twice
    assert content == blocks.take_out(twice)


@given(FOREIGN, FOREIGN)
def test_foreign_lines_on_both_sides_stay(before, after):
    before += b"\n"
    assume(not blocks.has_marker(before) and not blocks.has_marker(after))
    content = blocks.put(before, "old") + after
    assert before + BLOCK + after == blocks.put(content, BODY)
    assert before + after == blocks.take_out(content)


@given(st.lists(st.sampled_from([*MARKERS, b"mine\n"]), max_size=6))
def test_whatever_the_markers_no_foreign_line_is_lost(lines):
    content = b"".join(lines)
    markers = [line for line in lines if line != b"mine\n"]
    if markers in ([], MARKERS):
        parts = blocks.split(content)
        assert content == parts.before + (parts.block or b"") + parts.after
        assert b"mine" not in (blocks.take_out(content) or b"").replace(b"mine\n", b"")
    else:
        with pytest.raises(Refusal, match=r"/etc/x: .*line \d"):
            blocks.put(content, BODY, "/etc/x")
        with pytest.raises(Refusal):
            blocks.take_out(content)


def test_a_new_file_is_the_block_alone_and_goes_away_with_it():
    assert BLOCK == blocks.put(None, BODY)
    assert blocks.take_out(BLOCK) is None


def test_a_file_without_a_block_is_taken_out_unchanged():
    assert blocks.take_out(b"mine") == b"mine"


def test_the_block_begins_on_its_own_line_and_says_that_it_added_a_newline():
    content = blocks.put(b"mine", BODY)
    assert b"mine\n# BEGIN symroute-nm" == content[:24]
    assert b"(no newline before, 4 bytes)\n" in content


@given(FOREIGN, FOREIGN, BODIES, BODIES)
@example(b"old", b"new\n", BODY, BODY)
def test_a_newline_that_somebody_wrote_above_the_block_stays(content, added, first, second):
    added += b"\n"
    assume(not any(map(blocks.has_marker, (content, added, first.encode(), second.encode()))))
    begins = blocks.put(content, first).index(b"# BEGIN symroute-nm: ")
    put = blocks.put(content, first)
    edited = put[:begins] + added + put[begins:]
    assert put[:begins] + added == blocks.take_out(blocks.put(edited, second))


def test_lines_added_behind_the_block_are_not_joined_with_the_one_before():
    assert b"mine\nnew\n" == blocks.take_out(blocks.put(b"mine", BODY) + b"new\n")


def test_an_empty_file_stays_since_an_empty_rule_file_means_something():
    assert b"" == blocks.take_out(blocks.put(b"", BODY))


def test_a_block_whose_end_lost_its_newline_or_got_crlf_is_found():
    assert BLOCK == blocks.put(BLOCK[:-1], BODY)
    assert blocks.take_out(BLOCK.replace(b"\n", b"\r\n")) is None


def test_a_body_with_a_marker_is_refused():
    with pytest.raises(InputError, match="/etc/x"):
        blocks.put(None, "# END symroute-nm\n", "/etc/x")


def test_flaws_name_the_line_and_spare_the_block_and_good_lines():
    lines = b"\xef\xbb\xbf10.0.0.0/8 dev a\n# hi\r\n10.1.0.0/16 dev b\r\n10.2.0.0/16 dev c # why\n"
    found = broken_lines.find_flaws(lines + BLOCK)
    assert ["line 1 ", "line 3 ", "line 4 "] == [flaw[:7] for flaw in found]
    assert ["order mark", "CR LF", "comment"] == [
        word for flaw, word in zip(found, ("order mark", "CR LF", "comment")) if word in flaw
    ]
    assert () == broken_lines.find_flaws(BLOCK)


def test_a_backslash_that_joins_a_route_with_a_comment_is_a_flaw():
    for content in (b"10.0.0.0/8 dev a \\\n# note\n", b"# note \\\n10.0.0.0/8 dev a\n"):
        assert broken_lines.find_flaws(content)[0].startswith("line 1 ends in a backslash")
    assert () == broken_lines.find_flaws(b"10.0.0.0/8 \\\n  dev a\n")


def test_a_comment_behind_a_value_is_no_flaw_in_a_file_that_is_sourced():
    assert () == broken_lines.find_flaws(b"ADDRESS0=10.0.0.0 # lab\n")


VARIABLES = b"""# the lab
ADDRESS0=10.10.0.0
NETMASK0="255.255.0.0"
GATEWAY0='10.0.6.9'  # old router

# \xff storage
ADDRESS1=10.20.0.5
NETMASK1=255.255.255.0
PREFIX1=24
METRIC1=5
OPTIONS1="mtu 1400"
"""
CONVERTED = b"""# the lab
10.10.0.0/16 via 10.0.6.9 dev eth0
# old router

# \xff storage
10.20.0.0/24 dev eth0 metric 5 mtu 1400
"""


def test_convert_writes_ip_form_and_keeps_comments():
    assert CONVERTED == convert(VARIABLES, "eth0")
    assert not conversion.is_variables_form(convert(VARIABLES, "eth0"))


def test_convert_reads_crlf_and_a_missing_last_newline():
    content = b"ADDRESS0=10.10.0.0\r\nNETMASK0=255.255.0.0"
    assert b"10.10.0.0/16 dev eth0" == convert(content, "eth0")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"ADDRESS0=10.0.0.0\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=0.0.0.255\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.255.0\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=24\n", 1),
        (b"ADDRESS0=10.0.0.0\nPREFIX0=8\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nPREFIX0=33\n", 1),
        (b"ADDRESS0=10.0.0.0\nPREFIX0=8\nNETMASK0=255.255.0.0\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nGATEWAY0=10.0.0.010\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nMETRIC0=-1\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nOPTIONS0='mtu $(id)'\n", 1),
        (b"ADDRESS0=\nNETMASK0=255.0.0.0\n", 1),
        (b"\nADDRESS0=$NET\nNETMASK0=255.0.0.0\n", 2),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\n10.9.0.0/16 via 10.0.0.1\n", 3),
        (b"ADDRESS0=10.0.0.0 NETMASK0=255.0.0.0\n", 1),
        (b"ADDRESS0='10.0.0.0\nNETMASK0=255.0.0.0\n", 1),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nexport GATEWAY0=10.0.0.1\n", 3),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nNETMASK0=255.255.0.0\n", 3),
        (b"ADDRESS0=10.0.0.0\nNETMASK0=255.0.0.0\nGATEWAY1=10.0.0.1\n", 3),
        (b"\xef\xbb\xbfADDRESS0=10.0.0.0\nADDRESS0=10.0.0.0\n", 1),
    ],
)
def test_convert_names_the_line_that_it_does_not_understand(content, line):
    with pytest.raises(InputError, match=rf"^/etc/route-a line {line}\b"):
        convert(content, "eth0", "/etc/route-a")


def test_convert_refuses_a_gap_behind_which_nothing_is_applied():
    with pytest.raises(InputError, match="0, 2"):
        convert(VARIABLES.replace(b"S1=", b"S2=").replace(b"K1=", b"K2="), "eth0")


def test_convert_refuses_a_device_that_the_shell_would_expand():
    with pytest.raises(InputError, match=re.escape("'eth*'")):
        convert(VARIABLES, "eth*")


SCRIPT = "#!/bin/sh\necho ours\n"


def test_a_scripts_first_line_stays_first_and_goes_with_the_block():
    made = blocks.put(None, SCRIPT)
    assert made.startswith(b"#!/bin/sh\n# BEGIN symroute-nm")
    assert made == blocks.put(made, SCRIPT)
    assert b"echo other\n" in blocks.put(made, "#!/bin/sh\necho other\n")
    assert None is blocks.take_out(made)


@pytest.mark.parametrize(
    "edited",
    [
        lambda made: made + b"echo mine\n",
        lambda made: made.replace(b"#!/bin/sh\n", b"#!/bin/sh\necho mine\n"),
        lambda made: made.replace(b"#!/bin/sh\n", b"echo mine\n"),
    ],
)
def test_lines_that_somebody_added_to_our_script_stay(edited):
    rest = blocks.take_out(edited(blocks.put(None, SCRIPT)))
    assert rest is not None and b"echo mine\n" in rest and b"ours" not in rest


def test_somebody_elses_script_keeps_its_own_first_line():
    theirs = b"#!/bin/bash\necho theirs\n"
    made = blocks.put(theirs, SCRIPT)
    assert made.startswith(theirs) and made.count(b"#!") == 1
    assert theirs == blocks.take_out(made)
