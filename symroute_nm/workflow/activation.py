"""How the files come to life, and what is to be deleted by hand, as commands for people."""

from typing import FrozenSet, Iterable, Iterator, List, NamedTuple, Optional, Set

from symroute_nm.files.changes import Change
from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import delete_rule, delete_throw
from symroute_nm.model.marking import SCRIPT
from symroute_nm.model.network import IPAddress, Route, Rule
from symroute_nm.model.ours import our_rules, selector
from symroute_nm.model.plan import Uplink
from symroute_nm.model.settings import Settings
from symroute_nm.targets.base import bring_up, choose_target
from symroute_nm.workflow.proposal import Proposal

SET_MARKS, BRING_UP, DELETE = "set marks", "bring up", "delete"


class Command(NamedTuple):
    """A command for people to give."""

    kind: str  # SET_MARKS BRING_UP DELETE
    text: str


def find_commands(
    host: Host, settings: Settings, proposal: Proposal, session: Optional[IPAddress]
) -> List[Command]:
    """The commands that bring the files to life, the session's own link last.

    Connections of whose plan the kernel lacks something are brought up, and those whose files
    change while their tables have more than planned: the files may have listed it before.
    Rules and throw routes that no file lists any more would stay: they are deleted by hand.
    """
    tables = _planned_tables(proposal)
    present = list(host.routes.select(lambda route: route.table in tables))
    planned = {
        uplink_plan.table.id: {route.identity for route in uplink_plan.routes}
        for uplink_plan in proposal.plan.uplinks
    }
    superfluous = [route for route in present if route.identity not in planned[route.table]]
    uplinks = _uplinks_to_bring_up(host, proposal, present, superfluous)
    uplinks.sort(key=lambda uplink: session in {address.ip for address in uplink.addresses})
    stale_rules = _stale_rules(host, settings, proposal)
    return [
        *_marking_commands(proposal.changes, brought_up=bool(uplinks)),
        *(Command(BRING_UP, bring_up(uplink.profile)) for uplink in uplinks if uplink.profile),
        *(Command(DELETE, delete_rule(rule)) for rule in stale_rules),
        # Throw routes belong to no device, and stay.
        *(Command(DELETE, delete_throw(route)) for route in superfluous if route.type == "throw"),
    ]


def _uplinks_to_bring_up(
    host: Host, proposal: Proposal, present: Iterable[Route], superfluous: Iterable[Route]
) -> List[Uplink]:
    profile_of = choose_target().profile_of
    changed = {profile_of(change.path) for change in proposal.changes if change.kind != "keep"}
    rules = {rule.without_protocol for rule in host.rules}
    routes = {route.identity for route in present}
    # Routes with hops go with their link.
    overfull = {route.table for route in superfluous if route.hops}
    uplinks = []
    for uplink_plan in proposal.plan.uplinks:
        profile = uplink_plan.uplink.profile
        if profile is None:
            continue
        complete = rules.issuperset(uplink_plan.rules) and routes.issuperset(
            route.identity for route in uplink_plan.routes
        )
        if not complete or (profile.name in changed and uplink_plan.table.id in overfull):
            uplinks.append(uplink_plan.uplink)
    return uplinks


def _marking_commands(changes: Iterable[Change], *, brought_up: bool) -> Iterator[Command]:
    """What the script of the marks leaves to do: bringing a connection up runs it, too."""
    for change in changes:
        if change.path != SCRIPT:
            continue
        # Where there are marks.
        from symroute_nm.kernel.loaded_marks import script_program, unload_script

        before = script_program(change.before)
        if before and before != script_program(change.after):
            for line in unload_script(before).splitlines():
                yield Command(DELETE, line.split(" 2>")[0])
        if change.after is not None and change.kind != "keep" and not brought_up:
            yield Command(SET_MARKS, SCRIPT)


def _stale_rules(host: Host, settings: Settings, proposal: Proposal) -> Iterator[Rule]:
    """Rules of ours that nothing plans; blocks that are kept may list them unless they conflict."""
    uplink_plans, earlier_blocks = proposal.plan.uplinks, proposal.earlier_blocks
    if not (uplink_plans or earlier_blocks.gone):
        return
    planned: Set[Rule] = set()
    for uplink_plan in uplink_plans:
        planned.update(rule.without_protocol for rule in uplink_plan.rules)
    ours = our_rules(host, settings)
    stale = [rule for rule in host.rules if rule in ours and rule.without_protocol not in planned]
    tables = _planned_tables(proposal)
    replaced = {selector(rule) for rule in stale if rule.table in tables}
    for rule in stale:
        if not earlier_blocks.kept or selector(rule) in replaced:
            yield rule


def _planned_tables(proposal: Proposal) -> FrozenSet[int]:
    return frozenset(uplink_plan.table.id for uplink_plan in proposal.plan.uplinks)
