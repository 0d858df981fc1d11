"""One commit point over kernel, marks and files: killed anywhere, all is as before or all is new.

Command, keeper or both are killed: at calls of theirs, one by one, and at moments that dice choose.
The soak (``tests/soak/commit_point.py``) has all of the former, and thousands of the latter.
"""

import random

import pytest

from support.commit_kills import (
    MARKS,
    SCENES,
    fail_each,
    kill_each,
    kill_randomly,
    on_ground,
    recover_by_rollback,
)

EACH = 181  # of so many moments and processes one is tried, another in each run
FAULTS = 31  # the same of calls that fail
RANDOM = 20  # for each of the sixteen grounds: 320
GROUNDS = [
    (scene, marks)
    for scene in SCENES
    for marks in MARKS
    if marks != "iptables" or scene in ("generate", "remove")
]


@pytest.mark.parametrize(("scene", "marks"), GROUNDS)
def test_killed_at_any_moment_all_is_old_or_all_is_new(namespace, own_folder, scene, marks):
    seed = random.SystemRandom().randrange(1 << 32)

    def task(ground):
        first = seed % EACH
        return [
            kill_each(ground, recover_by_rollback, EACH, first),
            kill_randomly(ground, recover_by_rollback, str(seed), RANDOM),
        ]

    for found in on_ground(own_folder, scene, marks, task, namespace):
        assert [] == found["problems"]
        assert found["kills"] == found["old"] + found["new"]


@pytest.mark.parametrize(("scene", "marks"), [("generate", "nft"), ("remove", ""), ("apply", "")])
def test_where_any_call_fails_all_is_old_or_all_is_new_and_told_so(
    namespace, own_folder, scene, marks
):
    first = random.SystemRandom().randrange(FAULTS)

    def task(ground):
        return fail_each(ground, recover_by_rollback, FAULTS, first)

    found = on_ground(own_folder, scene, marks, task, namespace)
    assert [] == found["problems"]
