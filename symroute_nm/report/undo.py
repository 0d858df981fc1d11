"""What `undo` did, for people and for programs."""

from typing import Any, Dict, List

from symroute_nm.files.changes import changed
from symroute_nm.report.changes import files_json, kernel_json, kernel_lines, written_lines
from symroute_nm.workflow.undo import Undone

_DONE = {"keep": "unchanged", "create": "restored", "update": "restored", "delete": "removed"}
_AFTER_UNDO = (
    "the kernel is as it was; to bring it to these files (no connection goes down): symroute-nm "
    "apply --files"
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
    return [
        *(f"{_DONE[change.kind]:<9}  {change.path}" for change in undone.changes),
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
