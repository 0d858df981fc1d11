"""Whatever call of the kernel fails in a write, all is as before, or the next run makes it so.

No call can be overlooked: each one that the action makes is stopped, whoever makes it. What takes
minutes (each call of the whole commands with each error) is in soak/writes.py.
"""

import errno
import os
from pathlib import Path

import pytest

from support import syscalls
from support.crashes import ERRORS, FAILED, check_told
from support.syscalls import Fail, Kill
from support.trees import STATE, copy, hidden, prepared, run, tree, whole
from symroute_nm.errors import SymrouteError
from symroute_nm.files import backups, install
from symroute_nm.targets.ifcfg import changes as changing

FINE = 0


def saying(action):
    """The action with an error told and turned into the exit code, as the command does."""

    def run_it():
        try:
            action()
        except SymrouteError as error:
            os.write(1, (f"symroute-nm: {error}\n").encode())
            return error.exit_code
        return FINE

    return run_it


def removal(root):
    install.install(root, changing.find_changes(root, {}, changing.find_owned(root)))


ACTIONS = {"install": run, "remove": removal, "undo": install.restore}


class Stage:
    """An action, the tree it starts from, and the one that it makes of it."""

    def __init__(self, folder, name):
        self.folder, self.do = folder, ACTIONS[name]
        self.start = prepared(folder / "start")
        if name != "install":
            run(self.start)
        self.root = copy(self.start, folder / "root")
        self.before = tree(self.start)
        self.backups = backups.backups(self.start)
        install.recover(self.root)
        self.follow()
        self.after = tree(self.root)
        self.reset()

    def reset(self):
        copy(self.start, self.root)

    def follow(self, verdict=lambda _: None, do=None, **options):
        """Exit code, what was said, and the calls that were asked about."""
        calls = []

        def asked(call):
            calls.append(call)
            return verdict(call)

        output = str(self.folder / "output")
        action = saying(lambda: (do or self.do)(self.root))
        code = syscalls.follow(action, asked, output=output, **options)
        return code, Path(output).read_text(errors="replace").splitlines(), calls

    def calls(self, **options):
        """All calls, on the tree as it is; their paths beside them."""
        found = []
        self.follow(lambda call: found.append((call, call.path)), **options)
        self.reset()
        return found

    def check(self, told, number, where):
        """All as before and told, or done; whether it failed."""
        code, said = told
        assert [] == hidden(self.root), where
        if code == FINE:
            assert self.after == tree(self.root), where
            self.reset()
            return False
        check_told(code, said, number, where)
        assert self.before == tree(self.root), where
        assert self.backups == backups.backups(self.root), where
        return True


@pytest.fixture(name="stage", params=sorted(ACTIONS))
def _stage(folder, request):
    return Stage(folder, request.param)


def faults(stage):
    """Each call with each error; for remove and undo, which write the same way, one in turn."""
    for call, path in stage.calls(reading=False):
        for number in ERRORS if stage.do is run else [ERRORS[call.turn % len(ERRORS)]]:
            yield call, path, number


def test_every_call_that_changes_something_fails_once_and_all_is_as_before(stage):
    planned_faults = list(faults(stage))
    failed = []
    for planned, path, number in planned_faults:
        code, said, made = stage.follow(
            lambda _, number=number: Fail(number), only={planned.turn}, reading=False
        )
        where = (planned.name, path, planned.turn, errno.errorcode[number])
        assert planned.name == made[0].name, where
        failed += [where] * stage.check((code, said), number, where)
    # What is left fails after the new state counts, or was to be tidied up.
    assert len(failed) > 0.6 * len(planned_faults)


def test_every_call_that_reads_fails_once_and_all_is_as_before(stage):
    """One error each, in turn: there is nothing to put back that the other test does not see."""
    failed = []
    inside = str(stage.root) + "/"
    calls = [
        (call, path) for call, path in stage.calls() if not call.changes and path.startswith(inside)
    ]
    for planned, path in calls:
        number = ERRORS[planned.turn % len(ERRORS)]
        code, said, made = stage.follow(lambda _, number=number: Fail(number), only={planned.turn})
        where = (planned.name, path, planned.turn, errno.errorcode[number])
        assert planned.name == made[0].name, where
        failed += [where] * stage.check((code, said), number, where)
    assert len(failed) > 0.6 * len(calls)


def repaired(stage, where):
    """Whether the run after puts all back, or tidies up, says so, and leaves nothing hidden."""
    code, said, _ = stage.follow(do=install.recover)
    assert (FINE, []) == (code, said), where
    assert [] == hidden(stage.root), where
    assert tree(stage.root) in (stage.before, stage.after), where
    now = tree(stage.root)
    stage.reset()
    return now


@pytest.mark.parametrize("number", ERRORS, ids=lambda number: errno.errorcode[number])
def test_from_some_call_on_all_fail_and_the_next_run_puts_back(folder, number):
    """A disk that is full, broken or read-only from then on: nothing can be put back, either."""
    stage = Stage(folder, "install")
    last = len(stage.calls(reading=False))
    left = 0
    for turn in range(1 + number % 3, last + 1, 3):
        code, said, _ = stage.follow(
            lambda _, number=number: Fail(number), only=range(turn, 10 * last), reading=False
        )
        where = (turn, said)
        if code != FINE:
            assert FAILED == code, where
            assert os.strerror(number) in said[0], where
        left += tree(stage.root) != stage.before
        assert whole(stage.root, stage.before, stage.after), where
        # Once this stands, the new state counts, and even that it could not be synced changes
        # nothing: it cannot be taken back any more.
        done = (stage.root / STATE / "journal.done").exists()
        assert repaired(stage, where) == (stage.after if done or code == FINE else stage.before)
    assert left > 5


def test_what_fails_while_it_is_put_back_is_put_back_by_the_next_run(folder):
    stage = Stage(folder, "install")
    renames = [
        call
        for call, path in stage.calls(reading=False)
        if call.act == "rename" and "/etc/" in path
    ]
    trouble = renames[-1].turn
    code, _, calls = stage.follow(
        lambda call: Fail(errno.EIO) if call.turn == trouble else None, reading=False
    )
    assert (FAILED, stage.before) == (code, tree(stage.root))
    for turn in range(trouble + 1, len(calls) + 1):
        number = ERRORS[turn % len(ERRORS)]

        def verdict(call, turn=turn, number=number):
            return Fail(errno.EIO) if call.turn == trouble else Fail(number)

        code, said, _ = stage.follow(verdict, only={trouble, turn}, reading=False)
        where = (turn, errno.errorcode[number], said)
        assert FAILED == code, where
        assert whole(stage.root, stage.before, stage.after), where
        assert stage.before == repaired(stage, where), where


def test_a_look_that_fails_while_it_is_put_back_loses_nothing(folder):
    """A disk that cannot tell whether the previous file is there does not mean that it is not."""
    stage = Stage(folder, "install")

    def die(call):
        return Kill() if call.act == "unlink" and "/etc/" in call.path else None

    assert -9 == stage.follow(die)[0]
    assert tree(stage.root) != stage.before
    start = copy(stage.root, stage.folder / "killed")
    inside = str(stage.root) + "/"
    found = []
    stage.follow(lambda call: found.append((call, call.path)), do=install.recover)
    assert stage.before == tree(stage.root)
    for planned, path in found:
        if planned.changes or not path.startswith(inside):
            continue
        copy(start, stage.root)
        code, said, _ = stage.follow(
            lambda _: Fail(errno.EIO), only={planned.turn}, do=install.recover
        )
        where = (planned.name, path, said)
        assert code in (FINE, FAILED), where
        assert stage.before == repaired(stage, where), where
