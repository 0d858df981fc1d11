"""Killed at any moment: each file is old or new and whole, and the next run completes."""

import random

import pytest

from support import syscalls
from support.crashes import KILLED, Killing
from support.syscalls import Kill
from support.trees import (
    SCENES,
    STALE,
    STATE,
    build,
    copy,
    hidden,
    prepared,
    run,
    tree,
    whole,
)
from symroute_nm.files import install

MOMENTS = 50  # for each of the four scenes: 200


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


@pytest.mark.parametrize("name", SCENES)
def test_killed_at_random_moments_the_next_run_completes(folder, name):
    seed = random.SystemRandom().randrange(1 << 32)
    killing = Killing(folder, name, seed)
    found = []
    for turn in range(MOMENTS):
        try:
            found.append(killing.once(turn))
        except AssertionError as error:
            raise AssertionError(f"seed {seed}, turn {turn}") from error
    codes = [code for code, _, _ in found]
    # By calls it always dies; by the clock it may be through before.
    assert codes.count(KILLED) >= MOMENTS // 2
