"""What a diagnosis finds besides asymmetry."""

from typing import NamedTuple

ERROR, WARNING, NOTICE = SEVERITIES = ("error", "warning", "notice")


class Finding(NamedTuple):
    """Something that costs administrators hours: its evidence, and the command that helps.

    `code` is for programs and stays; `remedy` has a line for each command, "" where none helps.
    """

    code: str
    severity: str
    message: str
    remedy: str = ""
