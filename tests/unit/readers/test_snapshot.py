"""Snapshots: what is dumped is read back, and nothing hostile gets further than an InputError."""

import json
import sys
import tracemalloc
from contextlib import contextmanager
from ipaddress import ip_address, ip_interface, ip_network
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from support.golden import FOLDER
from support.golden.cases import CASES
from support.hosts import two_uplinks
from support.strategies import examples
from symroute_nm.errors import InputError
from symroute_nm.model import route_set
from symroute_nm.model.host import Host, Lease, TableName
from symroute_nm.model.network import Address, Hop, Link, Route, Rule
from symroute_nm.model.profiles import Profile
from symroute_nm.readers import snapshot
from symroute_nm.readers.snapshot import dump_host, dump_parts, load_host, read_host

WHERE = "host.json"


def document(**fields):
    return {"format": "symroute-nm host", "version": 1, "host": fields}


def outcome(content, large):
    """The host, or the error, where snapshots count as large from so many bytes on."""
    with patch.object(snapshot, "_LARGE", large):
        try:
            return load_host(content, WHERE)
        except InputError as error:
            return error


def load_bytes(content):
    """The host: the same, or refused in the same words, as a small and as a large snapshot."""
    whole, apart = (outcome(content, each) for each in (sys.maxsize, 0))
    if isinstance(whole, InputError):
        assert str(whole) == str(apart)
        raise whole
    assert whole == apart
    assert list(whole.routes) == list(apart.routes)
    return apart


def load(content):
    text = content if isinstance(content, str) else json.dumps(content)
    return load_bytes(text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("name", sorted(CASES))
def test_hosts_come_back_as_they_were(name):
    host = CASES[name]()
    assert host == load(dump_host(host))


fours = st.integers(0, 2**32 - 1).map(ip_address)
sixes = st.integers(2**64, 2**128 - 1).map(ip_address)
numbers = st.integers(0, 2**32 - 1)
words = st.text(st.characters(blacklist_characters="\0"), max_size=9)

labels = st.text(
    st.characters(blacklist_characters="\0/: \t\n\v\f\r"), min_size=1, max_size=9
).filter(lambda each: each not in (".", ".."))
names = st.text(st.characters(blacklist_categories=("Cc", "Zl", "Zp")), max_size=9)


def made(kind, **fields):
    """`kind` with these fields alone: st.builds() would make up the others from their types."""
    return st.builds(lambda **given: kind(**given), **fields)  # noqa: PLW0108  # hides the types


def family(version, addresses, longest):
    """Strategies of one family: addresses, routes, rules."""
    optional = st.one_of(st.none(), addresses)
    nets = st.builds(
        lambda ip, length: ip_network(f"{ip}/{length}", strict=False),
        addresses,
        st.integers(0, longest),
    )
    interfaces = st.builds(
        lambda ip, length: ip_interface(f"{ip}/{length}"), addresses, st.integers(0, longest)
    )
    hops = st.lists(made(Hop, link=words, gateway=optional, onlink=st.booleans()), max_size=2)
    limits = st.one_of(st.none(), numbers)
    return (
        made(
            Address,
            link=words,
            interface=interfaces,
            peer=optional,
            scope=numbers,
            dynamic=st.booleans(),
        ),
        made(
            Route,
            destination=nets,
            table=numbers,
            type=words,
            hops=hops.map(tuple),
            metric=numbers,
            tos=numbers,
            source=optional,
        ),
        made(
            Rule,
            version=st.just(version),
            priority=numbers,
            source=st.one_of(st.none(), nets),
            iif=words,
            mark=numbers,
            suppress_prefixlength=limits,
            opaque=st.lists(words, max_size=2).map(tuple),
        ),
    )


FOUR, SIX = family(4, fours, 32), family(6, sixes, 128)


def several(*strategies):
    return st.lists(st.one_of(*strategies), max_size=3).map(tuple)


hosts = made(
    Host,
    links=st.lists(
        made(Link, ifindex=numbers, name=labels, mac=words, table=numbers, up=st.booleans()),
        unique_by=lambda each: each.name,
        max_size=3,
    ).map(tuple),
    addresses=several(FOUR[0], SIX[0]),
    routes=several(FOUR[1], SIX[1]).map(route_set.pack),
    rules=several(FOUR[2], SIX[2]),
    profiles=several(
        made(Profile, name=words, id=words, gateways=st.lists(fours, max_size=2).map(tuple))
    ),
    tables=several(made(TableName, id=numbers, name=names, path=words, owned=st.booleans())),
    leases=several(made(Lease, link=words, gateway=fours)),
    kernel=words,
    suppress=st.sampled_from([None, True, False]),
    forwarding=st.sampled_from([(), (4,), (4, 6)]),
    drop_ins=st.booleans(),
)


@given(hosts)
def test_any_host_comes_back_as_it_was(host):
    text = dump_host(host)
    assert host == load(text)
    assert text == dump_host(load(text))


def test_only_what_differs_from_the_defaults_is_written():
    assert {"host": {}, "version": 1, "format": "symroute-nm host"} == json.loads(dump_host(Host()))


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31m", "a\r", "\x85", "\u2028"], ids=repr)
def test_a_table_name_with_control_characters_is_refused(name):
    host = two_uplinks()._replace(tables=(TableName(100, "users"), TableName(101, name)))
    with pytest.raises(InputError, match=r"host\.tables\[1\]\.name: a control character"):
        load(dump_host(host))


ROUTE = {"destination": "10.0.0.0/8"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("\ufeff{}", "not JSON"),
        (dump_host(two_uplinks())[:-20], "not JSON"),
        ("[" * 100000, "not JSON"),
        ('{"a":' * 100000, "not JSON"),
        ('{"format": "symroute-nm host", "version": ' + "9" * 100000 + "}", "not JSON"),
        ("[]", "no snapshot"),
        ("null", "no snapshot"),
        ("NaN", "no snapshot"),
        ('{"format": ["symroute-nm host"]}', "no snapshot"),
        (dict(document(), format="netplan"), "no snapshot"),
        (dict(document(), version=2), "version 2, but this program reads version 1"),
        (dict(document(), version=1.0), "version 1.0"),
        (dict(document(), version=True), "version True"),
        (dict(document(), version="1"), "version '1'"),
        ({"format": "symroute-nm host"}, "version None"),
        (dict(document(), host=None), "host: not an object"),
        (document(links=None), "host.links: not a list"),
        (document(links={}), "host.links: not a list"),
        (document(links=[1]), r"host.links\[0\]: not an object"),
        (document(links=[{}]), r"host.links\[0\]: no field 'ifindex'"),
        (document(links=[{"ifindex": 1}]), "no field 'name'"),
        (document(links=[{"ifindex": "1", "name": "lo"}]), "ifindex: '1' is not a number"),
        (document(links=[{"ifindex": True, "name": "lo"}]), "ifindex: True is not a number"),
        (document(links=[{"ifindex": 1.0, "name": "lo"}]), "ifindex: 1.0 is not a number"),
        (document(links=[{"ifindex": -1, "name": "lo"}]), "ifindex: -1 is out of range"),
        (document(links=[{"ifindex": 2**32, "name": "lo"}]), "ifindex: 4294967296 is out of range"),
        (document(links=[{"ifindex": 1, "name": None}]), "name: None is not text"),
        (document(links=[{"ifindex": 1, "name": "a\0"}]), "NUL"),
        (document(kernel="a" * (2**20 + 1)), "text too long"),
        (document(links=[{"ifindex": 1, "name": "a" * 61}]), r"host.links\[0\].name: 'aaa"),
        (document(links=[{"ifindex": 1, "name": ""}]), "'' names no link"),
        (document(links=[{"ifindex": 1, "name": "a\nb"}]), "names no link"),
        (document(links=[{"ifindex": 1, "name": ".."}]), "names no link"),
        (
            document(rules=[{"version": 4, "priority": 7, "action": "goto", "target": 7}]),
            r"host.rules\[0\]: a goto that does not lead forward",
        ),
        (
            document(
                rules=[
                    {"version": 4, "priority": 7, "action": "goto", "target": 9},
                    {"version": 4, "priority": 9, "action": "goto", "target": 7},
                ]
            ),
            r"host.rules\[1\]: a goto",
        ),
        (document(routes=[{"destination": "010.0.0.0/8"}]), "is not a network"),
        (document(addresses=[{"link": "a", "interface": "10.0.0.09/24"}]), "is not an address"),
        (document(links=[{"ifindex": 1, "name": "a", "loopback": 1}]), "1 is not true or false"),
        (document(links=[{"ifindex": 1, "name": "a"}] * 2), "two links of one name"),
        (document(colour="red"), "unknown field 'colour'"),
        (document(links=[{"ifindex": 1, "name": "lo", "\ud800\n": 1}]), "unknown field"),
        (document(suppress="yes"), "suppress: 'yes' is not true or false"),
        (document(forwarding=4), "forwarding: not a list"),
        (document(routes=[{"destination": "10.0.0.1/8"}]), "'10.0.0.1/8' is not a network"),
        (document(routes=[{"destination": 167772160}]), "167772160 is not a network"),
        (document(routes=[{"destination": ["10.0.0.0", 8]}]), "a list is not a network"),
        (document(routes=[dict(ROUTE, table=2**32)]), "4294967296 is out of range"),
        (document(routes=[dict(ROUTE, source="fe80::1")]), "two families"),
        (
            document(routes=[dict(ROUTE, table=255), dict(ROUTE, table=1, source="fe80::1")]),
            r"host.routes\[1\]: source and destination are of two families",
        ),
        (
            document(routes=[{"destination": "::/0", "hops": [{"gateway": "10.0.0.1"}]}]),
            "cannot have the gateway 10.0.0.1",
        ),
        (
            document(routes=[dict(ROUTE, hops=[{"gateway": "fe80::1%eth0; rm *"}])]),
            "is not an address",
        ),
        (document(addresses=[{"link": "a", "interface": "fe80::1%a b/64"}]), "is not an address"),
        (
            document(addresses=[{"link": "a", "interface": "10.0.0.1/24", "peer": "fe80::1"}]),
            r"host.addresses\[0\]: address and peer are of two families",
        ),
        (document(addresses=[{"link": "a", "interface": "10.0.0.1/33"}]), "is not an address"),
        (document(rules=[{"version": 5, "priority": 1}]), r"host.rules\[0\]"),
        (document(rules=[{"version": 6, "priority": 1, "source": "10.0.0.0/8"}]), "another family"),
    ],
)
def test_a_broken_snapshot_is_refused_with_the_place(content, words):
    with pytest.raises(InputError, match=words) as error:
        load(content)
    assert str(error.value).startswith(WHERE)
    assert 400 > len(str(error.value))


@pytest.mark.parametrize("depth", [10, 300, 600, 900, 990, 5000, 100000])
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"links":', "}")])
def test_nesting_of_any_depth_is_refused(depth, left, right):
    nested = left * depth + right * depth if left == "[" else left * depth + "0" + right * depth
    for place in (
        '"host": %s',
        '"host": {"kernel": %s}',
        '"host": {"links": %s}',
        '"host": {"links": [{"ifindex": 1, "name": %s}]}',
        '"host": {"suppress": %s}',
    ):
        with pytest.raises(InputError):
            load(f'{{"format": "symroute-nm host", "version": 1, {place % nested}}}')


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity", "1e999", "-0", "0.1"])
def test_numbers_that_json_does_not_know(constant):
    text = f'{{"format": "symroute-nm host", "version": 1, "host": {{"rp_filter": {constant}}}}}'
    if constant == "-0":
        assert 0 == load(text).rp_filter
        return
    with pytest.raises(InputError, match="rp_filter"):
        load(text)


def test_a_key_that_stands_twice_is_refused():
    text = '{"format": "symroute-nm host", "version": 1, "host": {"kernel": "5", "kernel": "6"}}'
    with pytest.raises(InputError, match="the key 'kernel' twice"):
        load(text)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\x80", b"\0", "{}".encode("utf-16")])
def test_bytes_that_are_not_utf8(content):
    with pytest.raises(InputError, match=r"host\.json"):
        load_bytes(content)


@given(st.binary())
def test_any_bytes_are_refused(content):
    with pytest.raises(InputError):
        load_bytes(content)


def paths(value, path=()):
    """Where in a document something stands, from the root on."""
    yield path
    if isinstance(value, dict):
        children = value.items()
    else:
        children = enumerate(value) if isinstance(value, list) else ()
    for key, each in children:
        yield from paths(each, (*path, key))


BASE = json.loads(dump_host(CASES["wg-quick"]()))
PLACES = sorted(paths(BASE), key=repr)
json_values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=5),
        st.sampled_from(["10.0.0.1", "::1/128", "0.0.0.0/0", "fe80::1%x", "\ud800", "main"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)


@given(st.sampled_from(PLACES), json_values, st.booleans())
@example((), None, False)
def test_anything_anywhere_is_a_host_or_an_input_error(path, value, delete):
    changed = json.loads(json.dumps(BASE))
    if path:
        place = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        if delete:
            del place[path[-1]]
    else:
        changed = value
    try:
        assert isinstance(load(changed), Host)
    except InputError as error:
        assert str(error)


def test_a_file_that_is_missing_or_none(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_host(tmp_path / "none")
    with pytest.raises(InputError, match="not a regular file; check --host"):
        read_host(tmp_path)


def test_a_file_is_read(tmp_path):
    (tmp_path / "host.json").write_text(dump_host(two_uplinks()))
    assert two_uplinks() == read_host(tmp_path / "host.json")


# -- large ones, whose routes are read one by one -------------------------------------------------

FILES = sorted(FOLDER.glob("*/host.json"))
FORMS = {
    "written": lambda text: text,
    "one line": lambda text: json.dumps(json.loads(text), separators=(",", ":")),
    "sorted": lambda text: json.dumps(json.loads(text), indent=4, sort_keys=True),
    "CRLF": lambda text: text.replace("\n", "\r\n\t"),
}


@pytest.mark.parametrize("form", FORMS)
def test_snapshots_in_any_form_can_be_read_route_by_route(form):
    with patch.object(snapshot, "_LARGE", 0):
        for path in FILES:
            content = FORMS[form](path.read_text()).encode()
            taken = snapshot._take_apart(content)
            routes = json.loads(path.read_text())["host"].get("routes", [])
            assert len(routes) == (len(taken[1]) if taken else 0), path
            load_bytes(content)


TOKENS = [
    b'"',
    b"\\",
    b"[",
    b"]",
    b"{",
    b"}",
    b",",
    b":",
    b"NaN",
    b"null",
    b"-1",
    b"1e3",
    b"0",
    b'"routes": [',
    b'"destination": "',
    b'"destination": "0.0.0.0/0"}',
    b'"hops": [{}]',
    b'"source": "::1"',
    b'"gateway": "10.0.0.1"',
    b"::/0",
    b"\xff",
    b"\0",
    b"\n",
    b"\v",
    b"\xc3\xa9",
    b" ",
    b"9" * 21,
    b"\\u0065",
    b"}, {",
    b"}]}",
]


@st.composite
def broken_snapshots(draw):
    """A case's snapshot in some form, with a few bytes out, others in, or some at another place."""
    text = FORMS[draw(st.sampled_from(sorted(FORMS)))](draw(st.sampled_from(FILES)).read_text())
    content = text.encode()
    for _ in range(draw(st.integers(1, 3))):
        # Mostly among routes
        low = draw(st.sampled_from([0, *[max(0, content.find(b'"routes"'))] * 3]))
        high = max(low, *[content.rfind(b'"destination"')] * draw(st.integers(0, 1)), low + 600)
        first, other = (draw(st.integers(low, min(high, len(content)))) for _ in range(2))
        length = draw(st.integers(0, 40))
        span = content[first : first + length]
        put = draw(st.one_of(st.sampled_from(TOKENS), st.just(span), st.just(b"")))
        if draw(st.booleans()):
            content = content[:first] + content[first + length :]
        content = content[:other] + put + content[other:]
    return content


@given(broken_snapshots())
@examples(150)
def test_large_snapshots_are_taken_and_refused_as_small_ones(content):
    try:
        load_bytes(content)
    except InputError as error:
        assert str(error).startswith(WHERE)


LIST = '[{"destination": "10.0.0.0/8"}]'


@pytest.mark.parametrize(
    "fields",
    [
        '"host": {}, "x": {"routes": %s}',
        '"x": {"routes": %s}, "host": {"routes": []}',
        '"x": {"routes": %s}, "host": {"routes": NaN}',
        '"host": {"routes": NaN}, "x": {"routes": %s}',
        '"x": NaN, "host": {"routes": %s}',
        '"routes": %s, "host": {"kernel": "5"}',
        '"host": {"kernel": "\\"routes\\": %s"}',
        '"host": {"a\\"routes": %s}',
        '"host": {"r\\u006futes": %s}',
        '"host": {"routes": %s, "routes": []}',
        '"host": {"links": [{"ifindex": 1, "name": "a", "routes": %s}]}',
        '"host": [{"routes": %s}]',
        '"host": {"links": 1, "routes": %s}',
        '"host": {"routes": %s, "colour": 1}',
        '"host": {"routes": %s}, "y": ' + "[" * 10000,
        '"host": {"routes": %s}} {',
    ],
)
def test_a_list_of_routes_counts_where_it_stands(fields):
    for listed in (LIST, LIST.replace('"', '\\"')):
        text = f'{{"format": "symroute-nm host", "version": 1, {fields % listed}}}'
        try:
            host = load(text)
        except InputError:
            continue
        here = "routes" in json.loads(text)["host"] and json.loads(text)["host"]["routes"]
        assert (1 if here else 0) == len(host.routes)


ONE, SIX_ONE = '{"destination": "10.0.0.0/8"%s}', '{"destination": "2001:db8::/32"%s}'


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("[{},{}]".format(ONE % "", SIX_ONE % ""), 2),
        ("[{}{}]".format(ONE % "", ONE % ""), None),
        ("[{}[{}]".format(ONE % "", ONE % ""), None),
        (f"[{ONE},]" % "", None),
        (f"[,{ONE}]" % "", None),
        (f"[{ONE}" % "", None),
        (f"[{ONE}]]" % "", None),
        (f"[\v{ONE}]" % "", None),
        (f"[{ONE}\f]" % "", None),
        (f"[{ONE}, 1]" % "", None),
        (f"[{ONE}]" % ',"type": "]"', 1),
        (f"[{ONE}]" % ',"type": "}"', 1),
        (f"[{ONE}]" % ',"type": "a[{", "hops": [{"link": "}]"}]', 1),
        (f"[{ONE}]" % ', "type": "[", "table": 7}, {"destination": "::/0", "type": "]"', 2),
        (f"[{ONE}]" % ', "destination": "11.0.0.0/8"', None),
        (f"[{ONE}]" % ', "metric": 1, "metric": 1', None),
        (f"[{ONE}]" % ', "metric": NaN', None),
        (f"[{ONE}]" % (', "metric": ' + "9" * 21), None),
        (f"[{ONE}]" % ', "hops": [[]]', None),
        (f"[{ONE}]" % (', "hops": [' + '{"a":' * 10000 + "]"), None),
        ('[{"table": 7, "destination": "10.0.0.0/8"}]', 1),
        ('[{"destination": "10.0.0.0/255.0.0.0"}, {"destination": "10.0.0.1"}]', 2),
        ('[{"destination": "2001:DB8::/32"}, {"destination": "::10.0.0.0/120"}]', 2),
        ('[{"destination": "10.0.0.0/08"}]', 1),
        ('[{"destination": "010.0.0.0/8"}]', None),
        ("[{},{}]".format(ONE % ',"source": "10.0.0.1"', SIX_ONE % ',"source": "10.0.0.1"'), None),
        ("[{0},{0}]".format(ONE % ',"hops": [{"gateway": "fe80::1"}]'), 2),
        (
            "[{},{}]".format(
                ONE % ',"hops": [{"gateway": "10.0.0.1"}]',
                SIX_ONE % ',"hops": [{"gateway": "10.0.0.1"}]',
            ),
            None,
        ),
        (
            '[{"destination": "0.0.0.0/0"}, {"destination": "0.0.0.0/8"}, {"destination": "::/0"}]',
            3,
        ),
    ],
)
def test_lists_of_routes(listed, expected):
    text = f'{{"format": "symroute-nm host", "version": 1, "host": {{"routes": {listed}}}}}'
    if expected is None:
        with pytest.raises(InputError):
            load(text)
    else:
        assert expected == len(load(text).routes)


def many_routes(number):
    """Two uplinks, and so many routes behind a router."""
    hops = (Hop("eth0", ip_address("10.0.6.254")),)
    made = (Route(ip_network(((11 << 24) + (each << 8), 24)), hops=hops) for each in range(number))
    host = two_uplinks()
    return host._replace(routes=route_set.pack((*host.routes, *made)))


@contextmanager
def less_than(limit):
    """Less memory than that is taken, in bytes."""
    tracemalloc.start()
    try:
        yield
        assert limit > tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_many_routes_are_written_and_read_in_little_memory():
    host, number = many_routes(20000), 0
    with less_than(200000):
        for part in dump_parts(host):
            number += len(part)
    content = dump_host(host).encode()
    assert number == len(content)
    with less_than(len(content) // 2):
        read = load_host(content, WHERE)
    assert host == read


@pytest.mark.parametrize("path", FILES, ids=lambda each: each.parent.name)
def test_the_text_is_what_json_makes_of_it(path):
    text = dump_host(load_host(path.read_bytes(), WHERE))
    assert json.dumps(json.loads(text), indent=1) + "\n" == text
