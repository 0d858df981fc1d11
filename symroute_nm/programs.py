"""Starting other programs, the only subprocess import: fixed places, bounded time and output.

Whatever PATH, the environment and the current folder are, the same program runs, in `FOLDERS`, with
the environment `ENVIRONMENT` and in the folder ``/``.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import time
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Optional, Sequence

from symroute_nm.errors import SystemFailure

FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
ENVIRONMENT: Mapping[str, str] = {"PATH": ":".join(FOLDERS), "LC_ALL": "C"}
SECONDS = 30.0
MOST_OUTPUT = 64 << 20  # bytes on each stream: a ruleset of a million elements has less

_CHUNK = 1 << 16


class Finished(NamedTuple):
    """What a program said and how it ended: its exit code, or minus the signal that ended it."""

    code: int
    output: str
    errors: str

    @property
    def complaint(self) -> str:
        """The first line that it said of a failure, else its exit code."""
        lines = (line.strip() for line in self.errors.split("\n"))
        return next((line for line in lines if line), f"exit {self.code}")


def find(name: str) -> Optional[str]:
    """The absolute path of a program in `FOLDERS`; None where there is none."""
    for folder in FOLDERS:
        path = Path(folder, name)
        if path.is_file() and os.access(str(path), os.X_OK):
            return str(path)
    return None


def run(
    command: Sequence[str],
    text: bytes = b"",
    seconds: float = SECONDS,
    held: Sequence[int] = (),
) -> Finished:
    """Run a program, named as for `find`, to its end; `text` is its standard input.

    It has the descriptors `held` open, too: should we be killed, locks on them end with it.
    Raises `SystemFailure` where it is not there, cannot be started, or takes longer or says more
    than it may. It is killed then, with all that it started.
    """
    path = find(command[0])
    if path is None:
        raise SystemFailure(f"{command[0]} is in none of {', '.join(FOLDERS)}", "install it")
    try:
        # In a session of its own: what the terminal sends goes to us, and we end it as a whole.
        process = subprocess.Popen(  # noqa: S603  # no shell, an absolute path, commands of our own
            [path, *command[1:]],
            env=dict(ENVIRONMENT),
            cwd="/",
            start_new_session=True,
            pass_fds=held,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    except OSError as error:
        raise _failure(command, error.strerror or str(error)) from error
    try:
        return _follow(process, command, text, time.monotonic() + seconds)
    except OSError as error:
        raise _failure(command, error.strerror or str(error)) from error
    finally:
        _end(process)


def _follow(
    process: "subprocess.Popen[bytes]", command: Sequence[str], text: bytes, end: float
) -> Finished:
    assert process.stdin and process.stdout and process.stderr
    texts: Dict[int, List[bytes]] = {
        stream.fileno(): [] for stream in (process.stdout, process.stderr)
    }
    sizes = dict.fromkeys(texts, 0)
    left = memoryview(text)
    with selectors.PollSelector() as selector:  # as select(2), and for any descriptor
        for number in texts:
            selector.register(number, selectors.EVENT_READ)
        os.set_blocking(process.stdin.fileno(), False)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            ready = selector.select(max(0.0, end - time.monotonic()))
            if not ready:
                raise _failure(command, "it takes too long")
            for key, _ in ready:
                if key.fileobj is process.stdin:
                    left = _write(key.fd, left)
                    if not left:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                    continue
                piece = os.read(key.fd, _CHUNK)
                texts[key.fd].append(piece)
                sizes[key.fd] += len(piece)
                if sizes[key.fd] > MOST_OUTPUT:
                    raise _failure(command, f"it says more than {MOST_OUTPUT} bytes")
                if not piece:
                    selector.unregister(key.fd)
    try:
        code = process.wait(max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired as error:
        raise _failure(command, "it takes too long") from error
    output, errors = (b"".join(pieces).decode("utf-8", "replace") for pieces in texts.values())
    return Finished(code, output, errors)


def _write(descriptor: int, left: memoryview) -> memoryview:
    """What is still to be written; nothing once nobody reads any more."""
    try:
        return left[os.write(descriptor, left[:_CHUNK]) :]
    except BlockingIOError:
        return left
    except BrokenPipeError:
        return left[:0]


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Close its streams; kill it, and what it started, unless it has ended."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()


def _failure(command: Sequence[str], why: str) -> SystemFailure:
    return SystemFailure(f"{' '.join(command)}: {why}", "see whether it works by hand")
