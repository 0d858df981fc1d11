"""The command line: the Typer application, its streams, signals and exit codes."""

import contextlib
import functools
import importlib
import io
import os
import signal
import sys
from types import FrameType
from typing import Any, Callable, Dict, Iterator, Mapping, Optional

import click
import typer
from typer.core import TyperGroup

from symroute_nm import __version__
from symroute_nm.cli.terminal import flush, open_streams, say, write
from symroute_nm.errors import SymrouteError, SystemFailure, describe_failure

_BUG, _INTERRUPTED = 70, 130
_ENDING = (signal.SIGTERM, signal.SIGHUP)
_STDERR = 2
_SOON = 0.01  # seconds

_COMMANDS = (
    "inspect",
    "diagnose",
    "snapshot",
    "explain",
    "generate",
    "apply",
    "confirm",
    "rollback",
    "verify",
    "remove",
    "undo",
)


_ENDING_COMMANDS = ("confirm", "rollback")  # they end what is pending


def _tell_first(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command, which says first what is pending: also where it refuses then, or fails."""

    @functools.wraps(command)
    def told(**options: Any) -> Any:
        from symroute_nm.workflow.pending import pending_lines

        say(*pending_lines(options["root"]))
        return command(**options)

    return told


class _CommandModules(Mapping[str, click.Command]):
    """The commands by name; a module of `cli.commands` is imported when it is asked for."""

    def __init__(self) -> None:
        self._built: Dict[str, click.Command] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)

    def __getitem__(self, name: str) -> click.Command:
        if name not in _COMMANDS:
            raise KeyError(name)
        if name not in self._built:
            module = importlib.import_module(f"symroute_nm.cli.commands.{name}")
            alone = typer.Typer(
                add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
            )
            command = getattr(module, name)
            alone.command(name)(command if name in _ENDING_COMMANDS else _tell_first(command))
            self._built[name] = typer.main.get_command(alone)
        return self._built[name]


class _Commands(TyperGroup):
    """The program, of whose commands only the one that is asked for is imported and built."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        commands: Any = _CommandModules()
        self.commands = commands

    def _main_shell_completion(self, *_: Any, **__: Any) -> None:
        """Nothing: no variable of the environment has a say, and click would start bash by PATH.

        The completion that is packaged asks nobody.
        """


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Symmetric policy routing for hosts with two or more networks.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        write(f"symroute-nm {__version__}\n")
        raise typer.Exit()


@app.callback()
def common(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Symmetric policy routing for hosts with two or more networks."""


def main() -> None:
    """Run the command line and exit as DESIGN 6 says; the entry point."""
    try:
        open_streams()
    except OSError as error:
        os.write(_STDERR, f"symroute-nm: {describe_failure(error)}; see ulimit -n\n".encode())
        leave(SystemFailure.exit_code)
    sys.excepthook = _report_bug
    # Where whoever started us had it ignored, children could not be waited for, wait(2).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number in _ENDING:
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup(1) has it ignored
            signal.signal(number, _end)
    code = _run()
    try:
        flush()
    except SystemFailure as error:
        say(f"symroute-nm: {error}")
        code = error.exit_code
    sys.exit(code)


def _run() -> int:
    try:
        # Not app(): that puts typer's own excepthook, and exit code 1, in place of ours.
        code = typer.main.get_command(app)(standalone_mode=False)
    except SymrouteError as error:
        for line in str(error).split("\n"):
            say(f"symroute-nm: {line}")
        code = error.exit_code
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        say(*shown.getvalue().splitlines())  # with what a terminal would act on made visible
        code = 2
    except OSError as error:  # wherever: no descriptors, no memory, no processes are left
        say(f"symroute-nm: {describe_failure(error)}; see ulimit -a")
        code = SystemFailure.exit_code
    except MemoryError:
        say("symroute-nm: out of memory; see ulimit -v")
        code = SystemFailure.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("symroute-nm: interrupted")
        code = _INTERRUPTED
    return code if isinstance(code, int) else 0


def _end(number: int, frame: Optional[FrameType]) -> None:
    """As an interrupt from the keyboard: a write that has begun puts everything back."""
    if _is_unheard(frame):
        signal.signal(signal.SIGALRM, lambda _, later: _end(number, later))
        signal.setitimer(signal.ITIMER_REAL, _SOON)
        return
    for ending in (signal.SIGINT, *_ENDING):
        signal.signal(ending, signal.SIG_IGN)  # a second one must not stop that
    sys.exit(128 + number)


def _is_unheard(frame: Optional[FrameType]) -> bool:
    """Whether what is raised there goes nowhere: in a finalizer or a weak reference's callback."""
    while frame is not None:
        if frame.f_code.co_name == "__del__" or frame.f_globals.get("__name__") == "weakref":
            return True
        frame = frame.f_back
    return False


def leave(code: int) -> None:
    """End the process; the kernel frees memory faster than Python does."""
    with contextlib.suppress(SystemFailure):
        flush()
    os._exit(code)


def _report_bug(kind: Any, error: Any, trace: Any) -> None:
    import traceback

    traceback.print_exception(kind, error, trace)
    say("symroute-nm: this is a bug; please report it with the lines above")
    leave(_BUG)
