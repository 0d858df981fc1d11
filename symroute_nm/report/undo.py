"""What `remove` and `undo` did, for people and for programs."""

from typing import Any, Dict, Iterable, List, Sequence

from symroute_nm.files.changes import Change

_AFTER_UNDO = (
    "to bring the restored files to life: symroute-nm apply, or nmcli connection up for each of "
    "their connections, your own session's last; symroute-nm diagnose names rules in force that no "
    "file lists any more"
)


def command_lines(found: Sequence[str]) -> List[str]:
    """The commands with a word on what they do."""
    if not found:
        return []
    return [
        "still in force until the next boot; to end them now:",
        *(f"  {each}" for each in found),
    ]


def removal(changes: Iterable[Change], found: Sequence[str], dry_run: bool) -> Dict[str, Any]:
    """What `remove` did or would do: {"dry_run", "files": [{"path", "change"}], "commands"}."""
    return {"dry_run": dry_run, "files": _files(changes), "commands": list(found)}


def restoration(name: str, changes: Iterable[Change], notes: List[str]) -> Dict[str, Any]:
    """What `undo` did: {"restored": the backup's name, "files": […], "notes": […]}."""
    return {"restored": name, "files": _files(changes), "notes": notes}


def restored_lines(changes: Iterable[Change]) -> List[str]:
    """What was done to each file."""
    return [
        f"{'unchanged' if change.kind == 'keep' else 'restored '}  {change.path}"
        for change in changes
    ]


def after_undo(changes: Iterable[Change]) -> List[str]:
    """What is left to do for the running kernel, if files were changed."""
    if any(change.kind != "keep" for change in changes):
        return [_AFTER_UNDO]
    return ["nothing to change: all files are as that backup has them"]


def _files(changes: Iterable[Change]) -> List[Dict[str, str]]:
    return [{"path": change.path, "change": change.kind} for change in changes]
