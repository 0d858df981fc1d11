"""Which rules are ours, and at which priorities they stand (pure)."""

from typing import FrozenSet, Iterable, Optional, Sequence, Tuple

from symroute_nm.model.host import Host, TableName
from symroute_nm.model.network import TABLE_MAIN, TABLE_UNSPEC, IPNetwork, Rule
from symroute_nm.model.settings import RESERVED_IDS, Settings, TableChoice

# The priorities that are ours, counted from `Settings.priority_base` (DESIGN 2).
STAGES = 3
# Rules by mark come before those: an answer that comes in by another uplink, or from its network,
# would be taken by the rules for that.
MARK_STAGES = 4
FULL_MASK = 0xFFFFFFFF


def priorities(settings: Settings) -> range:
    """The block of rule priorities that is ours; rules by mark stand before `priority_base`."""
    first = settings.priority_base - (MARK_STAGES if settings.forwarded else 0)
    return range(first, settings.priority_base + STAGES)


def looks_like_ours(rule: Rule, settings: Settings) -> bool:
    """Whether a kernel rule has the form of one of ours; known without any file of ours left."""
    base = settings.priority_base
    if rule.priority not in (
        range(base - MARK_STAGES, base) if rule.mask else range(base, base + STAGES)
    ):
        return False
    last = rule.priority == base + STAGES - 1
    return _is_plain(rule) and (
        rule.suppress_prefixlength in (None, 0)
        if rule.mask
        else rule.suppress_prefixlength == (None if last else 0)
    )


def our_rules(host: Host, settings: Settings) -> FrozenSet[Rule]:
    """The kernel's rules of ours: they look up our tables, or main for the same selector beside.

    Known at any priority, so that another priority-base finds those of the one before. What is on
    trial may be there in part: it is known as it is.
    """
    ours = our_tables(host.tables, (each.table for each in settings.interface.values()))
    plain = [rule for rule in host.rules if _is_plain(rule)]
    own = [each for each in plain if each.table in ours]
    beside = {(selector(each), each.priority + step) for each in own for step in (-1, 1)}
    trial = frozenset(host.on_trial)
    return frozenset(
        own
        + [rule for rule in host.rules if trial and rule.without_protocol in trial]
        + [
            each
            for each in plain
            if each.table == TABLE_MAIN
            and each.suppress_prefixlength == 0
            and (selector(each), each.priority) in beside
        ]
        + [
            # Before the first rule by a mark: what comes in by its link goes by main.
            each
            for each in plain
            if each.table == TABLE_MAIN
            and each.mask
            and each.iif
            and (selector(each._replace(iif="")), each.priority) in beside
        ]
    )


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
        return rule == plain and rule.source is None and through and is_usable(rule.mask)
    return rule == plain and bool(rule.source) != bool(rule.iif)


def is_usable(mask: int) -> bool:
    """Whether marks of ours can stand under a mask: two neighbouring bits or more, but not all."""
    lowest = mask & -mask
    return 0 < mask < FULL_MASK and not mask & (mask + lowest) and mask != lowest


def selector(rule: Rule) -> Tuple[int, Optional[IPNetwork], str, int, int]:
    """What a rule of ours selects by, whatever it looks up."""
    return (rule.version, rule.source, rule.iif, rule.mark, rule.mask)


def our_tables(names: Sequence[TableName], choices: Iterable[TableChoice]) -> FrozenSet[int]:
    """The ids of own tables: named in our block, or chosen by the user by id or known name."""
    said = [choice for choice in choices if choice.id or choice.name]
    known = {name.name: name.id for name in names} if said else {}
    chosen = (each.id or known.get(each.name, TABLE_UNSPEC) for each in said)
    owned = (name.id for name in names if name.owned)
    return frozenset((*chosen, *owned)) - RESERVED_IDS
