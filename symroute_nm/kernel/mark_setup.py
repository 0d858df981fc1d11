"""What set marks before a change: read from listings, kept on record, and brought back.

All of it is data, and no command. Names and numbers alone are kept of our table and chains, each of
them is checked when it is read from a record, and templates of our own make rules of them again. So
what is not as our templates write it cannot be kept, and a change that would lose it is refused.
"""

import re
from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Any,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Tuple,
)

from symroute_nm.errors import Refusal, shown
from symroute_nm.kernel import loaded_marks
from symroute_nm.kernel.loaded_marks import LoadedMarks, script_program
from symroute_nm.model.marking import NAME, PARENTS, PROGRAMS, SCRIPT, Mark, Marking, Setting

if TYPE_CHECKING:
    from symroute_nm.rendering import Template

BACKENDS = ("", "nft", "iptables")

# net/core/dev.c, dev_valid_name(), and no more than what stands in files and rules without quotes.
_LINK = re.compile(r"(?!-)[A-Za-z0-9_.:@+-]{1,15}\Z")
_LARGEST_MARK = 2**32 - 1
_LARGEST_PLACE = 2**31 - 1
# What nft and iptables-save write of our rules besides numbers and names; older and newer ones.
_NFT_WORDS = frozenset(
    "iifname ct state new direction original mark & == fib daddr type unicast set | meta".split()  # noqa: SIM905  # as it is listed
)
_IPTABLES_WORDS = frozenset(
    f"-A {NAME} -i -m conntrack --ctstate NEW --ctdir ORIGINAL connmark mark --mark "
    "-j CONNMARK MARK --set-xmark".split()
)
_NUMBER = re.compile(r"0x[0-9a-f]+\Z|0\Z")
_NFT_FRAME = re.compile(
    rf"table inet {NAME} \{{|chain prerouting \{{|\}}|"
    r"type filter hook prerouting priority [-+a-z0-9 ]+; policy accept;"
)
_PLACED_JUMP = re.compile(rf"-[AI] ({'|'.join(PARENTS)})(?: ([0-9]+))? -j {NAME}\Z")


class Jump(NamedTuple):
    """What sends packets to our chain."""

    parent: str
    place: int  # among the rules of the parent, from 1 on; 0: at its end


class Chain(NamedTuple):
    """Our chain in the table mangle."""

    rules: Tuple[Setting, ...] = ()
    jumps: Tuple[Jump, ...] = ()


class MarkSetup(NamedTuple):
    """All that sets marks, in its order."""

    valid_mark: bool  # net.ipv4.conf.all.src_valid_mark
    nft: Optional[Tuple[Setting, ...]]  # None: there is no table of ours
    chains: Tuple[Optional[Chain], ...]  # iptables', ip6tables'; None: there is none of ours


class Reversal(NamedTuple):
    """How marks are as before again: what a change has set up goes, what there was comes back."""

    backend: str  # what sets marks after the change: "", "nft" or "iptables"
    before: MarkSetup


class Command(NamedTuple):
    """A program to be started, without any shell: its words, and what it reads."""

    words: Tuple[str, ...]
    text: str = ""
    needed: bool = True  # False: it may fail, and then `instead` is tried
    instead: Tuple[str, ...] = ()


def read_setup(loaded: LoadedMarks) -> MarkSetup:
    """What is listed, as data; raises `Refusal` for what our templates would not write again."""
    chains = (
        _read_chain(program, lines)
        for program, lines in zip(PROGRAMS, (loaded.iptables, loaded.ip6tables))
    )
    return MarkSetup(loaded.valid_mark, _read_table(loaded.nft), tuple(chains))


def read_script(script: bytes) -> Marking:
    """The marks that a dispatcher script of ours sets; raises `Refusal` where it is not as we write
    it: it is read, and never run."""
    text = script.decode("utf-8", "replace")
    rules = loaded_marks.script_rules(text)
    marks = tuple(Mark(rule.link, rule.value) for rule in rules if rule.link)
    masks = {rule.mask for rule in rules}
    answers = {rule.value for rule in rules if not rule.link}
    right = len(masks) == 1 and answers == {mark.value for mark in marks}
    if not right or not all(map(_is_sound, rules)):
        raise Refusal(
            f"{SCRIPT} does not set marks as symroute-nm writes it",
            "symroute-nm generate --forwarded writes it anew; or leave --apply out",
        )
    return Marking(script_program(script), masks.pop(), marks)


def _read_table(listing: str) -> Optional[Tuple[Setting, ...]]:
    if not listing:
        return None
    rules = []
    for line in map(str.strip, listing.splitlines()):
        if not line or line.startswith("#") or _NFT_FRAME.match(line):
            continue
        rule = loaded_marks.nft_rule(line)
        if rule is None or not _is_sound(rule) or not _is_our_nft_line(rule, line):
            raise _foreign("nft's table inet", line, f"nft delete table inet {NAME}")
        rules.append(rule)
    return tuple(rules)


def _read_chain(program: str, lines: Iterable[str]) -> Optional[Chain]:
    rules: List[Setting] = []
    jumps: List[Jump] = []
    exists = False
    for line in lines:
        jump = _PLACED_JUMP.match(line)
        exists = exists or bool(jump) or line.startswith((f":{NAME} ", f"-A {NAME} "))
        if jump:
            jumps.append(Jump(jump.group(1), int(jump.group(2) or 0)))
        elif line.startswith(f"-A {NAME} "):
            rule = loaded_marks.iptables_rule(line)
            if rule is None or not _is_sound(rule) or not _is_our_iptables_line(rule, line):
                raise _foreign(f"the chain of {program}", line, f"{program} -t mangle -F {NAME}")
            rules.append(rule)
    return Chain(tuple(rules), tuple(jumps)) if exists else None


def _is_our_nft_line(rule: Setting, line: str) -> bool:
    """Whether nothing stands in the line but what our template and nft write of that rule."""
    return all(
        word in _NFT_WORDS or word == f'"{rule.link}"' or _is_number_of(rule, word)
        for word in line.split()
    )


def _is_our_iptables_line(rule: Setting, line: str) -> bool:
    """As `_is_our_nft_line`, for iptables-save."""
    return all(
        word in _IPTABLES_WORDS or word == rule.link or _is_pair_of(rule, word)
        for word in line.split()
    )


def _is_number_of(rule: Setting, word: str) -> bool:
    return bool(_NUMBER.match(word)) and int(word, 16) in (0, rule.value, rule.mask)


def _is_pair_of(rule: Setting, word: str) -> bool:
    value, _, mask = word.partition("/")
    return (
        bool(_NUMBER.match(value) and _NUMBER.match(mask))
        and int(value, 16) in (0, rule.value)
        and int(mask, 16) == rule.mask
    )


def _foreign(where: str, line: str, command: str) -> Refusal:
    return Refusal(
        f"{where} {NAME} has a rule that symroute-nm does not write, and could not bring back: "
        f"{shown(line)}",
        f"move it to a table or chain of your own; {command} ends all that is there",
    )


def _is_sound(rule: Setting) -> bool:
    return (
        (not rule.link or bool(_LINK.match(rule.link)))
        and 0 <= rule.value <= _LARGEST_MARK
        and 0 < rule.mask <= _LARGEST_MARK
    )


# -- on record ------------------------------------------------------------------------------------
def dump(reversal: Optional[Reversal]) -> Any:
    """The same as JSON has it."""
    if reversal is None:
        return None
    before = reversal.before
    return {
        "backend": reversal.backend,
        "valid_mark": before.valid_mark,
        "nft": None if before.nft is None else list(map(list, before.nft)),
        "chains": [
            chain and {"rules": list(map(list, chain.rules)), "jumps": list(map(list, chain.jumps))}
            for chain in before.chains
        ],
    }


def load(content: Any) -> Optional[Reversal]:
    """What `dump` made; ValueError, TypeError, KeyError for anything that it cannot have made."""
    if content is None:
        return None
    _check_keys(content, {"backend", "valid_mark", "nft", "chains"})
    backend, valid_mark = content["backend"], content["valid_mark"]
    if backend not in BACKENDS or not isinstance(valid_mark, bool):
        raise ValueError("marks: no program, or no switch")
    nft = None if content["nft"] is None else _load_rules(content["nft"])
    chains = tuple(map(_load_chain, _list(content["chains"])))
    if len(chains) != len(PROGRAMS):
        raise ValueError("marks: not a chain for each program")
    return Reversal(backend, MarkSetup(valid_mark, nft, chains))


def _load_chain(content: Any) -> Optional[Chain]:
    if content is None:
        return None
    _check_keys(content, {"rules", "jumps"})
    jumps = tuple(map(_load_jump, _list(content["jumps"])))
    return Chain(_load_rules(content["rules"]), jumps)


def _load_rules(content: Any) -> Tuple[Setting, ...]:
    return tuple(map(_load_rule, _list(content)))


def _load_rule(content: Any) -> Setting:
    link, value, mask = _list(content)
    rule = Setting(link, value, mask)
    if type(link) is not str or type(value) is not int or type(mask) is not int:
        raise TypeError("marks: a rule is not of a name and two numbers")
    if not _is_sound(rule):
        raise ValueError(f"marks: {shown(content)} is no rule")
    return rule


def _load_jump(content: Any) -> Jump:
    parent, place = _list(content)
    if parent not in PARENTS or type(place) is not int or not 0 <= place <= _LARGEST_PLACE:
        raise ValueError(f"marks: {shown(content)} is no place of a rule")
    return Jump(parent, place)


def _check_keys(content: Any, wanted: AbstractSet[str]) -> None:
    if type(content) is not dict or set(content) != wanted:
        raise TypeError("marks: not the keys that belong there")


def _list(content: Any) -> List[Any]:
    if type(content) is not list:
        raise TypeError("marks: no list")
    return content


# -- brought back ---------------------------------------------------------------------------------
def render_restoration(before: MarkSetup) -> Tuple[Command, ...]:
    """The programs that have marks set so, in order, once nothing sets any; each is to be tried."""
    from symroute_nm.rendering import load_templates  # jinja2, where there are marks

    commands: List[Command] = []
    templates = load_templates("marks", "nft", "iptables", "matches")
    if before.nft is not None:
        text = templates["nft"].render(name=NAME, rules=before.nft)
        commands.append(Command(("nft", "-f", "-"), text))
    for program, chain in zip(PROGRAMS, before.chains):
        if chain is not None:
            commands += _restoring(templates, program, chain)
    return tuple(commands)


def end_all(loaded: LoadedMarks, backends: AbstractSet[str]) -> Iterator[Command]:
    """The programs that end all that is loaded, each jump as often as it is there.

    Of `backends` besides, in case that nobody could look: they may have set up nothing.
    """
    if loaded.nft or "nft" in backends:
        yield Command(("nft", "delete", "table", "inet", NAME), needed=False)
    for program, lines in zip(PROGRAMS, (loaded.iptables, loaded.ip6tables)):
        if not lines and "iptables" not in backends:
            continue
        parents = [jump.parent for jump in map(_read_jump, lines) if jump]
        for parent in parents or PARENTS:
            words = (program, "-w", "-t", "mangle", "-D", parent, "-j", NAME)
            yield Command(words, needed=False)
        for option in ("-F", "-X"):
            yield Command((program, "-w", "-t", "mangle", option, NAME), needed=False)


def _read_jump(line: str) -> Optional[Jump]:
    jump = _PLACED_JUMP.match(line)
    return Jump(jump.group(1), int(jump.group(2) or 0)) if jump else None


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
