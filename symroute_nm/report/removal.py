"""What `remove` did, for people and for programs."""

from typing import Any, Dict, List, Sequence

from symroute_nm.report.changes import files_json, kernel_json
from symroute_nm.workflow.remove import Removed


def as_json(removed: Removed, *, dry_run: bool) -> Dict[str, Any]:
    """{"dry_run", "files": [{"path", "change"}], "commands"} and the kernel's changes."""
    return {
        "dry_run": dry_run,
        "files": files_json(removed.changes),
        "commands": list(removed.commands),
        **kernel_json(removed.kernel_change),
    }


def command_lines(commands: Sequence[str]) -> List[str]:
    """The commands with a word on what they do."""
    if not commands:
        return []
    return [
        "still in force until the next boot; to end them now:",
        *(f"  {command}" for command in commands),
    ]
