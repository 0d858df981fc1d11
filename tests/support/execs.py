"""Which programs a command has the kernel execute, with all that it starts: none is overlooked.

seccomp stops each execve(2) and execveat(2) for ptrace(2), whether it succeeds or not, in the
command and in all of its descendants.
"""

import ctypes
import os
import signal
from pathlib import Path
from typing import Dict, List, Mapping, NamedTuple, Sequence

from support import syscalls

AVAILABLE, WHY_NOT = syscalls.AVAILABLE, syscalls.WHY_NOT

_FORK, _VFORK, _CLONE, _EXEC = 1 << 1, 1 << 2, 1 << 3, 1 << 4  # PTRACE_O_TRACE…
_EXECVE, _EXECVEAT = 59, 322  # arch/x86/entry/syscalls/syscall_64.tbl
_WALL = 0x40000000  # linux/wait.h: clones, too
_EVENTS_AT = 16  # in a status: which PTRACE_EVENT


class Ended(NamedTuple):
    """How a command ended, what it said on both streams, and the paths that were executed."""

    code: int
    said: str
    executed: List[str]


def watch(
    command: Sequence[str], output: Path, folder: Path, environment: Mapping[str, str]
) -> Ended:
    """Run a command, whose first word is an absolute path, and see what is executed after it."""
    pid = os.fork()
    if pid == 0:
        try:
            os.chdir(str(folder))
            syscalls.redirect(str(output))
            syscalls._ptrace(syscalls._TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            _stop_at_executions()
            os.execve(command[0], list(command), dict(environment))
        finally:
            os._exit(99)
    os.waitpid(pid, 0)
    syscalls._ptrace(
        syscalls._SETOPTIONS,
        pid,
        (syscalls._TRACESECCOMP | syscalls._EXITKILL | _FORK | _VFORK | _CLONE | _EXEC),
    )
    syscalls._ptrace(syscalls._CONT, pid)
    executed: List[str] = []
    codes: Dict[int, int] = {}
    while True:
        try:
            stopped, status = os.waitpid(-1, _WALL)
        except ChildProcessError:  # all have ended
            return Ended(codes[pid], output.read_text(errors="replace"), executed[1:])
        if not os.WIFSTOPPED(status):
            ended = os.WIFEXITED(status)
            codes[stopped] = os.WEXITSTATUS(status) if ended else -os.WTERMSIG(status)
            continue
        if status >> 8 == syscalls._EVENT_SECCOMP:
            executed.append(_path(stopped))
        event = status >> _EVENTS_AT
        # A new process begins with a SIGSTOP that is not meant for it.
        passed = 0 if event or os.WSTOPSIG(status) == signal.SIGSTOP else os.WSTOPSIG(status)
        try:
            syscalls._ptrace(syscalls._CONT, stopped, passed)
        except ProcessLookupError:
            continue


def _path(pid: int) -> str:
    registers = syscalls._registers(pid)
    at = registers.rdi if registers.orig_rax == _EXECVE else registers.rsi
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        memory.seek(at)
        return os.fsdecode(memory.read(4096).split(b"\0", 1)[0])


def _stop_at_executions() -> None:
    code = [
        (syscalls._LOAD, 0, 0, syscalls._NUMBER_AT),
        (syscalls._EQUAL, 2, 0, _EXECVE),
        (syscalls._EQUAL, 1, 0, _EXECVEAT),
        (syscalls._RETURN, 0, 0, syscalls._ALLOW),
        (syscalls._RETURN, 0, 0, syscalls._TRACE),
    ]
    program = syscalls._Program(len(code), (syscalls._Instruction * len(code))(*code))
    syscalls._checked(syscalls._libc.prctl(syscalls._SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    syscalls._checked(
        syscalls._libc.prctl(
            syscalls._SET_SECCOMP, syscalls._MODE_FILTER, ctypes.byref(program), 0, 0
        )
    )
