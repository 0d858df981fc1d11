"""The power goes: what was not synced is lost, in any part, and the next run puts all right.

A write's calls are recorded, and replayed up to each of them on a model of a disk that keeps only
what POSIX promises: a file's content after fsync(2) of the file, a name after fsync(2) of its
folder. Of the rest the disk may have kept anything.
"""

import os
import random
import shutil
import stat
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

import pytest

from support import syscalls
from support.syscalls import Kill
from support.trees import (
    STALE,
    STATE,
    build,
    copy,
    hidden,
    prepared,
    run,
    tree,
    whole,
)
from symroute_nm.files import install
from symroute_nm.targets.ifcfg import changes as changing

REMOVE_FOLDER = 0x200  # AT_REMOVEDIR, linux/fcntl.h


class Step(NamedTuple):
    """A call that changed something; paths relative to the root."""

    name: str
    path: str
    other: str = ""
    content: bytes = b""
    numbers: tuple = ()


class Node:
    """A file or folder: what it is, and what of it is on the disk for sure."""

    def __init__(self, folder: bool, mode: int, owner=(0, 0), content: bytes = b"") -> None:
        self.folder, self.mode, self.owner, self.content = folder, mode, owner, content
        self.names: Dict[str, Node] = {}
        self.target = ""  # of a link
        self.kept_names: Dict[str, Node] = {}
        self.pending: List[Dict[str, Optional[Node]]] = []
        self.kept = (mode, owner, b"")

    def sync(self) -> None:
        self.kept = (self.mode, self.owner, self.content)
        self.kept_names, self.pending = dict(self.names), []

    def change(self, **names: "Optional[Node]") -> None:
        self.pending.append(names)
        apply(self.names, names)


def apply(names, changed):
    for name, node in changed.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


class Disk:
    """The tree below a root, all of it on the disk at first."""

    def __init__(self, root: Path) -> None:
        self.top = self._read(root)

    def _read(self, place: Path) -> Node:
        status = place.lstat()
        folder = stat.S_ISDIR(status.st_mode)
        node = Node(folder, stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid))
        if place.is_symlink():
            node.target = os.readlink(str(place))
        elif folder:
            node.names = {path.name: self._read(path) for path in place.iterdir()}
        else:
            node.content = place.read_bytes()
        node.sync()
        return node

    def at(self, path: str) -> Node:
        node = self.top
        for part in Path(path).parts:
            node = node.names[part]
        return node

    def play(self, step: Step) -> None:
        parent, name = self.at(str(Path(step.path).parent)), Path(step.path).name
        if step.name in ("openat", "mkdir"):
            folder = step.name == "mkdir"
            if name not in parent.names:
                mode = step.numbers[1] if folder else 0o600
                parent.change(**{name: Node(folder, mode)})
        elif step.name in ("unlink", "rmdir"):
            parent.change(**{name: None})
        elif step.name == "rename":
            moved, other = parent.names[name], Path(step.other).name
            if parent.names.get(other) is not moved:  # else rename(2) does nothing
                assert Path(step.path).parent == Path(step.other).parent
                parent.change(**{name: None, other: moved})
        elif step.name == "link":
            self.at(str(Path(step.other).parent)).change(
                **{Path(step.other).name: parent.names[name]}
            )
        else:
            self._play_on(self.at(step.path), step)

    def _play_on(self, node: Node, step: Step) -> None:
        if step.name == "write":
            node.content += step.content
        elif step.name == "fsync":
            node.sync()
        elif step.name in ("fchmod", "chmod"):
            node.mode = step.numbers[1]
        elif step.name == "fchown":
            node.owner = step.numbers[1:3]
        else:
            assert step.name in ("fsetxattr", "flock"), step

    def leave(self, place: Path, luck) -> None:
        """Write what the loss of power leaves; `luck` says for each thing whether it was kept."""
        self._leave(self.top, place, luck)

    def _leave(self, node: Node, place: Path, luck) -> None:
        if node.target:
            place.symlink_to(node.target)
            return
        mode, owner, content = node.kept
        if luck():
            mode, owner, content = node.mode, node.owner, node.content
        if node.folder:
            place.mkdir()
            names = dict(node.kept_names)
            for changed in node.pending:
                if luck():
                    apply(names, changed)
            for name, inner in names.items():
                if not os.path.lexists(str(place / name)):
                    self._leave_once(inner, place / name, luck)
        else:
            place.write_bytes(content)
        place.chmod(mode)
        os.chown(str(place), *owner)

    def _leave_once(self, node: Node, place: Path, luck) -> None:
        first = self._places.setdefault(id(node), place)
        if first is place or node.folder or node.target:
            self._leave(node, place, luck)
        else:
            os.link(str(first), str(place))

    _places: Dict[int, Path] = {}


def record(action, root):
    """The steps of an action below a root."""
    steps = []
    top = str(root) + "/"

    def relative(path):
        return path[len(top) :] if path.startswith(top) else "" if path + "/" == top else None

    pending = []

    def before(call):
        numbers = call.arguments[:3]
        other, content = "", b""
        if call.act in ("rename", "link"):
            other = relative(call.other)
        elif call.name == "write":
            content = call.bytes(1, call.arguments[2])
        elif call.name == "mkdirat":
            numbers = call.arguments[1:4]
        pending[:] = [Step(call.act, relative(call.path), other, content, numbers)]

    def after(call, result):
        (step,) = pending
        # The lock's content is for people: whoever waits is told the holder's number.
        if result >= 0 and step.path is not None and not step.path.endswith("/lock"):
            content = step.content[:result] if call.name == "write" else b""
            steps.append(step._replace(content=content))

    assert 0 == syscalls.follow(action, before, seen=after, reading=False)
    return steps


def fates(seed, turn):
    """How lucky it was: nothing was kept, all, and any part of it."""
    yield lambda: False
    yield lambda: True
    for part in (0.3, 0.7):
        dice = random.Random(f"{seed} {turn} {part}")
        yield lambda dice=dice, part=part: dice.random() < part


def losses(folder, start, steps, seed):
    """(number of steps done, root that the loss of power left), for each step and fate."""
    disk = Disk(start)
    for turn in range(len(steps) + 1):
        if turn:
            disk.play(steps[turn - 1])
        for luck in fates(seed, turn):
            root = folder / "lost"
            disk._places = {}
            disk.leave(root, luck)
            yield turn, root
            shutil.rmtree(str(root))


def removal(root):
    install.install(root, changing.find_changes(root, {}, changing.find_owned(root)))


@pytest.mark.parametrize(
    ("action", "again"), [(run, run), (removal, removal), (install.restore, None)]
)
def test_the_next_run_puts_right_what_a_loss_of_power_left(folder, action, again):
    seed = random.SystemRandom().randrange(1 << 32)
    start = prepared(folder / "start")
    if action is not run:
        run(start)
    working = copy(start, folder / "working")
    steps = record(lambda: action(working) and 0, working)
    before, after = tree(start), tree(working)
    counts = 1 + max(at for at, step in enumerate(steps) if step.other.endswith("journal.done"))
    assert "fsync" == steps[counts].name
    for turn, root in losses(folder, start, steps, seed):
        where = (seed, turn, steps[turn - 1])
        assert whole(root, before, after), where
        install.recover(root)
        assert [] == hidden(root), where
        found = tree(root)
        assert found in (before, after), where
        # What was told to be done is done, and what cannot have been is not.
        assert found == before if turn < counts else turn == counts or found == after, where
        if again and turn % 5 == 0:
            again(root)
            assert after == tree(root), where


def test_the_next_run_puts_right_what_a_loss_of_power_left_of_a_repair(folder):
    seed = random.SystemRandom().randrange(1 << 32)
    start = build(folder / "start")
    before = tree(start)
    run(copy(start, folder / "after"))
    after = tree(folder / "after")
    place = str(start / STALE[1:])
    syscalls.follow(
        lambda: run(start),
        lambda call: Kill() if call.act == "unlink" and call.path == place else None,
    )
    assert tree(start) != before
    working = copy(start, folder / "working")
    steps = record(lambda: install.recover(working) and 0, working)
    for turn, root in losses(folder, start, steps, seed):
        where = (seed, turn, steps[turn - 1])
        assert whole(root, before, after), where
        install.recover(root)
        assert ([], before) == (hidden(root), tree(root)), where
        assert [] == list((root / STATE / "backups").iterdir()), where
