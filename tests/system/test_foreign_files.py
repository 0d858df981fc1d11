"""What stands where our files go: written through, kept, or refused with nothing changed."""

import contextlib
import json
import os
import socket
import stat
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from support.golden.cases import plain
from support.network.namespaces import two_uplinks
from support.program import ROOT
from symroute_nm.cli import main
from symroute_nm.model.places import FRAGMENT, NETWORK_SCRIPTS
from symroute_nm.readers.snapshot import dump_host

FINE, REFUSED, FAILED = 0, 3, 4
ROUTE, RULE = NETWORK_SCRIPTS + "/route-eth0", NETWORK_SCRIPTS + "/rule-eth1"
STATE = "var/lib/symroute-nm"
MINE = b"# mine\n192.168.0.0/16 via 10.0.6.254 dev eth0\n"
# security.selinux, then version 2; user::rw- user:99:rw- group::r-- mask::rw- other::---
# (linux/posix_acl_xattr.h)
ACL = b"\x02\0\0\0" + b"".join(
    struct.pack("<HHi", *each)
    for each in [(1, 6, -1), (2, 6, 99), (4, 4, -1), (16, 6, -1), (32, 0, -1)]
)
XATTRS = {
    "security.selinux": b"system_u:object_r:net_conf_t:s0\0",
    "system.posix_acl_access": ACL,
    "user.mine": b"to be kept",
}

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make all of these")


@pytest.fixture(name="root")
def _root(tmp_path, monkeypatch):
    """A root with a route file of the administrator's, and the two-uplink host beside it."""
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    (tmp_path / "host.json").write_text(dump_host(plain()))
    root = tmp_path / "root"
    for folder in (NETWORK_SCRIPTS, FRAGMENT.rpartition("/")[0]):
        (root / folder[1:]).mkdir(parents=True)
    below(root, ROUTE).write_bytes(MINE)
    return root


def below(root, path):
    return root / path[1:]


def command(root, *words):
    host = ["--host", str(root.parent / "host.json")] if words[0] == "generate" else []
    return ["symroute-nm", *words, "--root", str(root), *host]


def run(root, capsys, *words):
    """Exit code, and the lines on stderr that are no warnings."""
    sys.argv = command(root, *words)
    with pytest.raises(SystemExit) as ended:
        main.main()
    lines = capsys.readouterr().err.splitlines()
    return ended.value.code or 0, [line for line in lines if not line.startswith("warning: ")]


def places(top):
    """All below a folder; Path.rglob() of Python 3.6 stumbles over a link to itself."""
    return sorted(
        Path(folder, name)
        for folder, folders, files in os.walk(str(top))
        for name in folders + files
    )


def everything(top):
    """{path: all that can be seen of it}, without the folder for state."""
    found = {}
    for place in places(top):
        status = place.lstat()
        content = place.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        link = os.readlink(str(place)) if place.is_symlink() else ""
        name = str(place.relative_to(top))
        if name.partition("/")[0] != "var":
            found[name] = (
                status.st_mode,
                status.st_uid,
                status.st_gid,
                status.st_nlink,
                status.st_ino,
                status.st_rdev,
                status.st_mtime_ns,
                content,
                link,
                xattrs(place),
            )
    return found


def contents(top):
    return {
        name: (*each[:3], each[7], each[8], each[9])
        for name, each in everything(top).items()
        if not stat.S_ISDIR(each[0])
    }


def xattrs(place):
    names = os.listxattr(str(place), follow_symlinks=False)
    return {name: os.getxattr(str(place), name, follow_symlinks=False) for name in names}


def state(root):
    """What a run has left below the folder for state."""
    return sorted(str(path.relative_to(root / STATE)) for path in (root / STATE).rglob("*"))


# In the way of a file


def dangling(place):
    place.symlink_to("nowhere")


def loop(place):
    place.symlink_to(place.name)


def outside(place):
    (place.parents[3] / "outside").write_bytes(b"not below the root")
    place.symlink_to("/".join([".."] * 9 + ["tmp"]))


def folder(place):
    place.mkdir()


def fifo(place):
    os.mkfifo(str(place))


def device(place):
    os.mknod(str(place), stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero: never ends


def listening(place):
    os.chdir(str(place.parent))  # a socket's path is 107 bytes long at most
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(place.name)


IN_THE_WAY = [dangling, loop, outside, folder, fifo, device, listening]


@pytest.mark.parametrize("path", [ROUTE, RULE, FRAGMENT], ids=lambda path: path[-7:])
@pytest.mark.parametrize("make", IN_THE_WAY, ids=lambda make: make.__name__)
def test_what_stands_in_the_way_of_a_file_is_refused_by_name(root, capsys, monkeypatch, make, path):
    monkeypatch.chdir(str(root))
    with contextlib.suppress(FileNotFoundError):
        below(root, path).unlink()
    make(below(root, path))
    before = everything(root.parent)
    code, lines = run(root, capsys, "generate")
    assert (REFUSED, 1) == (code, len(lines)), lines
    assert path in lines[0]
    assert "; " in lines[0]
    assert before == everything(root.parent)
    assert not (root / STATE).exists()


# In the way of the folder


def replaced_by(make):
    def change(place):
        (place / "route-eth0").unlink()
        place.rmdir()
        make(place)

    return change


def a_file(place):
    place.write_bytes(b"mine")


@pytest.mark.parametrize(
    "make", [dangling, loop, outside, a_file, fifo], ids=lambda make: make.__name__
)
def test_what_stands_in_the_way_of_the_folder_is_refused_by_name(root, capsys, make):
    replaced_by(make)(below(root, NETWORK_SCRIPTS))
    before = everything(root.parent)
    code, lines = run(root, capsys, "generate")
    assert (REFUSED, 1) == (code, len(lines)), lines
    assert NETWORK_SCRIPTS in lines[0]
    assert before == everything(root.parent)


def test_two_of_our_files_that_are_one_by_a_link_are_refused(root, capsys):
    below(root, RULE).symlink_to("route-eth0")
    before = everything(root)
    code, lines = run(root, capsys, "generate")
    assert (REFUSED, True) == (code, "same file" in lines[-1]), lines
    assert before == everything(root)


# Kept as it is


@pytest.mark.parametrize("target", ["kept/route", "/kept/route"])
@pytest.mark.parametrize("of", ["file", "folder"])
def test_a_link_below_the_root_stays_and_what_it_leads_to_is_written(root, capsys, target, of):
    place = below(root, ROUTE) if of == "file" else below(root, NETWORK_SCRIPTS)
    up = "/".join([".."] * (len(place.relative_to(root).parts) - 1)) + "/"
    (root / "kept").mkdir()
    place.rename(root / "kept/route")
    place.symlink_to(target if target.startswith("/") else up + target)
    before = contents(root)
    assert (FINE, []) == run(root, capsys, "generate")
    assert place.is_symlink()
    real = root / "kept/route" if of == "file" else root / "kept/route/route-eth0"
    assert real.read_bytes().startswith(MINE + b"# BEGIN symroute-nm")
    assert (FINE, []) == run(root, capsys, "remove")
    assert before == contents(root)


@pytest.mark.parametrize("mode", [0o444, 0o000, 0o4755, 0o2640, 0o600], ids=oct)
def test_modes_and_owners_stay(root, capsys, mode):
    os.chown(str(below(root, ROUTE)), 1234, 4321)
    below(root, ROUTE).chmod(mode & 0o777)
    before = contents(root)
    below(root, ROUTE).chmod(mode)
    assert (FINE, []) == run(root, capsys, "generate")
    after = below(root, ROUTE).stat()
    # Permissions: who runs it would be somebody else by the rest.
    assert (mode & 0o777, 1234, 4321) == (stat.S_IMODE(after.st_mode), after.st_uid, after.st_gid)
    assert MINE != below(root, ROUTE).read_bytes()
    assert (FINE, []) == run(root, capsys, "remove")
    assert before == contents(root)


@pytest.mark.parametrize("name", sorted(XATTRS))
def test_labels_lists_and_notes_stay(root, capsys, name):
    try:
        os.setxattr(str(below(root, ROUTE)), name, XATTRS[name])
    except OSError as error:
        warnings.warn(f"{name} cannot be set here, so it was not tested: {error}", stacklevel=1)
        pytest.skip(f"no ACLs on this file system: {name}")
    before = contents(root)
    assert (FINE, []) == run(root, capsys, "generate")
    assert XATTRS[name] == xattrs(below(root, ROUTE))[name]
    assert MINE != below(root, ROUTE).read_bytes()
    assert (FINE, []) == run(root, capsys, "remove")
    assert before == contents(root)


def test_a_hard_link_of_the_administrators_keeps_the_earlier_text_and_that_is_said(root, capsys):
    os.link(str(below(root, ROUTE)), str(root / "saved"))
    sys.argv = command(root, "generate")
    with pytest.raises(SystemExit):
        main.main()
    assert f"warning: {ROUTE} had 2 names" in capsys.readouterr().err
    assert MINE == (root / "saved").read_bytes()
    assert MINE != below(root, ROUTE).read_bytes()
    assert (FINE, []) == run(root, capsys, "remove")
    assert "2 names" not in capsys.readouterr().err


def test_an_edited_block_is_shown_and_comes_back_by_undo(root, capsys):
    run(root, capsys, "generate")
    edited = below(root, ROUTE).read_bytes().replace(b"default via", b"# the new one\ndefault via")
    below(root, ROUTE).write_bytes(edited)
    sys.argv = command(root, "generate")
    with pytest.raises(SystemExit):
        main.main()
    said = capsys.readouterr().out.splitlines()
    assert ["-# the new one"] == [line for line in said if line.startswith("-") and line[1] != "-"]
    (named,) = [line for line in said if line.startswith("as they were before: backup ")]
    backup = root / STATE / "backups" / named.split()[5]
    assert edited == (backup / ROUTE[1:]).read_bytes()
    assert b"the new one" not in below(root, ROUTE).read_bytes()
    assert (FINE, []) == run(root, capsys, "undo")
    assert edited == below(root, ROUTE).read_bytes()


# The system fails


@contextlib.contextmanager
def locked_by(flag, place):
    """chattr(1) on a file or folder, for as long as it takes."""
    done = subprocess.run(["chattr", "+" + flag, str(place)], stderr=subprocess.PIPE, check=False)
    if done.returncode:
        warnings.warn(
            f"no chattr +{flag} here, so it was not tested: {done.stderr.decode()}",
            stacklevel=1,
        )
        pytest.skip("chattr +i does not work on this file system")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-" + flag, str(place)], check=True)


@pytest.mark.parametrize("words", ["generate", "remove", "undo"])
@pytest.mark.parametrize(
    ("path", "flag"),
    [(ROUTE, "i"), (ROUTE, "a"), (NETWORK_SCRIPTS, "i")],
    ids=["immutable file", "append-only file", "immutable folder"],
)
def test_what_is_immutable_is_a_failure_that_changes_nothing(root, capsys, path, flag, words):
    if words != "generate":
        assert (FINE, []) == run(root, capsys, "generate")
    kept = state(root)
    before = everything(root)
    with locked_by(flag, below(root, path)):
        code, lines = run(root, capsys, words)
    assert (FAILED, 1) == (code, len(lines)), lines
    assert path in lines[0]
    assert "Operation not permitted (see lsattr" in lines[0]
    assert "as it was before" in lines[0]
    assert same_but_for_folder_times(before, everything(root))
    assert (kept or ["backups"]) == state(root)


def test_a_folder_that_takes_files_and_gives_none_back_is_tidied_by_the_next_run(root, capsys):
    before = contents(root)
    with locked_by("a", below(root, NETWORK_SCRIPTS)):
        code, lines = run(root, capsys, "generate")
    assert (FAILED, True) == (code, "cannot put back" in lines[0]), lines
    assert "see lsattr" in lines[0]
    assert before == {
        path: each for path, each in contents(root).items() if "/.symroute-nm." not in path
    }
    code, lines = run(root, capsys, "generate")
    assert (FINE, True) == (code, lines[0].startswith("pending: a run was cut off while it wrote"))
    assert "an interrupted run was undone" in lines[1], lines
    assert [] == [each for each in everything(root) if "/.symroute-nm." in each]


def same_but_for_folder_times(before, after):
    """Nothing has changed but when a folder was written to, which a way back leaves."""

    def timeless(found):
        return {name: each[:6] if stat.S_ISDIR(each[0]) else each for name, each in found.items()}

    return timeless(before) == timeless(after)


# Run in a mount namespace, with the folder of tests as the first argument: prints what is not so.
MOUNTED = """
import json, subprocess, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], sys.argv[1] + "/system"]
import test_foreign_files as test
root, script, words = Path(sys.argv[2]), sys.argv[3], sys.argv[4:]
subprocess.run(["sh", "-ec", script, "sh", str(root)], check=True)
before, kept = test.everything(root), test.state(root)
ran = subprocess.run([sys.executable, "-m", "symroute_nm", *test.command(root, *words)[1:]],
                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
print(json.dumps({
    "code": ran.returncode, "lines": ran.stderr.decode().splitlines(),
    "same": test.same_but_for_folder_times(before, test.everything(root)),
    "left": sorted(set(test.state(root)) - set(kept))}))
"""
# A file system of its own in place of a folder of the root: full but for some bytes, or read-only.
FULL = """
cp -a "$1/{0}" "$1/../aside"; mount -t tmpfs -o size=512k none "$1/{0}"
cp -a "$1/../aside/." "$1/{0}"; rm -r "$1/../aside"
cat /dev/zero >"$1/{0}/filler" 2>"$1/../said" || true; truncate -s -{1} "$1/{0}/filler"
"""
NO_INODES = """
cp -a "$1/{0}" "$1/../aside"; mount -t tmpfs -o size=512k,nr_inodes=40 none "$1/{0}"
cp -a "$1/../aside/." "$1/{0}"; rm -r "$1/../aside"
free=$(stat -fc %d "$1/{0}"); for each in $(seq {1} "$free"); do mkdir "$1/{0}/$each"; done
"""
READ_ONLY = 'mount --bind "$1/{0}" "$1/{0}"; mount -o remount,bind,ro "$1/{0}"'
PAGE = os.sysconf("SC_PAGE_SIZE")


def run_mounted(root, script, words):
    """What MOUNTED says of a run of the program."""
    ran = subprocess.run(
        [
            "unshare",
            "--mount",
            sys.executable,
            "-c",
            MOUNTED,
            str(ROOT / "tests"),
            str(root),
            script,
            *words,
        ],
        cwd=str(ROOT),
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(ran.stdout.decode())


@pytest.mark.parametrize("words", ["generate", "remove"])
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (FULL.format("etc", 0), "No space left on device"),
        (NO_INODES.format("etc", 2), "No space left on device"),
        (FULL.format("var", 0), "No space left on device"),
        (FULL.format("var", 2 * PAGE), "No space left on device"),
        (READ_ONLY.format("etc"), "Read-only file system"),
        (READ_ONLY.format("var"), "Read-only file system"),
        (READ_ONLY.format("."), "Read-only file system"),
    ],
    ids=[
        "etc full",
        "etc an inode",
        "var full",
        "var two pages",
        "etc read-only",
        "var read-only",
        "all read-only",
    ],
)
def test_a_full_or_read_only_file_system_changes_nothing(root, capsys, script, reason, words):
    (root / "var").mkdir()
    if words != "generate":
        assert (FINE, []) == run(root, capsys, "generate")
    found = run_mounted(root, script, [words])
    assert (FAILED, 1, True) == (found["code"], len(found["lines"]), found["same"]), found
    assert reason in found["lines"][0]
    assert [] == [each for each in found["left"] if each != "backups"]


def test_however_few_pages_are_free_all_is_written_or_nothing(root):
    codes = []
    for pages in range(2, 8):
        found = run_mounted(root, FULL.format("etc", pages * PAGE), ["generate"])
        assert found["same"] == (found["code"] == FAILED), found
        codes.append(found["code"])
    assert [FAILED] * codes.count(FAILED) + [FINE] * codes.count(FINE) == codes
    assert {FINE, FAILED} == set(codes)


# Backups beside the profiles

IFCFG = "DEVICE=%s\nBOOTPROTO=none\n"
PASSED_OVER = [".bak", "~", ".orig", ".rej", ".rpmnew", ".augnew", ".augtmp", ";5a8b0c1d", ".BAK"]
LOADED = [".rpmsave", ".rpmorig", ".old", "-copy"]


@pytest.fixture(name="live")
def _live(namespace, root):
    """The two-uplink host in a namespace, its profiles below the root; what runs `generate`."""
    two_uplinks(namespace)
    for link in ("eth0", "eth1"):
        below(root, f"{NETWORK_SCRIPTS}/ifcfg-{link}").write_text(IFCFG % link)
    return lambda: namespace.symroute("generate", "--root", str(root))


def test_backups_beside_the_files_are_neither_read_nor_touched(live, root):
    kept = {}
    for name in ("ifcfg-eth0", "route-eth0", "rule-eth0"):
        for suffix in PASSED_OVER:
            place = below(root, f"{NETWORK_SCRIPTS}/{name}{suffix}")
            place.write_text(IFCFG % "eth0" if name == "ifcfg-eth0" else "# BEGIN symroute-nm\n")
            kept[place] = place.read_bytes()
    ran = live()
    assert ran.returncode == FINE, ran.stderr
    assert kept == {place: place.read_bytes() for place in kept}
    assert below(root, ROUTE).read_bytes().startswith(MINE + b"# BEGIN symroute-nm")
    assert {"route-eth0", "route-eth1"} == {
        path.name for path in below(root, NETWORK_SCRIPTS).glob("route-*") if path not in kept
    }


@pytest.mark.parametrize("suffix", LOADED)
def test_a_copy_that_networkmanager_loads_is_refused_by_name(live, root, suffix):
    below(root, f"{NETWORK_SCRIPTS}/ifcfg-eth0{suffix}").write_text(IFCFG % "eth0")
    before = everything(root)
    ran = live()
    (line,) = [each for each in ran.stderr.decode().splitlines() if "warning" not in each]
    assert ran.returncode == REFUSED
    assert f"eth0, eth0{suffix} all fit" in line
    assert before == everything(root)
