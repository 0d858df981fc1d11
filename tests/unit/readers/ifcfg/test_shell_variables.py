"""Values of ifcfg files; each expectation was seen in NetworkManager 1.42's own svUnescape()."""

import shlex
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symroute_nm.readers.ifcfg import shell_variables

ACCEPTED = [
    (b"", ""),
    (b"eth0", "eth0"),
    (b"'eth 0'", "eth 0"),
    (b'"eth 0"', "eth 0"),
    (b"$'eth\\t0'", "eth\t0"),
    (b"eth\\ 0", "eth 0"),
    (b"a'b'\"c\"$'d'\\e", "abcde"),
    (b"''", ""),
    # comments and one semicolon
    (b" # comment", ""),
    (b"eth0 # comment", "eth0"),
    (b"'eth0' # it's", "eth0"),
    (b"eth0#0", "eth0#0"),
    (b"#eth0", "#eth0"),
    (b"eth0;", "eth0"),
    (b"eth0 ; # comment", "eth0"),
    (b"eth0;#comment", "eth0"),
    (b"eth0 \t\r\f", "eth0"),
    (b"eth0 # \xff", "eth0"),
    # what the shell would expand is taken as it stands
    (b"$HOME", "$HOME"),
    (b"`id`", "`id`"),
    (b'$"eth0"', "$eth0"),
    (b"~", "~"),
    (b"*", "*"),
    (b"{a,b}", "{a,b}"),
    (b"$", "$"),
    (b"'$(id)'", "$(id)"),
    (b"\x0beth0", "\x0beth0"),
    # double quotes
    (b'"\\$\\`\\"\\\\"', '$`"\\'),
    (b'"\\n"', "\\n"),
    (b'"it\'s ; | & # ()"', "it's ; | & # ()"),
    (b'"a\\\'b"', "a'b"),  # as NetworkManager's own writer once made them
    (b'"a\\\'b"c', "a\\'bc"),
    (b'"\\~"', "~"),
    (b'"\\~\\n"', "\\~\\n"),
    # ANSI-C quotes
    (b"$'\\a\\b\\e\\E\\f\\n\\r\\t\\v\\?\\\"\\\\\\''", "\a\b\x1b\x1b\f\n\r\t\v?\"\\'"),
    (b"$'\\x41\\x4'", "A\x04"),
    (b"$'\\x411'", "A1"),
    (b"$'\\101\\1019'", "AA9"),
    (b"$'\\u00e9\\U0001f600'", "\u00e9\U0001f600"),
    (b"$'\\u41g'", "Ag"),
    (b"$'\\xc3\\xa9'", "\u00e9"),
    (b"$'\\xc3'\xa9", "\u00e9"),
    (b"$'\\303\\251'", "\u00e9"),
    (b"$'\\x\\u\\c\\8'", "\\x\\u\\c\\8"),
    (b"$'a b;$`\"'", 'a b;$`"'),
]

REJECTED = [
    b"eth0 eth1",
    b" eth0",
    b"a;b",
    b"a;;",
    b"a ; ;",
    b"a|b",
    b"a&b",
    b"a&",
    b"(a)",
    b"$(id)",
    b"a<b",
    b"a>b",
    b"'eth0",
    b'"eth0',
    b"$'eth0",
    b"$'eth0\\'",
    b'"eth0\\"',
    b"eth0\\",
    b'"eth0\\',
    b"$'eth0\\",
    b'"$HOME"',
    b'"`id`"',
    b"'a' 'b'",
    b"\xff",
    b"$'\\xff'",
    b"$'\\772'",
    b"$'\\0'",
    b"$'\\u0000'",
    b"$'\\ud800'",
    b"$'\\U00110000'",
    b"$'\\Uffffffff'",
]


@pytest.mark.parametrize("quoted, expected", ACCEPTED)
def test_accepts_what_networkmanager_accepts(quoted, expected):
    assert expected == shell_variables.unescape(quoted)


@pytest.mark.parametrize("quoted", REJECTED)
def test_rejects_what_networkmanager_rejects(quoted):
    assert shell_variables.unescape(quoted) is None


@pytest.mark.parametrize(
    "line, expected",
    [
        ("DEVICE=eth0", {"DEVICE": "eth0"}),
        (" \tDEVICE=eth0\r", {"DEVICE": "eth0"}),
        ("_1=x", {"_1": "x"}),
        ("A=b=c", {"A": "b=c"}),
        ("A=", {"A": ""}),
        ("A=a|b", {"A": None}),
        ("export DEVICE=eth0", {}),
        ("DEVICE =eth0", {}),
        ("#DEVICE=eth0", {}),
        ("1DEVICE=eth0", {}),
        ("DEVICE+=eth0", {}),
        ("DEVICE", {}),
        ("\ufeffDEVICE=eth0", {}),
        ("", {}),
    ],
)
def test_takes_only_names_at_the_start_of_a_line(line, expected):
    assert expected == dict(shell_variables.parse(line))


def test_last_assignment_wins_even_where_it_is_rejected():
    assert {"A": "2", "B": None} == dict(shell_variables.parse("A=1\nB=1\nA=2\nB=a|b\n"))


def test_lines_are_not_continued():
    assert {"A": None, "B": "2"} == dict(shell_variables.parse("A='1\nB=2\n'\nA=1\\\n"))


def test_nothing_counts_after_a_nul():
    assert {"A": "1"} == dict(shell_variables.parse(b"A=1\0\nB=2\n"))


def test_bytes_that_are_no_text_spoil_their_own_value_only():
    text = b"A=\xff\nB=2 # \xfe\n"
    assert {"A": None, "B": "2"} == dict(shell_variables.parse(text))
    assert {"A": None, "B": "2"} == dict(
        shell_variables.parse(text.decode("utf-8", "surrogateescape"))
    )


LINES = st.text(alphabet="ABx= \t\r\n'\"$`\\;#|&\0\ud800\udcff\u00e90147uUé", max_size=40)


@given(st.one_of(LINES, st.text(), st.binary()))
def test_never_raises(text):
    for name, value in shell_variables.parse(text).items():
        assert name.isidentifier()
        assert value is None or "\0" not in value
    assert isinstance(shell_variables.unescape(text), (str, type(None)))


TEXTS = st.text(alphabet=st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)))


@given(TEXTS)
def test_undoes_the_shells_quoting(text):
    assert text.replace("\n", " ") == shell_variables.unescape(shlex.quote(text.replace("\n", " ")))


@given(TEXTS)
def test_undoes_ansi_quoting(text):
    octal = "".join(f"\\{each:03o}" for each in text.encode("utf-8"))
    assert {"A": text} == dict(shell_variables.parse(f"A=$'{octal}'\n"))


@given(TEXTS)
def test_undoes_unicode_escapes(text):
    assert text == shell_variables.unescape(
        "$'{}'".format("".join(f"\\U{ord(each):08x}" for each in text))
    )


@pytest.mark.parametrize(
    "text",
    [
        b"A=" + b" " * 1000000 + b"x",
        b"A=" + b"\\" * 1000001,
        b'A="' + b'\\"' * 500000,
        b"A=$'" + b"\\'" * 500000,
        b"A=" + b"$" * 1000000 + b"'",
        b"A=" + b"''" * 500000 + b"'",
        b"A" * 1000000,
        b" " * 1000000,
        b"A=1\n" * 250000,
    ],
    ids=["blanks", "backslashes", "double", "ansi", "dollars", "quotes", "name", "indent", "lines"],
)
def test_takes_a_mebibyte_of_anything_in_seconds(text):
    start = time.monotonic()
    shell_variables.parse(text)
    assert 10 > time.monotonic() - start
