"""What `generate` proposes and did: a summary for programs, lines for people."""

from typing import Any, Dict, List, Sequence

from symroute_nm.files.changes import changed
from symroute_nm.model.network import Address
from symroute_nm.model.plan import Plan
from symroute_nm.model.settings import GenerateOptions
from symroute_nm.report.changes import files_json
from symroute_nm.report.links import gateways_json, skips_json
from symroute_nm.workflow.activation import BRING_UP, DELETE, SET_MARKS, Command
from symroute_nm.workflow.proposal import Proposal

# What stands above the commands of each kind, in this order.
_HEADINGS = {
    SET_MARKS: "to set the marks now (no connection goes down):",
    BRING_UP: "to bring it to life now, symroute-nm apply (no connection goes down), or:",
    DELETE: "to delete what no file lists any more (no connection goes down):",
}


def summary(
    proposal: Proposal, commands: Sequence[Command], generate_options: GenerateOptions
) -> Dict[str, Any]:
    """What `generate` did or would do: {"changed": bool, "files": [{"path", "change"}], …}."""
    plan = proposal.plan
    return {
        "changed": changed(proposal.changes),
        "dry_run": generate_options.dry_run,
        "guard": {"name": plan.guard, "reason": plan.guard_reason},
        "files": files_json(proposal.changes),
        "uplinks": [
            {
                "link": uplink_plan.uplink.link.name,
                "profile": uplink_plan.uplink.profile.name if uplink_plan.uplink.profile else None,
                "table": {"id": uplink_plan.table.id, "name": uplink_plan.table.name},
                "gateways": gateways_json(uplink_plan.uplink),
            }
            for uplink_plan in plan.uplinks
        ],
        "addresses": _addresses_json(proposal),
        "skipped": skips_json(plan.skips),
        "alterations": [change._asdict() for change in proposal.uplink_changes],
        "notes": list(plan.notes),
        "commands": [command.text for command in commands],
    }


def _addresses_json(proposal: Proposal) -> List[Dict[str, Any]]:
    addresses = []
    for before, after in zip(proposal.proof.before, proposal.proof.after):
        left_out = _count_left_out(proposal.plan, after.address)
        addresses.append(
            {
                "address": str(before.address.ip),
                "link": before.address.link,
                "before": before.symmetric,
                "after": after.symmetric and not left_out,
                "left_to_main": left_out,
            }
        )
    return addresses


def verdict_lines(proposal: Proposal) -> List[str]:
    """Each uplink address's replies before and after."""
    lines = []
    for before, after in zip(proposal.proof.before, proposal.proof.after):
        left_out = _count_left_out(proposal.plan, after.address)
        then = "symmetric" if before.symmetric else "asymmetric"
        now = "symmetric" if after.symmetric else "asymmetric"
        if left_out and after.symmetric:
            now += f" but for {left_out} networks"
        lines.append(f"{before.address.ip} ({before.address.link}): {then} -> {now}")
    return lines


def _count_left_out(plan: Plan, address: Address) -> int:
    """How many networks the replies of that address go to as main says."""
    return sum(
        len(left_out.networks)
        for left_out in plan.left_out
        if address.link in left_out.links and left_out.networks.version == address.version
    )


def command_lines(commands: Sequence[Command]) -> List[str]:
    """The commands that activate what was written, with a word on what they do."""
    lines = []
    for kind, heading in _HEADINGS.items():
        texts = [f"  {command.text}" for command in commands if command.kind == kind]
        if texts:
            lines += [heading, *texts]
    return lines
