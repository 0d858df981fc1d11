"""Results on stdout, all else on stderr; the only module that prints."""

import contextlib
import io
import itertools
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, Optional, TextIO

from symroute_nm.errors import SystemFailure, visible
from symroute_nm.lazy import quiet_platform

if TYPE_CHECKING:
    from symroute_nm.report.inspection import Cell, Table

_LAST_STANDARD = 2  # stderr's descriptor
_FREE_DESCRIPTORS = 16


class _Output(io.FileIO):
    """stdout or stderr, for which a reader that went away is no error (``… | head``).

    Not in `write`, since typer prints the help by itself and makes an exit code 1 of EPIPE.
    """

    def write(self, content: Any) -> int:
        """The number of bytes that are dealt with; raises `SystemFailure` for a full stdout."""
        try:
            return super().write(content) or 0
        except OSError as error:
            # What is left in buffers must have somewhere to go, above all at exit.
            with io.FileIO(os.devnull, "w") as sink:
                os.dup2(sink.fileno(), self.fileno())
            # That stderr is full can be said nowhere.
            if isinstance(error, BrokenPipeError) or self.fileno() == _LAST_STANDARD:
                return len(content)
            raise SystemFailure(
                f"standard output: {error.strerror or error}", "give it somewhere to go"
            ) from error


def open_streams() -> None:
    """Make stdout and stderr safe to write to, also where they are closed, full or unread.

    OSError where not so many more files could be opened as any command has open at once.
    """
    _fill_descriptors()
    _try_descriptors()
    # Others than Python's own are somebody's who captures them.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _open_stream(1, sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _open_stream(_LAST_STANDARD, sys.stderr)


def _fill_descriptors() -> None:
    """Closed standard descriptors lead to /dev/null: a file that we open must not become one."""
    closed = []
    descriptor = os.open(os.devnull, os.O_RDONLY)  # always the lowest that is free
    while descriptor <= _LAST_STANDARD:
        closed.append(descriptor)
        descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    with io.FileIO(os.devnull, "r+") as sink:
        for descriptor in closed:
            os.dup2(sink.fileno(), descriptor)


def _try_descriptors() -> None:
    """Open as many files as a command may need: told at once, nobody runs out of them midway."""
    opened = []
    try:
        for _ in range(_FREE_DESCRIPTORS):
            opened.append(os.dup(0))
    finally:
        for descriptor in opened:
            os.close(descriptor)


def _open_stream(descriptor: int, before: Any) -> TextIO:
    # Python has None for a stream that was closed.
    encoding = getattr(before, "encoding", None) or "utf-8"
    errors = getattr(before, "errors", None) or "backslashreplace"
    buffer = io.BufferedWriter(_Output(descriptor, "w", closefd=False))
    line_buffering = descriptor == _LAST_STANDARD or os.isatty(descriptor)
    return io.TextIOWrapper(buffer, encoding, errors, line_buffering=line_buffering)


def write(text: str) -> None:
    """Text on stdout; what its encoding does not have (LC_ALL=C) as a backslash escape.

    Raises `SystemFailure` where it cannot be written, here or in `flush`.
    """
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))


def write_lines(lines: Iterable[str]) -> None:
    """Lines on stdout, with what a terminal would act on made visible."""
    for line in lines:
        write(visible(line) + "\n")


def write_json(content: Any) -> None:
    """JSON's types on stdout, for programs."""
    import json  # people's output does without

    write(json.dumps(content, indent=2) + "\n")


def draw_tables(tables: "Iterable[Table]", lines: Iterable[str], width: Optional[int]) -> str:
    """Tables, and lines below them, as text of that width; None: the terminal's.

    Nothing is cut off: half an address would be a wrong one.
    """
    from rich.console import Console  # for people's tables only: --json does without
    from rich.table import Column
    from rich.table import Table as RichTable

    # The text is others': no markup, no :a: of an address made a picture. rich takes sizes from the
    # environment without asking whether they are numbers.
    size = shutil.get_terminal_size()
    console = Console(width=width or size.columns, height=size.lines, markup=False, emoji=False)
    with console.capture() as capture:
        for table in tables:
            columns = (Column(name, overflow="fold") for name in table.columns)
            drawn = RichTable(*columns, title=table.title)
            for row in table.rows:
                drawn.add_row(*map(_visible_cell, row))
            console.print(drawn)
        for line in lines:
            console.print(visible(line))
    return capture.get()


def _visible_cell(cell: "Cell") -> str:
    return visible(cell) if isinstance(cell, str) else "\n".join(map(visible, cell))


@contextlib.contextmanager
def progress(total: int) -> Iterator[Callable[[bool], None]]:
    """To be told of each of `total` things whether it failed; on a terminal, a bar shows it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with quiet_platform():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeRemainingColumn(),
    )
    console, together = Console(stderr=True), sys.stdout.isatty()
    # What is written meanwhile goes above the bar, unless it goes somewhere else.
    with Progress(*columns, console=console, redirect_stdout=together) as bar:
        task = bar.add_task("", total=total, failed=0)
        count = itertools.count(1)

        def advance(failed: bool) -> None:
            """One more is done, well or not."""
            bar.advance(task)
            if failed:
                bar.update(task, failed=next(count))

        yield advance


def say(*lines: str) -> None:
    """Lines on stderr, with what a terminal would act on made visible."""
    for line in lines:
        print(visible(line), file=sys.stderr)


def show_progress(line: str) -> None:
    """The line in place of the one before on stderr's terminal; "" ends it."""
    print(
        f"\r{visible(line)}\x1b[K" if line else "",
        end="" if line else "\n",
        file=sys.stderr,
        flush=True,
    )


def flush() -> None:
    """Both streams written out; raises `SystemFailure` where stdout cannot be."""
    sys.stderr.flush()
    sys.stdout.flush()
