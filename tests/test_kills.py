"""Killed at any moment: each file is old or new and whole, and the next run completes."""

import os
import random
import shutil
import signal
import time

import pytest
import syscalls
from syscalls import Kill
from trees import (
    SCENES,
    STALE,
    STATE,
    build,
    copy,
    ended,
    forked,
    hidden,
    memory_folder,
    prepared,
    redirect,
    run,
    scene,
    tree,
    whole,
)

from symroute_nm import install

pytestmark = [
    pytest.mark.oldest,
    pytest.mark.essential,
    pytest.mark.skipif(not syscalls.AVAILABLE, reason=syscalls.WHY_NOT),
]

KILLED = -signal.SIGKILL
MOMENTS = 50  # for each of the four scenes: 200


@pytest.fixture(name="folder")
def _folder(tmp_path):
    made = memory_folder(tmp_path)
    yield made
    shutil.rmtree(str(made))


def check_after_kill(root, before, after):
    assert whole(root, before, after)
    install.recover(root)
    assert tree(root) in (before, after)
    assert [] == hidden(root)
    run(root)
    assert after == tree(root)
    assert [] == hidden(root)
    assert not (root / STATE / "journal").exists()


def killed_at(turn, action):
    return syscalls.follow(action, lambda _: Kill(), only={turn}, reading=False)


def test_killed_before_each_call_that_changes_something_the_next_run_repairs(folder):
    start = prepared(folder / "start")
    before = tree(start)
    run(copy(start, folder / "after"))
    after = tree(folder / "after")
    turn, undone, code = 0, 0, KILLED
    while code == KILLED:
        turn += 1
        root = copy(start, folder / "root")
        code = killed_at(turn, lambda root=root: run(root) and 0)
        undone += (root / STATE / "journal").exists()
        check_after_kill(root, before, after)
    assert code == 0
    assert 40 < undone < turn


def test_killed_while_it_repairs_the_next_run_repairs(folder):
    start = build(folder / "start")
    before = tree(start)
    run(copy(start, folder / "after"))
    after = tree(folder / "after")
    place = str(start / STALE[1:])

    def die(call):
        return Kill() if call.act == "unlink" and call.path == place else None

    assert KILLED == syscalls.follow(lambda: run(start), die)
    assert before != tree(start)
    turn, code = 0, KILLED
    while code == KILLED:
        turn += 1
        root = copy(start, folder / "root")
        code = killed_at(turn, lambda root=root: len(install.recover(root)) and 0)
        check_after_kill(root, before, after)
    assert code == 0
    assert turn > 20


class Killing:
    """A command killed at moments that dice choose: half by the clock, half by the calls made."""

    def __init__(self, folder, name, seed):
        self.scene, self.folder = scene(name, folder / name.replace(" ", "-")), folder
        self.root, self.dice = folder / "root", random.Random("%s %s" % (seed, name))
        self.duration = min(self._timed() for _ in range(3))
        copy(self.scene.start, self.root)
        self.calls = len(syscalls.calls_of(self.scene.action(self.root)))

    def _timed(self):
        copy(self.scene.start, self.root)
        start = time.monotonic()
        assert 0 == ended(self._forked())
        return time.monotonic() - start

    def _forked(self):
        def action():
            redirect(os.devnull)
            os._exit(self.scene.action(self.root)())

        return forked(action)

    def by_the_clock(self):
        pid = self._forked()
        time.sleep(self.dice.uniform(0, self.duration))
        os.kill(pid, signal.SIGKILL)
        return ended(pid)

    def by_the_calls(self):
        turn = self.dice.randrange(1, self.calls + 1)
        return syscalls.follow(self.scene.action(self.root), lambda _: Kill(), only={turn})

    def once(self, turn):
        """Kill it, and look; gives what was found: (exit code, old or new, hidden files)."""
        copy(self.scene.start, self.root)
        code = (self.by_the_clock, self.by_the_calls)[turn % 2]()
        assert code in (0, KILLED)
        assert whole(self.root, self.scene.before, self.scene.after)
        left = len(hidden(self.root))
        counts = (self.root / STATE / "journal.done").exists()
        new = counts or tree(self.root) == self.scene.after
        self._run_again(new)
        return code, new, left

    def _run_again(self, new):
        """The next run completes, whatever stood there, and all administrators' lines with it."""
        before = tree(self.root)
        code = ended(self._forked())
        assert code == 0
        now = tree(self.root)
        assert [] == hidden(self.root), before
        undone = self.scene.words[0] == "undo" and new
        assert (self.scene.before if undone else self.scene.after) == now
        assert not (self.root / STATE / "journal").exists()
        assert not (self.root / STATE / "journal.done").exists()


@pytest.mark.parametrize("name", SCENES)
def test_killed_at_random_moments_the_next_run_completes(folder, name):
    seed = random.SystemRandom().randrange(1 << 32)
    killing = Killing(folder, name, seed)
    found = []
    for turn in range(MOMENTS):
        try:
            found.append(killing.once(turn))
        except AssertionError as error:
            raise AssertionError("seed %d, turn %d" % (seed, turn)) from error
    codes = [code for code, _, _ in found]
    # By calls it always dies; by the clock it may be through before.
    assert codes.count(KILLED) >= MOMENTS // 2
