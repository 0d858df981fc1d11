"""What is to change below a root, and which files hold blocks of ours; reads only."""

import re
from pathlib import Path, PurePosixPath
from typing import Dict, Iterable, Iterator, Mapping, Optional, Sequence, Tuple

from symroute_nm import blocks, directxml
from symroute_nm.errors import Refusal
from symroute_nm.marking import DIRECT, MARKING_FILES, SCRIPT
from symroute_nm.match import BACKUP_NAME
from symroute_nm.model import Change
from symroute_nm.rooted import check_regular, is_link, locate, read_file, system

_SCRIPTS = "/etc/sysconfig/network-scripts"
_OWN_NAMES = (
    (_SCRIPTS, re.compile(r"(route|rule)6?-.")),
    ("/etc/iproute2", re.compile(r"rt_tables\Z")),
    ("/etc/iproute2/rt_tables.d", re.compile(r".+\.conf\Z")),
    *((str(PurePosixPath(path).parent), re.compile(re.escape(PurePosixPath(path).name) + r"\Z"))
      for path in MARKING_FILES),
)
# nm-dispatcher.c, check_permissions(): a script that others may write, or root not run, is left out
_MODES = {SCRIPT: 0o755}
_MODE = 0o644


def mode_of(path: str) -> int:
    """The permission bits of a new file."""
    return _MODES.get(path, _MODE)


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
    places = {path: locate(root, path) for path in (*wanted, *gone)}
    found = [_with_block(places[path], path, body, convert or {}) for path, body in wanted.items()]
    found += [_without_block(root, places[path], path) for path in gone]
    return _distinct(places, sorted(found))


def _with_block(place: Path, path: str, body: str, convert: Mapping[str, str]) -> Change:
    before = read_file(place, path)
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
    return Change(path, before, blocks.put(content, body, path))


def _without_block(root: Path, place: Path, path: str) -> Change:
    before = read_file(place, path)
    after = None if before is None else _take_out(before, path)
    if before is not None and after is None and is_link(root, path):
        raise Refusal(
            "%s is a link, and the file that it points to holds nothing but our block" % path,
            "remove the link and that file by hand",
        )
    return Change(path, before, after)


def _take_out(content: bytes, path: str) -> Optional[bytes]:
    return directxml.take_out(content) if path == DIRECT else blocks.take_out(content, path)


def _distinct(places: Mapping[str, Path], found: Sequence[Change]) -> Tuple[Change, ...]:
    """One change a file: two paths can lead to the same one by links."""
    distinct: Dict[Path, Change] = {}
    for change in found:
        first = distinct.setdefault(places[change.path], change)
        if first.after != change.after:
            raise Refusal(
                "%s and %s are the same file, by a link" % (first.path, change.path),
                "remove the link: each needs its own content",
            )
    return tuple(distinct.values())


def owned(root: Path) -> Tuple[str, ...]:
    """The paths of all files below `root` that hold a block of ours, sorted; SystemFailure."""
    found: Dict[Path, str] = {}
    for path in _candidates(root):
        place = _regular_place(root, path)
        if place is None or not _has_ours(path, read_file(place, path) or b""):
            continue
        # Of a file and a link to it, the file's own name.
        if place not in found or not is_link(root, path):
            found[place] = path
    return tuple(sorted(found.values()))


def _has_ours(path: str, content: bytes) -> bool:
    return directxml.has_elements(content) if path == DIRECT else blocks.has_marker(content)


def _candidates(root: Path) -> Iterator[str]:
    for folder, pattern in _OWN_NAMES:
        place = locate(root, folder)
        with system("read", folder):
            try:
                names = sorted(each.name for each in place.iterdir())
            except (FileNotFoundError, NotADirectoryError):
                continue
        for name in names:
            if pattern.match(name) and not BACKUP_NAME.fullmatch(name):
                yield folder + "/" + name


def _regular_place(root: Path, path: str) -> Optional[Path]:
    """Where a file stands; None for a folder, a FIFO, a link to nowhere: no block is in it."""
    try:
        place = locate(root, path)
        with system("read", path):
            try:
                check_regular(place.lstat(), path)
            except FileNotFoundError:
                return None  # another run took it away since the folder was listed
        return place
    except Refusal:
        return None
