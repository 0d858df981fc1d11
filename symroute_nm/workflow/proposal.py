"""`generate`, step by step: plan, render, compare, preflight, write."""

from pathlib import Path
from typing import Iterable, List, NamedTuple, Tuple

from symroute_nm.errors import InputError, Refusal
from symroute_nm.files import access
from symroute_nm.files.changes import Change, changed
from symroute_nm.model.host import Host
from symroute_nm.model.plan import Plan
from symroute_nm.model.settings import GenerateOptions, Options, Settings, named_links
from symroute_nm.plan.planner import check_block
from symroute_nm.readers.settings import nearest
from symroute_nm.rpdb.proof import Proof, prove
from symroute_nm.rpdb.symmetry import Failure, describe_failure, is_by_destination
from symroute_nm.targets.base import Check, EarlierBlocks, choose_target, with_rules
from symroute_nm.workflow.draft import make_draft
from symroute_nm.workflow.uplink_changes import UplinkChange, find_uplink_changes

_MOST_SHOWN = 10


class Proposal(NamedTuple):
    """A draft with its proof, and what it does to the administrator's own lines."""

    plan: Plan
    changes: Tuple[Change, ...]
    leftovers: EarlierBlocks
    proof: Proof
    check: Check = Check()
    alterations: Tuple[UplinkChange, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether anything is to be written."""
        return changed(self.changes)


def check_names(host: Host, options: Options) -> None:
    """Raise `InputError` for a link that the command line names and the host does not have."""
    links = {link.name for link in host.links}
    for name in named_links(options):
        if name not in links:
            raise InputError(f"{name}: no such interface", nearest(name, links))


def name_notes(host: Host, settings: Settings) -> List[str]:
    """What is said about sections of the configuration whose link the host does not have."""
    links = {link.name for link in host.links}
    return [
        f"[interface {name}]: no such interface here; {nearest(name, links)}"
        for name in sorted(set(settings.interface) - links)
    ]


def propose(root: Path, host: Host, settings: Settings, manner: GenerateOptions) -> Proposal:
    """The draft for the host, proved."""
    made = make_draft(root, host, settings, manner)
    target = choose_target()
    check = target.check(root, host, made.plan, made.changes)
    awake = with_rules(host, made.plan, check.sleeping.rules)
    check_block(awake, settings)
    alterations = find_uplink_changes(
        made.earlier, made.plan, host, set(map(target.profile_of, made.leftovers.gone))
    )
    return Proposal(
        made.plan,
        made.changes,
        made.leftovers,
        prove(awake, settings, made.plan),
        check,
        alterations,
    )


def check_proof(made: Proposal, manner: GenerateOptions) -> List[str]:
    """What could not be proved, as warnings; raises `Refusal` with the packets unless forced.

    The plain recipe (guard none) is known to cut internal networks off: who asks for it is warned.
    """
    failures = [
        failure
        for verdict in (*made.proof.after, *made.proof.marked)
        for failure in verdict.failures
    ]
    expected = [failure for failure in failures if made.plan.guard == "none" and failure.internal]
    others = [failure for failure in failures if _is_others(failure, made.plan)]
    against = [
        describe_failure(failure) for failure in failures if failure not in expected + others
    ]
    against += made.proof.intrusions
    if against and not manner.force:
        more = [f"and {len(against) - _MOST_SHOWN} more"] if len(against) > _MOST_SHOWN else []
        raise Refusal(
            "\n".join(["this plan cannot be proved:", *against[:_MOST_SHOWN], *more]),
            "see symroute-nm diagnose and explain; exclude the link, remove what stands in the "
            "way, or write the files all the same with --force",
        )
    known = [
        *map(describe_failure, expected),
        *(
            f"{describe_failure(each)}; that rule is not ours, comes before ours, and stays"
            for each in others
        ),
    ]
    return [f"warning: {each}" for each in [*against, *known]]


def _is_others(failure: Failure, plan: Plan) -> bool:
    """Whether somebody's rule decides it by destination, before ours.

    The plan neither causes that nor could mend it; where such a rule selects by source or takes
    all, the plan would be in vain and is refused.
    """
    rule = failure.decision.rule
    first = min(rule.priority for uplink in plan.uplinks for rule in uplink.rules)
    return rule is not None and rule.priority < first and is_by_destination(failure)


def check_lines(check: Check, manner: GenerateOptions) -> List[str]:
    """Lines of the administrator's own that would be applied otherwise, as warnings.

    Raises `Refusal` for them unless forced.
    """
    if check.problems and not manner.force:
        raise Refusal("\n".join(check.problems), check.remedy)
    return [f"warning: {line}" for line in (*check.problems, *check.warnings)]


def preflight(
    root: Path, host: Host, snapshot: bool, made: Proposal, manner: GenerateOptions
) -> List[str]:
    """Warnings about whether the files will be applied; raises `Refusal` where they would not be.

    Only where the root is this machine's own, and something is to be written.
    """
    if not made.changed:
        return []
    here = access.is_own(root)
    obstacle = choose_target().find_obstacle(host)
    problem = f"{obstacle.reason}; {obstacle.remedy}" if obstacle else ""
    if here and snapshot:
        problem = (
            "these files would describe the snapshot's host, but would be written to this "
            "one; give --root DIR"
        )
    if not problem:
        return []
    if here and not manner.force and not manner.dry_run:
        raise Refusal(problem, "or write them all the same with --force")
    return [f"warning: {problem}"]


def unwritten_notes(wanted: Iterable[Change]) -> List[str]:
    """What is said where the kernel is changed and the files are not."""
    return (
        ["the files do not say the same yet, and they count at the next boot: symroute-nm generate"]
        if changed(wanted)
        else []
    )
