"""What `verify` found, for people and for programs."""

from typing import Any, Dict, Iterable, List

from symroute_nm.workflow.drift import NOT_RUN, FileDrift, Verification


def drift_lines(verification: Verification) -> List[str]:
    """The table for people, and a line for each file and mark."""
    lines = []
    if verification.drift:
        lines.append(_row("", "plan", "files", "kernel", ""))
    for difference in verification.drift:
        planned = "yes" if difference.planned else "no"
        listed = "yes" if difference.listed else "no"
        present = "yes" if difference.present else "no"
        lines.append(_row(difference.kind, planned, listed, present, difference.text))
    lines += [*file_lines(verification.files), *verification.marks]
    return lines or ["plan, files and kernel agree"]


def _row(kind: str, planned: str, listed: str, present: str, text: str) -> str:
    return f"{kind:<8} {planned:<5} {listed:<6} {present:<6}  {text}"


def drift_json(verification: Verification) -> Dict[str, Any]:
    """The same for programs: {"agree": bool, "differences": [{…}], "files": […], "marks": […]}."""
    return {
        "agree": verification.agree,
        "differences": [
            {
                "kind": difference.kind,
                "item": difference.text,
                "plan": difference.planned,
                "files": difference.listed,
                "kernel": difference.present,
            }
            for difference in verification.drift
        ],
        "files": file_lines(verification.files),
        "marks": list(verification.marks),
    }


def file_lines(files: Iterable[FileDrift]) -> List[str]:
    """A line for each file."""
    words = {
        "create": "is missing",
        "delete": "is not planned any more",
        "update": "differs",
        NOT_RUN: "is not run by NetworkManager: it must be root's, executable, and no one else's "
        "to write",
    }
    lines = []
    for file in files:
        hand = ": it was changed by hand since it was written" if file.by_hand else ""
        lines.append(f"{file.path} {words[file.kind]}{hand}")
    return lines
