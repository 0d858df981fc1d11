"""What is kept of a running change: data and no commands, where root alone can write, and a way
back that is tried to its end."""

import contextlib
import fcntl
import ipaddress
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from support.network.trials import (
    FINE,
    INPUT,
    MADE,
    REFUSED,
    SCRIPTS,
    SYSTEM,
    clean,
    is_planned,
    keepers,
    kernel,
    odd_things,
    start,
    wait_for,
)
from symroute_nm.errors import InputError, Refusal, SystemFailure
from symroute_nm.files import own_folders, ownership
from symroute_nm.files.lock import lock_place, locked
from symroute_nm.kernel import mark_setup, netlink, state
from symroute_nm.kernel.attempts import attempt
from symroute_nm.kernel.loaded_marks import LoadedMarks
from symroute_nm.kernel.mark_setup import (
    Chain,
    Jump,
    MarkSetup,
    Reversal,
    end_all,
    render_restoration,
)
from symroute_nm.kernel.scope import Scope
from symroute_nm.model.marking import Mark, Marking, Setting
from symroute_nm.model.network import Rule
from symroute_nm.targets.marks import render_script

NOBODY = 65534
RULES = (Setting("eth0", 0x64, 0x7F), Setting("", 0x64, 0x7F))
SETUP = MarkSetup(True, RULES, (Chain(RULES, (Jump("PREROUTING", 2),)), None))
SHELL = "x; touch {0}; $(touch {0}) `touch {0}`\ntouch {0}\nRULES\ntouch {0}\n"


def as_nobody(function):
    """The exit code of a child process that calls it as nobody; what it raises is 9."""
    pid = os.fork()
    if pid == 0:
        code = 9
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            code = function() or 0
        finally:
            os._exit(code)
    return os.WEXITSTATUS(os.waitpid(pid, 0)[1])


@pytest.fixture
def recorded(space, root):
    """The record of a change that two kills left, as JSON values, and where it stands."""
    ran = start(space, root, "apply", "--timeout", "30", start_new_session=True)
    wait_for(ran, MADE)
    for pid in keepers(root):
        os.kill(pid, signal.SIGKILL)
    ran.communicate()
    place = space.state / "record"
    return json.loads(place.read_text()), place


# -- what is on record ----------------------------------------------------------------------------


def hostile(ran):
    """Records with a shell's commands wherever there is a text, and with other types."""
    shell = SHELL.format(ran)
    before = mark_setup.dump(Reversal("nft", SETUP))
    yield shell
    yield [shell]
    yield {**before, "backend": shell}
    yield {**before, "backend": f"iptables; touch {ran}"}
    yield {**before, "more": shell}
    yield {**before, "valid_mark": shell}
    yield {**before, "nft": shell}
    for rule in (
        [shell, 1, 1],
        ["-M/tmp/x", 1, 1],
        ["eth0 -M /x", 1, 1],
        ["eth0\n", 1, 1],
        ['eth0"', 1, 1],
        ["eth0", shell, 1],
        ["eth0", True, 1],
        ["eth0", 1, 2**32],
        ["eth0", -1, 1],
        ["eth0", 1.0, 1],
        ["eth0", 1, 0],
        ["eth0", 1],
        [None, 1, 1],
        ["e" * 16, 1, 1],
        {},
        5,
    ):
        yield {**before, "nft": [rule]}
        yield {**before, "chains": [{"rules": [rule], "jumps": []}, None]}
    for jump in (
        [shell, 1],
        ["PREROUTING", shell],
        ["PREROUTING", True],
        ["OUTPUT", 1],
        ["PREROUTING", -1],
        ["PREROUTING", 2**31],
        ["PREROUTING"],
        "ab",
    ):
        yield {**before, "chains": [{"rules": [], "jumps": [jump]}, None]}
    yield {**before, "chains": [None]}
    yield {**before, "chains": {"iptables": None}}
    yield {**before, "chains": [{"rules": []}, None]}


def test_no_text_of_a_record_becomes_a_command(space, recorded, root, own_folder):
    content, place = recorded
    ran = own_folder / "ran"
    tried = 0
    for marks in hostile(ran):
        place.write_text(json.dumps({**content, "marks": marks}))
        with pytest.raises((ValueError, TypeError, KeyError)):
            mark_setup.load(json.loads(json.dumps(marks)))
        tried += 1
    for marks in (SHELL.format(ran), {"backend": SHELL.format(ran)}):
        place.write_text(json.dumps({**content, "marks": marks}))
        said = space.symroute("apply", "--yes", "--root", str(root))
        assert REFUSED == said.returncode, said.stderr
        assert b"%s is damaged" % str(place).encode() in said.stderr
        assert b"Traceback" not in said.stderr
    assert tried > 40
    assert not ran.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"format": 1},
        {"rules": ["zz"]},
        {"rules": [5]},
        {"rules": 5},
        {"routes": ["00"]},
        {"tables": ["100"]},
        {"tables": [True]},
        {"tables": [2**32]},
        {"tables": None},
        {"territory": {}},
        {"territory": "x"},
        {"left": {"format": 99}},
        {"places": 1},
    ],
)
def test_a_record_with_wrong_types_is_refused(space, recorded, root, change):
    content, place = recorded
    before = kernel(space)
    place.write_text(json.dumps({**content, **change}))

    said = space.symroute("apply", "--yes", "--root", str(root))

    assert REFUSED == said.returncode, said.stderr
    assert b"is damaged" in said.stderr and b"Traceback" not in said.stderr
    assert before == kernel(space)


def test_a_record_below_a_root_is_never_read(space, root, own_folder):
    (root / "run/symroute-nm").mkdir(parents=True)
    (root / "run/symroute-nm/record").write_text(
        json.dumps(
            {
                "format": 1,
                "kernel": "x",
                "rules": [],
                "routes": [],
                "tables": [],
                "marks": f"touch {own_folder / 'ran'}",
            }
        )
    )

    said = space.symroute("apply", "--yes", "--root", str(root))

    assert FINE == said.returncode, said.stderr
    assert b"taken back" not in said.stderr
    assert not (own_folder / "ran").exists()
    assert ["record"] == [path.name for path in (root / "run/symroute-nm").iterdir()]


def test_what_is_on_record_comes_back_from_data_alone():
    content = json.loads(json.dumps(mark_setup.dump(Reversal("iptables", SETUP))))
    assert Reversal("iptables", SETUP) == mark_setup.load(content)
    assert mark_setup.load(json.loads(json.dumps(mark_setup.dump(None)))) is None
    commands = render_restoration(mark_setup.load(content).before)
    assert {"nft", "iptables", "iptables-restore"} == {command.words[0] for command in commands}
    (table,) = (command.text for command in commands if command.words == ("nft", "-f", "-"))
    assert (Mark("eth0", 0x64),) == mark_setup.read_script(b"nft -f -\n" + table.encode()).marks
    (jump,) = (command for command in commands if command.instead)
    assert ("-I", "PREROUTING", "2", "-j", "symroute_nm") == jump.words[-5:]


def test_all_that_is_there_is_ended_as_often_as_it_is_there():
    jump = "-I PREROUTING 1 -j symroute_nm"
    loaded = LoadedMarks("table inet symroute_nm {", (":symroute_nm - [0:0]", jump, jump))
    words = [command.words for command in end_all(loaded, frozenset())]
    assert ("nft", "delete", "table", "inet", "symroute_nm") == words[0]
    assert 2 == words.count(
        ("iptables", "-w", "-t", "mangle", "-D", "PREROUTING", *jump.split()[3:])
    )
    assert not [each for each in words if each[0] == "ip6tables"]
    assert [] == list(end_all(LoadedMarks(), frozenset()))


@pytest.mark.parametrize("backend", ["nft", "iptables"])
def test_a_script_is_read_and_written_anew_and_never_run(backend):
    marking = Marking(backend, 0x7F, (Mark("eth0", 0x64), Mark("eth1", 0x65)))
    script = render_script(marking).encode()
    assert marking == mark_setup.read_script(script)
    more = script.replace(b"exit $code", b"touch /x").replace(b"#!/bin/sh\n", b"#!/bin/sh\nrm /x\n")
    assert script.decode() == render_script(mark_setup.read_script(more))
    for odd in (
        script.replace(b"eth0", b"e'th0"),
        script.replace(b"0x65", b"0x66", 1),
        b"#!/bin/sh\nnft -f x\n",
    ):
        with pytest.raises(Refusal, match="does not set marks as symroute-nm writes it"):
            mark_setup.read_script(odd)


@pytest.mark.parametrize(
    "line",
    [
        '    iifname "eth0" tcp dport 22 accept',
        '    include "/etc/passwd"',
        "    ct mark & 0x7f == 0x64 meta mark & 0x7f == 0 meta mark set meta mark | 0x65",
        "  set hosts {",
        "  chain other {",
    ],
)
def test_what_could_not_come_back_is_refused_before_anything_is_done(line):
    listing = f"table inet symroute_nm {{\n  chain prerouting {{\n{line}\n  }}\n}}\n"
    with pytest.raises(Refusal, match="does not write, and could not bring back"):
        mark_setup.read_setup(LoadedMarks(listing))
    with pytest.raises(Refusal, match="does not write, and could not bring back"):
        mark_setup.read_setup(LoadedMarks("", (":symroute_nm - [0:0]", "-A symroute_nm -j ACCEPT")))


# -- where it stands ------------------------------------------------------------------------------


def test_folders_are_0700_and_files_in_them_0600_whatever_the_umask(space, root):
    inherited = os.umask(0)
    try:
        ran = start(space, root, "apply", "--timeout", "30")
        wait_for(ran, MADE)
    finally:
        os.umask(inherited)
    modes = {path.name: stat.S_IMODE(path.lstat().st_mode) for path in space.state.iterdir()}
    owners = {path.lstat().st_uid for path in [space.state, *space.state.iterdir()]}
    folders = [stat.S_IMODE(path.stat().st_mode) for path in (space.state, space.state.parent)]
    ran.send_signal(signal.SIGTERM)
    ran.communicate()

    assert {"lock": 0o600, "record": 0o600, "confirm": 0o600} == modes
    assert ({0}, [0o700, 0o700]) == (owners, folders)


def test_no_user_can_hold_a_lock(space, root, own_folder):
    assert FINE == space.symroute("generate", "--apply", "--yes", "--root", str(root)).returncode
    own_folder.chmod(0o755)

    def hold():
        found = [space.state / "lock", lock_place_of_root]
        for place in found:
            with contextlib.suppress(PermissionError):
                fcntl.flock(os.open(str(place), os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
                return 1
        return 0

    with locked(root):
        lock_place_of_root = lock_place(root)
        assert lock_place_of_root.exists()
        assert 0 == as_nobody(hold)
    assert not lock_place_of_root.exists()


@pytest.fixture
def private_run(own_folder):
    """A folder that is /run, in a mount namespace, for Python code that this runs."""
    made = own_folder / "run"
    made.mkdir(mode=0o755)

    def running(code):
        script = f"mount --bind {made} /run && exec {sys.executable} -c '{code}'"
        ran = subprocess.run(
            ["unshare", "-m", "sh", "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            check=False,
        )
        return ran.returncode, ran.stderr.decode()

    return made, running


MAKE = "from symroute_nm.files.own_folders import kernel_folder; print(kernel_folder())"


@pytest.mark.parametrize("prepared", ["another's", "writable", "link", "file", "below another's"])
def test_a_folder_that_somebody_else_prepared_is_refused(private_run, prepared):
    run, running = private_run
    place = run / "symroute-nm"
    if prepared == "link":
        (run / "elsewhere").mkdir(mode=0o700)
        place.symlink_to("elsewhere")
    elif prepared == "file":
        place.write_bytes(b"")
    else:
        place.mkdir(mode=0o700)
    if prepared == "another's":
        os.chown(str(place), NOBODY, NOBODY)
    elif prepared == "writable":
        place.chmod(0o777)
    elif prepared == "below another's":
        run.chmod(0o777)
    code, said = running(MAKE)

    assert 1 == code
    assert re.search(
        {
            "another's": "/run/symroute-nm belongs to user 65534",
            "writable": "others can write to /run/symroute-nm: its mode is 0777",
            "below another's": "others can write to /run: its mode is 0777",
        }.get(prepared, "/run/symroute-nm is no folder, or a link to one"),
        said,
    ), said


def test_what_an_earlier_version_made_is_closed(private_run):
    run, running = private_run
    (run / "symroute-nm").mkdir(mode=0o755)
    assert (0, "") == running(MAKE)
    assert 0o700 == stat.S_IMODE((run / "symroute-nm").stat().st_mode)


def test_a_user_has_locks_in_a_folder_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert Path("/run/symroute-nm/locks") == own_folders.locks_folder()  # root heeds no variable
    given = Path(f"/tmp/symroute-test-{os.getpid()}")
    given.mkdir(mode=0o700)
    os.chown(str(given), NOBODY, NOBODY)
    shared = Path(f"/tmp/symroute-nm-{NOBODY}")
    try:

        def look():
            os.environ["XDG_RUNTIME_DIR"] = str(given)
            assert given / "symroute-nm" == own_folders.locks_folder()
            given.chmod(0o755)
            assert shared == own_folders.locks_folder()
            given.chmod(0o700)
            for odd in ("", "relative", "/nowhere", "/", "/run"):
                os.environ["XDG_RUNTIME_DIR"] = odd
                assert shared == own_folders.locks_folder()
            assert 0o700 == stat.S_IMODE(shared.stat().st_mode)

        assert 0 == as_nobody(look)
    finally:
        for folder in (given / "symroute-nm", given):
            folder.rmdir()


# -- who holds a lock -----------------------------------------------------------------------------


def test_a_wrong_number_in_a_lock_names_nobody(tmp_path):
    other = subprocess.Popen(["sleep", "60"])
    try:
        with locked(tmp_path):
            with pytest.raises(Refusal, match=f"held by process {os.getpid()} after"):
                locked(tmp_path, 0.0).__enter__()
            for number in (other.pid, 1, 2**30, "x"):
                lock_place(tmp_path).write_text(f"{number}\n")
                with pytest.raises(Refusal, match="held by another process after"):
                    locked(tmp_path, 0.0).__enter__()
    finally:
        other.kill()
        other.wait()


# -- trees ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["apply"], ["generate", "--apply"], ["remove", "--apply"], ["undo", "--apply"]]
)
@pytest.mark.parametrize("part", ["", "etc", SCRIPTS, "etc/iproute2", "var/lib/symroute-nm"])
def test_a_tree_that_others_can_write_to_changes_no_kernel(space, root, words, part):
    (root / "var/lib/symroute-nm").mkdir(parents=True)
    before, there = kernel(space), sorted(root.rglob("*"))
    place = root / part
    for mode, owner in ((0o775, 0), (0o1777, 0), (0o755, NOBODY)):
        place.chmod(mode)
        os.chown(str(place), owner, owner)
        ran = space.symroute(*words, "--yes", "--root", str(root))
        assert INPUT == ran.returncode, ran.stderr
        assert b"only by a tree that is root's alone: " in ran.stderr
        assert str(place).encode() in ran.stderr
        assert (before, there) == (kernel(space), sorted(root.rglob("*")))
    assert not space.state.exists()


USED = ("/etc/sysconfig/network-scripts", "/etc/iproute2")


def test_a_tree_is_looked_at_from_the_top_and_through_links(own_folder, tmp_path):
    tree = own_folder / "tree"
    (tree / "elsewhere/open").mkdir(parents=True)
    ownership.require_owned(tree, USED)
    (tree / "etc").symlink_to("/elsewhere/open/../etc")
    (tree / "elsewhere/etc").mkdir()
    ownership.require_owned(tree, USED)
    (tree / "elsewhere/open").chmod(0o777)
    with pytest.raises(InputError, match=r"others can write to .*/elsewhere/open "):
        ownership.require_owned(tree, USED)
    with pytest.raises(InputError, match=r"others can write to /tmp \(mode 1777\)"):
        ownership.require_owned(tmp_path, USED)
    (tmp_path / "link").symlink_to(own_folder)
    with pytest.raises(InputError, match="others can write to /tmp "):
        ownership.require_owned(tmp_path / "link", USED)
    ownership.require_owned(Path("/"), USED)


# -- the way back ---------------------------------------------------------------------------------


def test_a_rule_with_host_bits_during_the_countdown_holds_up_nothing(space, root):
    odd_things(space, root)
    before = kernel(space, "-d")
    ran = start(space, root, "apply", "--timeout", "2")
    wait_for(ran, MADE)
    space.ip("""
        rule add priority 150 to 10.2.2.0/16 lookup main
        rule add priority 151 from 10.0.5.5/24 lookup main""")
    said = ran.communicate()[1]
    space.ip("""
        rule del priority 150
        rule del priority 151""")

    assert REFUSED == ran.returncode, said
    assert before == kernel(space, "-d")
    clean(space, root)


def test_what_cannot_be_read_is_passed_over_and_told(space):
    space.ip("rule add priority 20000 from 10.0.6.5 lookup 100")

    def restore():
        rule = Rule(4, 20000, source=ipaddress.ip_network("10.0.6.5"), table=100)
        territory = Scope(frozenset((rule.without_protocol,)), frozenset((100,)))
        saved = state.save_state(territory)
        with contextlib.closing(netlink.open_netlink()) as connection:
            for raw in saved.rules:
                netlink.change(connection, netlink.RTM_DELRULE, 0, raw)
        damaged = saved._replace(rules=(b"\0" * 28, *saved.rules), routes=(b"\xff" * 28,))
        return len(saved.rules), attempt(state.restore_state, territory, damaged).failure

    found, failure = space.call(restore)
    assert 1 == found
    assert "rules or routes on record cannot be read" in failure
    assert "20000:\tfrom 10.0.6.5 lookup " in kernel(space)[0]


def test_descriptors_that_run_out_do_not_stop_the_way_back(space, root):
    odd_things(space, root)
    before = kernel(space, "-d")
    ran = start(space, root, "apply", "--timeout", "4")
    wait_for(ran, MADE)
    (keeper,) = set(keepers(root)) - {ran.pid}
    # As many as it has now, and not one more.
    there = len(list(Path(f"/proc/{keeper}/fd").iterdir()))
    subprocess.run(["prlimit", "--pid", str(keeper), f"--nofile={there}:{there}"], check=True)
    said = ran.communicate()[1]

    assert REFUSED == ran.returncode, said
    assert before == kernel(space, "-d")
    clean(space, root)


def test_callers_that_leave_or_are_too_many_keep_nobody_from_confirming(space, root):
    ran = start(space, root, "apply", "--timeout", "30")
    wait_for(ran, MADE)
    for _ in range(2):
        with contextlib.ExitStack() as stack:
            for _ in range(20):
                caller = stack.enter_context(socket.socket(socket.AF_UNIX))
                caller.connect(str(space.state / "confirm"))
    confirmed = space.symroute("confirm", "--root", str(root))
    ran.communicate()

    assert (FINE, FINE) == (confirmed.returncode, ran.returncode), confirmed.stderr
    assert is_planned(space)


def test_too_few_descriptors_are_told_before_anything_is_done(space, root):
    before = kernel(space)
    ran = space.run(
        [
            "prlimit",
            "--nofile=14:14",
            sys.executable,
            "-m",
            "symroute_nm",
            "apply",
            "--yes",
            "--root",
            str(root),
        ]
    )
    assert SYSTEM == ran.returncode, ran.stderr
    assert b"Traceback" not in ran.stderr
    assert before == kernel(space)


def test_every_part_of_a_way_back_is_tried():
    tried = []

    def fail(error):
        tried.append(type(error))
        raise error

    errors = (
        ValueError("a"),
        OSError(24, "Too many open files"),
        KeyError("b"),
        RecursionError(),
        MemoryError(),
        SystemFailure("c"),
    )
    failures = [attempt(fail, error).failure for error in errors]
    assert list(map(type, errors)) == tried
    assert all(failures) and "ValueError: a" == failures[0] and "c" == failures[-1]
    assert (3, "") == attempt(lambda: 3)
