"""What sets our marks in a running kernel: read from listings, against what should, and its end.

The listings are what nft and iptables-save print of our own table and chains.
"""

import re
from collections import Counter
from typing import FrozenSet, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from symroute_nm.model.marking import NAME, PARENTS, PROGRAMS, Marking, Setting, planned_rules

SYSCTL_FILE = "/proc/sys/net/ipv4/conf/all/src_valid_mark"

_NUMBER = r"(0x[0-9a-f]+)"
# One behind the other in a line, with anything between them.
_NFT_NEW = (
    re.compile(r'iifname "([^"]+)" '),
    re.compile(f"ct mark & {_NUMBER} == "),
    re.compile(rf"ct mark set ct mark \| {_NUMBER}"),
)
# nft takes "meta mark" and "mark" for the same, and may list either.
_NFT_BACK = (
    re.compile(f"ct mark & {_NUMBER} == {_NUMBER} "),
    re.compile(r"(?<!ct )mark set (?:meta )?mark \|"),
)
# As our template for nft has it, in a script.
_SCRIPT_NEW = re.compile(
    f'iifname "([^"]+)" .*ct mark & {_NUMBER} == 0 .*ct mark set ct mark or {_NUMBER}\\Z'
)
_SCRIPT_BACK = re.compile(
    f"ct mark & {_NUMBER} == {_NUMBER} .*meta mark set meta mark or {_NUMBER}\\Z"
)
_NEW = re.compile(f"-A {NAME} -i (\\S+) .*-j CONNMARK --set-xmark {_NUMBER}/{_NUMBER}")
_BACK = re.compile(f"-A {NAME} -m connmark .*-j MARK --set-xmark {_NUMBER}/{_NUMBER}")
_JUMP = re.compile(f"-[AI] (PREROUTING(?:_direct)?)(?: [0-9]+)? -j {NAME}")


class LoadedMarks(NamedTuple):
    """Listings of what is ours; empty where nothing is."""

    nft: str = ""
    iptables: Tuple[str, ...] = ()  # lines of the table mangle; jumps as -I, with their place
    ip6tables: Tuple[str, ...] = ()
    valid_mark: bool = False  # net.ipv4.conf.all.src_valid_mark

    @property
    def backends(self) -> Tuple[str, ...]:
        """What sets marks: ``nft``, ``iptables``, both after one has replaced the other, none."""
        return (
            *(["nft"] if self.nft else []),
            *(["iptables"] if self.iptables or self.ip6tables else []),
        )


def find_differences(
    marking: Optional[Marking], loaded: LoadedMarks, versions: FrozenSet[int] = frozenset()
) -> Tuple[str, ...]:
    """Where the running kernel does not mark as planned, for people; empty: it does.

    `versions` are the IP versions that have marks.
    """
    if marking is None:
        return tuple(f"{backend} sets marks, and none are planned" for backend in loaded.backends)
    return tuple(_differences(marking, loaded, versions))


def _differences(marking: Marking, loaded: LoadedMarks, versions: FrozenSet[int]) -> Iterator[str]:
    wanted = planned_rules(marking)
    planned = marking.program
    for backend in loaded.backends:
        if backend != planned:
            yield f"{backend} sets marks, too, and {planned} is planned"
    if planned not in loaded.backends:
        yield f"nothing sets marks by {planned}"
        return
    for place, present in _settings_by_place(planned, loaded, versions):
        if present is None:
            yield f"{place}: no packet comes to our chain {NAME}"
            continue
        for difference in _compare(wanted, present):
            yield f"{place}: {difference}"
    for program, parent, times in _repeated_jumps(loaded):
        yield f"{program}: {times} jumps from {parent} lead to our chain {NAME}"
    if not loaded.valid_mark:
        yield "net.ipv4.conf.all.src_valid_mark is 0: strict rp_filter does not see marks"


def _settings_by_place(
    backend: str, loaded: LoadedMarks, versions: FrozenSet[int]
) -> Iterator[Tuple[str, Optional[Tuple[Setting, ...]]]]:
    """Our rules by the program that lists them; None: nothing jumps to our chain."""
    if backend == "nft":
        yield "nft", _nft_settings(loaded.nft)
        return
    for version, program, lines in zip((4, 6), PROGRAMS, (loaded.iptables, loaded.ip6tables)):
        if version in versions:
            yield program, _settings(lines)


def _compare(wanted: Sequence[Setting], present: Sequence[Setting]) -> Iterator[str]:
    """Where rules are not the wanted ones, each as often, and in their order."""
    planned, there = Counter(wanted), Counter(present)
    for sign, settings in (
        ("missing", [setting for setting in planned if setting not in there]),
        ("stale", [setting for setting in there if setting not in planned]),
        ("twice", [setting for setting in planned if there[setting] > planned[setting]]),
    ):
        for setting in sorted(settings):
            yield f"{sign}: {_describe(setting)}"
    if planned == there and tuple(wanted) != tuple(present):
        yield "its rules stand in another order"


def _repeated_jumps(loaded: LoadedMarks) -> Iterator[Tuple[str, str, int]]:
    """The program, the parent, and how often, where more than one jump leads to our chain."""
    for program, lines in zip(PROGRAMS, (loaded.iptables, loaded.ip6tables)):
        parents = Counter(jump.group(1) for jump in _jumps(lines))
        for parent, times in parents.items():
            if times > 1:
                yield program, parent, times


def end_repeated_jumps(loaded: LoadedMarks) -> str:
    """The shell script that leaves one jump from each chain."""
    lines = []
    for program, parent, times in _repeated_jumps(loaded):
        lines += [f"{program} -w -t mangle -D {parent} -j {NAME}\n"] * (times - 1)
    return "".join(lines)


def _describe(setting: Setting) -> str:
    mark = f"0x{setting.value:x}/0x{setting.mask:x}"
    if setting.link:
        return f"connections from {setting.link} get {mark}"
    return f"packets of connections marked {mark} get that mark"


def nft_rule(line: str) -> Optional[Setting]:
    """Our rule in a line that nft lists; None: it is none."""
    new, back = _find_all(_NFT_NEW, line), _find_all(_NFT_BACK, line)
    if new:
        link, mask, value = new
        return Setting(link, int(value, 16), int(mask, 16))
    if back:
        mask, value = back
        return Setting("", int(value, 16), int(mask, 16))
    return None


def iptables_rule(line: str) -> Optional[Setting]:
    """Our rule in a line that iptables-save lists; None: it is none."""
    new, back = _NEW.match(line), _BACK.match(line)
    if new:
        return Setting(new.group(1), int(new.group(2), 16), int(new.group(3), 16))
    return Setting("", int(back.group(1), 16), int(back.group(2), 16)) if back else None


def script_rules(text: str) -> Tuple[Setting, ...]:
    """Our rules in a dispatcher script, whichever program it sets them by."""
    lines = tuple(line.strip() for line in text.splitlines())
    return tuple(rule for rule in map(_script_rule, lines) if rule)


def _script_rule(line: str) -> Optional[Setting]:
    new, back = _SCRIPT_NEW.match(line), _SCRIPT_BACK.match(line)
    if new:
        return Setting(new.group(1), int(new.group(3), 16), int(new.group(2), 16))
    if back and back.group(2) == back.group(3):
        return Setting("", int(back.group(2), 16), int(back.group(1), 16))
    return iptables_rule(line)


def _nft_settings(text: str) -> Tuple[Setting, ...]:
    return tuple(rule for rule in map(nft_rule, text.splitlines()) if rule)


def _find_all(patterns: Sequence["re.Pattern[str]"], line: str) -> Tuple[str, ...]:
    """The groups of patterns that are found one behind the other; empty where one is not.

    As one pattern with ``.*`` between its parts, but in a time that grows with the line's length.
    """
    groups: Tuple[str, ...] = ()
    position = 0
    for pattern in patterns:
        match = pattern.search(line, position)
        if match is None:
            return ()
        groups += match.groups()
        position = match.end()
    return groups


def _settings(lines: Tuple[str, ...]) -> Optional[Tuple[Setting, ...]]:
    """None where nothing jumps to the chain."""
    if not any(_JUMP.match(line) for line in lines):
        return None
    return tuple(rule for rule in map(iptables_rule, lines) if rule)


def marked_links(text: str) -> FrozenSet[str]:
    """The links whose connections get a mark of ours, in any listing by nft or iptables-save."""
    settings = (*_nft_settings(text), *(_settings(tuple(text.splitlines())) or ()))
    return frozenset(setting.link for setting in settings if setting.link)


def unload_commands(loaded: LoadedMarks) -> List[str]:
    """The commands that end the marks that are set."""
    commands = [f"nft delete table inet {NAME}"] if loaded.nft else []
    for program, lines in zip(PROGRAMS, (loaded.iptables, loaded.ip6tables)):
        jumps = [f"-D {jump.group(1)} -j {NAME}" for jump in _jumps(lines)]
        chain = ["-F " + NAME, "-X " + NAME] if lines else []
        commands += [f"{program} -w -t mangle {words}" for words in jumps + chain]
    return commands


def _jumps(lines: Tuple[str, ...]) -> List["re.Match[str]"]:
    return [jump for jump in map(_JUMP.match, lines) if jump]


def script_program(script: Optional[bytes]) -> str:
    """By what a dispatcher script sets marks, ``nft`` or ``iptables``; "": there is none."""
    if script is None:
        return ""
    return "nft" if b"nft -f" in script else "iptables"


def unload_script(*backends: str) -> str:
    """The shell script that ends whatever backends have set up; also what firewalld has."""
    lines = tuple(f"-A {chain} -j {NAME}" for chain in PARENTS) if "iptables" in backends else ()
    commands = unload_commands(LoadedMarks(NAME if "nft" in backends else "", lines, lines))
    return "".join(f"{command} 2>/dev/null || :\n" for command in commands)
