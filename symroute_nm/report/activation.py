"""The commands that activate what was written, for people."""

from typing import List, Sequence

from symroute_nm.model.marking import SCRIPT

_BRING_UP = "nmcli "


def command_lines(commands: Sequence[str]) -> List[str]:
    """The commands with a word on what they do."""
    ups = ["  %s" % each for each in commands if each.startswith(_BRING_UP)]
    marks = ["  %s" % each for each in commands if each == SCRIPT]
    rest = ["  %s" % each for each in commands if not each.startswith((_BRING_UP, SCRIPT))]
    lines = ["to set the marks now (no connection goes down):", *marks] if marks else []
    if ups:
        lines += ["to bring it to life now, symroute-nm apply (no connection goes down), or:", *ups]
    if rest:
        lines += ["to delete what no file lists any more (no connection goes down):", *rest]
    return lines
