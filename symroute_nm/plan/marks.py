"""Connection marks for what the host sends on: their values and the rules that go by them.

Rules by source do not see a container's answer: it has the container's address until after routing.
So the connection is marked when it comes in, and its packets are routed by that mark.
"""

from typing import Dict, FrozenSet, Iterable, Iterator, List, NamedTuple, Sequence, Tuple

from symroute_nm.errors import Refusal
from symroute_nm.model.host import Host, has_nft_fib
from symroute_nm.model.iproute2 import format_rule
from symroute_nm.model.marking import Mark, Marking
from symroute_nm.model.network import TABLE_MAIN, Rule
from symroute_nm.model.ours import FULL_MASK, MARK_STAGES
from symroute_nm.model.plan import OwnTable
from symroute_nm.model.settings import Settings

# What is proposed where the mask is taken, in this order.
_PROPOSED = (0x7F, 0xFF000000, 0x00FF0000, 0x0000FF00)


class Marked(NamedTuple):
    """What the rules of one uplink's mark are made of."""

    mark: Mark
    mask: int
    table: int
    guard: str  # rules throw none
    base: int  # of our priorities: the first that is not a mark's


def make_marking(
    host: Host, settings: Settings, tables: Sequence[Tuple[str, OwnTable]], foreign: Iterable[Rule]
) -> Marking:
    """The marks of these (link, its table); `foreign` are the host's rules that are not ours.

    Raises `Refusal` where nothing can set marks, where the mask is another's, or holds too few.
    """
    mask = settings.mark_mask
    marking = Marking(choose_backend(host), mask, ())
    foreign = tuple(rule for rule in foreign if rule.mask & mask)
    _check_mask(mask, foreign)
    _check_names(marking.backend, [link for link, _ in tables])
    values = _allocate(
        [table.id for _, table in tables], mask, frozenset(rule.mark & mask for rule in foreign)
    )
    return marking._replace(
        marks=tuple(Mark(link, value) for (link, _), value in zip(tables, values))
    )


def choose_backend(host: Host) -> str:
    """By what the host's marks are set; raises `Refusal` where there is nothing for it.

    nft wherever it can: a table of its own outlives what firewalld, Docker and iptables do.
    """
    if "nft" in host.firewalls and has_nft_fib(host.kernel):
        return "nft"
    if "iptables" in host.firewalls:
        return "firewalld" if "firewalld" in host.firewalls else "iptables"
    missing = "neither was found"
    if "nft" in host.firewalls:
        missing = f"its kernel is too old for nft ({host.kernel})"
    raise Refusal(
        f"marks for forwarded connections need nft or iptables, and {missing}",
        "install nftables (a snapshot by an earlier version must be made again), or leave "
        "--forwarded out",
    )


def _check_mask(mask: int, foreign: Sequence[Rule]) -> None:
    """Raise `Refusal` where somebody's rule gives bits of the mask a meaning."""
    for rule in foreign:
        if rule.mask != FULL_MASK:
            taken = [other.mask for other in foreign if other.mask != FULL_MASK]
            free = [
                proposed for proposed in _PROPOSED if not any(proposed & other for other in taken)
            ]
            raise Refusal(
                f"the rule {rule.priority} ({format_rule(rule)}) goes by bits of our mark "
                f"mask 0x{mask:x}",
                f"set mark-mask = 0x{free[0]:x}, or another byte that nobody uses"
                if free
                else "set mark-mask to bits that nobody uses",
            )


def _check_names(backend: str, links: Iterable[str]) -> None:
    for link in links:
        if backend != "nft" and link.endswith("+"):
            raise Refusal(
                f"{link}: iptables takes a + at the end of a name for a pattern",
                "rename the link, install nftables, or exclude it",
            )


def _allocate(ids: Sequence[int], mask: int, avoided: FrozenSet[int]) -> List[int]:
    """A value for each table, its own number where that fits: `ids` stay from run to run.

    `avoided` are values that packets of others have under the mask.
    """
    step, room = mask & -mask, mask // (mask & -mask)
    free = [number * step for number in range(1, room + 1) if number * step not in avoided]
    if len(free) < len(ids):
        raise Refusal(
            f"{len(ids)} uplinks, but mark mask 0x{mask:x} has room for {len(free)}",
            "exclude some, or set a wider mark-mask",
        )
    chosen: Dict[int, int] = {}
    for table in sorted(ids):
        if table % (room + 1) * step in free:
            chosen[table] = table % (room + 1) * step
            free.remove(chosen[table])
    for table in sorted(set(ids) - set(chosen)):
        chosen[table] = free.pop(0)
    return [chosen[table] for table in ids]


def mark_rules(version: int, marked: Marked, transit: bool) -> Iterator[Rule]:
    """The rules of a mark, in order; `transit`: there are rules for what comes in by the link.

    What comes in by the link itself goes where it went without a mark: the own table knows the
    other uplinks' networks, and would send it back. All else of the connection, and the strict
    rp_filter, which asks with the link that a packet will leave by (__mkroute_input), goes by
    the own table.
    """
    link, value = marked.mark
    stages = range(marked.base - MARK_STAGES, marked.base)
    chosen = Rule(version, 0, mark=value, mask=marked.mask, table=marked.table)
    main = chosen._replace(table=TABLE_MAIN, suppress_prefixlength=0)
    through = main._replace(iif=link, suppress_prefixlength=0 if transit else None)
    if marked.guard == "rules":
        yield through._replace(priority=stages[0])
        yield chosen._replace(priority=stages[1], suppress_prefixlength=0)
        yield main._replace(priority=stages[2])
    elif not transit:
        yield through._replace(priority=stages[2])
    yield chosen._replace(priority=stages[3])


def notes_on_marks(
    marking: Marking, foreign: Iterable[Rule], versions: Iterable[int]
) -> Iterator[str]:
    """What a person should know of the marks; `versions` are those that the host forwards."""
    marks = (f"{mark.link} 0x{mark.value:x}/0x{marking.mask:x}" for mark in marking.marks)
    yield f"marks ({marking.backend}): {', '.join(marks)}"
    families = [f"IPv{version}" for version in sorted(versions)]
    if families:
        yield (
            f"{' and '.join(families)} {'are' if families[1:] else 'is'} forwarded: whatever "
            "connection comes in by an uplink and goes on, to a container or through this "
            "host to another network, is answered by that uplink"
        )
    else:
        yield "nothing is forwarded on this host now (net.ipv4.ip_forward): marks have no effect"
    for rule in foreign:
        if rule.mask == FULL_MASK and not rule.invert:
            yield (
                f"the rule {rule.priority} ({format_rule(rule)}) looks at the whole mark: "
                "what carries ours besides will not match it; give it a mask"
            )
