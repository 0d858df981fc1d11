"""A plan that is proved, with the files that it changes, and what stands in its way."""

from pathlib import Path
from typing import Iterable, List, NamedTuple, Optional, Tuple

from symroute_nm.errors import InputError, Refusal
from symroute_nm.files import access
from symroute_nm.files.changes import Change, changed
from symroute_nm.model.host import Host
from symroute_nm.model.plan import Plan
from symroute_nm.model.settings import GenerateOptions, Options, Settings, named_links
from symroute_nm.model.trial import Trial
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
    earlier_blocks: EarlierBlocks
    proof: Proof
    check: Check = Check()
    uplink_changes: Tuple[UplinkChange, ...] = ()

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


def propose(
    root: Path,
    host: Host,
    settings: Settings,
    generate_options: GenerateOptions,
    trial: Optional[Trial] = None,
) -> Proposal:
    """The draft for the host, proved; the administrator's lines are tried by `trial`.

    Raises `SymrouteError`.
    """
    draft = make_draft(root, host, settings, generate_options)
    target = choose_target()
    check = target.check(root, host, draft.plan, draft.changes, trial)
    host_with_sleeping = with_rules(host, draft.plan, check.sleeping.rules)
    check_block(host_with_sleeping, settings)
    profiles_gone = {target.profile_of(path) for path in draft.earlier_blocks.gone}
    return Proposal(
        draft.plan,
        draft.changes,
        draft.earlier_blocks,
        prove(host_with_sleeping, settings, draft.plan),
        check,
        find_uplink_changes(draft.previous_uplinks, draft.plan, host, profiles_gone),
    )


def check_proof(proposal: Proposal, generate_options: GenerateOptions) -> List[str]:
    """What could not be proved, as warnings; raises `Refusal` with the packets unless forced.

    The plain recipe (guard none) is known to cut internal networks off: who asks for it is warned.
    """
    expected: List[str] = []
    by_others: List[str] = []
    against: List[str] = []
    for verdict in (*proposal.proof.after, *proposal.proof.marked):
        for failure in verdict.failures:
            text = describe_failure(failure)
            is_expected = proposal.plan.guard == "none" and failure.internal
            is_others = _is_others(failure, proposal.plan)
            if is_expected:
                expected.append(text)
            if is_others:
                by_others.append(f"{text}; that rule is not ours, comes before ours, and stays")
            if not (is_expected or is_others):
                against.append(text)
    against += proposal.proof.intrusions
    if against and not generate_options.force:
        lines = ["this plan cannot be proved:", *against[:_MOST_SHOWN]]
        if len(against) > _MOST_SHOWN:
            lines.append(f"and {len(against) - _MOST_SHOWN} more")
        raise Refusal(
            "\n".join(lines),
            "see symroute-nm diagnose and explain; exclude the link, remove what stands in the "
            "way, or write the files all the same with --force",
        )
    return [f"warning: {line}" for line in (*against, *expected, *by_others)]


def _is_others(failure: Failure, plan: Plan) -> bool:
    """Whether somebody's rule decides it by destination, before ours.

    The plan neither causes that nor could mend it; where such a rule selects by source or takes
    all, the plan would be in vain and is refused.
    """
    rule = failure.decision.rule
    first = min(planned.priority for planned in plan.rules)
    return rule is not None and rule.priority < first and is_by_destination(failure)


def check_lines(check: Check, generate_options: GenerateOptions) -> List[str]:
    """Lines of the administrator's own that would be applied otherwise, as warnings.

    Raises `Refusal` for them unless forced.
    """
    if check.problems and not generate_options.force:
        raise Refusal("\n".join(check.problems), check.remedy)
    return [f"warning: {line}" for line in (*check.problems, *check.warnings)]


def preflight(
    root: Path,
    host: Host,
    proposal: Proposal,
    generate_options: GenerateOptions,
    *,
    from_snapshot: bool,
) -> List[str]:
    """Warnings about whether the files will be applied; raises `Refusal` where they would not be.

    Only where the root is this machine's own, and something is to be written.
    """
    if not proposal.changed:
        return []
    here = access.is_own(root)
    obstacle = choose_target().find_obstacle(host)
    problem = f"{obstacle.reason}; {obstacle.remedy}" if obstacle else ""
    if here and from_snapshot:
        problem = (
            "these files would describe the snapshot's host, but would be written to this "
            "one; give --root DIR"
        )
    if not problem:
        return []
    if here and not generate_options.force and not generate_options.dry_run:
        raise Refusal(problem, "or write them all the same with --force")
    return [f"warning: {problem}"]


def unwritten_notes(changes: Iterable[Change]) -> List[str]:
    """What is said where the kernel is changed and the files are not."""
    if not changed(changes):
        return []
    return [
        "the files list something else, and they count at the next boot: symroute-nm generate "
        "writes the plan, symroute-nm apply --files brings the kernel to what they list"
    ]
