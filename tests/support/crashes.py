"""Writes that are killed or fail, and what has to be so afterwards."""

import errno
import os
import random
import signal
import time

from support import syscalls
from support.syscalls import Kill
from support.trees import STATE, copy, ended, forked, hidden, redirect, scene, tree, whole

FAILED = 4
KILLED = -signal.SIGKILL
ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS)


def check_told(code, said, number, where):
    assert FAILED == code, (where, said)
    assert 1 == len(said), (where, said)
    assert said[0].startswith("symroute-nm: "), (where, said)
    assert os.strerror(number) in said[0], (where, said)


class Killing:
    """A command killed at moments that dice choose: half by the clock, half by the calls made."""

    def __init__(self, folder, name, seed):
        self.scene, self.folder = scene(name, folder / name.replace(" ", "-")), folder
        self.root, self.dice = folder / "root", random.Random(f"{seed} {name}")
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
