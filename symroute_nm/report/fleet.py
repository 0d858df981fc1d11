"""How `generate` went with each host of a fleet."""

from typing import Any, Dict

from symroute_nm.workflow.fleet import Outcome


def as_json(outcome: Outcome) -> Dict[str, Any]:
    """{"host", "exit", "error", "notes"} and, if it went well, all that `generate` alone says."""
    return {
        **(outcome.summary or {}),
        "host": outcome.host,
        "exit": outcome.code,
        "error": outcome.error or None,
        "notes": list(outcome.notes),
    }


def describe(outcome: Outcome) -> str:
    """One line on a host that went well."""
    summary = outcome.summary or {}
    changed = sum(file["change"] != "keep" for file in summary["files"])
    short = sum(not address["after"] for address in summary["addresses"])
    verb = "to write" if summary["dry_run"] else "written"
    line = f"{outcome.host}: {changed} files {verb}"
    if not changed:
        line = f"{outcome.host}: nothing to change"
    return f"{line}; {short} addresses are not wholly symmetric" if short else line
