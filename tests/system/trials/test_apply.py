"""`apply`, `confirm`, `verify` and `--apply` on a real kernel: what changes, and the way back."""

import json
import os
import pty
import re
import select
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from support.network.namespaces import Namespace
from support.network.trials import (
    FINDING,
    FINE,
    INPUT,
    MADE,
    PATIENCE,
    REFUSED,
    SCRIPTS,
    SYSTEM,
    clean,
    files,
    is_planned,
    keepers,
    kernel,
    odd_things,
    start,
    until,
    wait_for,
)
from symroute_nm.cli.main import app

FAKETIME = [
    *Path("/usr").glob("lib*/faketime/libfaketime.so.1"),
    *Path("/usr/lib").glob("*/faketime/libfaketime.so.1"),
]
NO_IPV6 = "eth0 is without IPv6"


# -- what is changed ------------------------------------------------------------------------------


def test_apply_brings_the_kernel_to_the_plan_and_again_changes_nothing(space, root):
    first = space.symroute("apply", "--yes", "--root", str(root))
    there = kernel(space)
    again = space.symroute("apply", "--yes", "--root", str(root))

    assert (FINE, FINE) == (first.returncode, again.returncode), first.stderr
    assert b"the kernel is as planned: nothing to change\n" == again.stdout
    assert there == kernel(space)
    for line in (
        "20000:\tfrom 10.0.6.5 lookup 100 suppress_prefixlength 0",
        "20001:\tfrom all iif eth1 lookup main suppress_prefixlength 0",
        "20002:\tfrom 10.0.5.5 lookup 101",
    ):
        assert line in there[0]
    assert "default via 10.0.6.1 dev eth0 table 100 \n" in there[1]
    assert "20002:\tfrom 2001:db8:5::5 lookup 101" in there[2]
    assert "default via 2001:db8:6::1 dev eth0 table 100 metric 1024" in there[3]
    # The files count at the next boot, and there are none.
    assert b"symroute-nm generate" in first.stderr


def test_apply_makes_what_the_rendered_lines_make(space, root):
    assert FINE == space.symroute("generate", "--root", str(root)).returncode
    for path in sorted((root / SCRIPTS).glob("r*")):
        family, kind = "-6" if "6-" in path.name else "-4", path.name.split("-")[0].rstrip("6")
        for line in path.read_text().splitlines():
            if not line.startswith("#"):
                space.ip(f"{kind} add {line}", family)
    by_lines = [sorted(each.splitlines()) for each in kernel(space)]

    assert b"nothing to change" in space.symroute("apply", "--yes", "--root", str(root)).stdout
    assert FINE == space.symroute("remove", "--apply", "--yes", "--root", str(root)).returncode
    assert not is_planned(space)
    assert FINE == space.symroute("apply", "--yes", "--root", str(root)).returncode
    assert by_lines == [sorted(each.splitlines()) for each in kernel(space)]


def test_a_dry_run_lists_the_changes_and_makes_none(space, root):
    before = kernel(space)

    ran = space.symroute("apply", "--dry-run", "--root", str(root))
    as_json = space.symroute("apply", "--dry-run", "--json", "--root", str(root))

    assert before == kernel(space)
    assert b"add route default via 10.0.6.1 dev eth0 table 100\n" in ran.stdout
    listed = json.loads(as_json.stdout.decode())["kernel"]
    assert len(ran.stdout.splitlines()) == len(listed)
    assert {"change": "add", "item": "IPv4 rule 20002: from 10.0.6.5/32 lookup 100"} in listed
    assert not (root / "run").exists()


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "1e9", "soon"])
def test_a_time_that_is_none_is_refused(seconds):
    ran = CliRunner().invoke(app, ["apply", "--timeout", seconds, "--dry-run"])

    assert INPUT == ran.exit_code
    assert "--timeout" in ran.output


def test_others_rules_and_routes_are_never_touched(space, root):
    space.ip("""
        rule add priority 100 from 10.0.6.5 to 10.99.0.0/16 lookup 77
        rule add priority 30000 fwmark 0x40/0xff lookup 78
        route add 10.99.0.0/16 via 10.0.6.9 table 77
        route add default via 10.0.5.9 table 78
        route add unreachable 10.98.0.0/16 table 4000""")
    before = kernel(space)

    for words in (["apply"], ["remove", "--apply"]):
        assert FINE == space.symroute(*words, "--yes", "--root", str(root)).returncode
    assert before == kernel(space)


def test_stale_rules_routes_and_duplicates_of_ours_go(space, root):
    assert FINE == space.symroute("apply", "--yes", "--root", str(root)).returncode
    there = kernel(space)
    space.ip("""
        rule add priority 20000 from 10.0.6.77 lookup 100 suppress_prefixlength 0
        rule add priority 20001 from 10.0.6.77 lookup main suppress_prefixlength 0
        rule add priority 20002 from 10.0.6.77 lookup 100
        route add 10.9.0.0/16 via 10.0.6.1 dev eth0 table 100
        route replace default via 10.0.6.9 dev eth0 table 100
        route del 10.0.5.0/24 table 100""")
    # Old kernels took the same rule again; this one does where it is not asked to mind.
    space.python("""if True:
        from symroute_nm.kernel import netlink
        connection = netlink.open_netlink()
        for raw in netlink.dump_raw(connection, netlink.RULES):
            rule = netlink.decode(netlink.RULES, raw)
            if rule.attribute("FRA_PRIORITY") == 20002:
                netlink.change(connection, netlink.RTM_NEWRULE, netlink.NLM_F_CREATE, raw)
        """)
    assert 2 == kernel(space)[0].count("20002:\tfrom 10.0.5.5 lookup 101")
    verified = space.symroute("verify", "--root", str(root)).stdout.decode()

    assert FINE == space.symroute("apply", "--yes", "--root", str(root)).returncode
    assert [sorted(each.splitlines()) for each in there] == [
        sorted(each.splitlines()) for each in kernel(space)
    ]
    for kind, item in (
        ("stale", "IPv4 rule 20002: from 10.0.6.77/32 lookup 100"),
        ("stale", "route 10.9.0.0/16 via 10.0.6.1 dev eth0 table 100"),
        ("changed", "route default via 10.0.6.9 dev eth0 table 100"),
        ("twice", "IPv4 rule 20002: from 10.0.5.5/32 lookup 101"),
    ):
        assert [
            line for line in verified.splitlines() if line.startswith(kind) and line.endswith(item)
        ], (kind, verified)


def test_a_line_of_the_administrators_in_an_own_table_stays(space, root):
    lines = [
        "10.77.0.0/16 via 10.0.6.7 dev eth0 table 100",
        "10.78.0.0/16 via 10.0.6.7 dev eth0 table 100 metric 8 mtu lock 1400",
        "10.79.0.0/16 table 100 nexthop via 10.0.6.7 dev eth0 nexthop via 10.0.6.8 dev eth0",
        "local 10.80.0.0/16 dev lo table 100",
    ]
    (root / SCRIPTS / "route-eth0").write_text("".join(line + "\n" for line in lines))
    # The dispatcher script is to apply them from now on.
    assert (
        FINE
        == space.symroute("generate", "--apply", "--yes", "--force", "--root", str(root)).returncode
    )
    space.ip("".join(f"route add {line}\n" for line in lines))
    there = [
        line
        for line in kernel(space)[1].splitlines()
        if re.match(r"(local )?10\.(77|78|79|80)\.", line)
    ]
    assert len(lines) == len(there)

    assert FINE == space.symroute("apply", "--yes", "--root", str(root)).returncode
    assert set(there) <= set(kernel(space)[1].splitlines())
    assert FINE == space.symroute("verify", "--root", str(root)).returncode
    assert FINE == space.symroute("remove", "--apply", "--yes", "--root", str(root)).returncode
    assert set(there) <= set(kernel(space)[1].splitlines())


def test_in_a_table_that_an_administrators_file_names_only_our_routes_are_ours(space, root):
    (root / "etc/iproute2/rt_tables.d/site.conf").write_text("200 users\n")
    (root / "etc/symroute-nm.conf").write_text("[interface eth0]\ntable = users\n")
    space.ip("""
        route add 10.66.0.0/16 via 10.0.6.6 dev eth0 table 200
        route add default via 10.0.6.1 dev eth0 table 200""")
    assert FINE == space.symroute("generate", "--apply", "--yes", "--root", str(root)).returncode
    assert FINE == space.symroute("verify", "--root", str(root)).returncode
    assert "10.66.0.0/16" in kernel(space)[1]
    assert 1 == kernel(space)[1].count("default via 10.0.6.1 dev eth0 table 200")

    assert FINE == space.symroute("remove", "--apply", "--yes", "--root", str(root)).returncode
    assert "10.66.0.0/16 via 10.0.6.6 dev eth0 table 200" in kernel(space)[1]


def test_an_emptied_own_table_is_noticed_and_mended(space, root):
    words = ("--root", str(root))
    assert FINE == space.symroute("generate", "--apply", "--yes", *words).returncode
    there = kernel(space)
    space.ip("link set eth1 down")
    space.ip("link set eth1 up")
    # As NetworkManager would: main alone.
    space.ip("""
        route add default via 10.0.5.1 dev eth1 metric 50
        addr replace 2001:db8:5::5/64 dev eth1 nodad
        route add default via 2001:db8:5::1 dev eth1 metric 50""")

    found = space.symroute("verify", "--json", *words)
    assert FINDING == found.returncode
    lacking = {
        difference["item"]
        for difference in json.loads(found.stdout.decode())["differences"]
        if difference["plan"] and difference["files"] and not difference["kernel"]
    }
    assert "route default via 10.0.5.1 dev eth1 table 101" in lacking
    assert FINE == space.symroute("apply", "--yes", *words).returncode
    assert FINE == space.symroute("verify", *words).returncode
    assert sorted(there[0].splitlines()) == sorted(kernel(space)[0].splitlines())


@pytest.fixture
def readable(root):
    """The root where anybody may read it; pytest's own folders are root's alone."""
    folder = Path(tempfile.mkdtemp())
    shutil.move(str(root), str(folder / "root"))
    for each in [folder, *folder.rglob("*")]:
        each.chmod(0o755)
    yield folder / "root"
    shutil.rmtree(str(folder))


def test_without_privileges_nothing_is_done_and_one_line_says_so(space, readable):
    root, before = readable, kernel(space)

    for words in (["apply"], ["generate", "--apply"], ["remove", "--apply"], ["confirm"]):
        ran = space.symroute_as_nobody(*words, "--root", str(root))
        assert ran.returncode in (REFUSED, SYSTEM), (words, ran.stderr)
        assert 1 == len(ran.stderr.splitlines()), ran.stderr
    assert space.symroute_as_nobody("apply", "--dry-run", "--root", str(root)).returncode == FINE
    assert space.symroute_as_nobody("verify", "--root", str(root)).returncode == FINDING
    assert before == kernel(space)


# -- the way back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [["apply"], ["remove", "--apply"]])
def test_the_way_back_brings_all_back_exactly(space, root, words):
    odd_things(space, root)
    space.ip("link set far3 down")  # eth1 has no carrier: its routes say so
    before = kernel(space, "-d")

    # What a process has ignored its children do, too: here, that a child of theirs ends.
    inherited = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        ran = start(space, root, *words, "--timeout", "1")
    finally:
        signal.signal(signal.SIGCHLD, inherited)
    wait_for(ran, MADE)
    changed = kernel(space, "-d")
    said = ran.communicate()[1]

    assert before != changed
    assert before == kernel(space, "-d")
    assert REFUSED == ran.returncode, said
    clean(space, root)


def unconfirmed(space, root, meanwhile):
    """An apply during which something happens, and which nobody confirms; what it said."""
    ran = start(space, root, "apply", "--timeout", "1.5")
    wait_for(ran, MADE)
    if meanwhile == NO_IPV6:
        space.sysctl("ipv6/conf/eth0/disable_ipv6", "1")
    else:
        space.ip(meanwhile)
    said = ran.communicate()[1]
    return ran.returncode, said


@pytest.mark.parametrize("happens", ["link set eth0 down", "link del eth0", NO_IPV6])
def test_a_link_that_goes_meanwhile_holds_up_nothing_else(space, root, happens):
    odd_things(space, root)
    # By both links: the kernel takes none of which one is down.
    space.ip("route del 10.4.0.0/16 table 101")
    space.ip("route del 2001:db8:a::/48 table 100", "-6")
    before = kernel(space, "-o")

    returned, said = unconfirmed(space, root, happens)

    after = kernel(space, "-o")
    assert REFUSED == returned, said
    assert [line.replace(" [detached]", "") for line in after[0].splitlines()] == (
        before[0].splitlines()
    )
    assert [
        line
        for line in before[1].splitlines()
        if "table 10" in line and (happens == NO_IPV6 or "eth0" not in line)
    ] == [line for line in after[1].splitlines() if "table 10" in line]
    assert [
        line for line in before[3].splitlines() if "table 10" in line and "eth0" not in line
    ] == [line for line in after[3].splitlines() if "table 10" in line]
    clean(space, root)


def test_what_cannot_be_brought_back_is_said_and_kept_for_the_next_run(space, root):
    odd_things(space, root)
    space.ip("""
        addr add 10.0.6.77/24 dev eth0
        route add 10.43.0.0/16 via 10.0.6.2 dev eth0 src 10.0.6.77 table 100""")
    before = kernel(space)

    returned, said = unconfirmed(space, root, "addr del 10.0.6.77/24 dev eth0")
    without = kernel(space)
    verified = space.symroute("verify", "--root", str(root))
    still = space.symroute("apply", "--yes", "--root", str(root))
    space.ip("addr add 10.0.6.77/24 dev eth0")
    again = start(space, root, "apply", "--timeout", "1")
    wait_for(again, b"it was taken back")
    again.communicate()

    assert (SYSTEM, SYSTEM) == (returned, still.returncode)
    assert verified.stderr.startswith(
        b"pending: apply (by root) was cut off before it was confirmed: symroute-nm rollback"
    )
    for text in (said, still.stderr):
        assert b"the way back failed: cannot add route 10.43.0.0/16 via 10.0.6.2 dev eth0" in text
        assert b"remove %s/record" % str(space.state).encode() in text
    assert before[0] == without[0]
    assert ["10.43.0.0/16 via 10.0.6.2 dev eth0 src 10.0.6.77 "] == [
        line.replace("table 100 ", "")
        for line in before[1].splitlines()
        if "table 10" in line and line not in without[1].splitlines()
    ]
    assert sorted(before[1].splitlines()) == sorted(kernel(space)[1].splitlines())


@pytest.mark.parametrize("standing", ["folder", "link"])
def test_what_stands_in_the_way_below_run_is_told(space, root, standing):
    before = kernel(space)
    space.state.parent.mkdir(mode=0o700, exist_ok=True)
    if standing == "link":
        space.state.symlink_to("/nowhere")
    else:
        (space.state / "confirm/within").mkdir(parents=True)

    ran = space.symroute("apply", "--root", str(root))
    if standing == "link":
        space.state.unlink()

    assert before == kernel(space)
    assert (REFUSED if standing == "link" else SYSTEM) == ran.returncode
    wanted = {
        "link": b"%s is no folder, or a link to one",
        "folder": b"cannot listen at %s/confirm: ",
    }
    assert wanted[standing] % str(space.state).encode() in ran.stderr
    assert b"another change" not in ran.stderr


def test_where_names_of_tables_cannot_be_kept_all_is_as_before(space, root):
    before, written = kernel(space), files(root)
    space.tables.mkdir(parents=True)

    ran = space.symroute("generate", "--apply", "--yes", "--root", str(root))
    space.tables.rmdir()

    assert REFUSED == ran.returncode
    assert f"{space.tables} is a folder".encode() in ran.stderr
    assert (before, written) == (kernel(space), files(root))
    clean(space, root)


def test_what_others_do_meanwhile_in_a_table_that_we_share_stays(space, root):
    (root / "etc/iproute2/rt_tables.d/site.conf").write_text("200 users\n")
    (root / "etc/symroute-nm.conf").write_text("[interface eth0]\ntable = users\n")
    before = kernel(space)

    returned, said = unconfirmed(
        space, root, "route add 10.67.0.0/16 via 10.0.6.6 dev eth0 table 200"
    )

    assert REFUSED == returned, said
    space.ip("route del 10.67.0.0/16 table 200")  # it is still there
    assert before == kernel(space)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_signal_to_the_command_leaves_no_change_behind(space, root, number):
    before, written = kernel(space), files(root)
    ran = start(space, root, "generate", "--apply", "--timeout", "1.5", start_new_session=True)
    wait_for(ran, MADE)
    assert is_planned(space)

    ran.send_signal(number)
    ran.communicate()
    if number in (signal.SIGHUP, signal.SIGKILL):
        assert is_planned(space)  # whoever logs in again can still confirm it
    until(lambda: before == kernel(space))
    clean(space, root)
    assert written == files(root)


def test_a_killed_session_can_be_confirmed_from_another(space, root):
    ran = start(space, root, "generate", "--apply", "--timeout", "30", start_new_session=True)
    wait_for(ran, MADE)
    ran.kill()
    ran.communicate()

    confirmed = space.symroute("confirm", "--root", str(root))

    assert (FINE, b"kept\n") == (confirmed.returncode, confirmed.stdout), confirmed.stderr
    assert FINE == space.symroute("verify", "--root", str(root)).returncode
    assert is_planned(space)
    clean(space, root)


def test_the_usual_signal_confirms(space, root):
    ran = start(space, root, "apply", "--timeout", "30")
    wait_for(ran, MADE)
    ran.send_signal(signal.SIGUSR1)
    ran.communicate()

    assert FINE == ran.returncode
    assert is_planned(space)


def test_a_killed_keeper_has_the_command_take_the_change_back(space, root):
    before = kernel(space)
    ran = start(space, root, "apply", "--timeout", "30")
    wait_for(ran, MADE)
    (keeper,) = set(keepers(root)) - {ran.pid}
    os.kill(keeper, signal.SIGKILL)
    said = ran.communicate()[1]

    assert SYSTEM == ran.returncode
    assert b"everything is as it was before" in said
    assert before == kernel(space)
    assert {"lock", "confirm"} >= {path.name for path in space.state.iterdir()}


def test_what_two_kills_left_is_taken_back_by_the_next_run(space, root):
    odd_things(space, root)
    before = kernel(space, "-d")
    ran = start(space, root, "apply", "--timeout", "30", start_new_session=True)
    wait_for(ran, MADE)
    for each in [*keepers(root)]:
        os.kill(each, signal.SIGKILL)
    ran.communicate()
    assert before != kernel(space, "-d")

    again = start(space, root, "apply", "--timeout", "1")
    said = wait_for(again, MADE)
    again.communicate()

    assert b"was cut off before it was confirmed; it was taken back" in said
    assert before == kernel(space, "-d")
    clean(space, root)


def test_only_one_change_waits_at_a_time(space, root):
    ran = start(space, root, "apply", "--timeout", "30")
    wait_for(ran, MADE)

    other = space.symroute("generate", "--apply", "--root", str(root))
    ran.send_signal(signal.SIGTERM)
    ran.communicate()

    assert REFUSED == other.returncode
    assert b"another change waits to be confirmed" in other.stderr
    assert b"symroute-nm confirm" in other.stderr


def test_whoever_confirms_while_another_does_gets_the_answer_too(space, root):
    ran = start(space, root, "apply", "--timeout", "30")
    wait_for(ran, MADE)
    (keeper,) = set(keepers(root)) - {ran.pid}
    os.kill(keeper, signal.SIGSTOP)
    confirmations = [start(space, root, "confirm") for _ in range(2)]
    # What a process that reads from a socket is in: read(2), recvfrom(2) or the poll(2) before it.
    until(
        lambda: all(
            b"unix" in Path(f"/proc/{confirmation.pid}/wchan").read_bytes()
            or b"poll" in Path(f"/proc/{confirmation.pid}/wchan").read_bytes()
            for confirmation in confirmations
        )
    )
    os.kill(keeper, signal.SIGCONT)

    assert [b"kept\n"] * 2 == [confirmation.communicate()[0] for confirmation in confirmations]
    ran.communicate()
    assert FINE == ran.returncode


def test_confirm_without_a_change_says_so(space, root):
    ran = space.symroute("confirm", "--root", str(root))

    assert REFUSED == ran.returncode
    assert b"symroute-nm: no change waits to be confirmed; " in ran.stderr


@pytest.mark.parametrize("jump", ["+3d", "-3d"])
def test_a_clock_that_jumps_changes_nothing(space, root, jump):
    if not FAKETIME:
        pytest.skip("no libfaketime: install faketime")
    before = kernel(space)
    clock = root.parent / "clock"
    clock.write_text("+0\n")
    # From Python 3.11 on, time.sleep() is a call that libfaketime answers with EINVAL.
    (root.parent / "sitecustomize.py").write_text(
        "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds)\n"
    )
    environment = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join(
            filter(None, [str(root.parent), os.environ.get("PYTHONPATH", "")])
        ),
        LD_PRELOAD=str(FAKETIME[0]),
        FAKETIME_TIMESTAMP_FILE=str(clock),
        FAKETIME_NO_CACHE="1",
        DONT_FAKE_MONOTONIC="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    began = time.monotonic()
    ran = start(space, root, "apply", "--timeout", "3", env=environment)
    wait_for(ran, MADE)
    # By another name first: of a file without a line libfaketime makes an end of the process.
    following = root.parent / "following"
    following.write_text(jump + "\n")
    following.rename(clock)
    time.sleep(0.7)
    assert is_planned(space)
    ran.communicate()

    assert 3 <= time.monotonic() - began < PATIENCE
    assert before == kernel(space)


# -- files are the last thing ---------------------------------------------------------------------


def test_files_are_written_only_after_the_confirmation(space, root):
    before = files(root)
    ran = start(space, root, "generate", "--apply", "--timeout", "30")
    wait_for(ran, MADE)
    waiting = files(root)
    assert FINE == space.symroute("confirm", "--root", str(root)).returncode
    said = ran.communicate()[0]

    assert before == waiting
    assert FINE == ran.returncode
    assert b"wrote     /etc/sysconfig/network-scripts/rule-eth0\n" in said
    assert before.items() < files(root).items()
    assert FINE == space.symroute("verify", "--root", str(root)).returncode


def test_where_the_files_cannot_be_written_the_kernel_is_as_before(space, root):
    before = kernel(space)
    (root / SCRIPTS / "route-eth0").write_text("10.9.0.0/16 via 10.0.6.9 dev eth0\n")
    ran = start(space, root, "generate", "--apply", "--timeout", "30")
    wait_for(ran, MADE)
    (root / SCRIPTS / "route-eth0").write_text("10.10.0.0/16 via 10.0.6.9 dev eth0\n")  # meanwhile
    written = files(root)
    confirmed = space.symroute("confirm", "--root", str(root))
    ran.communicate()

    assert (REFUSED, REFUSED) == (ran.returncode, confirmed.returncode)
    assert b"was changed by someone else meanwhile" in confirmed.stderr
    assert written == files(root)
    assert before == kernel(space)
    clean(space, root)


def test_remove_and_undo_take_the_kernel_along(space, root):
    words = ("--apply", "--yes", "--root", str(root))
    empty, bare = kernel(space), files(root)
    assert FINE == space.symroute("generate", *words).returncode
    planned, written = [sorted(each.splitlines()) for each in kernel(space)], files(root)

    assert FINE == space.symroute("remove", *words).returncode
    assert (empty, bare) == (kernel(space), files(root))
    assert FINE == space.symroute("undo", *words).returncode
    assert planned == [sorted(each.splitlines()) for each in kernel(space)]
    assert written == files(root)
    assert FINE == space.symroute("verify", "--root", str(root)).returncode


def test_an_unconfirmed_removal_removes_nothing(space, root):
    assert FINE == space.symroute("generate", "--apply", "--yes", "--root", str(root)).returncode
    before, written = kernel(space), files(root)

    ran = start(space, root, "remove", "--apply", "--timeout", "1")
    wait_for(ran, MADE)
    assert not is_planned(space)
    ran.communicate()

    assert REFUSED == ran.returncode
    assert (before, written) == (kernel(space), files(root))


# -- at a terminal --------------------------------------------------------------------------------


class Terminal:
    """A command of ours in a session of its own with a terminal."""

    def __init__(self, space: Namespace, root: Path, *words: str) -> None:
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvp(
                "nsenter",
                [
                    "nsenter",
                    "--net=/run/netns/" + space.name,
                    sys.executable,
                    "-m",
                    "symroute_nm",
                    *words,
                    "--root",
                    str(root),
                ],
            )
        self.said = b""

    def expect(self, text: bytes) -> None:
        end = time.monotonic() + PATIENCE
        while text not in self.said:
            assert select.select([self.master], [], [], max(0, end - time.monotonic()))[0]
            self.said += os.read(self.master, 4096)

    def type(self, text: bytes) -> None:
        os.write(self.master, text)

    def end(self) -> int:
        """Its exit code, once it has said all."""
        try:
            while True:
                self.said += os.read(self.master, 4096)
        except OSError:  # EIO: its end is closed
            pass
        os.close(self.master)
        return os.WEXITSTATUS(os.waitpid(self.pid, 0)[1])


def test_enter_keeps_it(space, root):
    terminal = Terminal(space, root, "apply", "--timeout", "30")
    terminal.expect(b"Enter or y keeps it, n or Ctrl-C takes it back; 30 s left")
    terminal.type(b"\n")

    assert FINE == terminal.end()
    assert is_planned(space)
    clean(space, root)
    assert "100 eth0\n" in space.tables.read_text()
    assert 0o644 == space.tables.stat().st_mode & 0o7777


@pytest.mark.parametrize("word", [b"y", b"YES"])
def test_yes_keeps_it(space, root, word):
    terminal = Terminal(space, root, "apply", "--timeout", "30")
    terminal.expect(b"s left")
    terminal.type(word + b"\n")

    assert FINE == terminal.end()
    assert is_planned(space)


@pytest.mark.parametrize("word", [b"n", b"No"])
def test_no_takes_it_back_at_once(space, root, word):
    before = kernel(space)
    terminal = Terminal(space, root, "apply", "--timeout", "300")
    terminal.expect(b"s left")
    terminal.type(word + b"\n")

    assert REFUSED == terminal.end()
    assert b"not confirmed: everything is as it was before" in terminal.said
    assert before == kernel(space)


def test_what_is_no_answer_is_asked_again_and_keeps_nothing(space, root):
    before = kernel(space)
    terminal = Terminal(space, root, "apply", "--timeout", "300")
    terminal.expect(b"s left")
    terminal.type(b"not at all\n")
    terminal.expect(b"'not at all' is no answer")
    terminal.type(b" \n")
    terminal.expect(b"' ' is no answer")
    terminal.expect(b"s left")
    terminal.type(b"n\n")

    assert REFUSED == terminal.end()
    assert before == kernel(space)


def test_what_was_typed_before_confirms_nothing(space, root):
    before = kernel(space)
    terminal = Terminal(space, root, "apply", "--timeout", "1")
    terminal.type(b"symroute-nm verify\n")

    assert REFUSED == terminal.end()
    assert before == kernel(space)


def test_ctrl_c_takes_it_back_at_once(space, root):
    before = kernel(space)
    terminal = Terminal(space, root, "apply", "--timeout", "300")
    terminal.expect(b"s left")
    terminal.type(b"\x03")

    assert REFUSED == terminal.end()
    assert b"not confirmed: everything is as it was before" in terminal.said
    assert before == kernel(space)


def test_a_closed_terminal_leaves_it_to_the_timeout(space, root):
    before = kernel(space)
    terminal = Terminal(space, root, "apply", "--timeout", "2")
    terminal.expect(b"s left")
    os.close(terminal.master)
    os.waitpid(terminal.pid, 0)

    assert is_planned(space)
    until(lambda: before == kernel(space))
    clean(space, root)


# -- verify ---------------------------------------------------------------------------------------


def test_verify_tells_what_is_missing_where(space, root):
    words = ("--root", str(root))
    nothing = space.symroute("verify", *words)
    assert FINE == space.symroute("generate", *words).returncode
    listed = json.loads(space.symroute("verify", "--json", *words).stdout.decode())
    assert FINE == space.symroute("apply", "--yes", *words).returncode
    agreed = space.symroute("verify", *words)

    assert FINDING == nothing.returncode
    assert b"/etc/sysconfig/network-scripts/rule-eth0 is missing\n" in nothing.stdout
    assert not listed["agree"]
    assert [] == listed["files"]
    assert {("missing", True, True, False)} == {
        (difference["kind"], difference["plan"], difference["files"], difference["kernel"])
        for difference in listed["differences"]
    }
    assert (FINE, b"plan, files and kernel agree\n") == (agreed.returncode, agreed.stdout)


def test_verify_tells_a_file_that_was_changed_by_hand(space, root):
    words = ("--root", str(root))
    assert FINE == space.symroute("generate", "--apply", "--yes", *words).returncode
    path = root / SCRIPTS / "route-eth0"
    path.write_text(
        path.read_text().replace("default via 10.0.6.1 dev eth0", "default via 10.0.6.99 dev eth0")
    )

    found = space.symroute("verify", *words)

    assert FINDING == found.returncode
    lines = found.stdout.decode().splitlines()
    assert (
        "/etc/sysconfig/network-scripts/route-eth0 differs: it was changed by hand since it "
        "was written"
    ) in lines
    assert "missing  yes   no     yes     route default via 10.0.6.1 dev eth0 table 100" in lines
    assert "changed  no    yes    no      route default via 10.0.6.99 dev eth0 table 100" in lines
