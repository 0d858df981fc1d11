"""Several writers at once, as real commands: one after the other or refused, and none corrupts."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from support.trees import (
    ROUTE,
    STATE,
    copy,
    ended,
    forked,
    hidden,
    memory_folder,
    redirect,
    scene,
    tree,
)
from symroute_nm.errors import Refusal
from symroute_nm.files import install
from symroute_nm.files.lock import lock_place, locked

FINE, REFUSED, FAILED = 0, 3, 4
MINE = b"10.9.0.0/16 via 10.0.6.9 dev eth0\n# no newline \xff"


@pytest.fixture(name="stage")
def _stage(tmp_path):
    """`generate` on a root of its own, on which it has not run yet."""
    made = memory_folder(tmp_path)
    found = scene("generate", made / "scene")
    yield found._replace(start=copy(found.start, made / "root"))
    subprocess.run(["rm", "-rf", str(made)], check=True)


def start(words, root):
    """A command in a process of its own: (pid, file of what it says)."""
    output = root.parent / (
        f"output-{time.monotonic_ns()}"
        if hasattr(time, "monotonic_ns")
        else f"output-{time.monotonic()!r}"
    )

    def action():
        redirect(str(output))
        from support.trees import command

        os._exit(command([*words, root])())

    return forked(action), output


@pytest.mark.parametrize("number", [2, 8])
def test_many_generate_at_once_all_succeed_and_one_writes(stage, number):
    running = [start(stage.words, stage.start) for _ in range(number)]
    assert [FINE] * number == [ended(pid) for pid, _ in running]
    assert stage.after == tree(stage.start)
    assert [] == hidden(stage.start)
    names = [path.name for path in (stage.start / STATE / "backups").iterdir()]
    # The others found it written already: the ten that were there, less the one pruned.
    assert 1 == sum(not name.startswith("20240101T") for name in names)


def test_generate_remove_and_undo_at_once_end_in_the_state_of_one_of_them(stage):
    """Who looked before another wrote is refused, and told to run again; nobody mixes."""
    root = stage.start
    assert FINE == ended(start(stage.words, root)[0])
    removed = copy(root, root.parent / "removed")
    assert FINE == ended(start(["remove", "--root"], removed)[0])
    states = [stage.before, stage.after, tree(removed)]
    commands = [stage.words, ["remove", "--root"], ["undo", "--root"]]
    codes = []
    for _ in range(6):
        running = [start(words, root) for words in commands * 2]
        for pid, output in running:
            codes.append(ended(pid))
            assert codes[-1] in (FINE, REFUSED), output.read_text(errors="replace")
        found = mine(tree(root))
        differ = [
            sorted(path for path in {*found, *each} if found.get(path) != each.get(path))
            for each in map(mine, states)
        ]
        assert [] in differ, min(differ, key=len)
        assert [] == hidden(root)
    assert FINE in codes


def test_an_undo_that_another_run_overtook_takes_nothing_back(stage):
    root = stage.start
    assert FINE == ended(start(["remove", "--root"], root)[0])
    late = install.prepare_restoration(root)
    assert FINE == ended(start(stage.words, root)[0])
    before = tree(root)

    with pytest.raises(Refusal, match="another run wrote meanwhile"):
        install.bring_back(root, late)
    assert before == tree(root)
    assert late.name == install.prepare_restoration(root, late.name).name


def mine(found):
    """Without the folders: a removal leaves those that a generate made."""
    return {
        path: value
        for path, value in found.items()
        if path.count("/") > 1 and not path.endswith("rt_tables.d")
    }


def test_generate_waits_for_a_lock_and_goes_on_when_it_is_free(stage):
    def hold():
        with locked(stage.start):
            time.sleep(0.5)

    pid = forked(hold)
    while not lock_place(stage.start).exists():
        time.sleep(0.01)
    begin = time.monotonic()
    assert FINE == ended(start(stage.words, stage.start)[0])
    assert time.monotonic() - begin > 0.3
    assert 0 == ended(pid)
    assert stage.after == tree(stage.start)


def test_generate_is_refused_by_a_lock_that_is_held_and_names_who_holds_it(stage, monkeypatch):
    monkeypatch.setattr(
        install.install, "__kwdefaults__", dict(install.install.__kwdefaults__, timeout=0.2)
    )
    with locked(stage.start):
        pid, output = start(stage.words, stage.start)
        assert REFUSED == ended(pid)
    (line,) = [each for each in output.read_text().splitlines() if each.startswith("symroute-nm:")]
    assert f"still held by process {os.getpid()} after 0.2 seconds; wait" in line
    assert stage.before == tree(stage.start)


def test_the_lock_of_a_killed_generate_holds_nobody_up(stage):
    def hold():
        with locked(stage.start):
            os.kill(os.getpid(), signal.SIGKILL)

    assert -signal.SIGKILL == ended(forked(hold))
    assert lock_place(stage.start).read_text().strip().isdigit()
    begin = time.monotonic()
    assert FINE == ended(start(stage.words, stage.start)[0])
    assert time.monotonic() - begin < 5  # and the time limit is ten seconds
    assert stage.after == tree(stage.start)


def remove(lock):
    """Take away what stands in place of a lock, if anything does: another tree may get its name."""
    if lock.is_dir() and not lock.is_symlink():
        lock.rmdir()
    elif os.path.lexists(str(lock)):
        lock.unlink()


@pytest.mark.parametrize(
    "kind", ["folder", "link to a file", "link to nowhere", "fifo", "another's"]
)
def test_an_odd_lock_is_told_of_or_taken_and_never_written_through(stage, kind):
    lock = lock_place(stage.start)
    precious = stage.start.parent / "precious"
    precious.write_bytes(b"mine")
    if kind == "folder":
        lock.mkdir()
    elif kind == "fifo":
        os.mkfifo(str(lock))
    elif kind == "another's":
        lock.write_bytes(b"")
        os.chown(str(lock), 65534, 65534)
        lock.chmod(0)
    else:
        lock.symlink_to(precious if kind == "link to a file" else "nowhere")
    try:
        pid, output = start(stage.words, stage.start)
        code = ended(pid)
    finally:
        remove(lock)
    said = [
        line
        for line in output.read_text(errors="replace").splitlines()
        if line.startswith("symroute-nm:")
    ]
    assert b"mine" == precious.read_bytes()
    if kind == "another's":
        assert (FINE, []) == (code, said)
    else:
        assert (FAILED, 1) == (code, len(said)), said
        assert str(lock) in said[0]
        assert "move away what stands there" in said[0]
        assert stage.before == tree(stage.start)


def test_the_installed_command_itself_twice_at_once(stage):
    """With an interpreter each, as two shells would."""
    call = [sys.executable, "-m", "symroute_nm", *map(str, stage.words), str(stage.start), "--json"]
    running = [
        subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)
    ]
    ends = [process.communicate() for process in running]
    assert [FINE, FINE] == [process.returncode for process in running], ends
    assert {"files"} <= set(json.loads(ends[0][0].decode()))
    assert stage.after == tree(stage.start)
    assert MINE in (stage.start / ROUTE[1:]).read_bytes()
