"""What hostile input may do, as functions: every parser by name, and the whole program in a tree.

Used by test_any_input, where hypothesis makes the input up, and by soak/inputs.py, where atheris
does.
"""

import contextlib
import io
import json
import os
import re
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Sequence, Tuple

from support.golden import FOLDER
from support.golden.cases import CASES
from support.hosts import two_uplinks
from symroute_nm.cli import main
from symroute_nm.errors import InputError, Refusal, SymrouteError
from symroute_nm.files import access, backups, blocks, journal, own_folders
from symroute_nm.kernel import loaded_marks
from symroute_nm.model import network, plan
from symroute_nm.model import settings as model_settings
from symroute_nm.model.observations import ConfigFile
from symroute_nm.readers import (
    leases,
    observations,
    published_ports,
    rt_tables,
    settings,
    snapshot,
)
from symroute_nm.readers.ifcfg import dispatcher, profiles, shell_variables
from symroute_nm.targets import base
from symroute_nm.targets.ifcfg import broken_lines, conversion, sleeping_rules

FINE, FINDING, INPUT, REFUSED = 0, 1, 2, 3
WHERE = "the file"
HOST = two_uplinks()
_BACKUP = "20200101T000000Z-1"
# What a terminal would act on, or what would show as several lines or backwards.
_CONTROL = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


class Run(NamedTuple):
    """How a run of the program ended, and what it said."""

    code: int
    out: str
    err: str


# -- parsers --------------------------------------------------------------------------------------


def check_error(error: SymrouteError, *kinds: type) -> None:
    """It is of these kinds, and one readable line."""
    assert type(error) in kinds, repr(error)
    assert error.message, "an error that says nothing"
    assert "\n" not in str(error), str(error)


def parse_settings(content: bytes) -> None:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return
    try:
        found = settings.parse_settings(text)
        settings.apply_options(found, model_settings.Options())
    except InputError as error:
        check_error(error, InputError)


def parse_profile(content: bytes) -> None:
    found = profiles.parse("eth0", content)
    assert not set(found.device) & set(" /\n\0"), found.device
    assert len(found.device.encode()) <= 15
    assert all(gateway.version in network.VERSIONS for gateway in found.gateways)
    assert dict(shell_variables.parse(content)) == dict(shell_variables.parse(content + b"\n"))


def parse_tables(content: bytes) -> None:
    for table in rt_tables.parse_tables(content.decode("utf-8", "replace")):
        assert 0 <= table.id <= model_settings.LARGEST_ID
        assert table.name.split() == [table.name]


def parse_leases(content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    found = [leases.parse_internal(text), leases.parse_state(text)]
    found += leases.parse_dhclient(text).values()
    assert all(each is None or int(each) for each in found)


def parse_snapshot(content: bytes) -> None:
    try:
        host = snapshot.load_host(content, WHERE)
    except InputError as error:
        check_error(error, InputError)
        return
    text = snapshot.dump_host(host)
    assert host == snapshot.load_host(text.encode("ascii"), WHERE)


def parse_block(content: bytes) -> None:
    broken_lines.find_flaws(content)
    try:
        parts = blocks.split(content)
    except Refusal as error:
        check_error(error, Refusal)
        return
    assert content == parts.before + (parts.block or b"") + parts.after
    written = blocks.put(content, "default via 10.0.0.1 dev eth0 table 100\n")
    assert written == blocks.put(written, "default via 10.0.0.1 dev eth0 table 100\n")
    if parts.block is None:
        assert content == blocks.take_out(written)


def parse_conversion(content: bytes) -> None:
    try:
        converted = conversion.convert(content, "eth0")
    except InputError as error:
        check_error(error, InputError)
        return
    assert not conversion.is_variables_form(converted)


def parse_rules(content: bytes) -> None:
    text = content.decode("utf-8", "surrogateescape")
    files = [
        ConfigFile(f"/etc/sysconfig/network-scripts/{each}-eth0", text)
        for each in ("rule", "rule6")
    ]
    found = sleeping_rules.find_sleeping_rules(files, HOST, {"eth0"})
    for rule in found.rules:
        networks = [rule.source, rule.destination]
        assert {rule.version} >= {one.version for one in networks if one is not None}
        assert 0 <= rule.priority <= 2**32 - 1
        assert "%" not in str(networks)
    base.with_rules(HOST, plan.Plan(), found.rules)


def parse_firewall(content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    for parse in (published_ports.parse_iptables, published_ports.parse_nft):
        assert all(int(each.target) >= 0 for each in parse(text))
    assert all(each.prefixlen >= 0 for each in published_ports.parse_masqueraded(text))
    assert all(loaded_marks.marked_links(text))


def parse_journal(content: bytes) -> None:
    """A journal that somebody damaged: undone or refused, and nothing but what it may name."""
    with tree() as root:
        state = root / "var/lib/symroute-nm"
        (state / "backups" / _BACKUP).mkdir(parents=True)
        (state / "journal").write_bytes(content)
        with watched(root):
            try:
                journal.repair(root)
            except SymrouteError as error:
                assert Refusal is type(error) or error.exit_code, error


def parse_manifest(content: bytes) -> None:
    """A backup that somebody damaged: it is read or refused."""
    with tree() as root:
        folder = root / "var/lib/symroute-nm/backups" / _BACKUP
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_bytes(content)
        with watched(root):
            try:
                with access.Tree(root) as opened:
                    backups.undoing(opened, backups.find(opened))
            except SymrouteError as error:
                assert Refusal is type(error) or error.exit_code, error


def _texts(*patterns: str) -> List[bytes]:
    return [path.read_bytes() for pattern in patterns for path in sorted(FOLDER.glob(pattern))]


_JOURNAL = {
    "format": 1,
    "backup": _BACKUP,
    "folders": ["etc/iproute2"],
    "entries": [
        {
            "path": "/etc/x",
            "target": "etc/x",
            "new": ".symroute-nm.x.01234567",
            "old": "",
            "before": "",
            "after": journal.digest(b"x"),
        }
    ],
}
_MANIFEST = {
    "format": 1,
    "files": [
        {
            "path": "/etc/x",
            "existed": True,
            "mode": 0o644,
            "uid": 0,
            "gid": 0,
            "before": journal.digest(b"x"),
            "after": journal.digest(b"y"),
        }
    ],
}
_SETTINGS = b"""\
[symroute]
guard = throw
sources = network
iif = off
table-names = yes
priority-base = 7000
interfaces = eth*, bond0
exclude = veth* [a-z]
[interface eth0]
table = users
id = 2
gateway = 10.0.6.1 2001:db8:6::1
profile = eth0
"""
_PROFILE = b"""\
# a comment
DEVICE="eth0"  # another
NAME=$'System \\u0065th0'
HWADDR='52:54:00:00:00:02'
BOOTPROTO=none; #
IPADDR=10.0.6.5
PREFIX0=24
GATEWAY0=10.0.6.1
IPV6_DEFAULTGW=fe80::1%eth0
ROUTING_RULE_0="priority 5 from all lookup 5"
UUID=12345678-1234-1234-1234-123456789abc
"""
_LEASE = b"""\
lease {
  interface "eth0";
  fixed-address 10.0.6.5;
  option routers 10.0.6.1, 10.0.6.2;
  option rfc3442-classless-static-routes 24,10,0,7,10,0,6,1,0,10,0,6,1;
  renew 1 2020/01/01 00:00:00; # a comment
}
"""
_INTERNAL = b"""\
# private
ADDRESS=10.0.6.5
ROUTER=10.0.6.1
ROUTES=0.0.0.0/0,10.0.6.1 10/8,10.0.6.2
"""
_STATE = b"[device]\nconnection-uuid=1\n[dhcp4]\ndhcp4.routers=10.0.6.1\n"
_VARIABLES = b"""\
# mine
ADDRESS0=10.1.0.0
NETMASK0=255.255.0.0
GATEWAY0='10.0.6.1' # way
METRIC0=5
ADDRESS1=10.2.0.0
PREFIX1=16
OPTIONS1="mtu 1400"
"""
_RULES = b"""\
# mine
priority 100 from 10.9.0.0/16 to 10.8.0.0/16 lookup main
pref 101 iif eth0 table 0x64 suppress_prefixlength 0
fwmark 0x1/0xff lookup users
order 7 from 2001:db8::/32 dev eth0 \\
"""
_FIREWALL = b"""\
*nat
-A PREROUTING -d 10.0.6.5/32 ! -i docker0 -p tcp --dport 80 -j DNAT --to-destination 172.17.0.2:80
table ip nat {
  chain x { ip daddr 10.0.6.5 tcp dport { 80, 8000-8010 } dnat to 172.17.0.2:80 }
}
"""


class Parser(NamedTuple):
    """A parser: what it must do with any bytes, and good ones to begin from."""

    check: Callable[[bytes], None]
    seeds: Sequence[bytes]


PARSERS: Dict[str, Parser] = {
    "settings": Parser(parse_settings, [_SETTINGS]),
    "profile": Parser(parse_profile, [_PROFILE]),
    "tables": Parser(parse_tables, [b"255 local\n0x64 users\n#7 x\n+9 y z\n"]),
    "leases": Parser(parse_leases, [_LEASE, _INTERNAL, _STATE]),
    "snapshot": Parser(parse_snapshot, _texts("*/host.json")),
    "block": Parser(parse_block, _texts("*/etc/sysconfig/*/r*", "*/before/etc/*/*/r*")),
    "conversion": Parser(parse_conversion, [_VARIABLES]),
    "rules": Parser(parse_rules, [_RULES, *_texts("*/etc/sysconfig/network-scripts/rule*")]),
    "firewall": Parser(parse_firewall, [_FIREWALL]),
    "journal": Parser(parse_journal, [json.dumps(_JOURNAL).encode()]),
    "manifest": Parser(parse_manifest, [json.dumps(_MANIFEST).encode()]),
}


# -- files of others below a root -----------------------------------------------------------------


def read_root(content: Dict[str, bytes]) -> None:
    """All that is read below a root with these files, ``{path: content}``: a host to snapshot."""
    with tree() as root:
        put_files(root, content)
        names = {1: "lo", 2: "eth0"}
        host = HOST._replace(
            profiles=profiles.read_profiles(root),
            tables=rt_tables.read_tables(root),
            leases=leases.read_leases(root, names),
            dispatcher=dispatcher.find_dispatcher(root),
            evidence=observations.read_observations(root, ()),
            links=tuple(
                link._replace(connection=leases.read_connections(root).get(link.ifindex, ""))
                for link in HOST.links
            ),
        )
        text = snapshot.dump_host(host)
        assert host == snapshot.load_host(text.encode("ascii"), WHERE)


def put_files(root: Path, content: Dict[str, bytes]) -> None:
    """Write these files below a root, as far as their names let us."""
    for path, text in content.items():
        place = root / os.fsdecode(path).lstrip("/")
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text)


# -- the whole program ----------------------------------------------------------------------------


@contextlib.contextmanager
def limited(seconds: float = 10) -> Iterator[None]:
    """Whatever takes longer hangs: an AssertionError."""

    def ring(number: int, frame: Any) -> None:
        raise AssertionError(f"no end after {seconds} seconds")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def tree() -> Iterator[Path]:
    """An empty root of its own."""
    with tempfile.TemporaryDirectory(prefix="symroute") as folder:
        root = Path(os.path.realpath(folder)) / "root"
        root.mkdir()
        yield root


_written: List[str] = []  # what was written where, while somebody watches
_watching: List[bool] = []
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# {audit event: (number of paths, at which argument the descriptors of their folders begin)}
_CHANGES = {
    "os.rename": (2, 2),
    "os.link": (2, 2),
    "os.symlink": (2, 2),
    "os.remove": (1, 1),
    "os.mkdir": (1, 2),
    "os.rmdir": (1, 1),
    "os.chmod": (1, 2),
    "os.chown": (1, 3),
    "os.truncate": (1, 0),
    "os.utime": (1, 0),
    "os.setxattr": (1, 0),
    "shutil.rmtree": (1, 0),
}


def _audit(event: str, arguments: Tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        # Which folder a relative name is in is not told; `watched` looks into the current one.
        if str(arguments[0]).startswith("/"):
            _written.append(str(arguments[0]))
    elif event in _CHANGES:
        count, first = _CHANGES[event]
        for place, name in enumerate(arguments[:count]):
            if isinstance(name, (str, bytes)):
                folder = arguments[first + place] if first else -1
                path = _whole(os.fsdecode(name), folder)
                # To make a folder that is there changes nothing.
                if event != "os.mkdir" or not os.path.lexists(path):
                    _written.append(path)


def _whole(name: str, folder: int) -> str:
    """The path of a name in the folder of a descriptor, -1 for none."""
    return name if folder < 0 else str(Path(os.readlink(f"/proc/self/fd/{folder}")) / name)


if hasattr(sys, "addaudithook"):  # 3.8
    sys.addaudithook(_audit)


@contextlib.contextmanager
def watched(root: Path) -> Iterator[None]:
    """Nothing in the body may write outside `root` (Python 3.8 and later; before, unseen).

    But for locks of trees, which lie where nobody else can write.
    """
    locks = own_folders.locks_folder()  # made now, if it is missing
    del _written[:]
    here = set(Path.cwd().iterdir())
    _watching.append(True)
    try:
        yield
    finally:
        _watching.pop()
    outside = [
        each
        for each in _written
        if not each.startswith((f"{root}/", f"{locks}/tree-"))
        and each != str(root)
        and each != os.devnull
        and "__pycache__" not in each
    ]
    assert ([], here) == (outside, set(Path.cwd().iterdir()))


def program(root: Path, *words: str) -> Run:
    """Run the command line in this interpreter, below `root`; whatever it writes is there."""
    before = sys.argv, sys.excepthook
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["symroute-nm", *words, "--root", str(root)]
    try:
        with watched(root), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                main.main()
            except SystemExit as ended:
                code = ended.code
    finally:
        sys.argv, sys.excepthook = before
    return Run(int(code or 0), out.getvalue(), err.getvalue())


def files(root: Path) -> Dict[str, bytes]:
    """{path below root: content} of all files."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def check_run(run: Run) -> None:
    """It ended as DESIGN 6 says, and nothing of it moves a terminal's cursor."""
    assert run.code in (FINE, FINDING, INPUT, REFUSED), run
    assert not _CONTROL.search(run.out + run.err), run
    assert "Traceback" not in run.err
    if run.code in (INPUT, REFUSED):
        assert any(line.startswith("symroute-nm: ") for line in run.err.splitlines()), run
    if run.code == INPUT:
        said = [line for line in run.err.splitlines() if line.startswith("symroute-nm: ")]
        assert 1 == len(said), run


def check_host(content: bytes, *options: str) -> Run:
    """All commands that take a snapshot, on this one: what they write is theirs and goes again."""
    with tree() as root:
        place = root.parent / "host.json"
        place.write_bytes(content)
        host = ["--host", str(place)]
        for words in (["inspect"], ["diagnose"], ["explain", "10.0.6.5", "192.0.2.1"]):
            check_run(program(root, *words, *host))
        assert {} == files(root)
        run = program(root, "generate", *host, *options)
        check_run(run)
        if run.code != FINE:
            assert {} == files(root), run
            return run
        _check_generated(root, host, options)
        return run


def _check_generated(root: Path, host: Sequence[str], options: Sequence[str]) -> None:
    made = files(root)
    again = program(root, "generate", *host, *options)
    assert (FINE, True) == (again.code, "nothing to change" in again.out), again
    assert made == files(root)
    removed = program(root, "remove")
    check_run(removed)
    assert FINE == removed.code, removed
    assert [] == [file for file in files(root) if not file.startswith("var/lib/symroute-nm/")]


def documents() -> Dict[str, Any]:
    """The snapshots of the golden cases as JSON's types, by name."""
    return {name: json.loads(snapshot.dump_host(make())) for name, make in sorted(CASES.items())}


def check_files(host: bytes, content: Dict[str, bytes], *options: str) -> Run:
    """`generate` beside these files: what is not ours is never lost, and comes back with `undo`."""
    with tree() as root:
        place = root.parent / "host.json"
        place.write_bytes(host)
        put_files(root, content)
        before = files(root)
        words = ["generate", "--host", str(place), *options]
        run = program(root, *words)
        check_run(run)
        if run.code != FINE:
            assert before == files(root), run
            return run
        made, written = files(root), _without_state(root)
        check_run(program(root, *words))
        assert made == files(root), "a second run changes something"
        if "nothing to change" not in run.out:
            undone = program(root, "undo")
            assert (FINE, before) == (undone.code, _without_state(root)), undone
            assert FINE == program(root, *words).code
        removed = program(root, "remove")
        if removed.code == REFUSED:  # a damaged block that this host has no use for
            assert "markers are damaged" in removed.err, removed
            assert written == _without_state(root)
            return run
        assert FINE == removed.code, removed
        if "--convert" not in options:
            assert _foreign(before) == _foreign(_without_state(root))
        return run


def _without_state(root: Path) -> Dict[str, bytes]:
    return {
        path: content
        for path, content in files(root).items()
        if not path.startswith("var/lib/symroute-nm/")
    }


def _foreign(content: Dict[str, bytes]) -> Dict[str, bytes]:
    """The files without blocks of ours."""
    taken = {
        path: blocks.take_out(text)
        if "/rule" in path or "/route" in path or "rt_" in path
        else text
        for path, text in content.items()
    }
    return {path: text for path, text in taken.items() if text is not None}
