"""What takes too long for every run: ``python tests/soak/writes.py kills 2000`` and ``… faults``.

kills N: N random moments of each command, as test_kills.py has 50 of each. faults: each call of the
kernel of the whole commands with each error, as test_faults.py has those of a write. links: each
command with each link, and swaps N: N seconds of folders swapped for links, for a tree of either
owner, as test_hostile_trees.py has some.
"""

import errno
import itertools
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support import syscalls
from support.crashes import ERRORS, Killing, check_told
from support.hostile_trees import (
    KINDS,
    OWNERS,
    READING,
    WRITING,
    Grounds,
    lead_out,
    swaps,
    used_paths,
)
from support.syscalls import Fail
from support.trees import SCENES, copy, hidden, memory_folder, scene, tree

OUTSIDE = ("/dev/null",)  # what is opened to fill closed standard streams
USAGE = 2  # click looks whether it may read the paths that it is given


def kills(folder: Path, number: int) -> None:
    """Ends with an AssertionError at the first that is not repaired."""
    for name in SCENES:
        killing = Killing(folder, name, time.time())
        found = Counter(killing.once(turn) for turn in range(number))
        counted = sum(times for ended, times in found.items() if ended[1])
        leaving = sum(times for ended, times in found.items() if ended[2])
        print(
            f"{name}: {number} kills, {counted} of them after the new state counted, "
            f"{leaving} left hidden files"
        )


def faults(folder: Path) -> None:
    """Ends with an AssertionError at the first that changes something or is told badly."""
    for name in SCENES:
        stage = scene(name, folder / name.replace(" ", "-"))
        root, output = copy(stage.start, folder / "root"), folder / "output"
        calls = []
        syscalls.follow(
            stage.action(root), lambda call, calls=calls: calls.append((call.turn, call.path))
        )
        copy(stage.start, root)
        found = Counter()
        for (turn, path), number in itertools.product(calls, ERRORS):
            if path in OUTSIDE:
                continue
            code = syscalls.follow(
                stage.action(root),
                lambda _, number=number: Fail(number),
                only={turn},
                output=str(output),
            )
            found[code] += 1
            said = [
                line
                for line in output.read_text(errors="replace").splitlines()
                if line.startswith("symroute-nm: ")
            ]
            where = (name, turn, path, errno.errorcode[number], output.read_text(errors="replace"))
            if code == 0:
                assert stage.after == tree(root), where
                copy(stage.start, root)
                continue
            if code != USAGE:
                check_told(code, said, number, where)
            assert stage.before == tree(root), where
            assert [] == hidden(root), where
        print(f"{name}: {len(calls)} calls, exit codes {dict(found)}")


def links(grounds: Grounds) -> None:
    """Ends with an AssertionError at the first link that leads a command out of the tree."""
    paths = sorted(used_paths(grounds))
    for path, uid in itertools.product(paths, OWNERS.values()):
        for kind in set(KINDS):
            for name in (*WRITING, *READING):
                lead_out(grounds, path, uid, kind, [name])
    print(f"{len(paths)} places: nothing was led out")


def exchanges(grounds: Grounds, seconds: float) -> None:
    """Ends with an AssertionError at the first swap that leads a command out of the tree."""
    for owner, uid in OWNERS.items():
        print(f"{owner}: {swaps(grounds, uid, seconds)}")


def main() -> None:
    """Run what the command line names."""
    folder = memory_folder(Path("/tmp"))
    try:
        if sys.argv[1:2] == ["faults"]:
            faults(folder)
        elif sys.argv[1:2] == ["links"]:
            links(Grounds(folder))
        elif sys.argv[1:2] == ["swaps"]:
            exchanges(Grounds(folder), float(sys.argv[2]))
        else:
            kills(folder, int(sys.argv[2]))
    finally:
        shutil.rmtree(str(folder))


if __name__ == "__main__":
    main()
