"""A child's system calls, one by one: to record them, to let one fail, to kill it there.

ptrace(2) stops the child at each call that it makes of the kernel, whoever makes it: no operation
can be overlooked because a library goes another way than `os`.
"""

import contextlib
import ctypes
import gc
import os
import platform
import signal
import sys
import traceback
from typing import Any, Callable, Container, List, NamedTuple, Optional, Tuple

from support.trees import redirect

AVAILABLE = platform.machine() == "x86_64" and sys.platform == "linux"
WHY_NOT = "system calls are followed on x86_64 Linux only"

# sys/ptrace.h, linux/ptrace.h
_TRACEME, _CONT, _GETREGS, _SETREGS, _SYSCALL, _SETOPTIONS = 0, 7, 12, 13, 24, 0x4200
_SYSGOOD, _TRACESECCOMP, _EXITKILL = 1, 1 << 7, 1 << 20
_EVENT_SECCOMP = signal.SIGTRAP | 7 << 8
_AFTER_CALL = signal.SIGTRAP | 0x80
_NO_CALL = 2**64 - 1  # as its number: the kernel calls nothing
# linux/prctl.h, linux/seccomp.h, linux/filter.h
_SET_SECCOMP, _SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2
_LOAD, _EQUAL, _GREATER, _ANY_BIT, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
_TRACE, _ALLOW = 0x7FF00000, 0x7FFF0000
_NUMBER_AT, _FIRST_ARGUMENT_AT = 0, 16  # in struct seccomp_data

# arch/x86/entry/syscalls/syscall_64.tbl
NAMES = {
    0: "read",
    1: "write",
    2: "open",
    3: "close",
    4: "stat",
    5: "fstat",
    6: "lstat",
    8: "lseek",
    9: "mmap",
    10: "mprotect",
    11: "munmap",
    12: "brk",
    13: "rt_sigaction",
    14: "rt_sigprocmask",
    15: "rt_sigreturn",
    16: "ioctl",
    17: "pread64",
    18: "pwrite64",
    21: "access",
    24: "sched_yield",
    25: "mremap",
    28: "madvise",
    32: "dup",
    33: "dup2",
    39: "getpid",
    60: "exit",
    72: "fcntl",
    73: "flock",
    74: "fsync",
    75: "fdatasync",
    77: "ftruncate",
    78: "getdents",
    79: "getcwd",
    82: "rename",
    83: "mkdir",
    84: "rmdir",
    86: "link",
    87: "unlink",
    88: "symlink",
    89: "readlink",
    90: "chmod",
    91: "fchmod",
    92: "chown",
    93: "fchown",
    95: "umask",
    102: "getuid",
    107: "geteuid",
    110: "getppid",
    188: "setxattr",
    190: "fsetxattr",
    191: "getxattr",
    194: "listxattr",
    196: "flistxattr",
    193: "fgetxattr",
    202: "futex",
    217: "getdents64",
    228: "clock_gettime",
    230: "clock_nanosleep",
    231: "exit_group",
    257: "openat",
    258: "mkdirat",
    262: "newfstatat",
    263: "unlinkat",
    264: "renameat",
    265: "linkat",
    267: "readlinkat",
    268: "fchmodat",
    316: "renameat2",
    318: "getrandom",
    332: "statx",
    439: "faccessat2",
    452: "fchmodat2",
}
# What touches no file: memory, signals, clocks and the child itself. All else counts.
_NO_FILE = {
    "mmap",
    "mprotect",
    "munmap",
    "brk",
    "mremap",
    "madvise",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sched_yield",
    "getpid",
    "getppid",
    "getuid",
    "geteuid",
    "futex",
    "umask",
    "clock_gettime",
    "clock_nanosleep",
    "exit",
    "exit_group",
    "getrandom",
}
_WRITE, _OPENAT, _LAST_STREAM = 1, 257, 2
_CHANGING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_BY_PATH = {
    "open",
    "stat",
    "lstat",
    "access",
    "rename",
    "mkdir",
    "rmdir",
    "link",
    "unlink",
    "readlink",
    "chmod",
    "chown",
    "setxattr",
    "getxattr",
    "listxattr",
}
_BY_FOLDER_AND_PATH = {
    "openat",
    "mkdirat",
    "newfstatat",
    "unlinkat",
    "renameat",
    "linkat",
    "readlinkat",
    "fchmodat",
    "faccessat2",
    "fchmodat2",
    "statx",
}
_READING = {
    "read",
    "pread64",
    "stat",
    "fstat",
    "lstat",
    "newfstatat",
    "statx",
    "lseek",
    "ioctl",
    "access",
    "faccessat2",
    "getdents",
    "getdents64",
    "readlink",
    "readlinkat",
    "getxattr",
    "fgetxattr",
    "listxattr",
    "flistxattr",
    "fcntl",
    "close",
}
_ACTS = {
    "mkdirat": "mkdir",
    "renameat": "rename",
    "renameat2": "rename",
    "linkat": "link",
    "readlinkat": "readlink",
    "fchmodat": "chmod",
}
_HERE, _REMOVE_FOLDER = -100, 0x200  # AT_FDCWD, AT_REMOVEDIR, linux/fcntl.h
_BY_DESCRIPTOR = {
    "read",
    "write",
    "close",
    "fstat",
    "lseek",
    "ioctl",
    "pread64",
    "pwrite64",
    "fcntl",
}


class _Registers(ctypes.Structure):
    """struct user_regs_struct of sys/user.h."""

    _fields_ = [
        (name, ctypes.c_ulonglong)
        for name in (
            "r15",
            "r14",
            "r13",
            "r12",
            "rbp",
            "rbx",
            "r11",
            "r10",
            "r9",
            "r8",
            "rax",
            "rcx",
            "rdx",
            "rsi",
            "rdi",
            "orig_rax",
            "rip",
            "cs",
            "eflags",
            "rsp",
            "ss",
            "fs_base",
            "gs_base",
            "ds",
            "es",
            "fs",
            "gs",
        )
    ]


class Call(NamedTuple):
    """A call of the kernel on a file that is about to be made; `turn` counts from 1."""

    pid: int
    turn: int
    name: str
    arguments: Tuple[int, ...]

    @property
    def changes(self) -> bool:
        """Whether it changes, makes or keeps something, or ends that."""
        if self.name == "openat":
            return bool(self.arguments[2] & _CHANGING_FLAGS)
        return self.name not in _READING

    @property
    def act(self) -> str:
        """Its name without regard to how the file is named: ``unlink`` for unlinkat, too."""
        if self.name == "unlinkat":
            return "rmdir" if self.arguments[2] & _REMOVE_FOLDER else "unlink"
        return _ACTS.get(self.name, self.name)

    @property
    def path(self) -> str:
        """The file that it is about, the first if there are two; "" for none."""
        if self.name in _BY_PATH:
            return self.text(0)
        if self.name in _BY_FOLDER_AND_PATH:
            return self._inside(0)
        try:
            return self.place(self.arguments[0])
        except OSError:
            return ""

    @property
    def other(self) -> str:
        """The second file that it is about; "" for none."""
        if self.name in ("rename", "link"):
            return self.text(1)
        return self._inside(2) if self.act in ("rename", "link") else ""

    def _inside(self, argument: int) -> str:
        """The path that an argument, a folder's descriptor, and the next, a name, make."""
        name, folder = self.text(argument + 1), ctypes.c_int(self.arguments[argument]).value
        if name.startswith("/") or folder == _HERE:
            return name
        return "{}/{}".format(self.place(folder).rstrip("/"), name)

    def text(self, argument: int) -> str:
        """The path, or other text, to which an argument points."""
        with open(f"/proc/{self.pid}/mem", "rb", 0) as memory:
            memory.seek(self.arguments[argument])
            return os.fsdecode(memory.read(4096).split(b"\0", 1)[0])

    def bytes(self, argument: int, length: int) -> bytes:
        """The bytes to which an argument points."""
        with open(f"/proc/{self.pid}/mem", "rb", 0) as memory:
            memory.seek(self.arguments[argument])
            return memory.read(length)

    def place(self, descriptor: int) -> str:
        """What a descriptor of the child's is open on."""
        return os.readlink(f"/proc/{self.pid}/fd/{descriptor}")


class Fail(NamedTuple):
    """The call is to give that error number; `done`: having been carried out all the same."""

    number: int
    done: bool = False


class Kill(NamedTuple):
    """The child is to be killed before the call."""


# Asked before each call on a file; None lets it be.
Verdict = Callable[[Call], Any]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def _checked(result: int) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _ptrace(request: int, pid: int, value: Any = None) -> None:
    _checked(_libc.ptrace(request, pid, None, value))


def follow(
    action: Callable[[], Optional[int]],
    verdict: Verdict = lambda _: None,
    only: Optional[Container[int]] = None,
    seen: Optional[Callable[[Call, int], None]] = None,
    output: str = os.devnull,
    reading: bool = True,
) -> int:
    """Run an action in a child of its own, asking before each call on a file what becomes of it.

    Only calls whose turn is in `only` are asked about, where that is given, and without `reading`
    only those that change something count. `seen` is told each call with its result; what the
    child prints goes to the file `output`. Gives the exit code, or minus the signal that ended it.
    """
    pid = _stopped_child(action, output, _NO_FILE if reading else _NO_FILE | _READING)
    turn = 0
    while True:
        result = _to_next_stop(pid, _CONT)
        if result is not None:
            return result
        turn += 1
        if only is None or turn in only:
            _ask(pid, turn, verdict, seen)


def _ask(
    pid: int, turn: int, verdict: Verdict, seen: Optional[Callable[[Call, int], None]]
) -> None:
    registers = _registers(pid)
    arguments = (registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8)
    name = NAMES.get(registers.orig_rax, str(registers.orig_rax))
    call = Call(pid, turn, name, arguments)
    decision = verdict(call)
    if isinstance(decision, Kill):
        os.kill(pid, signal.SIGKILL)
        return
    # close(2) closes, whatever it says.
    done = isinstance(decision, Fail) and (decision.done or name == "close")
    if seen or done:
        assert _to_next_stop(pid, _SYSCALL) is None
        registers = _registers(pid)
    if seen:
        seen(call, ctypes.c_longlong(registers.rax).value)
    if isinstance(decision, Fail):
        if not done:
            registers.orig_rax = _NO_CALL
        registers.rax = 2**64 - decision.number
        _ptrace(_SETREGS, pid, ctypes.byref(registers))


def _stopped_child(action: Callable[[], Optional[int]], output: str, free: Container[str]) -> int:
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        code: Optional[int] = 99
        try:
            redirect(output)
            gc.disable()  # what it closes, and when, is no part of the action
            _ptrace(_TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            _let_go(free)
            code = action()
        except BaseException:  # noqa: BLE001  # the child ends here
            traceback.print_exc()
        finally:
            os._exit(code or 0)
    os.waitpid(pid, 0)
    _ptrace(_SETOPTIONS, pid, _SYSGOOD | _TRACESECCOMP | _EXITKILL)
    return pid


class _Instruction(ctypes.Structure):
    """struct sock_filter of linux/filter.h."""

    _fields_ = [
        ("code", ctypes.c_ushort),
        ("true", ctypes.c_ubyte),
        ("false", ctypes.c_ubyte),
        ("value", ctypes.c_uint),
    ]


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = [("length", ctypes.c_ushort), ("start", ctypes.POINTER(_Instruction))]


def _let_go(free: Container[str]) -> None:
    """From now on each call of this process stops for the tracer, but for those free ones."""
    numbers = [number for number, name in NAMES.items() if name in free]
    code = [(_LOAD, 0, 0, _NUMBER_AT)]
    code += [
        step for number in numbers for step in ((_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW))
    ]
    if "read" in free:
        code += [
            (_EQUAL, 0, 4, _OPENAT),
            (_LOAD, 0, 0, _FIRST_ARGUMENT_AT + 2 * 8),
            (_ANY_BIT, 1, 0, _CHANGING_FLAGS),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _TRACE),
        ]
    code += [
        (_EQUAL, 0, 3, _WRITE),
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_GREATER, 1, 0, _LAST_STREAM),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _TRACE),
    ]
    steps = (_Instruction * len(code))(*code)
    program = _Program(len(code), steps)
    _checked(_libc.prctl(_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _checked(_libc.prctl(_SET_SECCOMP, _MODE_FILTER, ctypes.byref(program), 0, 0))


def _to_next_stop(pid: int, request: int) -> Optional[int]:
    """None where the child stopped at a call, or after it; else how it ended."""
    passed_on = 0
    while True:
        with contextlib.suppress(ProcessLookupError):  # just killed
            _ptrace(request, pid, passed_on)
        status = os.waitpid(pid, 0)[1]
        if os.WIFEXITED(status):
            return os.WEXITSTATUS(status)
        if os.WIFSIGNALED(status):
            return -os.WTERMSIG(status)
        if status >> 8 in (_EVENT_SECCOMP, _AFTER_CALL):
            return None
        passed_on = os.WSTOPSIG(status)


def _registers(pid: int) -> _Registers:
    registers = _Registers()
    _ptrace(_GETREGS, pid, ctypes.byref(registers))
    return registers


def calls_of_paths(action: Callable[[], Optional[int]]) -> List[str]:
    """The files that the action's calls are about, as they are called at that moment."""
    found: List[str] = []
    follow(action, lambda call: found.append(call.path))
    return found


def calls_of(action: Callable[[], Optional[int]]) -> List[Call]:
    """All calls on files that the action makes."""
    found: List[Call] = []
    follow(action, found.append)
    return found
