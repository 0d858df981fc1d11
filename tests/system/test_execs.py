"""No command starts a program by PATH or from the current folder, as the RPM's wrapper runs it."""

import os
import site
import sys
import sysconfig
from pathlib import Path

import pytest

import symroute_nm
from support import execs
from support.network.namespaces import two_uplinks
from support.program import ROOT
from symroute_nm import programs

pytestmark = pytest.mark.skipif(not execs.AVAILABLE, reason=execs.WHY_NOT)

WRAPPER = ROOT / "rpm" / "symroute-nm"
SCRIPTS = "etc/sysconfig/network-scripts"
# All that is ever meant to run: what lists and sets marks, the shell for scripts of marks, labels.
EXPECTED = (
    "sh",
    "unshare",
    "nft",
    "iptables",
    "ip6tables",
    "iptables-save",
    "ip6tables-save",
    "iptables-restore",
    "ip6tables-restore",
    "restorecon",
)
HOSTILE = (
    *EXPECTED,
    "uname",
    "file",
    "ip",
    "nmcli",
    "python",
    "python3",
    "gcc",
    "cc",
    "ld",
    "ldconfig",
    "objdump",
    "systemctl",
    "sysctl",
    "modprobe",
    "getent",
    "tput",
    "stty",
    "env",
    "timeout",
    "bash",
    "dash",
    "rpm",
    "hostname",
    "less",
    "more",
    "cat",
    "echo",
)
DETACHED = "import os, pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"


@pytest.fixture
def hostile(tmp_path):
    """A folder with programs of all names that anything may look for; each leaves a mark."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in HOSTILE:
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >>{tmp_path}/ran\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def command(tmp_path):
    """The RPM's own wrapper, with the private folder where the packages of this Python are."""
    places = [
        str(Path(symroute_nm.__file__).parent.parent),
        sysconfig.get_paths()["purelib"],
        *site.getsitepackages(),
    ]
    line = 'sys.path.append("/usr/share/symroute-nm/python")'
    text = WRAPPER.read_text()
    assert 1 == text.count(line)
    (tmp_path / "symroute-nm").write_text(text.replace(line, f"sys.path += {places!r}"))
    options = text.split("\n", 1)[0].split()[1:]
    return [sys.executable, *options, str(tmp_path / "symroute-nm")]


@pytest.fixture
def root(tmp_path):
    """A root of two uplinks that is to be marked by, and a fleet of it."""
    folder = tmp_path / "root"
    (folder / SCRIPTS).mkdir(parents=True)
    (folder / "etc/iproute2/rt_tables.d").mkdir(parents=True)
    (folder / "etc/symroute-nm.conf").write_text("[symroute-nm]\nforwarded = yes\n")
    (folder / "etc/NetworkManager/dispatcher.d/pre-up.d").mkdir(parents=True)
    for name in ("eth0", "eth1"):
        (folder / SCRIPTS / f"ifcfg-{name}").write_text(f"DEVICE={name}\nTYPE=Ethernet\n")
    return folder


def environment(hostile):
    return {
        "PATH": f".:{hostile}::{os.environ['PATH']}",
        "HOME": str(hostile),
        "PYTHONPATH": str(hostile),
        "ENV": str(hostile / "sh"),
        "BASH_ENV": str(hostile / "sh"),
        "PAGER": str(hostile / "less"),
        "LC_ALL": "C.UTF-8",
        "TERM": "xterm",
    }


def check(ended, tmp_path, within=0):
    """Nothing hostile ran, and only what is meant to, by its whole path."""
    allowed = {f"{folder}/{name}" for folder in programs.FOLDERS for name in EXPECTED}
    assert set() == set(ended.executed[within:]) - allowed, ended
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
    assert "Traceback" not in ended.said, ended.said


def test_the_watcher_sees_what_is_looked_for_along_path(tmp_path, hostile):
    ended = execs.watch(
        [sys.executable, "-ISc", "import subprocess; subprocess.call(['uname', '-r'])"],
        tmp_path / "output",
        hostile,
        environment(hostile),
    )

    assert "./uname" in ended.executed
    assert (tmp_path / "ran").read_text() == "uname -r\n"


def test_no_command_runs_anything_but_what_is_allowed(namespace, tmp_path, hostile, command, root):
    two_uplinks(namespace)
    snapshot = str(tmp_path / "host.json")
    below = ("--root", str(root))
    seen = set()
    for words in (
        ("--help",),
        ("--version",),
        ("nonsense",),
        ("generate", "--help"),
        ("snapshot", *below),
        ("inspect", *below),
        ("inspect", "--json", *below),
        ("diagnose", *below),
        ("explain", "10.0.6.5", "10.9.9.9", *below),
        ("generate", "--dry-run", *below),
        ("generate", *below),
        ("verify", *below),
        ("apply", "--yes", *below),
        ("verify", *below),
        ("diagnose", *below),
        ("apply", "--timeout", "0.1", *below),
        ("confirm", *below),
        ("undo", *below),
        ("generate", "--apply", "--yes", *below),
        ("undo", "--apply", "--yes", *below),
        ("generate", "--apply", "--yes", *below),
        ("remove", "--apply", "--yes", *below),
        ("generate", *below),
        ("remove", *below),
        ("generate", "--dry-run", "--host", snapshot, *below),
    ):
        inside = ["/usr/bin/nsenter", f"--net=/run/netns/{namespace.name}", *command, *words]
        ended = execs.watch(inside, tmp_path / "output", hostile, environment(hostile))
        assert command[0] == ended.executed[0]
        check(ended, tmp_path, 1)
        assert ended.code in (0, 1, 2, 3), (words, ended.said)
        seen.update(ended.executed)
        if words[0] == "snapshot":
            Path(snapshot).write_text(ended.said)
    assert any(path.endswith("/nft") for path in seen) or programs.find("nft") is None


def test_nothing_is_started_at_a_terminal_either(tmp_path, hostile, command):
    host = ROOT / "tests" / "cases" / "two-uplinks" / "host.json"
    fleet = tmp_path / "fleet"
    fleet.mkdir()
    for number in range(3):
        (fleet / f"host{number}.json").write_bytes(host.read_bytes())
    trees = str(tmp_path / "trees")
    for words in (("--help",), ("generate", "--host", str(fleet), "--root", trees)):
        ended = execs.watch(
            [sys.executable, "-ISc", DETACHED, *command, *words],
            tmp_path / "output",
            hostile,
            environment(hostile),
        )
        # pty.spawn itself goes along PATH only for names without a folder.
        assert command[0] == ended.executed[0]
        check(ended, tmp_path, 1)
        assert 0 == ended.code, ended.said


@pytest.mark.parametrize("word", ["source_bash", "complete_bash", "bash_source", "source_zsh"])
def test_no_variable_asks_for_a_completion_that_starts_a_shell(tmp_path, hostile, command, word):
    ended = execs.watch(
        [*command, "--version"],
        tmp_path / "output",
        hostile,
        dict(environment(hostile), _SYMROUTE_NM_COMPLETE=word),
    )
    check(ended, tmp_path, within=1)
    assert symroute_nm.__version__ in ended.said
