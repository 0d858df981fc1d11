"""The wait for a confirmation, at a terminal or without one."""

import contextlib
import math
import os
import termios
from typing import Callable, List, NoReturn, Tuple

from symroute_nm.cli.options import Confirmation
from symroute_nm.cli.terminal import flush, say, show_progress
from symroute_nm.errors import Refusal, SystemFailure, shown
from symroute_nm.workflow.commit import Maker
from symroute_nm.workflow.confirm import (
    KeeperResult,
    KernelChange,
    LargerChange,
    Watch,
    make_change,
)

_ELSEWHERE = "symroute-nm confirm"
_QUESTION = "Enter or y keeps it, n or Ctrl-C takes it back"
_WHY_NOT = {
    "timeout": "not confirmed within {timeout:g} seconds",
    "asked": "not confirmed",
    "killed": "the process that watched over it was killed",
}


def prepare(confirmation: Confirmation) -> Maker:
    """What makes a change of the kernel and then waits to be told that it is to be kept."""

    def make_confirmed(
        change: KernelChange, keep: Callable[[LargerChange], List[str]]
    ) -> Tuple[str, ...]:
        return _make_confirmed(change, confirmation, keep)

    return make_confirmed


def _make_confirmed(
    change: KernelChange,
    confirmation: Confirmation,
    keep: Callable[[LargerChange], List[str]],
) -> Tuple[str, ...]:
    """Change the kernel and `keep` it once it is confirmed; returns the notes of `keep`.

    Raises `SymrouteError`, `Refusal` where it was not confirmed; all is as before then.
    """
    flush()  # what stands in the buffers must not come out of both processes
    nothing = not (change.steps or change.marks)
    timeout = None if confirmation.yes or nothing else confirmation.timeout
    watch = _watch(confirmation)
    try:
        result = make_change(change, timeout, watch, keep)
    finally:
        if watch.confirms is not None and timeout is not None:
            show_progress("")
    if not result.kept:
        _refuse(result, confirmation)
    return result.notes


def _refuse(result: KeeperResult, confirmation: Confirmation) -> NoReturn:
    why = _WHY_NOT[result.reason].format(timeout=confirmation.timeout)
    message = f"{why}: everything is as it was before"
    if result.reason == "killed":
        raise SystemFailure(message, "run it again")
    raise Refusal(message, f"run it again, and confirm with Enter or {_ELSEWHERE}")


def _watch(confirmation: Confirmation) -> Watch:
    at_terminal = os.isatty(0) and os.isatty(2) and not _in_background()

    def began() -> None:
        """Say that the countdown begins, and how to confirm."""
        if at_terminal:
            _forget_typed()
        say(
            "the kernel is changed; unless this is confirmed, it will be as before in "
            f"{confirmation.timeout:g} seconds"
        )
        if not at_terminal:
            say(
                f"no terminal here: confirm with {_ELSEWHERE}, or SIGUSR1 to process "
                f"{os.getpid()}; symroute-nm rollback takes it back at once"
            )

    def tick(left: float) -> None:
        """Show the seconds that are left."""
        if at_terminal:
            show_progress(f"{_QUESTION}; {math.ceil(left)} s left ")

    def unclear(line: str) -> None:
        """Ask again."""
        say(f"{shown(line)} is no answer: Enter, y or yes keep it; n or no take it back")

    return Watch(began, tick, 0 if at_terminal else None, unclear)


def _forget_typed() -> None:
    """What was typed, or pasted, before there was anything to confirm confirms nothing."""
    with contextlib.suppress(termios.error):
        termios.tcflush(0, termios.TCIFLUSH)


def _in_background() -> bool:
    """Whether to read from the terminal would stop us (SIGTTIN), as a shell's job behind ``&``."""
    try:
        return os.tcgetpgrp(0) != os.getpgrp()
    except OSError:  # not the terminal of our session: then there is no such thing
        return False
