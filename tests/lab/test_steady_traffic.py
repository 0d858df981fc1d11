"""No packet is lost while the running kernel is brought from one plan to another, and back."""

from pathlib import Path
from typing import List, Tuple

import pytest

from support.network.lab import PROFILES, Flow, Lab, broken
from support.network.streams import Streams

REFUSED = 3
LEAST_FLOWS = 30  # are answered on the host as it is without us
# The program with time between any two changes of the kernel: whatever a packet can meet, it meets.
SLOWLY = """
import time
from symroute_nm.cli.main import main
from symroute_nm.kernel import state
perform = state._perform
def perform_slowly(*arguments):
    perform(*arguments)
    time.sleep(0.014)
state._perform = perform_slowly
main()
"""


THROW = ("--guard", "throw")
OTHER_IDS = ("--table", "eth0=users:300", "--table", "eth1=admins:301")
# One after the other: (exit code, arguments). Each kind of change once in each direction.
CHANGES = (
    (0, ("apply", "--yes")),
    (0, ("apply", "--yes")),
    (0, ("apply", "--yes", *THROW)),
    (REFUSED, ("apply", "--timeout", "1")),  # nobody confirms: it is taken back
    (0, ("apply", "--yes")),
    (0, ("apply", "--yes", *OTHER_IDS)),
    (REFUSED, ("apply", "--timeout", "1", *THROW)),
    (0, ("generate", "--apply", "--yes", "--forwarded")),
    (0, ("generate", "--apply", "--yes")),
    (0, ("remove", "--apply", "--yes")),
)


@pytest.mark.parametrize(
    ("best", "program"),
    [
        ("eth0", ("-m", "symroute_nm")),
        ("eth1", ("-c", SLOWLY)),
    ],
    ids=("at once", "slowly"),
)
def test_what_is_answered_before_and_after_is_answered_meanwhile(
    script: Path, best: str, program: Tuple[str, str]
) -> None:
    lost = {}
    with Lab(script, PROFILES, best) as lab:
        before = working(lab)
        for number, (code, arguments) in enumerate(CHANGES):
            with Streams(lab, before) as streams:
                ran = lab.python(*program, *arguments)
            assert code == ran.returncode, ran.stdout + ran.stderr
            after = working(lab)
            kept = {flow.name for flow in before} & {flow.name for flow in after}
            assert LEAST_FLOWS <= len(kept)
            lost[number, arguments] = {
                name: count for name, count in streams.lost().items() if name in kept
            }
            streams.close()
            before = after
    assert {} == {change: found for change, found in lost.items() if found}


def working(lab: Lab) -> List[Flow]:
    """The flows that are answered now."""
    silent = broken(lab.flows())
    return [each for each in lab.expected() if each.name not in silent]
