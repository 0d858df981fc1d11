"""How the files come to life, and what is to be deleted by hand, as commands for people."""

from typing import FrozenSet, Iterable, Iterator, List, Optional

from symroute_nm.files.changes import Change
from symroute_nm.kernel.loaded_marks import script_program, unload_script
from symroute_nm.model.host import Host
from symroute_nm.model.iproute2 import delete_rule, delete_throw
from symroute_nm.model.marking import SCRIPT
from symroute_nm.model.network import IPAddress, Rule
from symroute_nm.model.ours import our_rules, selector
from symroute_nm.model.route_set import pack
from symroute_nm.model.settings import Settings
from symroute_nm.targets.base import bring_up, choose_target
from symroute_nm.workflow.proposal import Proposal


def find_commands(
    host: Host, settings: Settings, made: Proposal, session: Optional[IPAddress]
) -> List[str]:
    """The commands that bring the files to life, the session's own link last.

    Connections of whose plan the kernel lacks something are brought up, and those whose files
    change while their tables have more than planned: the files may have listed it before.
    Rules and throw routes that no file lists any more would stay: they are deleted by hand.
    """
    profile_of = choose_target().profile_of
    changed = {profile_of(change.path) for change in made.changes if change.kind != "keep"}
    rules = {rule.without_protocol for rule in host.rules}
    tables = _planned_tables(made)
    present = [
        (each.identity, each)
        for each in pack(host.routes).select(lambda route: route.table in tables)
    ]
    known = {there for there, _ in present}
    planned = {
        planned.table.id: {route.identity for route in planned.routes}
        for planned in made.plan.uplinks
    }
    superfluous = [each for there, each in present if there not in planned[each.table]]
    over = {each.table for each in superfluous if each.hops}  # these go with their link
    uplinks = [
        each.uplink
        for each in made.plan.uplinks
        if each.uplink.profile
        and (
            not (rules.issuperset(each.rules) and planned[each.table.id] <= known)
            or (each.uplink.profile.name in changed and each.table.id in over)
        )
    ]
    uplinks.sort(key=lambda uplink: session in {address.ip for address in uplink.addresses})
    return [
        *_marking_commands(made.changes, bool(uplinks)),
        *(bring_up(uplink.profile) for uplink in uplinks if uplink.profile),
        *map(delete_rule, _stale_rules(host, settings, made)),
        # Throw routes belong to no device, and stay.
        *(delete_throw(each) for each in superfluous if each.type == "throw"),
    ]


def _marking_commands(changes: Iterable[Change], brought_up: bool) -> Iterator[str]:
    """What the script of the marks leaves to do: bringing a connection up runs it, too."""
    for change in changes:
        if change.path != SCRIPT:
            continue
        before = script_program(change.before)
        if before and before != script_program(change.after):
            script = unload_script(before)
            yield from (line.split(" 2>")[0] for line in script.splitlines())
        if change.after is not None and change.kind != "keep" and not brought_up:
            yield SCRIPT


def _stale_rules(host: Host, settings: Settings, made: Proposal) -> Iterator[Rule]:
    """Rules of ours that nothing plans; blocks that are kept may list them unless they conflict."""
    if not (made.plan.uplinks or made.leftovers.gone):
        return
    planned = {rule.without_protocol for planned in made.plan.uplinks for rule in planned.rules}
    ours = our_rules(host, settings)
    stale = [rule for rule in host.rules if rule in ours and rule.without_protocol not in planned]
    tables = _planned_tables(made)
    replaced = {selector(each) for each in stale if each.table in tables}
    yield from (each for each in stale if not made.leftovers.kept or selector(each) in replaced)


def _planned_tables(made: Proposal) -> FrozenSet[int]:
    return frozenset(planned.table.id for planned in made.plan.uplinks)
