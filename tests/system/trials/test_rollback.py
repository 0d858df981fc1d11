"""What is pending is said first, and ended from any login, whoever watches over it or does not."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from support.network.trials import (
    FINE,
    MADE,
    REFUSED,
    SCRIPTS,
    SYSTEM,
    clean,
    files,
    is_planned,
    keepers,
    kernel,
    start,
    until,
    wait_for,
)
from symroute_nm.files import blocks
from symroute_nm.kernel import change_log

WAITS = b"pending: generate --apply (by root) waits to be confirmed: symroute-nm confirm keeps it, "
READING = (
    ["verify"],
    ["inspect"],
    ["diagnose"],
    ["snapshot"],
    ["explain", "10.0.6.5", "10.1.0.2"],
    ["generate", "-n"],
    ["generate", "-n", "--exclude", "eth9"],  # refuses
    ["apply", "-n"],
    ["undo", "--list"],
    ["undo", "20240101T000000Z-1"],
    ["remove", "-n"],
    ["apply", "--yes"],
)


def pending(space, root, *words):
    """A change that waits to be confirmed."""
    ran = start(space, root, "generate", "--apply", "--timeout", "300", *words)
    wait_for(ran, MADE)
    return ran


def keeper_of(ran, root):
    (found,) = set(keepers(root)) - {ran.pid}
    return found


def test_every_command_says_first_what_waits_and_calls_none_of_it_foreign(space, root):
    ran = pending(space, root)
    for words in READING:
        said = space.symroute(*words, "--root", str(root))
        assert said.stderr.startswith(WAITS), (words, said.stderr)
        assert b"Traceback" not in said.stderr, words
        for line in (said.stdout + said.stderr).splitlines():
            assert b"ip rule del" not in line and b"not ours" not in line, (words, line)
    assert [] == json.loads(space.symroute("verify", "--json", "--root", str(root)).stdout)["marks"]
    ran.send_signal(signal.SIGTERM)
    ran.communicate()


def test_whoever_is_not_root_is_told_too(space, root):
    ran = pending(space, root)
    said = space.symroute_as_nobody("inspect", "--root", "/")
    ran.send_signal(signal.SIGTERM)
    ran.communicate()
    assert said.stderr.startswith(WAITS), said.stderr


def test_rollback_takes_it_back_at_once_from_any_login(space, root):
    before, written = kernel(space), files(root)
    ran = pending(space, root)

    rolled = space.symroute("rollback", "--root", str(root))
    said = ran.communicate()[1]

    assert FINE == rolled.returncode, rolled.stderr
    assert b"taken back: everything is as it was before\n" == rolled.stdout
    assert REFUSED == ran.returncode
    assert b"not confirmed: everything is as it was before" in said
    assert (before, written) == (kernel(space), files(root))
    clean(space, root)


def test_rollback_without_anything_pending_says_so(space, root):
    ran = space.symroute("rollback", "--root", str(root))
    assert REFUSED == ran.returncode
    assert b"symroute-nm: nothing is pending; symroute-nm undo" in ran.stderr


def test_rollback_takes_over_from_a_keeper_that_is_stopped(space, root):
    before, written = kernel(space), files(root)
    ran = pending(space, root)
    os.kill(keeper_of(ran, root), signal.SIGSTOP)

    rolled = space.symroute("rollback", "--root", str(root))
    ran.communicate()

    assert FINE == rolled.returncode, rolled.stderr
    assert (before, written) == (kernel(space), files(root))
    clean(space, root)


def test_rollback_takes_over_where_keeper_and_command_are_stopped(space, root):
    before = kernel(space)
    ran = pending(space, root)
    for pid in keepers(root):
        os.kill(pid, signal.SIGSTOP)

    rolled = space.symroute("rollback", "--root", str(root))
    ran.communicate()

    assert FINE == rolled.returncode, rolled.stderr
    assert b"was cut off before it was confirmed; it was taken back" in rolled.stderr
    assert before == kernel(space)
    clean(space, root)


FREEZER = Path("/sys/fs/cgroup/freezer")  # of cgroup v1; of v2 each folder has cgroup.freeze
UNIFIED = [Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified")]


@pytest.fixture
def freezer():
    """What freezes processes, and thaws them in the end."""
    parents = [FREEZER] if FREEZER.is_dir() else [each for each in UNIFIED if _is_v2(each)]
    if not parents:
        pytest.skip("no control groups can be made here")
    group = parents[0] / f"symroute-test-{os.getpid()}"
    group.mkdir()
    first = (group / "freezer.state").exists()
    switch = group / ("freezer.state" if first else "cgroup.freeze")

    def freeze(*pids):
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid))
        switch.write_text("FROZEN" if first else "1")

    def thaw():
        switch.write_text("THAWED" if first else "0")

    yield freeze, thaw
    thaw()
    until(lambda: not (group / "cgroup.procs").read_text())
    group.rmdir()


def _is_v2(folder):
    return (folder / "cgroup.controllers").exists() and os.access(str(folder), os.W_OK)


@pytest.mark.parametrize("whom", ["keeper", "both"])
def test_rollback_takes_over_from_who_is_frozen_and_nothing_comes_after(space, root, freezer, whom):
    freeze, thaw = freezer
    before = kernel(space)
    ran = pending(space, root)
    freeze(*(keepers(root) if whom == "both" else [keeper_of(ran, root)]))

    rolled = space.symroute("rollback", "--root", str(root))
    after = kernel(space)
    thaw()
    ran.communicate()

    assert FINE == rolled.returncode, rolled.stderr
    assert before == after == kernel(space)
    assert FINE == space.symroute("apply", "--yes", "--root", str(root)).returncode
    clean(space, root)


def test_the_command_takes_over_from_a_keeper_that_is_stopped_when_its_time_is_over(space, root):
    before = kernel(space)
    ran = start(space, root, "generate", "--apply", "--timeout", "1")
    wait_for(ran, MADE)
    os.kill(keeper_of(ran, root), signal.SIGSTOP)
    said = ran.communicate()[1]

    assert b"the process that watched over it was killed: everything is as it was before" in said
    assert before == kernel(space)
    clean(space, root)


def test_a_number_that_another_process_has_by_now_is_left_alone(space, root):
    ran = pending(space, root)
    for pid in keepers(root):
        os.kill(pid, signal.SIGKILL)
    ran.communicate()
    record = space.state / "record"
    content = json.loads(record.read_text())
    other = subprocess.Popen(["sleep", "60"])
    for who in ("keeper", "command"):
        content[who] = [other.pid, content[who][1]]
    record.write_text(json.dumps(content))

    rolled = space.symroute("rollback", "--root", str(root))
    alive = other.poll() is None
    other.kill()
    other.wait()

    assert FINE == rolled.returncode, rolled.stderr
    assert alive
    assert not is_planned(space)


@pytest.mark.parametrize("words", [["confirm"], ["rollback"]])
def test_what_was_kept_and_cut_off_is_brought_to_its_end(space, root, words):
    ran = pending(space, root)
    for pid in keepers(root):
        os.kill(pid, signal.SIGKILL)
    ran.communicate()
    (space.state / "record").rename(space.state / "record.kept")

    told = space.symroute("verify", "--root", str(root))
    ended = space.symroute(*words, "--root", str(root))

    assert b"was cut off after it was kept: symroute-nm confirm brings it" in told.stderr
    assert (FINE if words == ["confirm"] else REFUSED) == ended.returncode
    assert is_planned(space)
    clean(space, root)


def test_confirm_says_when_nobody_can_keep_it_any_more(space, root):
    ran = pending(space, root)
    for pid in keepers(root):
        os.kill(pid, signal.SIGKILL)
    ran.communicate()

    confirmed = space.symroute("confirm", "--root", str(root))

    assert REFUSED == confirmed.returncode
    assert b"waits no more: the process that watched over it has ended; symroute-nm rollback" in (
        confirmed.stderr
    )
    assert FINE == space.symroute("rollback", "--root", str(root)).returncode


def test_each_change_confirmation_and_way_back_is_in_the_log(space, root, own_folder):
    device = own_folder / "dev"
    device.mkdir()
    for name, minor in (("null", "3"), ("urandom", "9")):
        subprocess.run(["mknod", "-m", "666", str(device / name), "c", "1", minor], check=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(device / "log"))
        log.settimeout(10)

        def run(*words):
            line = ["exec", "nsenter", f"--net=/run/netns/{space.name}", sys.executable, "-m"]
            line += ["symroute_nm", *words, "--root", str(root)]
            script = f"mount --bind {device} /dev; {' '.join(line)}"
            ran = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", script],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "SSH_CONNECTION": "10.0.6.9 999 10.0.6.5 22"},
            )
            return ran, lambda: log.recv(4096).decode().partition("]: ")[2]

        words = "generate --apply (by root from 10.0.6.9): "
        ran, line = run("generate", "--apply", "--timeout", "30")
        assert f"{words}made, to be confirmed within 30 seconds" == line()
        assert FINE == space.symroute("confirm", "--root", str(root)).returncode
        ran.communicate()
        kept = line()
        (backup,) = space.symroute("undo", "--list", "--root", str(root)).stdout.decode().split()
        assert f"{words}kept, confirmed by root" in kept and kept.endswith(f"backup {backup}")
        ran, line = run("remove", "--apply", "--timeout", "30")
        assert line().startswith("remove --apply (by root from 10.0.6.9): made")
        assert FINE == space.symroute("rollback", "--root", str(root)).returncode
        ran.communicate()
        assert "not confirmed, as asked by root" in line()
        assert line().endswith(": taken back")


def test_a_log_that_nobody_reads_holds_nothing_up(tmp_path):
    place = str(tmp_path / "log")
    change_log.log("to nobody", place)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(place)
        for _ in range(1000):
            change_log.log("x\n" * 1000, place)
        first = log.recv(4096)
    assert first.startswith(b"<29>") and b"\n" not in first and 1024 == len(first)


def test_confirm_gives_up_where_the_keeper_is_stopped(space, root):
    ran = pending(space, root)
    os.kill(keeper_of(ran, root), signal.SIGSTOP)
    limited = "from symroute_nm.kernel import keeper; keeper.CONFIRM_LIMIT = 1.0; "
    run = f"import sys; sys.argv[1:] = ['confirm', '--root', '{root}']; "
    confirmed = space.python(limited + run + "from symroute_nm.cli.main import main; main()")
    rolled = space.symroute("rollback", "--root", str(root))
    ran.communicate()

    assert SYSTEM == confirmed.returncode
    assert b"does not answer; symroute-nm rollback ends it, and takes the change back" in (
        confirmed.stderr
    )
    assert FINE == rolled.returncode, rolled.stderr
    clean(space, root)


def test_a_run_that_tidies_files_up_knows_that_the_change_counts(space, root):
    ran = pending(space, root)
    for pid in keepers(root):
        os.kill(pid, signal.SIGKILL)
    ran.communicate()
    # As if it had been killed just after its files counted, with none left to be written.
    token = json.loads((space.state / "record").read_text())["token"]
    state = root / "var/lib/symroute-nm"
    state.mkdir(parents=True)
    journal = {"backup": "x", "entries": [], "folders": [], "format": 1, "token": token}
    (state / "journal.done").write_text(json.dumps(journal))

    told = space.symroute("verify", "--root", str(root))
    assert FINE == space.symroute("generate", "--force", "--root", str(root)).returncode
    left = {place.name for place in space.state.iterdir()}
    rolled = space.symroute("rollback", "--root", str(root))

    assert b"was cut off after it was kept" in told.stderr
    assert "record.kept" in left and "record" not in left
    assert REFUSED == rolled.returncode
    assert b"too late: it was kept; symroute-nm undo --apply takes it back" in rolled.stderr
    assert is_planned(space)
    clean(space, root)


# -- after undo -----------------------------------------------------------------------------------


def test_after_undo_apply_says_why_nothing_is_to_change_and_goes_by_the_files_when_asked(
    space, root
):
    words = ("--root", str(root))
    bare = kernel(space)
    assert FINE == space.symroute("generate", "--apply", "--yes", *words).returncode
    planned = kernel(space)

    undone = space.symroute("undo", *words)
    assert FINE == undone.returncode
    assert f"removed    /{SCRIPTS}/rule-eth0\n".encode() in undone.stdout
    assert b"symroute-nm apply --files" in undone.stdout
    assert planned == kernel(space)

    # As undo has it for the machine's own root: whose tables are in the kernel.
    space.tables.write_bytes(blocks.put(None, "100 eth0\n101 eth1\n"))
    plain = space.symroute("apply", "--yes", *words)
    assert planned == kernel(space)
    assert b"nothing to change" in plain.stdout
    assert b"the files list something else" in plain.stderr
    assert b"symroute-nm apply --files brings the kernel to what they list" in plain.stderr

    assert FINE == space.symroute("apply", "--files", "--yes", *words).returncode
    assert bare == kernel(space)
    assert FINE == space.symroute("undo", *words).returncode
    assert FINE == space.symroute("apply", "--files", "--yes", *words).returncode
    assert sorted(planned[0].splitlines()) == sorted(kernel(space)[0].splitlines())
    assert FINE == space.symroute("verify", *words).returncode


def test_files_and_a_plan_are_not_asked_for_together(space, root):
    ran = space.symroute("apply", "--files", "--iif", "--root", str(root))
    assert 2 == ran.returncode
    assert b"--files goes by the files that are there" in ran.stderr


def test_a_write_that_was_cut_off_is_said_first_and_put_back(space, root):
    before = files(root)
    state = root / "var/lib/symroute-nm"
    ran = pending(space, root)
    keeper = keeper_of(ran, root)
    # As if it had been killed while it wrote: the journal is there, and nobody.
    assert FINE == space.symroute("rollback", "--root", str(root)).returncode
    ran.communicate()
    until(lambda: keeper not in keepers(root))
    state.mkdir(parents=True, exist_ok=True)
    journal = {"backup": "x", "entries": [], "folders": [], "format": 1, "token": ""}
    (state / "journal").write_text(json.dumps(journal))

    said = space.symroute("verify", "--root", str(root))
    rolled = space.symroute("rollback", "--root", str(root))

    assert said.stderr.startswith(b"pending: a run was cut off while it wrote files below ")
    assert FINE == rolled.returncode, rolled.stderr
    assert not (state / "journal").exists()
    assert before == files(root)
