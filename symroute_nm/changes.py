"""What is to change below a root, and which files hold blocks of ours; reads only."""

import re
import stat
from pathlib import Path, PurePosixPath
from typing import Dict, Iterable, Iterator, Mapping, Optional, Sequence, Tuple

from symroute_nm import directxml
from symroute_nm.errors import Refusal
from symroute_nm.files import blocks
from symroute_nm.files.access import Place, Tree, mode_at, os_errors, read_at
from symroute_nm.model.marking import DIRECT, MARKING_FILES, SCRIPT
from symroute_nm.model.network import Change
from symroute_nm.model.profiles import BACKUP_NAME

_SCRIPTS = "/etc/sysconfig/network-scripts"
_OWN_NAMES = (
    (_SCRIPTS, re.compile(r"(route|rule)6?-.")),
    ("/etc/iproute2", re.compile(r"rt_tables\Z")),
    ("/etc/iproute2/rt_tables.d", re.compile(r".+\.conf\Z")),
    *((str(PurePosixPath(path).parent), re.compile(re.escape(PurePosixPath(path).name) + r"\Z"))
      for path in MARKING_FILES),
)
# nm-dispatcher.c, check_permissions(): a script that others may write, or root not run, is left out
_SCRIPT_MODE = 0o755


def changes(
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
        found = [_with_block(places[path], path, body, convert or {})
                 for path, body in wanted.items()]
        found += [_without_block(tree, places[path], path) for path in gone]
    return _distinct(places, sorted(found))


def _content(place: Place, path: str) -> Optional[bytes]:
    found = read_at(place, path)
    return None if found is None else found.content


def _with_block(place: Place, path: str, body: str, convert: Mapping[str, str]) -> Change:
    before = _content(place, path)
    if path == DIRECT:
        return Change(path, before, directxml.put(before, body, path))
    content = before
    route_file = PurePosixPath(path).name.startswith("route")
    if before is not None and route_file and blocks.is_variables_form(before):
        if path not in convert:
            raise Refusal(
                "%s is in ADDRESSn= form, in which ip lines are not read" % path,
                "rewrite it in ip form, or let --convert do so (the original goes to the backup)",
            )
        from symroute_nm.conversion import convert as convert_file  # rare, and start-up is imports

        content = convert_file(blocks.take_out(before, path) or b"", convert[path], path)
    change = Change(path, before, blocks.put(content, body, path))
    return change._replace(mode=_SCRIPT_MODE) if path == SCRIPT else change


def _without_block(tree: Tree, place: Place, path: str) -> Change:
    before = _content(place, path)
    after = None if before is None else _take_out(before, path)
    if before is not None and after is None and tree.is_link(path):
        raise Refusal(
            "%s is a link, and the file that it points to holds nothing but our block" % path,
            "remove the link and that file by hand",
        )
    return Change(path, before, after)


def _take_out(content: bytes, path: str) -> Optional[bytes]:
    return directxml.take_out(content) if path == DIRECT else blocks.take_out(content, path)


def _distinct(places: Mapping[str, Place], found: Sequence[Change]) -> Tuple[Change, ...]:
    """One change a file: two paths can lead to the same one by links."""
    distinct: Dict[str, Change] = {}
    for change in found:
        first = distinct.setdefault(places[change.path].real, change)
        if first.after != change.after:
            raise Refusal(
                "%s and %s are the same file, by a link" % (first.path, change.path),
                "remove the link: each needs its own content",
            )
    return tuple(distinct.values())


def owned(root: Path) -> Tuple[str, ...]:
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
    return directxml.has_elements(content) if path == DIRECT else blocks.has_marker(content)


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
