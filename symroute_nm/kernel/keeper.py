"""A change with a timed way back, made by a process of its own that outlives the session.

That process, the keeper, is in a session without a terminal: neither a closed terminal, nor a lost
login, nor the end of the process that began it stops it. It waits by a clock that nobody can set
(CLOCK_MONOTONIC). Should it be killed itself, the process that began it takes the change back;
should both be, the record below /run has the next run do so.
"""

import abc
import contextlib
import json
import math
import os
import select
import signal
import socket
import time
import traceback
from pathlib import Path
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    NamedTuple,
    NoReturn,
    Optional,
    Sequence,
    Tuple,
    Type,
)

from symroute_nm.errors import InputError, Refusal, SymrouteError, SystemFailure
from symroute_nm.kernel.processes import Process, find_process

TIMEOUT = 60.0  # seconds, as `netplan try` has it
_KEEP, _REVERT = b"k", b"r"
_CHUNK = 1 << 16
_MOST_CALLERS = 8  # that wait for an answer; more are sent away
# Descriptors that the way back is sure to get: netlink, and pipes to a program.
_RESERVE = 16
_BREATH = 0.1  # seconds
_TICK = 1.0  # seconds between two looks at the countdown
_LONGEST_WORD = 256  # bytes: what is to be done, and who says so
_ENDING = 5.0  # seconds that the end of a process that was killed may take
CONFIRM_LIMIT = 30.0  # seconds: files, marks and a lock may take that long
HALTED_GRACE = 5.0  # seconds that a stopped or frozen keeper is given to go on
BUSY_GRACE = 45.0  # seconds that one is given which may be at work: programs, locks, the disk
_WHY = {"timeout": "not confirmed in time", "asked": "not confirmed, as asked"}
_KINDS: Tuple[Type[SymrouteError], ...] = (InputError, Refusal, SystemFailure)


class Settled(NamedTuple):
    """How a change came to its end."""

    kept: bool
    notes: Tuple[str, ...] = ()  # where it was kept: the backup's name, "" for none, and warnings


class Work(abc.ABC):
    """What the keeper does: make the change, and then keep it or have it settled."""

    @abc.abstractmethod
    def act(self) -> None:
        """Make the change."""

    @abc.abstractmethod
    def keep(self, confirmed: str) -> List[str]:
        """Make it last: it counts from then on. Returns the backup's name, and notes for people.

        `confirmed` says by whom.
        """

    @abc.abstractmethod
    def finish(self) -> List[str]:
        """Do what is left once it counts; returns warnings."""

    @abc.abstractmethod
    def settle(self, reason: str) -> Settled:
        """Bring it to its end otherwise, for this reason: back, or forward where it counts.

        Also in the process that began it, if the keeper is gone.
        """


class KeeperResult(NamedTuple):
    """How it ended: kept, or `reason` why not (timeout, asked, killed)."""

    kept: bool
    reason: str = ""
    notes: Tuple[str, ...] = ()


class Watch(NamedTuple):
    """What the process at the terminal does meanwhile."""

    began: Callable[[], None]  # the change is made, the countdown begins
    tick: Callable[[float], None]  # seconds left
    confirms: Optional[int] = None  # a descriptor of which lines answer, see `parse_answer`
    unclear: Callable[[str], None] = lambda _: None  # told of a line that is no answer


def run(work: Work, timeout: Optional[float], socket_path: Path, watch: Watch) -> KeeperResult:
    """Make a change, and take it back unless it is confirmed within `timeout` seconds; None: keep.

    `socket_path` is where `confirm` reaches the keeper. Raises what `work` raises, with the change
    taken back, and `SystemExit` if the session ends: the keeper goes on then.
    """
    try:
        ours, theirs = socket.socketpair()
        child = os.fork()
    except OSError as error:
        raise SystemFailure(
            f"cannot start a process to watch over the change: {error.strerror}",
            "nothing was changed; see ulimit -a",
        ) from error
    if child == 0:
        ours.close()
        _keep(work, timeout, socket_path, theirs)
    theirs.close()
    with contextlib.closing(ours):
        last = _follow(ours, timeout, watch, find_process(child))
    # A frozen one ends when it is thawed.
    os.waitpid(child, os.WNOHANG if find_process(child).halted else 0)
    if last.answer is not None:
        return _result(last.answer)
    settled = work.settle("the process that watched over it was ended")
    if last.kept is not None or settled.kept:
        return KeeperResult(True, "killed", last.kept or settled.notes)
    return KeeperResult(False, "killed")


def confirm(socket_path: Path, origin: str) -> KeeperResult:
    """Confirm the change whose keeper listens there, as `origin` says from where.

    Raises `Refusal` where nobody does, `NoAnswer` where it is silent for `CONFIRM_LIMIT` seconds.
    """
    answer = ask(socket_path, _KEEP, origin, lambda waited: waited < CONFIRM_LIMIT)
    if not answer:
        raise SystemFailure(
            "the change was confirmed, but its keeper was killed", "see symroute-nm verify"
        )
    return _result(json.loads(answer.decode("ascii")))


def take_back(
    socket_path: Path, origin: str, patience: Callable[[float], bool]
) -> Optional[KeeperResult]:
    """Have the change taken back whose keeper listens there; None where it ended without a word.

    `patience` tells whether to wait on, so many seconds after it was asked. Raises as `confirm`.
    """
    answer = ask(socket_path, _REVERT, origin, patience)
    return _result(json.loads(answer.decode("ascii"))) if answer else None


# -- the process at the terminal ------------------------------------------------------------------
class _Last(NamedTuple):
    """The keeper's last word, None if it went without one, and the notes on what it had kept."""

    answer: Optional[Any] = None
    kept: Optional[Tuple[str, ...]] = None


def _follow(
    channel: socket.socket, timeout: Optional[float], watch: Watch, keeper: Process
) -> _Last:
    """Listen to the keeper, to its last word.

    One that is stopped or frozen when its time is over is ended.
    """
    words = _Words(channel)
    answers = _Answers(watch, channel)
    inputs: List[Any] = [channel]
    end = 0.0
    kept: Optional[Tuple[str, ...]] = None
    with _signals(channel):
        while True:
            ready = _wait_for_any(inputs, _TICK)
            for word in words.read() if channel in ready else ():
                if word is None or "kept" in word:
                    return _Last(word, kept)
                if word["stage"] == "kept":
                    kept = tuple(word["notes"])
                    continue
                end = time.monotonic() + (timeout or 0)
                inputs += [watch.confirms] if watch.confirms is not None else []
                watch.began()
            if watch.confirms in ready and not answers.pass_on():
                inputs.remove(watch.confirms)
            if end:
                watch.tick(max(0.0, end - time.monotonic()))
                if not is_patient(keeper, time.monotonic() - end) and keeper.end(_ENDING):
                    return _Last(None, kept)


def parse_answer(line: str) -> Optional[bool]:
    """Whether a line keeps the change: empty, ``y`` and ``yes`` do, ``n`` and ``no`` do not.

    Any other line is no answer: None.
    """
    return {"": True, "y": True, "yes": True, "n": False, "no": False}.get(line.lower())


def is_patient(keeper: Process, waited: float) -> bool:
    """Whether to wait on for a keeper that should have answered so many seconds ago."""
    return waited < (HALTED_GRACE if keeper.halted else BUSY_GRACE)


class _Answers:
    """The lines that are typed, of which the first answer counts."""

    def __init__(self, watch: Watch, channel: socket.socket) -> None:
        self._watch = watch
        self._channel = channel
        self._rest = b""

    def pass_on(self) -> bool:
        """Pass the answer on to the keeper, if there is one; False at the end of input."""
        try:
            piece = os.read(self._watch.confirms or 0, _CHUNK)
        except OSError:  # EIO: the terminal is closed
            piece = b""
        # A line that the end of input cut short is not one.
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            text = line.decode("utf-8", "replace")
            answer = parse_answer(text)
            if answer is not None:
                _send(self._channel, _KEEP if answer else _REVERT)
                self._rest = b""
                break
            self._watch.unclear(text)
        return bool(piece)


class _Words:
    """The JSON lines that come through a socket."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._rest = b""

    def read(self) -> Iterator[Any]:
        """What has come; None at the end."""
        try:
            piece = self._channel.recv(_CHUNK)
        except OSError:
            piece = b""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        yield from (json.loads(line.decode("ascii")) for line in lines)
        if not piece:
            yield None


@contextlib.contextmanager
def _signals(channel: socket.socket) -> Iterator[None]:
    """SIGUSR1 confirms, SIGINT and SIGTERM take the change back, SIGHUP leaves it to the keeper."""

    def leave(number: int, _: Any) -> NoReturn:
        raise SystemExit(128 + number)

    answers = {
        signal.SIGUSR1: lambda *_: _send(channel, _KEEP),
        signal.SIGINT: lambda *_: _send(channel, _REVERT),
        signal.SIGTERM: lambda *_: _send(channel, _REVERT),
        signal.SIGHUP: leave,
    }
    before = {number: signal.getsignal(number) for number in answers}
    for number, answer in answers.items():
        if before[number] != signal.SIG_IGN:  # nohup(1)
            signal.signal(number, answer)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _send(channel: socket.socket, content: bytes) -> None:
    with contextlib.suppress(OSError):  # its end is seen when it is read
        channel.sendall(content)


def _result(answer: Dict[str, Any]) -> KeeperResult:
    """What the keeper says of the end; raises what it ended by."""
    if answer.get("bug"):
        raise RuntimeError(answer["bug"])
    if answer.get("error"):
        code, message, hint = answer["error"]
        raise {kind.exit_code: kind for kind in _KINDS}[code](message, hint)
    return KeeperResult(answer["kept"], answer["reason"], tuple(answer["notes"]))


def _wait_for_any(sources: Sequence[Any], seconds: float) -> List[Any]:
    """Which of these sockets and descriptors can be read from, at the latest after so long.

    By poll(2), since select(2) knows no descriptor above 1023; the kernel counts the time by
    CLOCK_MONOTONIC.
    """
    waiting = select.poll()
    by_number: Dict[int, Any] = {}
    for source in sources:
        number = source if isinstance(source, int) else source.fileno()
        by_number[number] = source
        waiting.register(number, select.POLLIN)
    return [by_number[number] for number, _ in waiting.poll(math.ceil(seconds * 1000))]


# -- the keeper -----------------------------------------------------------------------------------
def _keep(
    work: Work, timeout: Optional[float], socket_path: Path, channel: socket.socket
) -> NoReturn:
    """Be the keeper, to the end of the process."""
    keeper = None
    answer: Dict[str, Any] = {}
    try:
        keeper = _Keeper(channel, _detach())
        answer = keeper.answer(work, timeout, socket_path)
    finally:
        # A bug is told by the process that has somebody to tell it to.
        if keeper is not None:
            keeper.tell(answer or {"kept": False, "bug": traceback.format_exc()})
        os._exit(0)


def _detach() -> int:
    """Leave session and terminal; returns a descriptor that gives a byte for each signal."""
    os.setsid()
    os.chdir("/")
    with open(os.devnull, "r+b", buffering=0) as sink:
        for standard in range(3):
            os.dup2(sink.fileno(), standard)
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(writing)
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    for number in (signal.SIGHUP, signal.SIGPIPE, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    return reading


def _reserve() -> List[int]:
    """Descriptors to be given up when they are needed; `SystemFailure` where there are too few."""
    reserve: List[int] = []
    try:
        for _ in range(_RESERVE):
            reserve.append(os.dup(0))
    except OSError as error:
        _release(reserve)
        raise SystemFailure(
            f"too few files may be open: {error.strerror}", "nothing was changed; see ulimit -n"
        ) from error
    return reserve


def _release(reserve: List[int]) -> None:
    while reserve:
        os.close(reserve.pop())


class _Keeper:
    """Who may still say something while the keeper waits, and the answer that all of them get."""

    def __init__(self, channel: socket.socket, signals_fd: int) -> None:
        self._channel = channel
        self._signals_fd = signals_fd
        self._callers: List[socket.socket] = []
        self._by = ""  # who has said what counts
        self._listeners: List[Any] = [channel, signals_fd]

    def answer(self, work: Work, timeout: Optional[float], socket_path: Path) -> Dict[str, Any]:
        """Do the work, and say how it ended."""
        try:
            with listening(socket_path) as entrance:
                self._listeners.append(entrance)
                try:
                    return self._try(work, timeout, entrance)
                finally:
                    self._listeners.remove(entrance)
                    self._admit_late(entrance)
        except SymrouteError as error:
            return {"kept": False, "error": [error.exit_code, error.message, error.hint]}

    def _try(self, work: Work, timeout: Optional[float], entrance: socket.socket) -> Dict[str, Any]:
        reserve = _reserve()
        kept, reason = False, ""
        failure: Optional[SymrouteError] = None
        try:
            work.act()
            reason = "" if timeout is None else self._wait(timeout, entrance)
            if not reason:
                _release(reserve)
                notes = work.keep(self._by)
                kept = True
        except SymrouteError as error:
            failure = error
        finally:
            _release(reserve)
            if not kept:
                # Of a bug, too, which is told by what comes next.
                why = failure.message if failure else _WHY.get(reason, reason)
                settled = work.settle(f"{why} {self._by}".rstrip())
        if kept:
            # First said, then done: whoever reads it need not find out whether it was.
            self._say({"stage": "kept", "notes": notes})
            return {"kept": True, "reason": "", "notes": [*notes, *work.finish()]}
        if settled.kept:
            warning = [f"warning: {failure.message}"] if failure else []
            return {"kept": True, "reason": "", "notes": [*settled.notes, *warning]}
        if failure:
            raise type(failure)(
                f"{failure.message}; the kernel is as it was before", failure.hint
            ) from failure
        return {"kept": False, "reason": reason, "notes": []}

    def _wait(self, timeout: float, entrance: socket.socket) -> str:
        """Wait for the answer: "" once it is confirmed, else why not."""
        self._say({"stage": "made"})
        end = time.monotonic() + timeout
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return "timeout"
            for source in _wait_for_any(self._listeners, left):
                word = self._hear(source, entrance)
                if word in (_KEEP, _REVERT):
                    return "" if word == _KEEP else "asked"

    def _hear(self, source: Any, entrance: socket.socket) -> bytes:
        if source is entrance:
            self._admit(entrance)
            return b""
        if source is self._signals_fd:
            self._by = "by a signal"
            return _KEEP if signal.SIGUSR1 in os.read(self._signals_fd, _CHUNK) else _REVERT
        try:
            said = bytes(source.recv(_LONGEST_WORD))
        except OSError:
            said = b""
        word = said[:1]
        if word in (_KEEP, _REVERT):
            self._by = said[1:].decode("utf-8", "replace") or "where it was begun"
        if not word:  # whoever it was has gone
            self._listeners.remove(source)
            if source in self._callers:
                self._callers.remove(source)
                source.close()
        return word

    def _admit(self, entrance: socket.socket) -> None:
        """Listen to whoever connects, but for too many of them: descriptors are few."""
        try:
            caller, _ = entrance.accept()
        except OSError:  # gone already; or no descriptor is left, and the countdown goes on
            time.sleep(_BREATH)
            return
        if len(self._callers) >= _MOST_CALLERS:
            caller.close()
            return
        self._callers.append(caller)
        self._listeners.append(caller)

    def _admit_late(self, entrance: socket.socket) -> None:
        """Who has come since the decision gets the answer, too."""
        entrance.setblocking(False)
        with contextlib.suppress(OSError):  # nobody is left
            while True:
                self._callers.append(entrance.accept()[0])

    def _say(self, word: Dict[str, Any]) -> None:
        _send(self._channel, json.dumps(word).encode("ascii") + b"\n")

    def tell(self, answer: Dict[str, Any]) -> None:
        """Give all of them the answer."""
        self._say(answer)
        for caller in self._callers:
            _send(caller, json.dumps(answer).encode("ascii"))


_ANSWER_CHUNK = 1 << 16
_LOOK = 0.5  # seconds between two looks at whether to wait on


class NoAnswer(SystemFailure):
    """Whoever listens does not answer: it is stopped, frozen or at work."""


def ask(socket_path: Path, word: bytes, origin: str, patience: Callable[[float], bool]) -> bytes:
    """What whoever listens there answers, b"" if nothing; raises `Refusal` where nobody does.

    `patience` tells whether to wait on after so many seconds; `NoAnswer` where it ends.
    """
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(_LOOK)
        try:
            with _short(socket_path) as address:
                connection.connect(address)
            connection.sendall(word + origin.encode("utf-8", "replace")[: _LONGEST_WORD - 1])
            return _hear_out(connection, patience)
        except PermissionError as error:
            raise SystemFailure(f"{socket_path}: {error.strerror}", "run as root") from error
        except socket.timeout as error:
            raise NoAnswer(
                "the process that watches over the change does not answer",
                "symroute-nm rollback ends it, and takes the change back",
            ) from error
        except OSError as error:
            raise Refusal(
                "no change waits to be confirmed", "its time may be over; see symroute-nm verify"
            ) from error


def _hear_out(connection: socket.socket, patience: Callable[[float], bool]) -> bytes:
    answer, begun = b"", time.monotonic()
    while True:
        try:
            piece = connection.recv(_ANSWER_CHUNK)
        except socket.timeout:
            if not patience(time.monotonic() - begun):
                raise
            continue
        except ConnectionResetError:  # it answered and went without having heard us
            if not answer:
                raise
            return answer
        if not piece:
            return answer
        answer += piece


@contextlib.contextmanager
def _short(socket_path: Path) -> Iterator[str]:
    """An address for the socket that fits into the 108 bytes of unix(7), however deep it is."""
    folder = os.open(str(socket_path.parent), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{socket_path.name}"
    finally:
        os.close(folder)


@contextlib.contextmanager
def listening(socket_path: Path) -> Iterator[socket.socket]:
    """A socket at that path, for root alone; SystemFailure."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as entrance:
        try:
            _listen(entrance, socket_path)
        except OSError as error:
            raise SystemFailure(
                f"cannot listen at {socket_path}: {error.strerror}", "move away what stands there"
            ) from error
        try:
            yield entrance
        finally:
            with contextlib.suppress(OSError):
                socket_path.unlink()


def _listen(entrance: socket.socket, socket_path: Path) -> None:
    mask = os.umask(0o177)
    try:
        with contextlib.suppress(FileNotFoundError):
            socket_path.unlink()  # of a keeper that was killed: the lock is ours
        with _short(socket_path) as address:
            entrance.bind(address)
    finally:
        os.umask(mask)
    entrance.listen(8)
