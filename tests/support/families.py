"""A command and the processes that it starts, followed call by call: to record them, to kill some.

As `support.syscalls` follows one process. Here each process that is forked is followed as well
(ptrace(2), PTRACE_O_TRACEFORK): it has a name of its own, the ordinal numbers of the forks that led
to it, so that runs of the same command can be told apart by nothing but that.
"""

import contextlib
import ctypes
import os
import signal
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from support import syscalls
from support.syscalls import Fail

# linux/ptrace.h, linux/wait.h
_GETEVENTMSG = 0x4201
_FORKS = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4  # fork, vfork, clone, exec
_EVENT_FORK, _EVENT_VFORK, _EVENT_CLONE, _EVENT_EXEC = 1, 2, 3, 4
_ALL = 0x40000000  # __WALL
_OPTIONS = syscalls._SYSGOOD | syscalls._TRACESECCOMP | syscalls._EXITKILL | _FORKS
_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, linux/prctl.h
# Beside what `syscalls` has: what waits or looks, and changes nothing.
_CALM = {
    "poll": 7,
    "select": 23,
    "recvfrom": 45,
    "recvmsg": 47,
    "wait4": 61,
    "getsockname": 51,
    "setsockopt": 54,
    "getsockopt": 55,
    "pselect6": 270,
    "ppoll": 271,
    "epoll_wait": 232,
    "epoll_ctl": 233,
    "socket": 41,
    "bind": 49,
    "pipe2": 293,
    "dup3": 292,
    "getrlimit": 97,
    "prlimit64": 302,
    "rseq": 334,
    "set_robust_list": 273,
    "set_tid_address": 218,
    "arch_prctl": 158,
    "uname": 63,
    "sysinfo": 99,
    "getegid": 108,
    "getgid": 104,
    "gettid": 186,
    "getresuid": 118,
    "sigaltstack": 131,
    "getpgrp": 111,
}
_EXECVE = 59

Name = Tuple[int, ...]  # () is the command, (2,) its third fork, (2, 0) that one's first


class Moment(NamedTuple):
    """A call that a process of the family is about to make; `turn` counts its own from 1."""

    name: Name
    turn: int
    call: str


class Member(NamedTuple):
    """A process of the family."""

    pid: int
    name: Name


# Asked before each call: `Fail` has it give an error, None lets it be.
Verdict = Callable[[Moment, "Family"], Any]


class Family:
    """A command that is followed with all that it starts."""

    def __init__(self, action: Callable[[], Optional[int]], output: str) -> None:
        free = syscalls._NO_FILE | syscalls._READING
        self._first = syscalls._stopped_child(action, output, free)
        syscalls._ptrace(syscalls._SETOPTIONS, self._first, _OPTIONS)
        self._members: Dict[int, Name] = {self._first: ()}
        self._turns: Dict[int, int] = {}
        self._forks: Dict[int, int] = {}
        self._running: Dict[int, bool] = {}  # whether it has begun a program of its own
        self.code = 0

    def follow(self, verdict: Verdict = lambda *_: None) -> int:
        """Run it to its end; `verdict` is asked before each call. The command's exit code, or
        minus the signal that ended it."""
        early: Dict[int, int] = {}  # stopped before its parent told of it
        self._go_on(self._first)
        while self._members:
            pid, status = os.waitpid(-1, _ALL)
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                if pid == self._first:
                    ended = os.WIFEXITED(status)
                    self.code = os.WEXITSTATUS(status) if ended else -os.WTERMSIG(status)
                self._members.pop(pid, None)
            elif pid not in self._members:
                early[pid] = status
            else:
                self._heed(pid, status, early, verdict)
        return self.code

    def _heed(
        self,
        pid: int,
        status: int,
        early: Dict[int, int],
        verdict: Verdict,
    ) -> None:
        event = status >> 16
        number = os.WSTOPSIG(status)
        if event in (_EVENT_FORK, _EVENT_VFORK, _EVENT_CLONE):
            child = ctypes.c_ulong()
            with contextlib.suppress(OSError):
                syscalls._ptrace(_GETEVENTMSG, pid, ctypes.byref(child))
                self._add(pid, child.value)
                if child.value in early:
                    early.pop(child.value)
                    self._go_on(child.value)
        elif event == _EVENT_EXEC:
            self._running[pid] = True
        elif status >> 8 == syscalls._EVENT_SECCOMP:
            self._ask(pid, verdict)
        elif number not in (signal.SIGSTOP, signal.SIGTRAP):
            self._go_on(pid, number)
            return
        self._go_on(pid)

    def _add(self, parent: int, child: int) -> None:
        ordinal = self._forks.get(parent, 0)
        self._forks[parent] = ordinal + 1
        self._members[child] = (*self._members[parent], ordinal)

    def _ask(self, pid: int, verdict: Verdict) -> None:
        try:
            number = syscalls._registers(pid).orig_rax
        except OSError:
            return  # killed
        if number in _CALM.values():
            return
        self._turns[pid] = self._turns.get(pid, 0) + 1
        call = "execve" if number == _EXECVE else syscalls.NAMES.get(number, str(number))
        decision = verdict(Moment(self._members[pid], self._turns[pid], call), self)
        if isinstance(decision, Fail):
            registers = syscalls._registers(pid)
            registers.orig_rax = syscalls._NO_CALL
            registers.rax = 2**64 - decision.number
            syscalls._ptrace(syscalls._SETREGS, pid, ctypes.byref(registers))

    def _go_on(self, pid: int, number: int = 0) -> None:
        with contextlib.suppress(OSError):  # killed
            syscalls._ptrace(syscalls._CONT, pid, number)

    def kill(self, name: Name) -> None:
        """Kill the process of that name, if it is there."""
        for pid, known in self._members.items():
            if known == name:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def is_program(self, name: Name) -> bool:
        """Whether the process of that name has begun to be another program."""
        return any(self._running.get(pid) for pid, known in self._members.items() if known == name)


def adopt_orphans() -> None:
    """Be the one to whom what a child leaves behind goes, so that its end can be waited for."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.prctl(_SUBREAPER, 1, 0, 0, 0) == 0


def wait_for_all() -> None:
    """Wait until every child, adopted ones too, has ended."""
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def moments_of(action: Callable[[], Optional[int]], output: str, wanted: int) -> List[Moment]:
    """All calls that change something of a command and all that it starts, in order.

    What they say goes to the file `output`, and `wanted` is the exit code that there has to be.
    """
    found: List[Moment] = []
    code = Family(action, output).follow(lambda moment, _: found.append(moment))
    with open(output, errors="replace") as said:
        assert code == wanted, (code, said.read())
    return found


def children(pid: int) -> List[int]:
    """The children that a process has now, in the order in which they were made."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as listed:
            return [int(word) for word in listed.read().split()]
    except OSError:
        return []


def command_name(pid: int) -> Any:
    """What a process is called: comm of proc(5); "" where it has gone."""
    try:
        with open(f"/proc/{pid}/comm") as listed:
            return listed.read().strip()
    except OSError:
        return ""
