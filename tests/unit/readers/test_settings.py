"""Configuration file and options: what is understood, what is refused, and in which words."""

import fnmatch
from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from symroute_nm.errors import InputError, SymrouteError, SystemFailure
from symroute_nm.model.settings import (
    InterfaceSettings,
    Options,
    Settings,
    TableChoice,
    named_links,
)
from symroute_nm.readers.settings import apply_options, nearest, parse_settings, read_settings

WHOLE = """\
# a comment
[symroute]
guard = throw
sources = network
iif = off
table-names = yes
priority-base = 7000
interfaces = eth*, bond0
exclude = veth*
    cali*

[interface eth0]
table = users
id = 2
gateway = 10.0.6.1 2001:db8:6::1
profile = Wired_connection_1
addresses = +10.0.6.100, +2001:db8:6::100
    +10.0.6.100
"""


def test_every_key_is_read():
    expected = Settings(
        guard="throw",
        sources="network",
        iif=False,
        table_names=True,
        priority_base=7000,
        interfaces=("eth*", "bond0"),
        exclude=("veth*", "cali*"),
        interface={
            "eth0": InterfaceSettings(
                TableChoice("users", 2),
                (ip_address("10.0.6.1"), ip_address("2001:db8:6::1")),
                "Wired_connection_1",
                (ip_address("10.0.6.100"), ip_address("2001:db8:6::100")),
            )
        },
    )
    assert expected == parse_settings(WHOLE)


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "[symroute]\n", "; nothing"])
def test_nothing_said_is_the_defaults(text):
    assert Settings() == parse_settings(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[symroute]\ngaurd = auto", ["[symroute] gaurd", "unknown key", "did you mean guard?"]),
        ("[symroute]\nxyz = 1", ["[symroute] xyz", "known: exclude, forwarded, guard"]),
        ("[interface eth0]\ngatway = 10.0.0.1", ["[interface eth0] gatway", "mean gateway?"]),
        ("[symroutes]\nguard = auto", ["[symroutes]", "unknown section"]),
        ("[interface]\nid = 2", ["[interface]", "unknown section"]),
        ("[interface  ]\nid = 2", ["unknown section"]),
        ("guard = auto", ["symroute-nm.conf", "line: 1"]),
        ("[symroute]\nguard", ["symroute-nm.conf", "line"]),
        ("[symroute]\nguard = auto\nguard = none", ["guard", "already exists"]),
        ("[symroute]\n[symroute]\n", ["already exists"]),
        ("[interface eth0]\nid = 2\n[interface  eth0]\nid = 3", ["second section"]),
        ("[symroute]\nguard = rule", ["guard", "'rule'", "did you mean rules?"]),
        ("[symroute]\nguard = auto\n  none", ["guard"]),
        ("[symroute]\nguard =", ["guard", "''"]),
        ("[symroute]\nsources = all", ["sources", "'all'"]),
        ("[symroute]\niif = perhaps", ["iif", "yes or no"]),
        ("[symroute]\ntable-names = auto", ["table-names", "yes or no"]),
        ("[symroute]\npriority-base = 0", ["priority-base", "out of range", "1 to 32762"]),
        ("[symroute]\npriority-base = 32764", ["priority-base", "out of range"]),
        ("[symroute]\npriority-base = 1e3", ["priority-base", "digits"]),
        ("[symroute]\npriority-base = -1", ["priority-base", "digits"]),
        ("[symroute]\npriority-base = " + "9" * 5000, ["priority-base"]),
        ("[symroute]\n" + "k" * 5000 + " = 1", ["unknown key", "kkk:"]),
        ("[" + "s" * 5000 + "]", ["unknown section", "sss]"]),
        ("[symroute]\nguard = " + "g" * 5000, ["guard", "ggg…"]),
        ("g" * 5000, ["mend that line"]),
        ("[symroute]\nexclude = a*b*c*d*e*f", ["exclude", "'a*b*c*d*e*f' cannot be a pattern"]),
        ("[interface eth0]\nid = 0", ["[interface eth0] id", "0"]),
        ("[interface eth0]\nid = 254", ["[interface eth0] id", "254"]),
        ("[interface eth0]\nid = 4294967296", ["[interface eth0] id"]),
        ("[interface eth0]\ntable = main", ["[interface eth0]", "'main'"]),
        ("[interface eth0]\ntable = a b", ["[interface eth0]", "'a b'"]),
        ("[interface eth0]\ngateway = 10.0.6.1/24", ["gateway", "'10.0.6.1/24'"]),
        ("[interface eth0]\ngateway = 010.0.6.1", ["gateway", "'010.0.6.1'"]),
        ("[interface eth0]\ngateway = fe80::1%eth0", ["gateway", "zone"]),
        ("[interface eth0]\ngateway = 10.0.6.1 10.0.6.2", ["gateway", "one address a family"]),
        ("[interface eth0]\ngateway =", ["gateway", "one address a family"]),
        ("[interface eth0]\naddresses = 10.0.6.100", ["addresses", "lacks the +", "+10.0.6.100"]),
        ("[interface eth0]\naddresses = +10.0.6.100/32", ["addresses", "'10.0.6.100/32'"]),
        ("[interface eth0]\naddresses = +", ["addresses", "'' is not an address"]),
        ("[interface eth0]\naddresses =", ["addresses", "empty"]),
        ("[interface eth0]\naddress = +10.0.6.100", ["unknown key", "mean addresses?"]),
    ],
)
def test_what_is_not_understood_is_said_with_its_place(text, words):
    with pytest.raises(InputError) as error:
        parse_settings(text)
    assert [] == [word for word in words if word not in str(error.value)]
    assert "\n" not in str(error.value)
    assert 450 > len(str(error.value))


def test_a_pattern_that_no_name_can_fit_is_refused_or_fits_none():
    """Python before 3.9 makes a regular expression of it that its own compiler refuses."""
    try:
        settings = parse_settings("[symroute]\nexclude = [z-a]")
    except InputError as error:
        assert "'[z-a]' cannot be a pattern" in str(error)
    else:
        assert not fnmatch.fnmatchcase("b", settings.exclude[0])


def test_a_missing_file_is_the_defaults_unless_it_was_asked_for(tmp_path):
    assert Settings() == read_settings(tmp_path / "none")
    with pytest.raises(InputError, match="none: no such file"):
        read_settings(tmp_path / "none", required=True)


@pytest.mark.parametrize("content", [b"\xff", b"[symroute]\nguard = \xe9"])
def test_a_file_that_is_not_utf8_is_refused(tmp_path, content):
    (tmp_path / "conf").write_bytes(content)
    with pytest.raises(InputError, match="UTF-8"):
        read_settings(tmp_path / "conf")


def test_a_byte_order_mark_and_crlf_do_no_harm(tmp_path):
    (tmp_path / "conf").write_bytes(b"\xef\xbb\xbf[symroute]\r\nguard = none\r\n")
    assert "none" == read_settings(tmp_path / "conf").guard


def test_a_dangling_link_is_not_no_configuration(tmp_path):
    (tmp_path / "conf").symlink_to("nowhere")
    with pytest.raises(InputError, match="conf: a link to nowhere"):
        read_settings(tmp_path / "conf")


def test_a_configuration_that_cannot_be_looked_at_is_named(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SystemFailure, match=r"loop/conf cannot be read: Too many levels"):
        read_settings(tmp_path / "loop" / "conf")


def test_a_folder_is_no_configuration(tmp_path):
    with pytest.raises(InputError, match="regular file"):
        read_settings(tmp_path)


fragments = st.sampled_from(
    [
        "[",
        "]",
        "=",
        "\n",
        " ",
        "symroute",
        "interface eth0",
        "guard",
        "id",
        "gateway",
        "exclude",
        "auto",
        "1",
        "10.0.0.1",
        "#",
        ";",
        ":",
        "%",
        "\t",
        "\0",
        "é",
        "\u2028",
        "\ud800",
        "*",
    ]
)


@given(st.one_of(st.text(), st.lists(fragments).map("".join)))
@example("[symroute]\n[")
@example(" [symroute]\n guard\n  = auto")
@example("[interface \0]\ngateway=\0")
def test_hostile_text_is_an_input_error_or_settings(text):
    try:
        found = parse_settings(text)
    except InputError as error:
        assert str(error)
    else:
        assert isinstance(found, Settings)


def test_options_win_over_the_file():
    options = Options(
        guard="rules",
        sources="address",
        iif=True,
        table_names=False,
        interfaces=("eth1",),
        exclude=("eth9",),
        tables=("eth0=people:3", "eth1=7"),
        gateways=("eth0=10.0.6.2",),
    )
    found = apply_options(parse_settings(WHOLE), options)
    assert ("rules", "address", True, False) == (
        found.guard,
        found.sources,
        found.iif,
        found.table_names,
    )
    assert ("eth1",) == found.interfaces
    assert ("veth*", "cali*", "eth9") == found.exclude
    assert (
        InterfaceSettings(
            TableChoice("people", 3),
            (ip_address("2001:db8:6::1"), ip_address("10.0.6.2")),
            "Wired_connection_1",
            (ip_address("10.0.6.100"), ip_address("2001:db8:6::100")),
        )
        == found.interface["eth0"]
    )
    assert TableChoice(id=7) == found.interface["eth1"].table


def test_no_options_change_nothing():
    settings = parse_settings(WHOLE)
    assert settings == apply_options(settings, Options())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(tables=("eth0",)), ["--table", "'eth0'", "eth0=users:2"]),
        (Options(tables=("eth0=",)), ["--table", "LINK=VALUE"]),
        (Options(tables=("=5",)), ["--table", "LINK=VALUE"]),
        (Options(tables=("eth0=users:x",)), ["--table eth0", "'x'", "digits"]),
        (Options(tables=("eth0=users:0",)), ["--table eth0", "0"]),
        (Options(tables=("eth0=users:254",)), ["--table eth0", "254"]),
        (Options(tables=("eth0=main",)), ["--table eth0", "'main'"]),
        (Options(tables=("eth0=a\n:5",)), ["--table eth0", "cannot be a table's name"]),
        (Options(gateways=("eth1",)), ["--gateway", "eth1=10.0.5.1"]),
        (Options(gateways=("eth1=router",)), ["--gateway eth1", "'router'"]),
        (Options(gateways=("eth1=fe80::1%x y",)), ["--gateway eth1"]),
        (Options(exclude=("*" * 5,)), ["--exclude", "'*****'", "eth*"]),
        (Options(interfaces=("",)), ["--interface", "''"]),
        (Options(guard="rulez"), ["--guard", "did you mean rules?"]),
        (Options(sources="none"), ["--sources", "'none'"]),
    ],
)
def test_options_that_are_not_understood(options, words):
    with pytest.raises(InputError) as error:
        apply_options(Settings(), options)
    assert [] == [word for word in words if word not in str(error.value)]


texts = st.one_of(st.text(), st.lists(fragments).map("".join))


@given(st.lists(texts, max_size=2), st.lists(texts, max_size=2), st.one_of(st.none(), texts))
def test_hostile_options_are_an_input_error_or_settings(tables, gateways, guard):
    options = Options(tables=tuple(tables), gateways=tuple(gateways), guard=guard)
    try:
        found = apply_options(Settings(), options)
        named_links(options)
    except SymrouteError as error:
        assert InputError is type(error)
    else:
        assert isinstance(found, Settings)


def test_links_named_outright_are_those_without_a_pattern():
    options = Options(
        interfaces=("eth0", "bond*", "et?1", "eth[2]"),
        exclude=("eth7",),
        tables=("eth1=5",),
        gateways=("eth2=10.0.0.1",),
    )
    assert ("eth0", "eth1", "eth2") == named_links(options)


def test_the_nearest_word_or_all():
    assert "did you mean guard?" == nearest("gaurd", ["guard", "iif"])
    assert "known: guard, iif" == nearest("zzz", ["iif", "guard"])
