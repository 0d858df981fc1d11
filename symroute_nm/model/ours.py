"""What is ours: rules by their form and tables, priorities, own tables, usable marks."""

from typing import AbstractSet, FrozenSet, Iterable, Optional, Sequence, Tuple

from symroute_nm.model.host import Host, TableName
from symroute_nm.model.network import LARGEST_UINT32, TABLE_MAIN, TABLE_UNSPEC, IPNetwork, Rule
from symroute_nm.model.settings import RESERVED_IDS, Settings, TableChoice

# The priorities that are ours, counted from `Settings.priority_base` (DESIGN 2).
STAGES = 3
# Rules by mark come before those: an answer that comes in by another uplink, or from its network,
# would be taken by the rules for that.
MARK_STAGES = 4
FULL_MASK = LARGEST_UINT32

# IP version, source, link that it came in by, mark and mask
Selector = Tuple[int, Optional[IPNetwork], str, int, int]


def priorities(settings: Settings) -> range:
    """The block of rule priorities that is ours; rules by mark stand before `priority_base`."""
    first = settings.priority_base - (MARK_STAGES if settings.forwarded else 0)
    return range(first, settings.priority_base + STAGES)


def looks_like_ours(rule: Rule, settings: Settings) -> bool:
    """Whether a kernel rule has the form of one of ours; known without any file of ours left."""
    base = settings.priority_base
    if not _is_plain(rule):
        return False
    if rule.mask:
        stages = range(base - MARK_STAGES, base)
        return rule.priority in stages and rule.suppress_prefixlength in (None, 0)
    stages = range(base, base + STAGES)
    suppressed = None if rule.priority == stages[-1] else 0
    return rule.priority in stages and rule.suppress_prefixlength == suppressed


def our_rules(host: Host, settings: Settings) -> FrozenSet[Rule]:
    """The kernel's rules of ours: they look up our tables, or main for the same selector beside.

    Known at any priority, so that another priority-base finds those of the one before. What is on
    trial may be there in part: it is known as it is.
    """
    tables = our_tables(host.tables, (interface.table for interface in settings.interface.values()))
    plain = [rule for rule in host.rules if _is_plain(rule)]
    own = [rule for rule in plain if rule.table in tables]
    beside = {(selector(rule), rule.priority - 1) for rule in own}
    beside |= {(selector(rule), rule.priority + 1) for rule in own}
    trial = frozenset(host.on_trial)
    on_trial = [rule for rule in host.rules if trial and rule.without_protocol in trial]
    through = (rule for rule in plain if _is_through_main(rule, beside))
    return frozenset(own).union(on_trial, through)


def _is_through_main(rule: Rule, beside: AbstractSet[Tuple[Selector, int]]) -> bool:
    """Whether it looks up main for a selector of ours, at a priority `beside` that one's."""
    if rule.table != TABLE_MAIN:
        return False
    if rule.suppress_prefixlength == 0 and (selector(rule), rule.priority) in beside:
        return True
    # Before the first rule by a mark: what comes in by its link goes by main.
    by_mark = rule.mask and rule.iif
    return bool(by_mark) and (selector(rule._replace(iif="")), rule.priority) in beside


def foreign_rules(host: Host, settings: Settings) -> Tuple[Rule, ...]:
    """The kernel's rules that are not ours, in order."""
    ours = our_rules(host, settings)
    return tuple(rule for rule in host.rules if rule not in ours)


def _is_plain(rule: Rule) -> bool:
    """Whether it selects by source, link or masked mark, as ours do, and looks a table up."""
    plain = Rule(
        rule.version,
        rule.priority,
        source=rule.source,
        iif=rule.iif,
        mark=rule.mark,
        mask=rule.mask,
        table=rule.table,
        suppress_prefixlength=rule.suppress_prefixlength,
        protocol=rule.protocol,
    )
    if rule.mask:
        through = rule.table == TABLE_MAIN or not rule.iif
        return rule == plain and rule.source is None and through and is_usable_mask(rule.mask)
    return rule == plain and bool(rule.source) != bool(rule.iif)


def is_usable_mask(mask: int) -> bool:
    """Whether marks of ours can stand under a mask: two neighbouring bits or more, but not all."""
    lowest = mask & -mask
    return 0 < mask < FULL_MASK and not mask & (mask + lowest) and mask != lowest


def selector(rule: Rule) -> Selector:
    """What a rule of ours selects by, whatever it looks up."""
    return (rule.version, rule.source, rule.iif, rule.mark, rule.mask)


def our_tables(names: Sequence[TableName], choices: Iterable[TableChoice]) -> FrozenSet[int]:
    """The ids of own tables: named in our block, or chosen by the user by id or known name."""
    given = [choice for choice in choices if choice.id or choice.name]
    known = {name.name: name.id for name in names} if given else {}
    chosen = (choice.id or known.get(choice.name, TABLE_UNSPEC) for choice in given)
    owned = (name.id for name in names if name.owned)
    return frozenset((*chosen, *owned)) - RESERVED_IDS
