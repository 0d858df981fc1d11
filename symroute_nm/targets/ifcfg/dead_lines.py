"""Lines of route and rule files that `ip` never takes, as the host is now."""

from typing import Dict, Iterable, Iterator, List, Set

from symroute_nm.errors import shown
from symroute_nm.model.host import Host
from symroute_nm.model.ip_lines import LineError, read_rule
from symroute_nm.model.network import IPV4
from symroute_nm.model.observations import ConfigFile
from symroute_nm.model.profiles import Profile, profiles_for
from symroute_nm.targets.ifcfg.acceptance import try_routes
from symroute_nm.targets.ifcfg.broken_lines import find_flawed_lines
from symroute_nm.targets.ifcfg.listing import table_numbers
from symroute_nm.targets.ifcfg.names import ROUTE, RULE, parse_path, paths_of
from symroute_nm.targets.ifcfg.static_routes import OwnLine, Pair, numbered_lines, own_lines


def describe_dead_line(line: OwnLine, refusal: str) -> str:
    """The sentence about a line that `ip` refuses."""
    return f"{line.place} never works, as the host is now: {shown(line.text.strip())} {refusal}"


def find_dead_lines(files: Iterable[ConfigFile], host: Host) -> List[str]:
    """A sentence for each line outside our blocks that the script hands to `ip` in vain.

    Only files of profiles with a rule file, for of others the script reads none.
    """
    texts = {file.path: file.text for file in files}
    sentences = list(find_dead_rules(_read_by_script(texts, host, RULE), host))
    lines: List[OwnLine] = []
    for link in host.links:
        for profile in profiles_for(link, host.profiles):
            for path in _route_paths(texts, profile, link.name):
                content = texts[path].encode("utf-8", "surrogateescape")
                pair = Pair(profile.name, link.name)
                lines += own_lines(content, path, pair, by_networkmanager=False)
    refusals = try_routes(host, [line.tried for line in lines])
    for line, refused in zip(lines, refusals):
        if refused.text and not line.flawed:
            sentences.append(describe_dead_line(line, refused.text))
    return list(dict.fromkeys(sentences))


def _route_paths(texts: Dict[str, str], profile: Profile, link: str) -> List[str]:
    ruled = any(path in texts for path in paths_of(RULE, [profile.name]))
    names: Set[str] = {profile.name, link}
    return [path for path in paths_of(ROUTE, names) if ruled and path in texts]


def _read_by_script(texts: Dict[str, str], host: Host, kind: str) -> List[ConfigFile]:
    """The files of that kind of profiles that have a rule file."""
    found: Dict[str, ConfigFile] = {}
    for link in host.links:
        for profile in profiles_for(link, host.profiles):
            if any(path in texts for path in paths_of(RULE, [profile.name])):
                for path in paths_of(kind, {profile.name, link.name}):
                    if path in texts:
                        found[path] = ConfigFile(path, texts[path])
    return list(found.values())


def find_dead_rules(files: Iterable[ConfigFile], host: Host) -> Iterator[str]:
    """A sentence for each line of rule files, outside our blocks, that `ip` refuses.

    None for those that `broken_lines` names.
    """
    tables = table_numbers(host)
    for file in files:
        name = parse_path(file.path)
        content = file.text.encode("utf-8", "surrogateescape")
        flawed = find_flawed_lines(content)
        for number, text in numbered_lines(content, file.path):
            try:
                read_rule(text, name.version if name else IPV4, tables)
            except LineError as error:
                if number not in flawed:
                    yield f"{file.path} line {number} never works: {shown(text.strip())} {error}"
