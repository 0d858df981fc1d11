"""Trees that others own, or made: nothing outside is made, changed or removed by what is in them.

Each folder and file that the commands look at (they are asked which, call by call) is a link to a
twin outside, in which a write through the link would succeed. All that the commands may not touch
is compared before and after, and no program of the tree may run. ``python tests/soak.py swaps 60``
swaps folders for links for a minute; here it is a few seconds.
"""

import contextlib
import ctypes
import itertools
import json
import os
import random
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Set, Tuple

import pytest
import syscalls
from hosts import two_uplinks
from trees import (
    ROUTE,
    RULE,
    SCRIPTS,
    STALE,
    STATE,
    command,
    ended,
    forked,
    hidden,
    memory_folder,
    redirect,
    warm_up,
    write,
)

from symroute_nm import backups, blocks, diagnosis, evidence, explanation, files, leases, profiles
from symroute_nm.journal import digest
from symroute_nm.snapshot import dump_host

pytestmark = [
    pytest.mark.oldest,
    pytest.mark.essential,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can write to trees of others"),
]

WARM = (backups, diagnosis, evidence, explanation, files, leases, profiles)
NOBODY = 65534
FINE, INPUT, REFUSED = 0, 2, 3
CODES = {0, 1, 2, 3, 4}
SWAPS = 12  # moments, for each folder
CLONE_NEWNET = 0x40000000  # linux/sched.h
RENAME_EXCHANGE, HERE = 2, -100  # linux/fs.h, AT_FDCWD of linux/fcntl.h
RACE = 3.0  # seconds, for each owner
BACKUP = "20240101T000000Z-1"
OWNERS = {"nobody": NOBODY, "root": 0}
WRITING = ("generate", "remove", "undo")
READING = ("inspect", "diagnose", "snapshot", "verify", "undo --list", "remove --dry-run")
# Where this machine's own files are that a mistaken root would write to.
REAL = ("/etc/sysconfig", "/etc/iproute2", "/etc/NetworkManager", "/etc/sysctl.d", "/etc/firewalld",
        "/var/lib/symroute-nm")

_libc = ctypes.CDLL(None, use_errno=True)

Snapshot = Dict[str, Tuple[object, ...]]


# Trees


def fill(root: Path) -> Path:
    """A host's tree with a file of each kind that is read or written, state included."""
    root.mkdir(parents=True)
    write(root, ROUTE, b"10.9.0.0/16 via 10.0.6.9 dev eth0\n")
    write(root, STALE, blocks.put(None, "from 10.0.9.9 lookup 109\n"))
    for link in ("eth0", "eth1"):
        write(root, "%s/ifcfg-%s" % (SCRIPTS, link), b"DEVICE=%s\n" % link.encode())
    write(root, "/etc/iproute2/rt_tables", b"255 local\n")
    write(root, "/etc/iproute2/rt_tables.d/mine.conf", b"77 mine\n")
    write(root, "/etc/symroute-nm.conf", b"[symroute]\n")
    write(root, "/etc/sysctl.d/mine.conf", b"")
    write(root, "/etc/firewalld/direct.xml", b'<?xml version="1.0"?>\n<direct>\n</direct>\n')
    write(root, "/etc/firewalld/firewalld.conf", b"IPv6_rpfilter=yes\n")
    write(root, "/usr/lib/iproute2/rt_tables", b"254 main\n")
    write(root, "/usr/lib/systemd/system/NetworkManager-dispatcher.service", b"[Unit]\n")
    write(root, "/var/lib/dhclient/dhclient-eth0.leases", b"lease {\n}\n")
    write(root, "/run/NetworkManager/devices/2", b"[device]\n")
    put_state(root)
    put_programs(root)
    return root


def put_state(root: Path) -> None:
    """A backup that fits, with which `undo` would make a file run as root."""
    before = b"#!/bin/sh\n"
    saved = {"path": ROUTE, "existed": True, "mode": 0o4755, "uid": 0, "gid": 0,
             "before": digest(before), "after": digest((root / ROUTE[1:]).read_bytes())}
    folder = "/%s/backups/%s" % (STATE, BACKUP)
    write(root, folder + "/manifest.json", json.dumps({"format": 1, "files": [saved]}).encode())
    write(root, folder + ROUTE, before)


def put_programs(root: Path) -> None:
    """Programs by the names of those that we run; whoever runs one leaves a file behind."""
    said = "#!/bin/sh\ntouch %s/ran\n" % root.parent
    for name in ("ip", "nft", "iptables-save", "restorecon", "nmcli", "sh", "uname"):
        write(root, "/usr/sbin/" + name, said.encode(), 0o755)
    write(root, "/etc/NetworkManager/dispatcher.d/pre-up.d/10-ifcfg-rh-routes.sh", said.encode(),
          0o755)
    write(root, "/run/symroute-nm/record", json.dumps({"format": 1, "marks": said}).encode())


def give(root: Path, owner: int) -> None:
    """All below a root, and it, to an owner."""
    for place in (root, *root.rglob("*")):
        os.chown(str(place), owner, owner, follow_symlinks=False)


class Grounds:
    """A folder with a tree, its twin outside and a snapshot to plan from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.snapshot = folder / "host.json"
        self.snapshot.write_text(dump_host(two_uplinks()))
        self.start = fill(folder / "start" / "tree")
        self.twin = fill(folder / "outside" / "twin")
        self.room = folder / "room"
        self.tree = self.room / "tree"
        self.said = folder / "said"
        give(self.twin, 0)
        warm_up()

    def fresh(self, owner: int) -> Path:
        """The tree anew."""
        shutil.rmtree(str(self.room), ignore_errors=True)
        self.room.mkdir()
        shutil.copytree(str(self.start), str(self.tree), symlinks=True)
        give(self.tree, owner)
        return self.tree

    def outside(self) -> Snapshot:
        """All that no command may touch."""
        return {**look(self.folder, self.tree, self.said), **real()}

    def words(self, name: str) -> List[object]:
        """The command of that name, on the tree."""
        plan = ["--host", self.snapshot] if name in ("generate", "generate --dry-run") else []
        return [*name.split(), "--root", self.tree, *plan]

    def run(self, name: str) -> int:
        """The exit code of a command; an AssertionError for a traceback and for an unknown one."""
        words = self.words(name)

        def action() -> None:
            redirect(str(self.said))
            _libc.unshare(CLONE_NEWNET)  # the kernel's own routes are no matter here
            os._exit(command(words)())

        code = ended(forked(action))
        text = self.said.read_text(errors="replace")
        assert "Traceback" not in text, (name, text)
        assert code in CODES, (name, code, text)
        return code


def look(top: Path, *but: Path) -> Snapshot:
    """Type, mode, owner, links, time and content of all below a folder but what is below those."""
    found = {}
    for folder, inner, names in os.walk(str(top)):
        inner[:] = [name for name in inner if Path(folder, name) not in but]
        for place in [Path(folder), *(Path(folder, name) for name in (*inner, *names))]:
            if place in but or place in (each.parent for each in but):
                continue
            status = place.lstat()
            content: object = None
            if stat.S_ISREG(status.st_mode):
                content = place.read_bytes() if status.st_size < 1 << 16 else status.st_size
            elif stat.S_ISLNK(status.st_mode):
                content = os.readlink(str(place))
            found[str(place)] = (
                status.st_mode, status.st_uid, status.st_gid, status.st_nlink, status.st_mtime_ns,
                content)
    return found


def real() -> Snapshot:
    """What a mistaken root would change of this machine, as far as it is there."""
    found = {}
    for path in REAL:
        with contextlib.suppress(OSError):
            status = os.lstat(path)
            names = {each.name for each in Path(path).iterdir()}
            found[path] = (status.st_mode, status.st_mtime_ns, names)
    return found


@pytest.fixture(name="grounds", scope="module")
def _grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    folder = memory_folder(tmp_path_factory.mktemp("hostile"))
    yield Grounds(folder)
    shutil.rmtree(str(folder))


# Links in each place that is ever looked at


def used_paths(grounds: Grounds) -> Set[str]:
    """What the commands look at below a root, as their calls of the kernel have it."""
    found: Set[str] = set()
    for name in (*WRITING, *READING):
        grounds.fresh(0)
        inside = str(grounds.tree) + "/"
        calls = syscalls.calls_of_paths(command(grounds.words(name)))
        found |= {path[len(inside):].rstrip("/.") for path in calls if path.startswith(inside)}
    return {path for path in found if path and ".symroute-nm." not in path}


def replace(root: Path, path: str, target: str) -> None:
    """Put a link where a file or folder is."""
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(str(place))
    else:
        with contextlib.suppress(FileNotFoundError):
            place.unlink()
    place.symlink_to(target)


KINDS = ("absolute", "relative", "absolute", "dangling")  # the first is what is met most


def targets(grounds: Grounds, path: str) -> Dict[str, str]:
    """Where a link in that place may lead."""
    twin = str(grounds.twin / path)
    return {
        "absolute": twin,
        "relative": os.path.relpath(twin, str((grounds.tree / path).parent)),
        "dangling": str(grounds.folder / "outside" / "made"),
    }


@pytest.mark.skipif(not syscalls.AVAILABLE, reason=syscalls.WHY_NOT)
def test_a_link_in_any_place_leads_nothing_out(grounds):
    """`generate` meets each of them, and another command in turn, in trees of either owner;
    ``soak.py links`` has all commands with all links."""
    paths = used_paths(grounds)
    # The search found what it must, or what follows would show little.
    assert {ROUTE[1:], RULE[1:], SCRIPTS[1:], "etc", "var/lib", STATE, STATE + "/backups",
            STATE + "/journal", "etc/symroute-nm.conf", "etc/iproute2/rt_tables.d"} <= paths
    kinds, others = itertools.cycle(KINDS), itertools.cycle((*WRITING[1:], *READING))
    for path, uid in zip(sorted(paths), itertools.cycle(OWNERS.values())):
        lead_out(grounds, path, uid, next(kinds), ["generate"])
        # What the other owner's tree has is met by what writes otherwise, or only reads.
        lead_out(grounds, path, NOBODY - uid, next(kinds), [next(others)])


def lead_out(grounds: Grounds, path: str, uid: int, kind: str, names: Sequence[str]) -> None:
    """An AssertionError where these commands change anything outside by a link in that place."""
    grounds.fresh(uid)
    replace(grounds.tree, path, targets(grounds, path)[kind])
    os.chown(str(grounds.tree / path), uid, uid, follow_symlinks=False)
    before = grounds.outside()
    for name in names:
        code = grounds.run(name)
        assert before == grounds.outside(), (path, uid, kind, name, code)


# State


def journal(**fields: object) -> Dict[str, object]:
    entry = {"path": "/x/f", "target": "x/f", "new": "n", "old": "", "before": "", "after": ""}
    entry.update({name: value for name, value in fields.items() if name in entry})
    given = {name: value for name, value in fields.items() if name not in entry}
    return {"format": 1, "backup": BACKUP, "entries": [entry], "folders": [], **given}


JOURNALS = [
    journal(after=digest(b"precious\n")),
    journal(target="x/sub/f", after=digest(b"precious\n")),
    journal(old="f"), journal(old="g", before=digest(b"precious\n")),
    journal(folders=["x/empty"]), journal(folders=["x", "x/empty"]),
    journal(folders=["../outside/victim/empty"]), journal(folders=["a/../../outside/victim/empty"]),
    journal(target="../outside/victim/f", after=digest(b"precious\n")),
    journal(target="/outside/victim/f"), journal(target=""), journal(target="."),
    journal(new="../outside/victim/f"), journal(new=".."), journal(new="."), journal(old="."),
    journal(backup="../../../../../outside/victim"), journal(backup=".."), journal(backup="."),
    journal(backup=""), journal(backup="/outside"), journal(target=["x"]), journal(target={"x": 1}),
    journal(folders={"x": 1}), journal(entries=[]), journal(entries=None), journal(entries="x"),
    [], None, 1, "x",
]


@pytest.mark.parametrize("name", ["journal", "journal.done"])
@pytest.mark.parametrize("owner", sorted(OWNERS))
def test_a_journal_is_not_followed_out_of_the_tree(grounds, owner, name):
    victim = grounds.folder / "outside" / "victim"
    write(grounds.folder, "/outside/victim/f", b"precious\n")
    write(grounds.folder, "/outside/victim/n", b"precious\n")
    write(grounds.folder, "/outside/victim/sub/f", b"precious\n")
    (victim / "empty").mkdir(exist_ok=True)
    # One of others is refused as a whole, whatever is in it.
    for content in JOURNALS[::1 if owner == "root" else 5]:
        grounds.fresh(OWNERS[owner])
        (grounds.tree / "x").symlink_to(str(victim))
        write(grounds.tree, "/%s/%s" % (STATE, name), json.dumps(content).encode())
        give(grounds.tree, OWNERS[owner])
        before = grounds.outside()
        grounds.run("generate")
        assert before == grounds.outside(), content
    shutil.rmtree(str(victim))


@pytest.mark.parametrize("owner", sorted(OWNERS))
@pytest.mark.parametrize("change", [
    {}, {"mode": 0o2755}, {"mode": 0o1755}, {"mode": 1 << 40}, {"uid": -2}, {"uid": 2**32 - 1},
    {"path": "/../../outside/twin/etc/symroute-nm.conf"}, {"path": "etc/x"}, {"path": "/"},
    {"path": "/etc//x"}, {"after": "x"}, {"mode": True},
], ids=repr)
def test_undo_gives_no_file_rights_that_it_must_not_have(grounds, owner, change):
    grounds.fresh(OWNERS[owner])
    place = grounds.tree / STATE / "backups" / BACKUP / "manifest.json"
    content = json.loads(place.read_text())
    content["files"][0].update(change)
    place.write_text(json.dumps(content))
    before, inside = grounds.outside(), look(grounds.tree, grounds.tree / "run")
    assert REFUSED == grounds.run("undo")
    assert before == grounds.outside()
    for path, found in look(grounds.tree, grounds.tree / "run").items():
        assert inside.get(path, found)[0] == found[0], path
        assert not found[0] & (stat.S_ISUID | stat.S_ISGID) or found == inside[path]
    assert b"10.9.0.0/16" in (grounds.tree / ROUTE[1:]).read_bytes()


# What is done in such a tree, and what is not


def shared_by(root: Path, how: str) -> None:
    """Let others write a folder."""
    place = root / SCRIPTS[1:] if "scripts" in how else root
    if "owner" in how:
        os.chown(str(place), NOBODY, NOBODY)
    else:
        place.chmod(0o775 if "group" in how else 0o757)


SHARED = ("owner", "group", "others", "owner of scripts", "group of scripts", "others of scripts")


@pytest.mark.parametrize("how", SHARED)
def test_where_others_can_write_files_are_replaced_and_nothing_is_kept(grounds, how):
    root = grounds.fresh(0)
    shutil.rmtree(str(root / STATE))
    shared_by(root, how)
    os.chown(str(root / ROUTE[1:]), 1234, 4321)
    (root / ROUTE[1:]).chmod(0o6640)
    assert FINE == grounds.run("generate")
    said = grounds.said.read_text()
    place = root / SCRIPTS[1:] if "scripts" in how else root
    lines = [line for line in said.splitlines() if "one by one" in line]
    assert ["%s can be written by others than root: its files were replaced one by one, no journal "
            "and no backup was kept, and undo is refused there" % place] == lines
    assert "backup 2" not in said
    assert not (root / STATE / "backups").exists()
    assert not (root / STATE / "journal").exists()
    assert [] == hidden(root)
    route, rule = (root / ROUTE[1:]).stat(), (root / RULE[1:]).stat()
    assert (0o640, 1234, 4321) == (stat.S_IMODE(route.st_mode), route.st_uid, route.st_gid)
    owner = (root / RULE[1:]).parent.stat()
    assert (0o644, owner.st_uid) == (stat.S_IMODE(rule.st_mode), rule.st_uid)
    assert b"10.9.0.0/16 via 10.0.6.9 dev eth0\n# BEGIN" in (root / ROUTE[1:]).read_bytes()
    for name in ("undo", "undo --list"):
        # Where only the scripts are others', the (empty) list of backups may be seen.
        code = grounds.run(name)
        assert (code == REFUSED) or "scripts" in how
    assert FINE == grounds.run("remove")
    assert [] == [place for place in root.rglob("*") if place.is_file()
                  and "tmp" not in place.parts and b"BEGIN symroute-nm" in place.read_bytes()]


@pytest.mark.parametrize("how", SHARED)
def test_a_backup_is_not_believed_once_others_can_write(grounds, how):
    root = grounds.fresh(0)
    shutil.rmtree(str(root / STATE))
    assert FINE == grounds.run("generate")
    assert "symroute-nm undo" in grounds.said.read_text()
    shared_by(root, how)
    before = look(root / "etc")
    assert REFUSED == grounds.run("undo")
    assert "can be written by others than root" in grounds.said.read_text()
    assert before == look(root / "etc")


def test_a_file_with_other_names_is_not_copied_into_a_tree_of_others(grounds):
    secret = write(grounds.folder, "/outside/secret", b"# secret\n", 0o600)
    root = grounds.fresh(NOBODY)
    (root / ROUTE[1:]).unlink()
    os.link(str(secret), str(root / ROUTE[1:]))
    before = grounds.outside()
    assert REFUSED == grounds.run("generate")
    assert "has other names (hard links)" in grounds.said.read_text()
    assert before == grounds.outside()
    (root / ROUTE[1:]).unlink()
    secret.unlink()


def test_a_manifest_that_others_can_write_is_not_believed(grounds):
    root = grounds.fresh(0)
    shutil.rmtree(str(root / STATE))
    assert FINE == grounds.run("generate")
    (place,) = (root / STATE / "backups").glob("*/manifest.json")
    os.chown(str(place), NOBODY, NOBODY)
    assert REFUSED == grounds.run("undo")


# Names of snapshots


@pytest.mark.parametrize("name", [".json", "..json", "...json", ".hidden.json", "....json"])
@pytest.mark.parametrize("below", ["trees", "a/b/trees"])
def test_snapshots_with_names_of_no_host_are_refused(grounds, tmp_path, name, below):
    folder = tmp_path / "snapshots"
    folder.mkdir()
    for each in ("web1.json", name):
        shutil.copyfile(str(grounds.snapshot), str(folder / each))
    trees = tmp_path / below
    before = grounds.outside()

    def action() -> None:
        redirect(str(grounds.said))
        os._exit(command(["generate", "--host", folder, "--root", trees, "--jobs", "1"])())

    assert INPUT == ended(forked(action))
    assert "is no name of a host" in grounds.said.read_text()
    assert before == grounds.outside()
    assert {"snapshots"} == {each.name for each in tmp_path.iterdir()}


@pytest.mark.parametrize("target", ["twin", "nowhere"])  # to "/", a mistake would hit this machine
def test_a_fleets_tree_that_is_a_link_is_not_followed(grounds, tmp_path, target):
    folder, trees = tmp_path / "snapshots", tmp_path / "trees"
    folder.mkdir()
    trees.mkdir()
    shutil.copyfile(str(grounds.snapshot), str(folder / "web1.json"))
    (trees / "web1").symlink_to(str(grounds.twin) if target == "twin" else target)
    before = grounds.outside()

    def action() -> None:
        redirect(str(grounds.said))
        os._exit(command(
            ["generate", "--force", "--host", folder, "--root", trees, "--jobs", "1"])())

    assert 1 == ended(forked(action))
    assert "web1: failed" in grounds.said.read_text()
    assert before == grounds.outside()
    assert (trees / "web1").is_symlink()


# The race


def swap(places: Sequence[Tuple[str, str]], uid: int) -> None:
    """Exchange files, two and two, for a moment and back, again and again, as that user."""
    os.setgid(uid)
    os.setuid(uid)
    dice = random.Random()
    while True:
        for one, other in places:
            # Mostly the folder is there: the look before the write is to find it.
            time.sleep(dice.uniform(0, 0.004))
            exchange(one, other)
            time.sleep(dice.uniform(0, 0.0002))
            exchange(one, other)


def exchange(one: str, other: str) -> None:
    """Give each of two files the other's name, renameat2(2)."""
    _libc.renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), RENAME_EXCHANGE)


SWAPPED = ("etc", "etc/sysconfig", SCRIPTS[1:], "etc/iproute2", "etc/iproute2/rt_tables.d",
           "var/lib", STATE, STATE + "/backups", ROUTE[1:])


def beside(grounds: Grounds, path: str, number: int) -> Tuple[str, str]:
    """A file or folder, and a link to its twin with which it can be exchanged."""
    other = grounds.tree / (".link%d" % number)
    other.symlink_to(targets(grounds, path)["absolute" if number % 2 else "relative"])
    return str(grounds.tree / path), str(other)


def swaps(grounds: Grounds, owner: int, seconds: float) -> Dict[Tuple[str, int], int]:
    """Run commands while folders are swapped for links to the twin: {(command, code): times}."""
    grounds.fresh(owner)
    pairs = [beside(grounds, path, number) for number, path in enumerate(SWAPPED)]
    give(grounds.tree, owner)
    before = grounds.outside()
    found: Dict[Tuple[str, int], int] = {}
    end = time.monotonic() + seconds
    for name, swapped in zip(itertools.cycle(WRITING), itertools.cycle([[each] for each in pairs])):
        if time.monotonic() >= end:
            return found
        swapper = forked(lambda swapped=swapped: swap(swapped, owner))
        try:
            for words in (name, "generate"):
                code = grounds.run(words)
                found[words, code] = found.get((words, code), 0) + 1
        finally:
            os.kill(swapper, signal.SIGKILL)
            ended(swapper)
        assert before == grounds.outside(), (name, swapped)
        if Path(swapped[0][0]).is_symlink():
            exchange(*swapped[0])
    return found


@pytest.mark.parametrize("owner", sorted(OWNERS))
def test_a_folder_swapped_for_a_link_leads_nothing_out(grounds, owner):
    found = swaps(grounds, OWNERS[owner], RACE)
    # Some came through: the race was with commands that write.
    assert found.get(("generate", FINE), 0) > 0, found


@pytest.mark.skipif(not syscalls.AVAILABLE, reason=syscalls.WHY_NOT)
@pytest.mark.parametrize("path", ["etc/sysconfig", SCRIPTS[1:], STATE])
def test_a_folder_swapped_before_any_call_that_changes_something_leads_nothing_out(grounds, path):
    """The moment that a race only may find: some of them here, by dice that are told."""
    seed = random.SystemRandom().randrange(1 << 32)
    action = command(grounds.words("generate"))
    grounds.fresh(0)
    without_backups(grounds)
    calls: List[syscalls.Call] = []
    syscalls.follow(action, calls.append, reading=False)
    assert len(calls) > 50
    for turn in random.Random(seed).sample(range(1, len(calls) + 1), SWAPS):
        grounds.fresh(0)
        without_backups(grounds)
        pair = beside(grounds, path, turn)
        before = grounds.outside()
        code = syscalls.follow(
            action, lambda _, pair=pair: exchange(*pair), only={turn}, reading=False,
            output=str(grounds.said))
        said = grounds.said.read_text(errors="replace")
        assert code in CODES, (seed, turn, said)
        assert before == grounds.outside(), (seed, turn, said)


def without_backups(grounds: Grounds) -> None:
    """Without a backup that is not believed, so that all is written."""
    shutil.rmtree(str(grounds.tree / STATE / "backups"))


def test_the_oracle_sees_a_change(grounds):
    before = grounds.outside()
    place = grounds.twin / ROUTE[1:]
    subprocess.run(["touch", "-d", "2001-01-01", str(place)], check=True)
    assert before != grounds.outside()
