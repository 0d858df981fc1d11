"""The changes that put blocks of ours into files and take them out, and which files have one."""

import re
import stat
from pathlib import Path, PurePosixPath
from typing import Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Tuple

from symroute_nm.errors import Refusal
from symroute_nm.files import blocks
from symroute_nm.files.access import Place, Tree, mode_at, os_errors, read_at
from symroute_nm.files.changes import Change
from symroute_nm.model.marking import DIRECT, MARKING_FILES, SCRIPT
from symroute_nm.model.places import FRAGMENT, NETWORK_SCRIPTS, RT_TABLES
from symroute_nm.model.profiles import BACKUP_NAME
from symroute_nm.targets import direct_xml
from symroute_nm.targets.ifcfg.conversion import is_variables_form
from symroute_nm.targets.ifcfg.names import ROUTE, is_kind

# Folders, and the names of files in them that may hold a block of ours.
_OWN_NAMES = (
    (NETWORK_SCRIPTS, re.compile(r"(route|rule)6?-.")),
    (str(PurePosixPath(RT_TABLES).parent), re.compile(r"rt_tables\Z")),
    (str(PurePosixPath(FRAGMENT).parent), re.compile(r".+\.conf\Z")),
    *(
        (str(PurePosixPath(path).parent), re.compile(re.escape(PurePosixPath(path).name) + r"\Z"))
        for path in MARKING_FILES
    ),
)
FOLDERS = tuple(folder for folder, _ in _OWN_NAMES)
# nm-dispatcher.c, check_permissions(): a script that others may write, or root not run, is left out
_SCRIPT_MODE = 0o755


# Makes lines that `ip` takes of the administrator's in a route file; raises `SymrouteError`.
Rewriter = Callable[[bytes], bytes]


def find_changes(
    root: Path,
    wanted: Mapping[str, str],
    unwanted: Iterable[str] = (),
    rewriters: Optional[Mapping[str, Rewriter]] = None,
) -> Tuple[Change, ...]:
    """The changes below `root` that put and remove blocks, sorted by path, keeping ones included.

    `wanted` is {path: body}, `unwanted` paths that lose their block, `rewriters` {path: what makes
    lines that `ip` takes of the administrator's}. InputError, Refusal, SystemFailure.
    """
    gone = set(unwanted) - set(wanted)
    rewritten = set(rewriters or {}) - set(wanted) - gone
    with Tree(root) as tree:
        places = {path: tree.place(path) for path in (*wanted, *gone, *rewritten)}
        changes = [
            _with_block(places[path], path, body, rewriters or {}) for path, body in wanted.items()
        ]
        changes += [_without_block(tree, places[path], path) for path in gone]
        # Of a family that has no block the script reads the file all the same.
        for path in rewritten:
            changes += _rewritten(places[path], path, rewriters or {})
    return _distinct(places, sorted(changes))


def find_owned(root: Path) -> Tuple[str, ...]:
    """The paths of all files below `root` that hold a block of ours, sorted; SystemFailure."""
    owned: Dict[str, str] = {}  # {where it really is: the path}
    with Tree(root) as tree:
        for path in _candidates(tree):
            place = _regular_place(tree, path)
            if place is None or not _has_ours(path, _content(place, path) or b""):
                continue
            # Of a file and a link to it, the file's own name.
            if place.real not in owned or not tree.is_link(path):
                owned[place.real] = path
    return tuple(sorted(owned.values()))


def _content(place: Place, path: str) -> Optional[bytes]:
    file = read_at(place, path)
    return None if file is None else file.content


def _with_block(place: Place, path: str, body: str, rewriters: Mapping[str, Rewriter]) -> Change:
    before = _content(place, path)
    if path == DIRECT:
        return Change(path, before, direct_xml.put(before, body, path))
    content = before
    if before is not None and is_kind(path, ROUTE):
        if path in rewriters:
            content = rewriters[path](before)
        elif is_variables_form(before):
            raise Refusal(
                f"{path} is in ADDRESSn= form, in which ip lines are not read",
                "rewrite it in ip form, or let --convert do so (the original goes to the backup)",
            )
    change = Change(path, before, blocks.put(content, body, path))
    return change._replace(mode=_SCRIPT_MODE) if path == SCRIPT else change


def _rewritten(place: Place, path: str, rewriters: Mapping[str, Rewriter]) -> List[Change]:
    """The change of a file that gets no block, if there is one."""
    before = _content(place, path)
    if before is None or is_variables_form(before):
        return []
    after = rewriters[path](before)
    return [Change(path, before, after)] if after != before else []


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
    return direct_xml.take_out(content) if path == DIRECT else blocks.take_out(content, path)


def _distinct(places: Mapping[str, Place], changes: Sequence[Change]) -> Tuple[Change, ...]:
    """One change a file: two paths can lead to the same one by links."""
    distinct: Dict[str, Change] = {}
    for change in changes:
        first = distinct.setdefault(places[change.path].real, change)
        if first.after != change.after:
            raise Refusal(
                f"{first.path} and {change.path} are the same file, by a link",
                "remove the link: each needs its own content",
            )
    return tuple(distinct.values())


def _has_ours(path: str, content: bytes) -> bool:
    return direct_xml.has_elements(content) if path == DIRECT else blocks.has_marker(content)


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
