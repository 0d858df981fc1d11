"""The commands that activate what was written, for people."""

from typing import List, Sequence

from symroute_nm.model.marking import SCRIPT

_BRING_UP = "nmcli "


def command_lines(commands: Sequence[str]) -> List[str]:
    """The commands with a word on what they do."""
    ups = [f"  {command}" for command in commands if command.startswith(_BRING_UP)]
    marks = [f"  {command}" for command in commands if command == SCRIPT]
    rest = [f"  {command}" for command in commands if not command.startswith((_BRING_UP, SCRIPT))]
    lines = ["to set the marks now (no connection goes down):", *marks] if marks else []
    if ups:
        lines += ["to bring it to life now, symroute-nm apply (no connection goes down), or:", *ups]
    if rest:
        lines += ["to delete what no file lists any more (no connection goes down):", *rest]
    return lines
