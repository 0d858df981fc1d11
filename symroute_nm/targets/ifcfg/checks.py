"""What becomes of the administrator's own lines in route and rule files beside ours."""

from pathlib import Path
from typing import (
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from symroute_nm.errors import shown
from symroute_nm.files import access
from symroute_nm.files.changes import Change
from symroute_nm.model.host import Host
from symroute_nm.model.network import IPAddress
from symroute_nm.model.observations import ConfigFile, config_file
from symroute_nm.model.plan import Plan
from symroute_nm.model.trial import Trial, TriedLine
from symroute_nm.targets.base import Check
from symroute_nm.targets.ifcfg.acceptance import Refused, try_routes
from symroute_nm.targets.ifcfg.broken_lines import find_flaws
from symroute_nm.targets.ifcfg.conversion import is_variables_form
from symroute_nm.targets.ifcfg.dead_lines import describe_dead_line, find_dead_rules
from symroute_nm.targets.ifcfg.names import ROUTE, RULE, paths_of, profile_of
from symroute_nm.targets.ifcfg.sleeping_rules import read_sleeping_rules
from symroute_nm.targets.ifcfg.static_routes import (
    FIRST_METRIC,
    OwnLine,
    Pair,
    correct_line,
    describe_main_change,
    find_faults,
    find_main_change,
    find_present_metric,
    has_metric,
    has_routes,
    own_lines,
    passed_over,
    read_script_line,
)

_REMEDY = (
    "with a rule file beside it the dispatcher script applies it, no longer NetworkManager: mend "
    "the line first, or write the files all the same with --force"
)


def check(
    root: Path,
    host: Host,
    plan: Plan,
    changes: Sequence[Change],
    trial: Optional[Trial] = None,
) -> Check:
    """What the changes do to the administrator's own lines; raises `SymrouteError`."""
    contents = _Contents(root, changes)
    bare = set(without_rule_file(root, plan))
    problems: List[str] = []
    warnings: List[str] = []
    files: List[_RouteFile] = []
    for pair in pairs_of(plan):
        for path in paths_of(ROUTE, {pair.profile, pair.link}):
            file = _RouteFile(path, pair, contents.read(path), pair in bare)
            files.append(file)
            if pair in bare and is_variables_form(file.content):
                problems += [f"{path} {sentence}" for sentence in passed_over(file.content)]
            if pair in bare and file.of_device and has_routes(file.content):
                warnings.append(
                    f"{path}: its routes come alive with ours: the dispatcher script reads "
                    "the files of the device, too"
                )
    flaws = list(_find_flaws(changes))
    if any(file.lines for file in files):
        judged = _judge(host, files, trial)
        problems += judged.problems
        warnings += judged.warnings
        flaws += judged.dead
    flaws += find_dead_rules(_rule_files(plan, contents), host)
    return Check(
        tuple(problems),
        _REMEDY,
        tuple(warnings),
        tuple(dict.fromkeys(flaws)),
        read_sleeping_rules(root, host, plan, changes),
    )


class _Contents:
    """What files hold once the changes are made."""

    def __init__(self, root: Path, changes: Sequence[Change]) -> None:
        self._root = root
        self._planned = {change.path: change.after or b"" for change in changes}

    def read(self, path: str) -> bytes:
        """A file's content, nothing where it is not there."""
        if path in self._planned:
            return self._planned[path]
        return access.read(self._root, path) or b""


class _RouteFile:
    """A route file that the script reads for a profile; `bare`: until now it has no rule file."""

    def __init__(self, path: str, pair: Pair, content: bytes, bare: bool) -> None:
        self.path = path
        self.pair = pair
        self.content = content
        self.bare = bare
        self.of_device = profile_of(path) != pair.profile
        by_networkmanager = bare and not self.of_device
        self.lines = own_lines(content, path, pair, by_networkmanager=by_networkmanager)


class _Judged(NamedTuple):
    """What becomes of the lines of route files: refused, told, and never taken by `ip`."""

    problems: Sequence[str]
    warnings: Sequence[str]
    dead: Sequence[str]


def _judge(host: Host, files: Sequence[_RouteFile], trial: Optional[Trial]) -> _Judged:
    lines: List[OwnLine] = []
    for file in files:
        lines += file.lines
    refusals = try_routes(host, [line.tried for line in lines], trial)
    faults = {line: find_faults(line, host, refused.text) for line, refused in zip(lines, refusals)}
    remedies = _find_remedies(host, lines, refusals, faults, trial)
    awake = {file.path for file in files if file.bare and not file.of_device}
    problems: List[str] = []
    warnings: List[str] = []
    dead: List[str] = []
    for line, refused in zip(lines, refusals):
        if faults[line]:
            problems.append(f"{line.place} {'; '.join(faults[line])}: {remedies[line]}")
        elif refused.text and not line.flawed:
            dead.append(describe_dead_line(line, refused.text))
        elif not refused.text and line.now is None and line.path in awake:
            warnings.append(
                f"{line.place}: NetworkManager passes over {shown(line.text.strip())}, and ip "
                "does not: with ours it comes into force"
            )
    bare = {file.path for file in files if file.bare}
    taken = [
        line
        for line, refused in zip(lines, refusals)
        if line.path in bare and not refused.text and not faults[line]
    ]
    problems += _find_main_changes(host, taken)
    return _Judged(problems, warnings, dead)


def _find_remedies(
    host: Host,
    lines: Sequence[OwnLine],
    refusals: Sequence[Refused],
    faults: Mapping[OwnLine, Sequence[str]],
    trial: Optional[Trial],
) -> Dict[OwnLine, str]:
    """What to write instead of each line with a fault: lines that were tried as all would be."""
    corrected: Dict[OwnLine, List[str]] = {}
    gateways = _gateways(host)
    for line, refused in zip(lines, refusals):
        if faults[line]:
            corrected[line] = correct_line(line, host, _find_metric(line, refused, host, gateways))
    if not corrected:
        return {}
    tried: List[Tuple[OwnLine, TriedLine]] = []
    for line in lines:
        for text in corrected.get(line) or [line.text]:
            tried.append((line, TriedLine(line.version, text)))
    again = try_routes(host, [attempt for _, attempt in tried], trial)
    refused_still = {line for (line, _), refused in zip(tried, again) if refused.text}
    return {
        line: _word_remedy(texts if texts and line not in refused_still else [])
        for line, texts in corrected.items()
    }


def _find_metric(
    line: OwnLine, refused: Refused, host: Host, gateways: Mapping[str, Set[IPAddress]]
) -> int:
    """The metric that a line without one needs, so that main leads as now; 0: none."""
    if line.now is None or has_metric(line.now):
        return 0
    change = find_main_change([line.now], line.now, host, gateways.get(line.profile, set()))
    if change is not None:
        return change.metric
    return (find_present_metric(line.now, host) or FIRST_METRIC) if refused.again else 0


def _gateways(host: Host) -> Dict[str, Set[IPAddress]]:
    """The gateways of default routes that NetworkManager sets for each profile."""
    return {profile.name: set(profile.gateways) for profile in host.profiles}


def _word_remedy(texts: Sequence[str]) -> str:
    if not texts:
        return "write it as ip takes it"
    *before, last = texts
    first = f", and before it {before[0]!r}" if before else ""
    return f"write {last!r}{first}"


def _find_main_changes(host: Host, taken: Sequence[OwnLine]) -> Iterator[str]:
    """Lines without a metric that would make main lead elsewhere, once the script sets them."""
    gateways = _gateways(host)
    read = [(line, read_script_line(line, host)) for line in taken]
    routes = [route for _, route in read if route is not None]
    for line, route in read:
        if route is None or has_metric(route):
            continue
        left = gateways.get(line.profile, set())
        change = find_main_change(routes, route, host, left)
        if change is not None:
            words = describe_main_change(route, change)
            yield f"{line.place} {words}: write {line.text.strip() + f' metric {change.metric}'!r}"


def pairs_of(plan: Plan) -> List[Pair]:
    """The names of all uplinks' profiles and links."""
    uplinks = [planned.uplink for planned in plan.uplinks]
    return [
        Pair(uplink.profile.name, uplink.link.name)
        for uplink in uplinks
        if uplink.profile is not None
    ]


def without_rule_file(root: Path, plan: Plan) -> List[Pair]:
    """The uplinks that have no rule file until now."""
    return [
        pair
        for pair in pairs_of(plan)
        if all(access.read(root, path) is None for path in paths_of(RULE, [pair.profile]))
    ]


def _rule_files(plan: Plan, contents: _Contents) -> List[ConfigFile]:
    """The rule files that the script will read, without our blocks."""
    names: Set[str] = set()
    for pair in pairs_of(plan):
        names |= {pair.profile, pair.link}
    files: List[ConfigFile] = []
    for path in paths_of(RULE, names):
        content = contents.read(path)
        if content.strip():
            files.append(config_file(path, content))
    return files


def _find_flaws(changes: Iterable[Change]) -> Iterator[str]:
    """Lines of the administrator's own that the dispatcher script cannot take, with why."""
    for change in changes:
        if change.after is not None and profile_of(change.path):
            yield from (f"{change.path} {flaw}" for flaw in find_flaws(change.after))
