"""What is to change below a root, and which files hold blocks of ours; reads only."""

import re
import stat
from pathlib import Path, PurePosixPath
from typing import (
    Collection,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from symroute_nm.errors import Refusal
from symroute_nm.files import blocks
from symroute_nm.files.access import Place, Tree, mode_at, os_errors, read_at
from symroute_nm.files.changes import Change
from symroute_nm.model.host import Host
from symroute_nm.model.marking import DIRECT, MARKING_FILES, SCRIPT
from symroute_nm.model.places import FRAGMENT, RT_TABLES, RUN_TABLES
from symroute_nm.model.plan import EXCLUDED, OwnTable, Plan
from symroute_nm.model.profiles import BACKUP_NAME, profiles_for
from symroute_nm.model.settings import is_usable_name
from symroute_nm.targets import marks
from symroute_nm.targets.base import EarlierBlocks
from symroute_nm.targets.ifcfg import conversion
from symroute_nm.targets.ifcfg.listing import profile_of

_SCRIPTS = "/etc/sysconfig/network-scripts"
_OWN_NAMES = (
    (_SCRIPTS, re.compile(r"(route|rule)6?-.")),
    ("/etc/iproute2", re.compile(r"rt_tables\Z")),
    ("/etc/iproute2/rt_tables.d", re.compile(r".+\.conf\Z")),
    *(
        (str(PurePosixPath(path).parent), re.compile(re.escape(PurePosixPath(path).name) + r"\Z"))
        for path in MARKING_FILES
    ),
)
FOLDERS = tuple(folder for folder, _ in _OWN_NAMES)
# nm-dispatcher.c, check_permissions(): a script that others may write, or root not run, is left out
_SCRIPT_MODE = 0o755


def find_changes(
    root: Path,
    wanted: Mapping[str, str],
    unwanted: Iterable[str] = (),
    convert: Optional[Mapping[str, str]] = None,
) -> Tuple[Change, ...]:
    """The changes below `root` that put and remove blocks, sorted by path, keeping ones included.

    `wanted` is {path: body}, `unwanted` paths that lose their block, `convert` {path: device} the
    files that may be rewritten from ``ADDRESSn=`` form. InputError, Refusal, SystemFailure.
    """
    gone = set(unwanted) - set(wanted)
    with Tree(root) as tree:
        places = {path: tree.place(path) for path in (*wanted, *gone)}
        found = [
            _with_block(places[path], path, body, convert or {}) for path, body in wanted.items()
        ]
        found += [_without_block(tree, places[path], path) for path in gone]
    return _distinct(places, sorted(found))


def _content(place: Place, path: str) -> Optional[bytes]:
    found = read_at(place, path)
    return None if found is None else found.content


def _with_block(place: Place, path: str, body: str, convert: Mapping[str, str]) -> Change:
    before = _content(place, path)
    if path == DIRECT:
        return Change(path, before, marks.put(before, body, path))
    content = before
    route_file = PurePosixPath(path).name.startswith("route")
    if before is not None and route_file and conversion.is_variables_form(before):
        if path not in convert:
            raise Refusal(
                f"{path} is in ADDRESSn= form, in which ip lines are not read",
                "rewrite it in ip form, or let --convert do so (the original goes to the backup)",
            )
        from symroute_nm.targets.ifcfg.conversion import convert as convert_file

        content = convert_file(blocks.take_out(before, path) or b"", convert[path], path)
    change = Change(path, before, blocks.put(content, body, path))
    return change._replace(mode=_SCRIPT_MODE) if path == SCRIPT else change


def _without_block(tree: Tree, place: Place, path: str) -> Change:
    before = _content(place, path)
    after = None if before is None else _take_out(before, path)
    if before is not None and after is None and tree.is_link(path):
        raise Refusal(
            f"{path} is a link, and the file that it points to holds nothing but our block",
            "remove the link and that file by hand",
        )
    return Change(path, before, after)


def _take_out(content: bytes, path: str) -> Optional[bytes]:
    return marks.take_out(content) if path == DIRECT else blocks.take_out(content, path)


def _distinct(places: Mapping[str, Place], found: Sequence[Change]) -> Tuple[Change, ...]:
    """One change a file: two paths can lead to the same one by links."""
    distinct: Dict[str, Change] = {}
    for change in found:
        first = distinct.setdefault(places[change.path].real, change)
        if first.after != change.after:
            raise Refusal(
                f"{first.path} and {change.path} are the same file, by a link",
                "remove the link: each needs its own content",
            )
    return tuple(distinct.values())


def find_owned(root: Path) -> Tuple[str, ...]:
    """The paths of all files below `root` that hold a block of ours, sorted; SystemFailure."""
    found: Dict[str, str] = {}
    with Tree(root) as tree:
        for path in _candidates(tree):
            place = _regular_place(tree, path)
            if place is None or not _has_ours(path, _content(place, path) or b""):
                continue
            # Of a file and a link to it, the file's own name.
            if place.real not in found or not tree.is_link(path):
                found[place.real] = path
    return tuple(sorted(found.values()))


def _has_ours(path: str, content: bytes) -> bool:
    return marks.has_elements(content) if path == DIRECT else blocks.has_marker(content)


def _candidates(tree: Tree) -> Iterator[str]:
    for folder, pattern in _OWN_NAMES:
        with os_errors("read", folder):
            try:
                names = tree.names(folder)
            except (FileNotFoundError, NotADirectoryError):
                continue
        for name in names:
            if pattern.match(name) and not BACKUP_NAME.fullmatch(name):
                yield folder + "/" + name


def _regular_place(tree: Tree, path: str) -> Optional[Place]:
    """Where a file stands; None for a folder, a FIFO, a link to nowhere: no block is in it."""
    try:
        place = tree.place(path)
        with os_errors("read", path):
            return place if stat.S_ISREG(mode_at(place)) else None
    except Refusal:
        return None


def sort_earlier_blocks(
    host: Host, plan: Plan, owned: Collection[str], wanted: Collection[str], prune: bool
) -> EarlierBlocks:
    """What becomes of our blocks in `owned` that the plan's paths in `wanted` do not replace.

    A link that is down or without address now may come back: its block stays unless `prune`. A
    profile that is gone, or a link that the user excludes, does not: its block goes. Without any
    uplink planned nothing goes but by `prune`.
    """
    rest = sorted(set(owned) - set(wanted))
    fragments = [path for path in rest if path in (FRAGMENT, RT_TABLES)]
    files = [path for path in rest if path not in fragments]
    coming = set() if prune or not files else _find_coming(host, plan)
    kept = [
        path for path in files if not prune and (not plan.uplinks or profile_of(path) in coming)
    ]
    gone = sorted(set(files).difference(kept))
    if wanted or not kept:
        gone += fragments
    else:
        kept += fragments
    tables = tuple(
        OwnTable(table.id, table.name)
        for table in host.tables
        if table.owned and table.path != RUN_TABLES and is_usable_name(table.name)
    )
    return EarlierBlocks(tuple(gone), tuple(kept), tables if kept else ())


def notes_on_earlier_blocks(earlier: EarlierBlocks) -> List[str]:
    """What is said about blocks of earlier runs that stay."""
    kept = [
        f"kept {path}: not planned now, but may be again (--prune removes it)"
        for path in earlier.kept
    ]
    again = (
        [
            "generate again once its link is back: until then the other tables do not know its "
            "networks"
        ]
        if any(profile_of(path) for path in earlier.kept)
        else []
    )
    unasked = (
        [
            "connections are not marked any more: neither --forwarded nor forwarded = yes in "
            "the configuration asks for it"
        ]
        if SCRIPT in earlier.gone
        else []
    )
    return kept + again + unasked


def _find_coming(host: Host, plan: Plan) -> Set[str]:
    """The names of the profiles that are there, but for those of links that the user excludes."""
    excluded = {skip.link for skip in plan.skips if skip.kind == EXCLUDED}
    passed_over = {
        profile.name
        for link in host.links
        if link.name in excluded
        for profile in profiles_for(link, host.profiles)
    }
    return {profile.name for profile in host.profiles} - passed_over
