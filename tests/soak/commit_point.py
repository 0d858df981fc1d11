"""What takes too long for every run: ``python tests/soak/commit_point.py each``, ``… random N`` and
``… faults``.

each: the processes of `generate`, `apply`, `remove` and `undo` with --apply killed at each of their
calls, one of them or both, with and without marks. random N: at N random moments altogether.
faults: each of its calls that changes something fails once. With a last word, only the scenes whose
name begins so. As root.
"""

import contextlib
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from support.commit_kills import (
    MARKS,
    SCENES,
    fail_each,
    kill_each,
    kill_randomly,
    on_ground,
    recover_by_rollback,
)
from support.network.namespaces import Namespace


def main() -> int:
    """1 where anything was found."""
    kind = sys.argv[1]
    rest = sys.argv[2:]
    number = int(rest.pop(0)) if kind == "random" else 0
    beginning = rest[0] if rest else ""
    grounds = [(scene, marks) for scene in SCENES for marks in MARKS if scene.startswith(beginning)]
    share = -(-number // len(grounds))
    total, problems = Counter(), 0
    for scene, marks in grounds:

        def task(ground):
            if kind == "each":
                return kill_each(ground, recover_by_rollback)
            if kind == "faults":
                return fail_each(ground, recover_by_rollback)
            return kill_randomly(ground, recover_by_rollback, str(time.time()), share)

        with contextlib.ExitStack() as stack:
            made = tempfile.TemporaryDirectory(prefix="symroute-test-", dir="/run")
            folder, space = Path(stack.enter_context(made)), stack.enter_context(Namespace())
            found = on_ground(folder, scene, marks, task, space)
        for problem in found.pop("problems"):
            print(problem, flush=True)
            problems += 1
        total.update(found)
        print("{} {}: {}".format(scene, marks or "without marks", found), flush=True)
    print(f"{problems} problems in {dict(total)}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
