"""Plan -> {path: text}: the bodies of the blocks that go into each file."""

from typing import TYPE_CHECKING, Iterator, Mapping, Tuple

from symroute_nm.kernel.mark_setup import Chain, Command, Reversal
from symroute_nm.model.marking import NAME, PARENTS, PROGRAMS
from symroute_nm.rendering import load_templates

if TYPE_CHECKING:
    from symroute_nm.rendering import Template


def render_reversal(reversal: Reversal) -> Tuple[Command, ...]:
    """The programs that have marks set as before, in order; each is to be tried."""
    before = reversal.before
    commands = list(_unloading(reversal.backend))
    templates = load_templates("marks", "nft", "iptables", "matches")
    if before.nft is not None:
        text = templates["nft"].render(name=NAME, rules=before.nft)
        commands.append(Command(("nft", "-f", "-"), text))
    for program, chain in zip(PROGRAMS, before.chains):
        if chain is not None:
            commands += _restoring(templates, program, chain)
    return tuple(commands)


def _unloading(backend: str) -> Iterator[Command]:
    """The end of all that a backend has set up, also by firewalld; it may be gone already."""
    if backend == "nft":
        yield Command(("nft", "delete", "table", "inet", NAME), needed=False)
    if backend == "iptables":
        for program in PROGRAMS:
            for parent in PARENTS:
                yield Command(
                    (program, "-w", "-t", "mangle", "-D", parent, "-j", NAME), needed=False
                )
            for option in ("-F", "-X"):
                yield Command((program, "-w", "-t", "mangle", option, NAME), needed=False)


def _restoring(
    templates: "Mapping[str, Template]", program: str, chain: Chain
) -> Iterator[Command]:
    matches = templates["matches"].render(rules=chain.rules).splitlines()
    text = templates["iptables"].render(name=NAME, rules=matches)
    yield Command((f"{program}-restore", "-n"), text)
    for jump in chain.jumps:
        mangle = (program, "-w", "-t", "mangle")
        at_end = (*mangle, "-A", jump.parent, "-j", NAME)
        # In its own place, unless the rules before it have gone meanwhile.
        if not jump.place:
            yield Command(at_end)
            continue
        in_place = (*mangle, "-I", jump.parent, str(jump.place), "-j", NAME)
        yield Command(in_place, needed=False, instead=at_end)
