"""Blocks: what is not ours stays byte for byte, damaged markers are refused."""

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from symroute_nm.errors import InputError, Refusal
from symroute_nm.files import blocks

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
