"""Where the output goes: closed, full and unread streams, signals; exit codes stay our own."""

import os
import signal
import subprocess
import sys

import pytest

from support.hosts import two_uplinks
from support.program import ROOT
from symroute_nm.readers.snapshot import dump_host

FINE, FINDING, INPUT, SYSTEM = 0, 1, 2, 4
MAIN = "from symroute_nm.__main__ import main; main()"


@pytest.fixture
def words(tmp_path):
    (tmp_path / "host.json").write_text(dump_host(two_uplinks()))
    return "--host {} --root {}".format(tmp_path / "host.json", tmp_path / "root")


def shell(command, **environment):
    """Run a command line in which PROGRAM is the program; its exit code, stdout and stderr."""
    ran = subprocess.run(
        ["bash", "-c", command.replace("PROGRAM", sys.executable + " -m symroute_nm")],
        cwd=str(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        env=dict(os.environ, **environment),
    )
    assert b"Traceback" not in ran.stderr + ran.stdout
    return ran.returncode, ran.stdout.decode(), ran.stderr.decode()


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error(words, closed):
    code, _, err = shell(f"PROGRAM generate {words} {closed}")
    assert (FINE, "") == (code, err if "2" not in closed else "")
    assert FINDING == shell(f"PROGRAM diagnose {words} {closed}")[0]
    assert INPUT == shell(f"PROGRAM genrate {closed}")[0]
    assert FINE == shell(f"PROGRAM --help {closed}")[0]


def test_a_file_that_is_opened_never_becomes_a_closed_stream(words, tmp_path):
    assert FINE == shell(f"PROGRAM generate {words} >&-")[0]
    files = [path for path in (tmp_path / "root/etc").rglob("*") if path.is_file()]
    assert [] == [file for file in files if b"wrote" in file.read_bytes()]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("--help", FINE),
        ("generate -n %s", FINE),
        ("diagnose %s", FINDING),
        ("generate --check %s", FINDING),
        ("inspect --json %s", FINE),
    ],
)
def test_a_reader_that_goes_away_changes_no_exit_code(words, command, expected, unbuffered):
    command = command.replace("%s", words)
    code, _, err = shell(
        f"sleep 0 | PROGRAM {command} | true; exit ${{PIPESTATUS[1]}}", PYTHONUNBUFFERED=unbuffered
    )
    assert (expected, "") == (
        code,
        "\n".join(line for line in err.splitlines() if "warning" not in line),
    )


def test_a_reader_that_goes_away_does_not_stop_a_write(words, tmp_path):
    assert FINE == shell(f"PROGRAM generate {words} | true; exit ${{PIPESTATUS[0]}}")[0]
    assert (tmp_path / "root/etc/sysconfig/network-scripts/rule-eth1").exists()


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "command", ["--help", "--version", "generate -n %s", "inspect --json %s", "diagnose %s"]
)
def test_a_full_disk_below_stdout_is_exit_4_and_said(words, command, unbuffered):
    command = command.replace("%s", words)
    code, _, err = shell(f"PROGRAM {command} > /dev/full", PYTHONUNBUFFERED=unbuffered)
    assert SYSTEM == code, err
    assert "symroute-nm: standard output: No space left on device" in err


@pytest.mark.parametrize("command", ["genrate", "generate --guard x", "generate --host /none"])
def test_a_full_disk_below_stderr_changes_no_exit_code(command):
    assert INPUT == shell(f"PROGRAM {command} 2> /dev/full")[0]


SLOW = """
import os, signal, sys, time
from symroute_nm.files import install
switch = install._switch
def slow(step, turns=[]):
    switch(step)
    turns.append(step)
    if len(turns) == 3:
        os.kill(os.getpid(), %d)
        time.sleep(9)
install._switch = slow
"""


@pytest.mark.parametrize(
    ("number", "expected"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)],
    ids=repr,
)
def test_a_signal_in_a_write_puts_all_back_at_once(words, tmp_path, number, expected):
    command = [sys.executable, "-c", SLOW % number + MAIN, "generate", *words.split()]
    ran = subprocess.run(command, cwd=str(ROOT), stderr=subprocess.PIPE, check=False)
    assert (expected, False) == (ran.returncode, b"Traceback" in ran.stderr)
    left = [path.name for path in (tmp_path / "root").rglob("*") if path.is_file()]
    assert [] == left


def test_what_nohup_ignores_stays_ignored(words, tmp_path):
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
        + SLOW.replace("time.sleep(9)", "") % signal.SIGHUP
        + MAIN
    )
    command = [sys.executable, "-c", code, "generate", *words.split()]
    assert FINE == subprocess.run(command, cwd=str(ROOT), check=False).returncode
