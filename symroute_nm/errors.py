"""Errors: what happened, where, and what to do next; and somebody's text, made safe to show."""

import errno

FINDING = 1  # exit code of a command that found something; no error, nothing went wrong

_MOST_SHOWN = 60  # characters


def shown(text: object) -> str:
    """What a message shows of somebody's text or number: quoted, short, on one line."""
    quoted = repr(text)
    return quoted if len(quoted) <= _MOST_SHOWN else quoted[:_MOST_SHOWN] + "…"


def visible(text: str, kept: str = "") -> str:
    """The whole text, with what a terminal would act on or not show as backslash escapes.

    Characters in `kept` stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in kept else repr(character)[1:-1]
        for character in text
    )


class SymrouteError(Exception):
    """Something that the user, a file or the system did: a message for people and a way on."""

    exit_code = 4

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class InputError(SymrouteError):
    """Wrong usage, configuration, snapshot or file content: nothing was changed (exit 2)."""

    exit_code = 2


class Refusal(SymrouteError):
    """We could go on but will not without the user's word: nothing was changed (exit 3)."""

    exit_code = 3


class SystemFailure(SymrouteError):
    """The system failed us: permission, netlink, disk (exit 4)."""

    exit_code = 4


def pass_on_exhaustion(error: OSError) -> None:
    """Raise the error again where it says that the system has no descriptors or memory left.

    That says nothing about the file that was asked for.
    """
    if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        raise error


def describe_failure(error: OSError) -> str:
    """What the system said, and of which file, for people."""
    reason = error.strerror or str(error)
    return f"{shown(error.filename)}: {reason}" if error.filename else reason
