"""What `undo` did, for people and for programs."""

from typing import Any, Dict, List

from symroute_nm.files.changes import changed
from symroute_nm.report.changes import files_json, kernel_json, kernel_lines, written_lines
from symroute_nm.workflow.undo import Undone

_AFTER_UNDO = (
    "to bring the restored files to life: symroute-nm apply, or nmcli connection up for each of "
    "their connections, your own session's last; symroute-nm diagnose names rules in force that no "
    "file lists any more"
)


def as_json(undone: Undone) -> Dict[str, Any]:
    """{"restored": the backup's name, "files": […], "notes": […]} and the kernel's changes."""
    return {
        "restored": undone.name,
        "files": files_json(undone.changes),
        "notes": _notes(undone),
        **kernel_json(undone.kernel_change),
    }


def lines(undone: Undone) -> List[str]:
    """What was done to each file and to the kernel, and what is left to do."""
    verbs = {"keep": "unchanged"}
    return [
        *(f"{verbs.get(change.kind, 'restored ')}  {change.path}" for change in undone.changes),
        *written_lines(undone.written),
        *kernel_lines(undone.kernel_change),
        *_notes(undone),
    ]


def _notes(undone: Undone) -> List[str]:
    """What is left to do for the running kernel, where that was left alone."""
    if undone.kernel_change:
        return []
    if changed(undone.changes):
        return [_AFTER_UNDO]
    return ["nothing to change: all files are as that backup has them"]
