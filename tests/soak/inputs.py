"""Fuzzing by coverage, by hand, beyond `test_any_input`: tests/soak/inputs.py [SECONDS [TARGET…]]

Needs atheris (Python 3.11 or later): pip install atheris. Each parser of `fuzzing`, and "program",
the commands that take a snapshot, gets so many seconds; what breaks one is left in a file that
atheris names, to become a test.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import atheris

sys.path[:0] = map(str, Path(__file__).resolve().parents[1:3])
_ONE = "--one"  # the process that fuzzes, not the one that starts it
with contextlib.ExitStack() as stack:
    if _ONE in sys.argv:
        stack.enter_context(atheris.instrument_imports(include=["symroute_nm"]))
    from support import fuzzing

_SECONDS = 60
_LONGEST_INPUT = 1 << 16  # bytes
_HANG = 10  # seconds


def targets():
    """{name: parser}, the whole program among them."""
    hosts = [json.dumps(each).encode() for each in fuzzing.documents().values()]
    return {**fuzzing.PARSERS, "program": fuzzing.Parser(fuzzing.check_host, hosts)}


def soak(name, seconds):
    """Run one target in this process, which atheris then ends."""
    target = targets()[name]
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds):
            (Path(corpus) / str(number)).write_bytes(seed)
        atheris.Setup(
            [
                sys.argv[0],
                corpus,
                f"-max_total_time={seconds}",
                f"-max_len={_LONGEST_INPUT}",
                f"-timeout={_HANG}",
                "-print_final_stats=1",
                "-verbosity=0",
            ],
            target.check,
        )
        atheris.Fuzz()


def main():
    """Every target asked for in a process of its own; exit 1 if one broke."""
    words = sys.argv[1:]
    if words[:1] == [_ONE]:
        soak(words[1], int(words[2]))
        return 0
    seconds = int(words[0]) if words else _SECONDS
    broken = 0
    for name in words[1:] or sorted(targets()):
        ran = subprocess.run(
            [sys.executable, __file__, _ONE, name, str(seconds)],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output = ran.stdout.decode("utf-8", "replace")
        counts = [line.split()[-1] for line in output.splitlines() if "number_of_executed" in line]
        count = counts[-1] if counts else "no"
        print(f"{name:<12} {count} inputs, exit {ran.returncode}", flush=True)
        if ran.returncode:
            broken = 1
            print(output)
    return broken


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
