"""What `verify` found, for people and for programs."""

from typing import Any, Dict, Iterable, List

from symroute_nm.workflow.drift import NOT_RUN, FileDrift, Verification


def drift_lines(found: Verification) -> List[str]:
    """The table for people, and a line for each file and mark."""
    lines = []
    if found.drift:
        lines.append(f"{'':<8} {'plan':<5} {'files':<6} {'kernel':<6}  {''}")
    for difference in found.drift:
        marks = [
            "yes" if one else "no"
            for one in (difference.planned, difference.listed, difference.present)
        ]
        lines.append("%-8s %-5s %-6s %-6s  %s" % (difference.kind, *marks, difference.text))
    lines += [*file_lines(found.files), *found.marks]
    return lines or ["plan, files and kernel agree"]


def drift_json(found: Verification) -> Dict[str, Any]:
    """The same for programs: {"agree": bool, "differences": [{…}], "files": […], "marks": […]}."""
    return {
        "agree": found.agree,
        "differences": [
            {
                "kind": difference.kind,
                "item": difference.text,
                "plan": difference.planned,
                "files": difference.listed,
                "kernel": difference.present,
            }
            for difference in found.drift
        ],
        "files": file_lines(found.files),
        "marks": list(found.marks),
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
