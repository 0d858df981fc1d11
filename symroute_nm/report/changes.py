"""What was, or would be, done to files and to the kernel."""

from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

from symroute_nm.files.changes import Change, changed
from symroute_nm.model.iproute2 import format_item
from symroute_nm.model.state import ADD, DELETE, REPLACE
from symroute_nm.workflow.commit import Written

if TYPE_CHECKING:
    from symroute_nm.kernel.transaction import KernelChange

_FILE_VERBS = {"create": "wrote", "update": "updated", "delete": "removed", "keep": "unchanged"}
_DONE = {ADD: "added", REPLACE: "replaced", DELETE: "deleted"}
_TO_DO = {ADD: "add", REPLACE: "replace", DELETE: "delete"}


def change_lines(changes: Sequence[Change]) -> List[str]:
    """What was done to each file."""
    lines = [f"{_FILE_VERBS[change.kind]:<9} {change.path}" for change in changes]
    return lines if changed(changes) else [*lines, "nothing to change"]


def files_json(changes: Sequence[Change]) -> List[Dict[str, str]]:
    """The files for programs: [{"path", "change"}]."""
    return [{"path": change.path, "change": change.kind} for change in changes]


def written_lines(written: Written) -> List[str]:
    """Where the files are as they were before, and what else there is to say of writing."""
    backup = f"as they were before: backup {written.backup} (symroute-nm undo)"
    return [backup, *written.notes] if written.backup else list(written.notes)


def kernel_lines(change: Optional["KernelChange"], *, dry_run: bool = False) -> List[str]:
    """What was, or would be, done to the kernel; nothing where it was not asked for."""
    if change is None:
        return []
    verbs = _TO_DO if dry_run else _DONE
    lines = [f"{verbs[step.action]} {format_item(step.item)}" for step in change.steps]
    if change.words:
        verb = "change" if dry_run else "changed"
        lines.append(f"{verb} marks: {'; '.join(change.words)}")
    return lines or ["the kernel is as planned: nothing to change"]


def kernel_json(change: Optional["KernelChange"]) -> Dict[str, Any]:
    """The same for programs: {"kernel": [{"change", "item"}]}."""
    if change is None:
        return {}
    items = [{"change": step.action, "item": format_item(step.item)} for step in change.steps]
    items += [{"change": "marks", "item": mark} for mark in change.words]
    return {"kernel": items}
