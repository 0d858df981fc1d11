"""`generate` for a folder of snapshots: each host as by itself, whatever happens to the others."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.golden import FOLDER
from support.trees import tree
from symroute_nm.workflow import workers

NAMES = ("dhcp-by-address", "guard-throw", "no-profile", "one-uplink", "two-uplinks")
REFUSED = {"no-profile"}
STATE = Path("var/lib/symroute-nm")


@pytest.fixture
def folder(tmp_path):
    """A few snapshots, one of them broken, and something else."""
    place = tmp_path / "in"
    place.mkdir()
    for name in NAMES:
        shutil.copyfile(str(FOLDER / name / "host.json"), str(place / (name + ".json")))
    (place / "broken.json").write_text('{"format": "symroute-nm host"')
    (place / "README").write_text("not a snapshot\n")
    return place


def run(folder, out, *words):
    command = [
        sys.executable,
        "-m",
        "symroute_nm",
        "generate",
        "--host",
        str(folder),
        "--root",
        str(out),
        *words,
    ]
    return subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        universal_newlines=True,
        check=False,
        timeout=120,
    )


def written(root):
    return {path: text for path, text in tree(root).items() if path.startswith("etc/")}


@pytest.mark.parametrize("jobs", ["1", "2", "9"])
def test_each_host_gets_the_tree_that_it_gets_by_itself(folder, tmp_path, jobs):
    ran = run(folder, tmp_path / "out", "--jobs", jobs)
    assert 1 == ran.returncode
    for name in set(NAMES) - REFUSED:
        alone = tmp_path / "alone" / name
        run(folder / (name + ".json"), alone)
        assert written(alone) == written(tmp_path / "out" / name)
    # In order, whoever was faster.
    assert [
        "dhcp-by-address: 5 files written",
        "guard-throw: 9 files written",
        "one-uplink: nothing to change",
        "two-uplinks: 9 files written",
    ] == ran.stdout.splitlines()
    failed = [line.split(": ")[0] for line in ran.stderr.splitlines() if ": failed: " in line]
    assert ["broken", "no-profile"] == list(dict.fromkeys(failed))
    assert not (tmp_path / "out" / "broken").exists()


def test_results_per_host_for_programs(folder, tmp_path):
    ran = run(folder, tmp_path / "out", "--json")
    found = {load["host"]: load for load in json.loads(ran.stdout)}
    assert sorted({*NAMES, "broken"}) == list(found)
    assert {"broken": 2, "no-profile": 3} == {
        name: each["exit"] for name, each in found.items() if each["exit"]
    }
    assert "not JSON" in found["broken"]["error"]
    alone = json.loads(run(folder / "two-uplinks.json", tmp_path / "alone", "--json").stdout)
    assert {**alone, "host": "two-uplinks", "exit": 0, "error": None} == found["two-uplinks"]


def test_nothing_is_written_unless_asked(folder, tmp_path):
    dry = run(folder, tmp_path / "out", "--dry-run")
    assert "+10.0.6.0/24 dev eth0 table 100" in dry.stdout
    assert "two-uplinks: 9 files to write" in dry.stdout
    assert 1 == run(folder, tmp_path / "out", "--check").returncode
    assert not (tmp_path / "out").exists()


def test_again_there_is_nothing_to_do(folder, tmp_path):
    for name in ("broken", *REFUSED):
        (folder / (name + ".json")).unlink()
    assert 0 == run(folder, tmp_path / "out").returncode
    again = run(folder, tmp_path / "out", "--check")
    assert (0, {"nothing to change"}) == (
        again.returncode,
        {line.split(": ")[1] for line in again.stdout.splitlines()},
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give --root DIR"),
        (("--root", "/"), "give --root DIR"),
        (("--apply", "--root", "/nowhere"), "plans for another"),
    ],
)
def test_the_trees_need_a_place(folder, words, said):
    command = [sys.executable, "-m", "symroute_nm", "generate", "--host", str(folder), *words]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert (2, True) == (ran.returncode, said in ran.stderr.decode())


def test_a_folder_without_snapshots_is_a_mistake(tmp_path):
    ran = run(tmp_path, tmp_path / "out")
    assert (2, True) == (ran.returncode, "no snapshot" in ran.stderr)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_it_stops_at_once_and_leaves_no_process(folder, tmp_path, number, code):
    for copy in range(200):
        shutil.copyfile(str(FOLDER / "two-uplinks" / "host.json"), str(folder / (f"{copy}.json")))
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "symroute_nm",
            "generate",
            "--host",
            str(folder),
            "--root",
            str(tmp_path / "out"),
            "--jobs",
            "3",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not (tmp_path / "out").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(child.pid, number)  # the keyboard's goes to all
    _, said = child.communicate(timeout=30)
    assert code == child.returncode, said
    assert b"Traceback" not in said
    with pytest.raises(ProcessLookupError):
        os.killpg(child.pid, 0)
    # Whatever was begun is whole, or mended by the next run.
    assert 200 > len(list((tmp_path / "out").iterdir()))
    left = run(folder, tmp_path / "out", "--jobs", "2")
    assert ["broken", "no-profile"] == list(
        dict.fromkeys(
            line.split(": ")[0] for line in left.stderr.splitlines() if ": failed: " in line
        )
    )
    trees = {json.dumps(sorted(written(tmp_path / "out" / str(copy)))) for copy in range(200)}
    assert 1 == len(trees)


def test_a_bar_shows_how_far_it_is_on_a_terminal(folder, tmp_path):
    ours, theirs = pty.openpty()
    command = [
        sys.executable,
        "-m",
        "symroute_nm",
        "generate",
        "--host",
        str(folder),
        "--root",
        str(tmp_path / "out"),
    ]
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=dict(os.environ, TERM="xterm"),
    )
    os.close(theirs)
    out, _ = child.communicate(timeout=60)
    shown = b""
    try:
        while True:
            part = os.read(ours, 65536)
            if not part:
                break
            shown += part
    except OSError:  # the other end is gone
        pass
    os.close(ours)
    assert b"6/6" in shown
    assert b"2 failed" in shown
    assert 4 == len(out.splitlines())


# -- the processes --------------------------------------------------------------------------------


def double(number):
    return 2 * number


def slow_at_first(number):
    time.sleep(0.05 if number % 2 else 0)
    return number


def die_at_seven(number):
    if number == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


@pytest.mark.parametrize("jobs", [1, 2, 5, 50])
def test_results_come_in_order(jobs):
    assert [2 * number for number in range(20)] == list(
        workers.run(list(range(20)), double, lambda _: None, jobs)
    )
    assert list(range(10)) == list(workers.run(list(range(10)), slow_at_first, str, jobs))
    assert [] == list(workers.run([], double, str, jobs))


@pytest.mark.parametrize("jobs", [1, 3, 8])
def test_whoever_is_killed_takes_one_task_along(jobs):
    found = list(workers.run(list(range(20)), die_at_seven, lambda task: f"lost {task}", jobs))
    assert [*range(7), "lost 7", *range(8, 20)] == found


def test_nobody_runs_far_ahead(tmp_path):
    def leave_a_mark(number):
        (tmp_path / str(number)).touch()
        return "x" * 100000  # more than a pipe holds

    results = workers.run(list(range(100)), leave_a_mark, str, 2)
    next(results)
    time.sleep(0.3)
    assert 8 > len(list(tmp_path.iterdir()))
    results.close()


def stubborn(number):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return "x" * 1000000


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_worker_that_outlives_its_signal_ends_when_nobody_reads(jobs):
    before = time.monotonic()
    results = workers.run(list(range(100)), stubborn, str, jobs)
    next(results)
    results.close()
    assert 20 > time.monotonic() - before
