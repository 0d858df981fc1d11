"""Commands that change kernel, marks and files, killed at any moment: what is left, and recovered.

All of it is compared with what was before and with what the command makes of it, whole: the rules
and the routes of all tables of both families in the order in which the kernel has them, the rules
of nft or of iptables, all files below the root, and the names of tables below /run.
"""

import contextlib
import ctypes
import errno
import json
import os
import random
import re
import signal
import stat
import subprocess
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

from support import families
from support.crashes import ERRORS
from support.families import Family, Moment, Name
from support.network.namespaces import Namespace, two_uplinks
from support.syscalls import Fail
from support.trees import STATE, command, copy, ended, forked, hidden, redirect, tree
from symroute_nm import programs
from symroute_nm.cli import countdown
from symroute_nm.kernel import netlink
from symroute_nm.kernel.rtnetlink import sendable_route

SCRIPTS = "etc/sysconfig/network-scripts"
ROUTE = b"10.9.0.0/16 via 10.0.6.9 dev eth0\n"
MARKER = b"# BEGIN symroute-nm"
CONFIG = "etc/symroute-nm.conf"
VALID_MARK = Path("/proc/sys/net/ipv4/conf/all/src_valid_mark")
KILLED = -signal.SIGKILL
WHOM = ("keeper", "command", "both")
_CLONE_NEWNET = 0x40000000
_OWN_ROUTES_OF_MAIN = (254, 255)
_KERNELS_RULES = (0, 32766, 32767)

_GENERATE = ["generate", "--apply", "--yes", "--force"]
_REMOVE = ["remove", "--apply", "--yes"]
_UNDO = ["undo", "--apply", "--yes"]
# {name: (commands before, the command)}
SCENES: Dict[str, Tuple[List[List[str]], List[str]]] = {
    "generate": ([], _GENERATE),
    "apply": ([], ["apply", "--yes", "--force"]),
    "remove": ([_GENERATE], _REMOVE),
    "undo": ([_GENERATE], _UNDO),
    "undo of a remove": ([_GENERATE, _REMOVE], _UNDO),
    "generate unconfirmed": ([], ["generate", "--apply", "--timeout", "1", "--force"]),
    "remove unconfirmed": ([_GENERATE], ["remove", "--apply", "--timeout", "1"]),
}
RECORDS = ("record", "record.kept")  # of a change that does not count yet, and of one that does
MARKS = ("", "nft", "iptables")


class State(NamedTuple):
    """All that a command may change."""

    rules: Tuple[str, ...]
    routes: Tuple[str, ...]
    marks: Tuple[str, ...]
    switch: str  # src_valid_mark
    files: Tuple[Any, ...]
    names: str

    @property
    def lasting(self) -> "State":
        """Without what `remove` leaves: a switch that others may have set, and empty folders."""
        return self._replace(
            switch="", files=tuple(each for each in self.files if stat.S_ISREG(each[1]))
        )

    def differences(self, other: "State") -> List[str]:
        """Where two differ, for people."""
        found = []
        for name, here, there in zip(self._fields, self, other):
            if here != there and isinstance(here, tuple):
                found += [f"{name}: + {each}" for each in here if each not in there]
                found += [f"{name}: - {each}" for each in there if each not in here]
                found += [f"{name}: another order, or as often"]
            elif here != there:
                found.append(f"{name}: {here!r}, not {there!r}")
        return found


class Image(NamedTuple):
    """What the kernel has, to be brought back before the next kill."""

    rules: List[bytes]
    routes: List[bytes]
    marks: Tuple[str, ...]
    switch: str


class Ground:
    """A scene in a namespace: to be used in a process of its own, which is inside (`on_ground`)."""

    def __init__(self, space: Namespace, folder: Path, name: str, backend: str = "") -> None:
        self.space, self.name, self.backend = space, name, backend
        self.root, self.start, self.output = (folder / each for each in ("root", "start", "output"))
        self.earlier, self.words = SCENES[name]
        self._enter()
        families.adopt_orphans()
        _host_root(self.start, backend)
        copy(self.start, self.root)
        self.bare = self.look()
        for words in self.earlier:
            self.run_well(words)
        self.image, self.before = self._image(), self.look()
        copy(self.root, self.start)
        self.names = self._names()
        wanted = 3 if "unconfirmed" in name else 0
        self.moments = families.moments_of(self.action(self.words), str(self.output), wanted)
        self.keeper = self._find_keeper()
        self.after = self.look()
        if "unconfirmed" in name:
            assert self.before == self.after, self.before.differences(self.after)
        self.reset()
        assert self.before == self.look(), self.look().differences(self.before)
        begun = time.monotonic()
        assert ended(self._forked(self.words)) in (0, 3)
        self.duration = time.monotonic() - begun

    def _enter(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = os.open("/run/netns/" + self.space.name, os.O_RDONLY)
        assert libc.setns(descriptor, _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        os.close(descriptor)
        if "unconfirmed" in self.name:
            prepare = countdown.prepare
            countdown.prepare = lambda confirmation: prepare(confirmation._replace(timeout=0.05))
        if self.backend == "iptables":
            found = programs.find

            def find(program: str) -> Optional[str]:
                """As on RHEL 7, which has no nft that is new enough."""
                return None if program == "nft" else found(program)

            programs.find = find

    def _find_keeper(self) -> Name:
        """The last of the command's children that becomes no program; the others only try out."""
        programs_begun = {moment.name for moment in self.moments if moment.call == "execve"}
        return max(
            moment.name
            for moment in self.moments
            if len(moment.name) == 1 and moment.name not in programs_begun
        )

    # -- running ----------------------------------------------------------------------------------

    def action(self, words: Sequence[str]) -> Callable[[], int]:
        """A command on the root."""
        return command([*words, "--root", self.root])

    def _forked(self, words: Sequence[str]) -> int:
        def action() -> None:
            redirect(str(self.output))
            os._exit(self.action(words)())

        return forked(action)

    def run(self, words: Sequence[str]) -> Tuple[int, List[str]]:
        """Its exit code, and the lines that it said."""
        code = ended(self._forked(words))
        said = self.output.read_text(errors="replace")
        assert "Traceback" not in said, said
        return code, said.splitlines()

    def run_well(self, words: Sequence[str]) -> List[str]:
        """As `run`, for what has to end well."""
        code, said = self.run(words)
        assert code == 0, (words, said)
        return said

    # -- looking ----------------------------------------------------------------------------------

    def look(self) -> State:
        """All of it, as it is now."""
        rules, routes = [], []
        for family in ("-4", "-6"):
            rules += _lines(["ip", "-d", "-N", family, "rule", "show"])
            routes += _lines(["ip", "-d", "-N", family, "route", "show", "table", "all"])
        marks = _marks(self.backend)
        switch = VALID_MARK.read_text()
        files = [(path, *found) for path, found in sorted(tree(self.root).items())]
        return State(tuple(rules), tuple(routes), tuple(marks), switch, tuple(files), self._names())

    def _names(self) -> str:
        return self.space.tables.read_text() if self.space.tables.exists() else ""

    def orphaned(self) -> List[str]:
        """Route files with our block whose rule file has none: NetworkManager would take them."""
        scripts = self.root / SCRIPTS
        rules = {path.name for path in scripts.glob("rule*-*") if MARKER in path.read_bytes()}
        return [
            path.name
            for path in sorted(scripts.glob("route*-*"))
            if MARKER in path.read_bytes()
            and not rules & {"rule-" + path.name.split("-")[1], "rule6-" + path.name.split("-")[1]}
        ]

    def pending(self) -> bool:
        """Whether anything is left that a run has not brought to its end."""
        journals = [self.root / STATE / name for name in ("journal", "journal.done")]
        records = [self.space.state / name for name in RECORDS]
        return any(place.exists() for place in [*journals, *records])

    # -- putting back -----------------------------------------------------------------------------

    def _image(self) -> Image:
        connection = netlink.open_netlink()
        rules = [raw for raw in netlink.dump_raw(connection, netlink.RULES) if raw[16] in (2, 10)]
        routes = [raw for raw in netlink.dump_raw(connection, netlink.ROUTES) if _is_others(raw)]
        connection.close()
        return Image(rules, routes, tuple(_marks(self.backend)), VALID_MARK.read_text())

    def reset(self) -> None:
        """Kernel, files and /run as they were before the command."""
        copy(self.start, self.root)
        with contextlib.closing(netlink.open_netlink()) as connection:
            _set_kernel(connection, self.image)
        if self.backend and list(self.image.marks) != _marks(self.backend):
            _set_marks(self.backend, self.image.marks)
        VALID_MARK.write_text(self.image.switch)
        for place in self.space.state.glob("*"):
            if place.name != "lock":
                place.unlink()
        for place in self.space.tables.parent.glob(f"{self.space.tables.name}*"):
            place.unlink()
        if self.names:
            self.space.tables.write_text(self.names)

    # -- killing ----------------------------------------------------------------------------------

    def kill_points(self) -> List[Moment]:
        """The moments between the keeper's first call and the command's last."""
        first = next(i for i, moment in enumerate(self.moments) if moment.name == self.keeper)
        return [
            moment
            for moment in self.moments[first:]
            if moment.name in (self.keeper, ()) or moment.call == "execve"
        ]

    def kill_at(self, moment: Moment, whom: str) -> int:
        """Run it, and kill keeper, command or both at that moment."""

        def verdict(now: Moment, family: Family) -> None:
            if now == moment:
                self._kill(whom, family.kill)

        return Family(self.action(self.words), str(self.output)).follow(verdict)

    def fail_at(self, moment: Moment, number: int) -> int:
        """Run it, and let that one call give an error; its exit code."""

        def verdict(now: Moment, _: Family) -> Optional[Fail]:
            return Fail(number) if now == moment else None

        return Family(self.action(self.words), str(self.output)).follow(verdict)

    def _kill(self, whom: str, kill: Callable[[Name], None]) -> None:
        if whom in ("command", "both"):
            kill(())
        if whom in ("keeper", "both"):
            kill(self.keeper)

    def kill_by_the_clock(self, dice: random.Random, whom: str) -> int:
        """Run it, and kill keeper, command or both after a random time."""
        pid = self._forked(self.words)
        time.sleep(dice.uniform(0, self.duration * 1.1))
        keepers = [
            each
            for each in families.children(pid)
            if families.command_name(each) == families.command_name(pid)
        ]
        doomed = {"command": [pid], "keeper": keepers, "both": [pid, *keepers]}[whom]
        for each in doomed:
            os.kill(each, signal.SIGKILL)
        code = ended(pid)
        families.wait_for_all()
        return code


def _set_kernel(connection: Any, wanted: Image) -> None:
    for raw in netlink.dump_raw(connection, netlink.RULES):
        if raw[16] in (2, 10) and raw not in wanted.rules:
            netlink.change(connection, netlink.RTM_DELRULE, 0, raw)
    for raw in netlink.dump_raw(connection, netlink.ROUTES):
        if _is_others(raw) and raw not in wanted.routes:
            netlink.change(connection, netlink.RTM_DELROUTE, 0, sendable_route(raw))
    rules = netlink.dump_raw(connection, netlink.RULES)
    present = [*rules, *netlink.dump_raw(connection, netlink.ROUTES)]
    for raw in wanted.routes:
        if raw not in present:
            flags = netlink.NLM_F_CREATE | netlink.NLM_F_APPEND
            netlink.change(connection, netlink.RTM_NEWROUTE, flags, sendable_route(raw))
    for raw in wanted.rules:
        if raw not in present:
            netlink.change(connection, netlink.RTM_NEWRULE, netlink.NLM_F_CREATE, raw)


def _marks(backend: str) -> List[str]:
    """What sets marks: nft's rules, or iptables' in their order and all chains of ours."""
    if backend == "nft":
        return _lines(["nft", "-s", "list", "ruleset"])
    found = []
    for program in ("iptables", "ip6tables") if backend else ():
        lines = _lines([program + "-save", "-t", "mangle"])
        lines = [line.split(" [")[0] for line in lines if line.startswith(("-A", ":symroute"))]
        found += [f"{program} {line}" for line in lines]
    return found


def _set_marks(backend: str, wanted: Sequence[str]) -> None:
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    if backend == "nft":
        subprocess.run(["nft", "-f", "-"], input="\n".join(wanted).encode(), check=True)
        return
    for program in ("iptables", "ip6tables"):
        lines = [line.split(" ", 1)[1] for line in wanted if line.startswith(program + " ")]
        lines = [line + " - [0:0]" if line.startswith(":") else line for line in lines]
        text = "\n".join(["*mangle", *lines, "COMMIT", ""])
        subprocess.run([program + "-restore"], input=text.encode(), check=True)


def _is_others(raw: bytes) -> bool:
    """Whether a route is in none of the kernel's own tables: rtm_table of struct rtmsg."""
    return raw[16] in (2, 10) and raw[20] not in _OWN_ROUTES_OF_MAIN


def _lines(words: Sequence[str]) -> List[str]:
    ran = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert ran.returncode == 0, (words, ran.stderr)
    return ran.stdout.decode().splitlines()


def _host_root(root: Path, backend: str) -> None:
    (root / SCRIPTS).mkdir(parents=True)
    (root / "etc/iproute2/rt_tables.d").mkdir(parents=True)
    for name in ("eth0", "eth1"):
        (root / SCRIPTS / ("ifcfg-" + name)).write_text(f"DEVICE={name}\nTYPE=Ethernet\n")
    (root / SCRIPTS / "route-eth0").write_bytes(ROUTE)  # an administrator's
    if backend:
        (root / "usr/sbin").mkdir(parents=True)
        (root / "usr/sbin" / backend).write_bytes(b"")
        (root / CONFIG).write_text("[symroute]\nforwarded = yes\n")


def make_host(space: Namespace) -> None:
    """Two uplinks, a network of containers, and a rule and a route of somebody else's."""
    two_uplinks(space)
    space.ip("""
        link add docker0 type bridge
        addr add 172.17.0.1/16 dev docker0
        link set docker0 up
        rule add priority 500 from 192.0.2.1 lookup 77
        route add 10.99.0.0/16 via 10.0.6.9 table 77""")


def on_ground(
    folder: Path, scene: str, backend: str, task: Callable[[Ground], Any], space: Namespace
) -> Any:
    """What the task returns (JSON's types), done in a process inside of the namespace."""
    make_host(space)
    result = folder / "result"

    def inside() -> None:
        try:
            found = {"found": task(Ground(space, folder, scene, backend))}
        except BaseException:  # noqa: BLE001  # it is told where somebody listens
            found = {"failure": traceback.format_exc()}
        result.write_text(json.dumps(found))

    assert ended(forked(inside)) == 0
    told = json.loads(result.read_text())
    if "failure" in told:
        raise AssertionError(told["failure"])
    return told["found"]


# -- judging --------------------------------------------------------------------------------------

# In turn: commands that only look, one that refuses, one with a mistake in its words.
LOOKING: Tuple[List[str], ...] = (
    ["verify"],
    ["inspect"],
    ["generate", "-n"],
    ["diagnose"],
    ["explain", "10.0.6.5", "10.1.0.2"],
    ["undo", "--list"],
    ["generate", "-n", "--exclude", "eth9"],
    ["undo", "20240101T000000Z-1"],
)


class Judge:
    """What has to be so after a kill; what is not is remembered, for people."""

    def __init__(self, ground: Ground, recover: Callable[[Ground], None]) -> None:
        self.ground, self._recover = ground, recover
        self.problems: List[str] = []
        self.count = {"kills": 0, "old": 0, "new": 0, "pending": 0}
        self._turn = 0

    def judge(self, where: str, through: bool, removing: bool = False) -> None:
        """Look at what a kill left; `through`: command or keeper lived on, and is to have ended it.

        Then recover, twice, and with `removing` have all of it removed.
        """
        ground, self._turn = self.ground, self._turn + 1
        self.count["kills"] += 1
        left, pending = ground.look(), ground.pending()
        self.count["pending"] += pending
        if through and left not in (ground.before, ground.after):
            self.complain(where, "the one that lived left it so", left)
        if pending or left not in (ground.before, ground.after):
            self._check_told(where)
        for path in ground.orphaned():
            self.problems.append(f"{where}: {path} is there without its rule file")
        records = [ground.space.state / name for name in RECORDS]
        kept = next((place.read_bytes() for place in records if place.exists()), None)
        self._recover(ground)
        recovered = ground.look()
        if recovered not in (ground.before, ground.after):
            self.complain(where, "recovered to neither", recovered)
        if ground.pending() or hidden(ground.root):
            self.problems.append(f"{where}: still pending after a recovery")
        self.count["new" if recovered == ground.after else "old"] += 1
        if kept is not None:  # as if it had been killed before it dropped the record
            forward = recovered == ground.after != ground.before
            records[forward].write_bytes(kept)
            self._recover(ground)
            again = ground.look()
            if again != recovered:
                problems = again.differences(recovered)
                self.problems.append(f"{where}: a second recovery changes {problems[:4]}")
        if removing:
            ground.run(["remove", "--apply", "--yes"])
            left = ground.look().lasting
            if left != ground.bare.lasting:
                problems = left.differences(ground.bare.lasting)
                self.problems.append(f"{where}: remove leaves {problems[:4]}")

    def _check_told(self, where: str) -> None:
        words = LOOKING[self._turn % len(LOOKING)]
        _, said = self.ground.run(words)
        first = said[0] if said else ""
        if "symroute-nm confirm" not in first and "symroute-nm rollback" not in first:
            self.problems.append(f"{where}: {words} does not say what is pending: {first}")
        for line in said:
            if re.search(r"(foreign|not ours|ip rule del).*(1999[6-9]|2000[0-2])", line):
                self.problems.append(f"{where}: {words} calls ours foreign: {line}")

    def complain(self, where: str, what: str, state: State) -> None:
        ground = self.ground
        old, new = (len(state.differences(each)) for each in (ground.before, ground.after))
        name, nearest = ("old", ground.before) if old <= new else ("new", ground.after)
        self.problems.append(f"{where}: {what}; from the {name}: {state.differences(nearest)[:4]}")


def recover_by_rollback(ground: Ground) -> None:
    """What a person does who is told of it."""
    code, said = ground.run(["rollback"])
    assert code in (0, 3), said


def kill_each(
    ground: Ground, recover: Callable[[Ground], None], step: int = 1, first: int = 0
) -> Dict[str, Any]:
    """Kill at each moment (each `step`th), the keeper, the command, both in turn or all."""
    judge = Judge(ground, recover)
    points = [(moment, whom) for moment in ground.kill_points() for whom in WHOM]
    for number, (moment, whom) in enumerate(points[first::step]):
        ground.reset()
        ground.kill_at(moment, whom)
        where = f"{ground.name} {ground.backend}, {whom} killed at {moment}"
        judge.judge(where, whom != "both", removing=number % 7 == 0)
    return {"problems": judge.problems, "points": len(points), **judge.count}


def fail_each(
    ground: Ground, recover: Callable[[Ground], None], step: int = 1, first: int = 0
) -> Dict[str, Any]:
    """Let each call of the keeper that changes something fail once (each `step`th)."""
    judge = Judge(ground, recover)
    points = [moment for moment in ground.moments if moment.name == ground.keeper]
    for turn, moment in enumerate(points[first::step]):
        number = ERRORS[turn % len(ERRORS)]
        ground.reset()
        code = ground.fail_at(moment, number)
        said = ground.output.read_text(errors="replace")
        where = f"{ground.name} {ground.backend}, {moment} fails with {errno.errorcode[number]}"
        if "Traceback" in said:
            judge.problems.append(f"{where}: {said}")
        state = ground.look()
        wanted = ground.after if code == 0 else ground.before
        if not ground.pending() and state != wanted:
            judge.complain(where, f"exit code {code}", state)
        if "everything is as it was before" in said and state != ground.before:
            judge.complain(where, "it says that all is as before", state)
        judge.judge(where, through=False)
    return {"problems": judge.problems, "points": len(points), **judge.count}


def kill_randomly(
    ground: Ground, recover: Callable[[Ground], None], seed: str, number: int
) -> Dict[str, Any]:
    """Kill at random moments: half by the clock, half by the calls."""
    judge, dice = Judge(ground, recover), random.Random(seed)
    for turn in range(number):
        ground.reset()
        whom = dice.choice(WHOM)
        if turn % 2:
            ground.kill_by_the_clock(dice, whom)
            where = "by the clock"
        else:
            moment = dice.choice(ground.moments)
            ground.kill_at(moment, whom)
            where = str(moment)
        where = f"{ground.name} {ground.backend}, seed {seed}, turn {turn}, {whom}: {where}"
        judge.judge(where, whom != "both", removing=turn % 8 == 0)
    return {"problems": judge.problems, **judge.count}
