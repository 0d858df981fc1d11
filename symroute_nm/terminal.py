"""Results on stdout, all else on stderr; the only module that prints."""

import sys
from typing import Any, Iterable


def write(text: str) -> None:
    """Text on stdout; what its encoding does not have (LC_ALL=C) as a backslash escape."""
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


def say(*lines: str) -> None:
    """Lines on stderr, with what a terminal would act on made visible."""
    for line in lines:
        print(visible(line), file=sys.stderr)


def flush() -> None:
    """Both streams written out; stderr is not line by line before Python 3.9."""
    sys.stdout.flush()
    sys.stderr.flush()


def visible(line: str) -> str:
    """The line with control characters and the like as escapes."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in line)
