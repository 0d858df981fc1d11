"""Results -> lines for people, JSON for programs; decides nothing.

Imports the results, model, and the words of rpdb; touches nothing.
"""

from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple

from symroute_nm.files.changes import Change, changed
from symroute_nm.kernel.transaction import KernelChange
from symroute_nm.model.iproute2 import format_item
from symroute_nm.model.network import Address
from symroute_nm.model.plan import Plan, Skip
from symroute_nm.model.state import ADD, DELETE, REPLACE, Step
from symroute_nm.workflow.commit import Written
from symroute_nm.workflow.proposal import Proposal
from symroute_nm.workflow.query import _gateways


def summary(made: Proposal, commands: Sequence[str], dry_run: bool) -> Dict[str, Any]:
    """What `generate` did or would do: {"changed": bool, "files": [{"path", "change"}], …}."""
    files = [{"path": change.path, "change": change.kind} for change in made.changes]
    return {
        "changed": changed(made.changes),
        "dry_run": dry_run,
        "guard": {"name": made.plan.guard, "reason": made.plan.guard_reason},
        "files": files,
        "uplinks": [
            {
                "link": planned.uplink.link.name,
                "profile": planned.uplink.profile.name if planned.uplink.profile else None,
                "table": {"id": planned.table.id, "name": planned.table.name},
                "gateways": _gateways(planned.uplink),
            }
            for planned in made.plan.uplinks
        ],
        "addresses": [
            {
                "address": str(before.address.ip),
                "link": before.address.link,
                "before": before.symmetric,
                "after": after.symmetric and not _left_out(made.plan, after.address),
                "left_to_main": _left_out(made.plan, after.address),
            }
            for before, after in zip(made.proof.before, made.proof.after)
        ],
        "skipped": skip_json(made.plan.skips),
        "alterations": [alteration._asdict() for alteration in made.alterations],
        "notes": list(made.plan.notes),
        "commands": list(commands),
    }


def change_lines(changes: Sequence[Change]) -> List[str]:
    """What was done to each file."""
    verbs = {"create": "wrote", "update": "updated", "delete": "removed", "keep": "unchanged"}
    lines = [f"{verbs[change.kind]:<9} {change.path}" for change in changes]
    return lines if changed(changes) else [*lines, "nothing to change"]


def backup_lines(name: str) -> List[str]:
    """Where the files are as they were before; nothing for ""."""
    return [f"as they were before: backup {name} (symroute-nm undo)"] if name else []


def written_lines(written: Written) -> List[str]:
    """Where the files are as they were before, and what else there is to say of writing."""
    return [*backup_lines(written.backup), *written.notes]


def kernel_lines(change: Optional[KernelChange], dry_run: bool) -> List[str]:
    """What was, or would be, done to the kernel; nothing where it was not asked for."""
    return step_lines(change.steps, change.words, dry_run) if change else []


def kernel_json(change: Optional[KernelChange]) -> Dict[str, Any]:
    """The same for programs: {"kernel": [{"change", "item"}]}."""
    return {"kernel": kernel_changes(change.steps, change.words)} if change else {}


def step_lines(steps: Sequence[Step], marks: Sequence[str], dry_run: bool) -> List[str]:
    """What was, or would be, done to the kernel; `marks` are words on those."""
    words = {ADD: ("added", "add"), REPLACE: ("replaced", "replace"), DELETE: ("deleted", "delete")}
    lines = [f"{words[step.action][dry_run]} {format_item(step.item)}" for step in steps]
    lines += [f"{('changed', 'change')[dry_run]} marks: {'; '.join(marks)}"] if marks else []
    return lines or ["the kernel is as planned: nothing to change"]


def kernel_changes(steps: Sequence[Step], marks: Sequence[str]) -> List[Dict[str, str]]:
    """The same for programs: [{"change", "item"}]."""
    return [
        *({"change": step.action, "item": format_item(step.item)} for step in steps),
        *({"change": "marks", "item": mark} for mark in marks),
    ]


def verdict_lines(made: Proposal) -> List[str]:
    """Each uplink address's replies before and after."""
    words = {True: "symmetric", False: "asymmetric"}
    lines = []
    for before, after in zip(made.proof.before, made.proof.after):
        left_out = _left_out(made.plan, after.address)
        but = f" but for {left_out} networks" if left_out and after.symmetric else ""
        lines.append(
            f"{before.address.ip} ({before.address.link}): {words[before.symmetric]} -> "
            f"{words[after.symmetric]}{but}"
        )
    return lines


def _left_out(plan: Plan, address: Address) -> int:
    """How many networks the replies of that address go to as main says."""
    return sum(
        len(each.networks)
        for each in plan.left_out
        if address.link in each.links and each.networks.version == address.version
    )


def group_skips(skips: Iterable[Skip]) -> List[Tuple[str, str]]:
    """The skips as (links, reason), links of one reason together."""
    groups: Dict[str, List[str]] = {}
    for skip in skips:
        groups.setdefault(skip.reason, []).append(skip.link)
    return [(_some(links), reason) for reason, links in groups.items()]


def skip_json(skips: Iterable[Skip]) -> List[Dict[str, str]]:
    """The skips for programs: [{"link", "reason"}]."""
    return [{"link": skip.link, "reason": skip.reason} for skip in skips]


def skip_lines(skips: Iterable[Skip]) -> List[str]:
    """The skips as lines of text."""
    return [f"skipped {links}: {reason}" for links, reason in group_skips(skips)]


def _some(links: Sequence[str]) -> str:
    most = 8
    if len(links) <= most:
        return ", ".join(links)
    return f"{', '.join(links[:most])} and {len(links) - most} more"
