"""`generate`, step by step: plan, render, compare, preflight, write."""

from pathlib import Path
from typing import (
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from symroute_nm import blocks, rooted
from symroute_nm.absence import find_absence
from symroute_nm.alterations import (
    Alteration,
    find_alterations,
)
from symroute_nm.choices import Manner, Settings
from symroute_nm.dormant import Dormant, find_dormant, wake
from symroute_nm.draft import make_draft
from symroute_nm.errors import InputError, Refusal
from symroute_nm.leftovers import Leftovers, profile_of
from symroute_nm.model import NETWORK_SCRIPTS, Change, Host, Plan
from symroute_nm.observation import config_file
from symroute_nm.plan import check_block
from symroute_nm.prove import Proof, prove
from symroute_nm.settings import Options, named_links, nearest
from symroute_nm.staticroutes import altered_routes, has_routes, unmetered_routes
from symroute_nm.verdicts import Failure, describe_failure, is_by_destination

_MOST_SHOWN = 10
_SECOND = ("%s line %d leads to %s without a metric, as a line of %s does, and ip refuses the "
           "second: write metric and a number behind it")


class Generation(NamedTuple):
    """A draft with its proof."""

    plan: Plan
    changes: Tuple[Change, ...]
    leftovers: Leftovers
    proof: Proof
    notes: Tuple[str, ...] = ()
    alterations: Tuple[Alteration, ...] = ()


def check_names(host: Host, options: Options) -> None:
    """Raise `InputError` for a link that the command line names and the host does not have."""
    links = {each.name for each in host.links}
    for name in named_links(options):
        if name not in links:
            raise InputError("%s: no such interface" % name, nearest(name, links))


def name_notes(host: Host, settings: Settings) -> List[str]:
    """What is said about sections of the configuration whose link the host does not have."""
    links = {each.name for each in host.links}
    return ["[interface %s]: no such interface here; %s" % (name, nearest(name, links))
            for name in sorted(set(settings.interface) - links)]


def prepare(root: Path, host: Host, settings: Settings, manner: Manner) -> Generation:
    """The draft for the host, proved."""
    made = make_draft(root, host, settings, manner)
    dormant = read_dormant(root, host, made.plan, made.changes)
    awake = wake(host, made.plan, dormant.rules)
    check_block(awake, settings)
    alterations = find_alterations(
        made.earlier, made.plan, host, set(map(profile_of, made.leftovers.gone)))
    return Generation(
        made.plan, made.changes, made.leftovers, prove(awake, settings, made.plan), dormant.notes,
        alterations)


def check_proof(made: Generation, manner: Manner) -> List[str]:
    """What could not be proved, as warnings; raises `Refusal` with the packets unless forced.

    The plain recipe (guard none) is known to cut internal networks off: who asks for it is warned.
    """
    failures = [each for verdict in (*made.proof.after, *made.proof.marked)
                for each in verdict.failures]
    expected = [each for each in failures if made.plan.guard == "none" and each.internal]
    others = [each for each in failures if _is_others(each, made.plan)]
    against = [describe_failure(each) for each in failures if each not in expected + others]
    against += made.proof.intrusions
    if against and not manner.force:
        more = ["and %d more" % (len(against) - _MOST_SHOWN)] if len(against) > _MOST_SHOWN else []
        raise Refusal(
            "\n".join(["this plan cannot be proved:", *against[:_MOST_SHOWN], *more]),
            "see symroute-nm diagnose and explain; exclude the link, remove what stands in the "
            "way, or write the files all the same with --force")
    known = [*map(describe_failure, expected), *(
        "%s; that rule is not ours, comes before ours, and stays" % describe_failure(each)
        for each in others)]
    return ["warning: %s" % each for each in [*against, *known]]


def _is_others(failure: Failure, plan: Plan) -> bool:
    """Whether somebody's rule decides it by destination, before ours.

    The plan neither causes that nor could mend it; where such a rule selects by source or takes
    all, the plan would be in vain and is refused.
    """
    rule = failure.decision.rule
    first = min(each.priority for uplink in plan.uplinks for each in uplink.rules)
    return rule is not None and rule.priority < first and is_by_destination(failure)


def check_static_routes(root: Path, made: Generation, manner: Manner) -> List[str]:
    """The administrator's routes that our first rule file would change, as warnings.

    That file takes them from NetworkManager to the dispatcher script. Raises `Refusal` unless
    forced; where a rule file is there already, nothing changes for them.
    """
    contents = {each.path: each.after or b"" for each in made.changes}
    altered, awake = [], []
    places: Dict[str, str] = {}
    for profile, link in _first_rules(root, made.plan):
        for path in _paths(("route", "route6"), {profile, link}):
            content = _content(root, path, contents)
            altered += ["%s %s" % (path, fault) for fault in altered_routes(content, link, path)]
            for number, to in unmetered_routes(content, path):
                if places.setdefault(to, link) != link:
                    altered.append(_SECOND % (path, number, to, places[to]))
            if profile_of(path) != profile and has_routes(content):
                awake.append("%s: its routes come alive with ours: the dispatcher script reads the "
                             "files of the device, too" % path)
    if altered and not manner.force:
        raise Refusal(
            "\n".join(altered),
            "with a rule file beside it the dispatcher script applies it, no longer "
            "NetworkManager: mend the line first, or write the files all the same with --force")
    return ["warning: %s" % each for each in [*altered, *awake]]


def _first_rules(root: Path, plan: Plan) -> List[Tuple[str, str]]:
    """Profile and link of each uplink that has no rule file until now."""
    named = [(each.uplink.profile.name, each.uplink.link.name)
             for each in plan.uplinks if each.uplink.profile]
    return [each for each in named
            if all(rooted.read(root, path) is None for path in _paths(("rule", "rule6"), each[:1]))]


def _content(root: Path, path: str, contents: Mapping[str, bytes]) -> bytes:
    return contents[path] if path in contents else rooted.read(root, path) or b""


def read_dormant(
    root: Path, host: Host, plan: Plan, found: Iterable[Change]
) -> Dormant:
    """The administrator's own lines in rule files that the script will read beside ours.

    It reads the files of the device as well as those of the profile as soon as the profile has a
    rule file: what slept in them until now wakes up.
    """
    contents = {each.path: each.after or b"" for each in found}
    files_read = []
    for path in _rule_paths(plan):
        parts = blocks.split(_content(root, path, contents), path)
        files_read.append(config_file(path, parts.before + parts.after))
    return find_dormant(files_read, host, {each.uplink.link.name for each in plan.uplinks})


def _rule_paths(plan: Plan) -> List[str]:
    names = {
        name for each in plan.uplinks if each.uplink.profile
        for name in (each.uplink.profile.name, each.uplink.link.name)
    }
    return _paths(("rule", "rule6"), names)


def _paths(kinds: Iterable[str], names: Iterable[str]) -> List[str]:
    return sorted("%s/%s-%s" % (NETWORK_SCRIPTS, kind, name) for kind in kinds for name in names)


def preflight(
    root: Path, host: Host, snapshot: bool, made: Generation, manner: Manner
) -> List[str]:
    """Warnings about whether the files will be applied; raises `Refusal` where they would not be.

    Only where the root is this machine's own, and something is to be written.
    """
    if not changed(made.changes):
        return []
    here = rooted.is_own(root)
    absence = find_absence(host)
    problem = "%s; %s" % (absence.reason, absence.remedy) if absence else ""
    if here and snapshot:
        problem = ("these files would describe the snapshot's host, but would be written to this "
                   "one; give --root DIR")
    if not problem:
        return []
    if here and not manner.force and not manner.dry_run:
        raise Refusal(problem, "or write them all the same with --force")
    return ["warning: %s" % problem]


def recover(root: Path, note: Callable[[str], None]) -> None:
    """Undo or tidy up what a killed run left below `root`; before anything there is read."""
    from symroute_nm import install  # a dry run does without the writer

    for line in install.recover(root):
        note(line)


def flaw_notes(wanted: Iterable[Change]) -> List[str]:
    """Lines of the administrator's own that the dispatcher script cannot take, with why."""
    return [
        "warning: %s %s" % (each.path, flaw)
        for each in wanted if each.after is not None and profile_of(each.path)
        for flaw in blocks.flaws(each.after)
    ]


def write(
    root: Path, wanted: Sequence[Change], note: Callable[[str], None], everything: bool = False
) -> str:
    """Install the changes, all or nothing; raises `SymrouteError` with everything as before.

    Returns the name of the backup that holds the state before; "" if nothing was to be done.
    `everything`: no block is to be left.
    """
    from symroute_nm import install

    return install.install(root, wanted, note=note, everything=everything) or ""


def diff(wanted: Iterable[Change]) -> str:
    """The changes as a unified diff."""
    from symroute_nm.unified import unified_diff

    return unified_diff(wanted)


def replaced(wanted: Iterable[Change]) -> List[Change]:
    """The changes that lose a line of an earlier block: it may be one that somebody put there."""
    return [each for each in wanted if _block_lines(each.before) - _block_lines(each.after)]


def _block_lines(content: Optional[bytes]) -> Set[bytes]:
    return set((blocks.split(content or b"").block or b"").split(b"\n"))


def changed(wanted: Iterable[Change]) -> bool:
    """Whether anything is to be written."""
    return any(each.kind != "keep" for each in wanted)


def unwritten_notes(wanted: Iterable[Change]) -> List[str]:
    """What is said where the kernel is changed and the files are not."""
    return ["the files do not say the same yet, and they count at the next boot: symroute-nm "
            "generate"] if changed(wanted) else []
