"""Processes that are named on record: known again by number and start time, and ended.

A number alone is given to another process once the first has gone (pid_max); together with the time
at which it started, in clock ticks since the boot (proc(5), stat), it names one process for good.
"""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import List, NamedTuple, Optional

_STATE, _START = 0, 19  # behind the name, which may hold blanks and brackets
_STOPPED = "T"
_FROZEN = ("do_freezer_trap", "__refrigerator", "get_signal")  # kernel/freezer.c, cgroup/freezer.c
_PAUSE = 0.05  # seconds


class Process(NamedTuple):
    """A process, whether it still is there or not."""

    pid: int
    start: int  # clock ticks since the boot

    @property
    def alive(self) -> bool:
        """Whether it is there, and has not ended."""
        fields = _fields(self.pid)
        return bool(fields) and int(fields[_START]) == self.start and fields[_STATE] not in "ZX"

    @property
    def halted(self) -> bool:
        """Whether it is stopped (SIGSTOP) or frozen (by a control group): nothing of it goes on."""
        fields = _fields(self.pid)
        if not fields or int(fields[_START]) != self.start:
            return False
        return fields[_STATE] == _STOPPED or _sleeps_in(self.pid) in _FROZEN

    def end(self, seconds: float) -> bool:
        """Kill it with the programs that it runs, and wait so long; whether it does nothing more.

        One that is frozen is still there until it is thawed, and ends then before it does anything:
        it counts as ended.
        What has its number by now is left alone: by pidfd_open(2) where there is one, else as sure
        as the look at its start time just before.
        """
        programs = _children(self.pid) if self.alive else []
        with contextlib.ExitStack() as stack:
            descriptor = _open(self.pid)
            if descriptor is not None:
                stack.callback(os.close, descriptor)
            if self.alive:  # what is open now is that one
                with contextlib.suppress(ProcessLookupError):
                    _kill(self.pid, descriptor)
        for program in programs:  # each in a session of its own, see `programs`
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if program.alive:
                    os.killpg(program.pid, signal.SIGKILL)
        end = time.monotonic() + seconds
        while self.alive and time.monotonic() < end:
            time.sleep(_PAUSE)
        return not self.alive or self.halted


def find_process(pid: int) -> Process:
    """The process that has this number now; its start is 0 where there is none."""
    fields = _fields(pid)
    return Process(pid, int(fields[_START]) if fields else 0)


def _fields(pid: int) -> List[str]:
    """The fields of its stat behind the name; none where it has gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _sleeps_in(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return ""


def _children(pid: int) -> List[Process]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:  # CONFIG_PROC_CHILDREN is not set
        return []
    return [find_process(int(word)) for word in listed.split()]


def _open(pid: int) -> Optional[int]:
    opener = getattr(os, "pidfd_open", None)  # Python 3.9, Linux 5.3
    if opener is None:
        return None
    try:
        descriptor: int = opener(pid)
    except OSError:
        return None
    return descriptor


def _kill(pid: int, descriptor: Optional[int]) -> None:
    if descriptor is None:
        os.kill(pid, signal.SIGKILL)
    else:
        getattr(signal, "pidfd_send_signal")(descriptor, signal.SIGKILL)  # noqa: B009  # 3.9
