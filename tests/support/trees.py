"""Trees of files to write to, with an administrator's own lines, and how to compare them."""

import importlib
import os
import pkgutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

import symroute_nm
from support.hosts import make_plan, two_uplinks
from symroute_nm.cli import main
from symroute_nm.errors import SymrouteError
from symroute_nm.files import backups, blocks, install
from symroute_nm.model.settings import Settings
from symroute_nm.readers.snapshot import dump_host
from symroute_nm.targets.ifcfg import changes as changing
from symroute_nm.targets.ifcfg import render

# What a command imports by and by, so that its children need not.
for _module in pkgutil.walk_packages(symroute_nm.__path__, "symroute_nm."):
    if not _module.name.endswith("__main__"):
        importlib.import_module(_module.name)

SCRIPTS = "/etc/sysconfig/network-scripts"
ROUTE = SCRIPTS + "/route-eth0"
RULE = SCRIPTS + "/rule-eth0"
STALE = SCRIPTS + "/rule-eth9"
LINK = SCRIPTS + "/route-eth1"
TABLES = "/etc/iproute2/rt_tables.d/symroute-nm.conf"
STATE = "var/lib/symroute-nm"
BODY = "10.0.6.0/24 dev eth0 table 100\n"
WANTED = {ROUTE: BODY, RULE: "from 10.0.6.5 lookup 100\n", TABLES: "100 users\n", LINK: BODY}

# {path: (type and mode, owner, group, content)}
Tree = Dict[str, Tuple[int, int, int, object]]


def write(root, path, content, mode=0o644):
    """Write a file below the root, folders included; gives its place."""
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    place.chmod(mode)
    return place


def build(root):
    """A host with files to change (one by a link), to create in a new folder and to delete."""
    root.mkdir()
    route = write(root, ROUTE, b"10.9.0.0/16 via 10.0.6.9 dev eth0\r\nno newline \xff", 0o640)
    os.chown(str(route), 1234, 4321)
    write(root, STALE, blocks.put(None, "from 10.0.9.9 lookup 109\n"))
    write(root, SCRIPTS + "/ifcfg-eth0", b"DEVICE=eth0\n")
    write(root, "/etc/mine/route-eth1", b"# mine\n")
    (root / LINK.lstrip("/")).symlink_to("../../mine/route-eth1")
    return root


def prepared(folder):
    """`build` with so many backups that the oldest has to go."""
    root = build(folder)
    for turn in range(backups.KEPT):
        name = f"20240101T000000Z-{turn}"
        write(root, f"/{STATE}/backups/{name}/manifest.json", b'{"files": []}')
    return root


def run(root, **options):
    """Install `WANTED` and delete `STALE`."""
    changes = changing.find_changes(root, WANTED, [STALE])
    return install.install(root, changes, **options)


def tree(root: Path) -> Tree:
    """All below the root but the state folder."""
    found = {}
    for place in sorted(root.rglob("*")):
        name = str(place.relative_to(root))
        if name == "var" or name.startswith("var/"):
            continue
        status = place.lstat()
        content = place.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        content = os.readlink(str(place)) if place.is_symlink() else content
        found[name] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found


def hidden(root: Path) -> List[str]:
    """The hidden files of ours, which only a write that goes on may have."""
    return [str(place) for place in root.rglob(".symroute-nm*")]


def whole(root: Path, before: Tree, after: Tree) -> bool:
    """Whether each file is the old or the new one, whole."""
    now = tree(root)
    return all(
        now.get(path) in (before.get(path), after.get(path))
        for path in {*now, *before, *after}
        if "/.symroute-nm" not in path
    )


def forked(action):
    """Run an action in a process of its own, which ends with it; returns its pid."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            action()
            status = 0
        except SymrouteError as error:
            status = error.exit_code
        finally:
            os._exit(status)
    return pid


def ended(pid):
    """The exit code of a process, or minus the signal that ended it."""
    status = os.waitpid(pid, 0)[1]
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)


def copy(source: Path, target: Path) -> Path:
    """The tree at another place, with modes, owners, links and times."""
    subprocess.run(["rm", "-rf", str(target)], check=True)
    subprocess.run(["cp", "-a", str(source), str(target)], check=True)
    return target


class Scene(NamedTuple):
    """A command, the tree on which it is to run, and the one that it makes of it."""

    words: Sequence[str]  # to be followed by the root
    start: Path
    before: Tree
    after: Tree

    def action(self, root: Path) -> Callable[[], int]:
        """The command on a root."""
        return command([*self.words, root])


SCENES = ("generate", "remove", "undo", "undo of a remove")
_UNDO, _REMOVE = ["undo", "--root"], ["remove", "--root"]
_STEPS = {
    "generate": [],
    "remove": [_REMOVE],
    "undo": [_UNDO],
    "undo of a remove": [_REMOVE, _UNDO],
}


def scene(name: str, folder: Path) -> Scene:
    """The scene of that name, below a new folder."""
    folder.mkdir()
    (folder / "host.json").write_text(dump_host(two_uplinks()))
    warm_up()
    steps = [["generate", "--prune", "--host", folder / "host.json", "--root"], *_STEPS[name]]
    start = prepared(folder / "start")
    # What the dispatcher script cannot take, `generate` would refuse.
    write(start, ROUTE, b"10.9.0.0/16 via 10.0.6.9 dev eth0\n# no newline \xff", 0o640)
    write(start, SCRIPTS + "/rule-eth1", b"# mine\nfrom 192.0.2.1 lookup 7 priority 900\n")
    for words in steps[:-1]:
        _run_well(words, start)
    after = copy(start, folder / "after")
    _run_well(steps[-1], after)
    return Scene(steps[-1], start, tree(start), tree(after))


def warm_up() -> None:
    """Import here what a command imports, so that its children need not."""
    host = two_uplinks()
    render.render(make_plan(host, Settings()), host)


def _run_well(words: Sequence[object], root: Path) -> None:
    def action() -> None:
        redirect(os.devnull)
        os._exit(command([*words, root])())

    assert ended(forked(action)) == 0


def command(words: Sequence[object]) -> Callable[[], int]:
    """The command line as an action, to be run in a child; gives its exit code."""

    def action() -> int:
        sys.argv = ["symroute-nm", *map(str, words)]
        try:
            main.main()
        except SystemExit as ended_with:
            return int(ended_with.code or 0)
        return 0

    return action


def redirect(output: str) -> None:
    """Let a child's both streams go to a file."""
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(descriptor, number)
        stream = os.fdopen(number, "w", 1, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    os.close(descriptor)
    sys.excepthook = sys.__excepthook__
    for signal_number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signal_number, signal.SIG_DFL)


def memory_folder(beside: Path) -> Path:
    """A new folder in memory where there is one: fsync costs nothing there."""
    shared = "/dev/shm"
    return Path(tempfile.mkdtemp(dir=shared if os.access(shared, os.W_OK) else str(beside)))
