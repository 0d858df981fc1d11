"""Installing: all or nothing, whatever fails, whoever interferes, wherever it is killed."""

import contextlib
import datetime
import errno
import json
import os
import pathlib
import shutil
import signal
import stat
import struct
import subprocess
import sys
import warnings

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from support.program import ROOT
from support.trees import (
    BODY,
    LINK,
    ROUTE,
    RULE,
    SCRIPTS,
    STALE,
    STATE,
    TABLES,
    WANTED,
    build,
    ended,
    forked,
    hidden,
    run,
    tree,
    write,
)
from symroute_nm import programs
from symroute_nm.errors import InputError, Refusal, SystemFailure
from symroute_nm.files import access, backups, blocks, install, journal
from symroute_nm.files import changes as files_changes
from symroute_nm.files.changes import Change
from symroute_nm.files.lock import lock_place, locked
from symroute_nm.targets.ifcfg import changes as changing
from symroute_nm.targets.ifcfg.conversion import convert

NOON = datetime.datetime(2024, 2, 29, 12, 0, 0, tzinfo=datetime.timezone.utc)


@pytest.fixture(name="root")
def _root(tmp_path):
    return build(tmp_path / "root")


@pytest.fixture(name="after", scope="module")
def _after(tmp_path_factory):
    """The tree of `build` after a run without trouble."""
    root = build(tmp_path_factory.mktemp("after") / "root")
    run(root)
    return tree(root)


# Reading


def test_read_gives_bytes_or_none(root):
    assert b"DEVICE=eth0\n" == access.read(root, SCRIPTS + "/ifcfg-eth0")
    assert access.read(root, "/etc/no/such/file") is None


@pytest.mark.parametrize("kind", ["folder", "fifo", "device", "file as folder", "unreadable"])
def test_what_cannot_be_read_is_named(tmp_path, kind):
    place = str(tmp_path / "x")
    if kind == "folder":
        (tmp_path / "x").mkdir()
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "device":
        os.mknod(place, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero: would never end
    else:
        (tmp_path / "x").write_bytes(b"")
    path = "/x/y" if kind == "file as folder" else "/x"
    if kind == "unreadable":
        with unprivileged(tmp_path), pytest.raises(SystemFailure, match="/x: Permission denied"):
            access.read(tmp_path, path)
    else:
        with pytest.raises(Refusal, match=path):
            access.read(tmp_path, path)


@contextlib.contextmanager
def unprivileged(folder):
    """Run as nobody, to whom the file x in the folder is closed."""
    (folder / "x").chmod(0)
    parents = [each for each in (folder, *folder.parents) if each != pathlib.Path("/")]
    modes = [(parent, parent.stat().st_mode) for parent in parents]
    for each, mode in modes:
        each.chmod(mode | 0o111)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for each, mode in modes:
            each.chmod(mode)


@pytest.mark.parametrize("target", ["../../outside", "/outside", "x", "missing"])
def test_a_link_that_leaves_the_root_circles_or_dangles_is_refused(tmp_path, target):
    (tmp_path / "outside").write_bytes(b"secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "x").symlink_to(target)
    with pytest.raises(Refusal, match="/x"):
        access.read(root, "/x")
    with pytest.raises(Refusal, match="/x"):
        changing.find_changes(root, {"/x": BODY})
    assert b"secret" == (tmp_path / "outside").read_bytes()


@pytest.mark.parametrize("form", ["relative", "of the host", "from outside", "a folder"])
def test_a_link_inside_the_root_stays_and_its_file_is_written(tmp_path, form):
    real = write(tmp_path, "/real/file", b"mine\n")
    targets = {"relative": "real/file", "of the host": "/real/file", "from outside": str(real)}
    if form == "a folder":
        (tmp_path / "link").symlink_to("/real")
        path = "/link/file"
    else:
        (tmp_path / "link").symlink_to(targets[form])
        path = "/link"
    install.install(tmp_path, changing.find_changes(tmp_path, {path: BODY}))
    assert (tmp_path / "link").is_symlink()
    assert blocks.put(b"mine\n", BODY) == real.read_bytes()


# Changes


def test_changes_are_sorted_and_name_what_keeps(root):
    changes = changing.find_changes(root, WANTED, [STALE, SCRIPTS + "/rule-none"])
    assert sorted([*WANTED, STALE, SCRIPTS + "/rule-none"]) == [change.path for change in changes]
    kinds = {change.path: change.kind for change in changes}
    assert ["update", "create", "delete"] == [kinds[path] for path in (ROUTE, RULE, STALE)]
    assert "keep" == kinds[SCRIPTS + "/rule-none"]


def test_a_wanted_file_that_is_unwanted_too_is_wanted(root):
    assert ["update"] == [
        change.kind for change in changing.find_changes(root, {ROUTE: BODY}, [ROUTE])
    ]


def for_eth0(content):
    return convert(blocks.take_out(content, ROUTE) or b"", "eth0", ROUTE)


def test_the_variables_form_is_refused_unless_it_may_be_converted(root):
    original = b"# lab\nADDRESS0=10.10.0.0\nNETMASK0=255.255.0.0\nGATEWAY0=10.0.6.9\n"
    place = write(root, ROUTE, original)
    with pytest.raises(Refusal, match=f"{ROUTE}.*--convert"):
        changing.find_changes(root, {ROUTE: BODY})
    name = install.install(
        root, changing.find_changes(root, {ROUTE: BODY}, rewriters={ROUTE: for_eth0})
    )
    expected = blocks.put(b"# lab\n10.10.0.0/16 via 10.0.6.9 dev eth0\n", BODY)
    assert expected == place.read_bytes()
    assert original == (root / STATE / "backups" / name / ROUTE[1:]).read_bytes()
    assert () == tuple(c for c in changing.find_changes(root, {ROUTE: BODY}) if c.kind != "keep")


def test_a_variables_file_that_got_our_block_too_converts(root):
    content = blocks.put(b"ADDRESS0=10.10.0.0\nNETMASK0=255.255.0.0\n", BODY) + b"# end\n"
    write(root, ROUTE, content)
    change = changing.find_changes(root, {ROUTE: BODY}, rewriters={ROUTE: for_eth0})[0]
    assert blocks.put(b"10.10.0.0/16 dev eth0\n# end\n", BODY) == change.after


def test_two_paths_to_one_file_are_refused_if_they_differ_and_one_if_they_do_not(root):
    same = "/etc/mine/route-eth1"
    with pytest.raises(Refusal, match="same file"):
        changing.find_changes(root, {LINK: BODY, same: "other\n"})
    assert 1 == len(changing.find_changes(root, {LINK: BODY, same: BODY}))


def test_a_link_to_nothing_but_our_block_is_left_to_the_administrator(root):
    write(root, "/etc/mine/route-eth1", blocks.put(None, BODY))
    with pytest.raises(Refusal, match="is a link"):
        changing.find_changes(root, {}, [LINK])


def test_owned_finds_our_blocks_and_passes_over_backups_and_oddities(root):
    run(root)
    for name in (
        "route-a.bak",
        "rule-b~",
        "rule6-c.rpmnew",
        "route6-d.orig",
        "rule-f;5a8b0c1d",
        "ifcfg-e",
    ):
        write(root, SCRIPTS + "/" + name, blocks.put(None, BODY))
    # NetworkManager loads ifcfg-c.rpmsave, so the script reads these.
    write(root, SCRIPTS + "/rule6-c.rpmsave", blocks.put(None, BODY))
    write(root, SCRIPTS + "/rule6-gone", blocks.put(b"mine\n", BODY))
    write(root, "/etc/iproute2/rt_tables", blocks.put(b"255 local\n", "100 users\n"))
    write(root, "/etc/iproute2/rt_tables.d/notes", blocks.put(None, BODY))
    (root / SCRIPTS[1:] / "route-folder").mkdir()
    (root / SCRIPTS[1:] / "route-dangling").symlink_to("nowhere")
    os.mkfifo(str(root / SCRIPTS[1:] / "route-fifo"))
    odd = [SCRIPTS + "/rule6-c.rpmsave", SCRIPTS + "/rule6-gone"]
    expected = [*WANTED, *odd, "/etc/iproute2/rt_tables"]
    assert sorted(expected) == list(changing.find_owned(root))


def test_owned_names_a_file_once_however_many_links_lead_to_it(root):
    (root / SCRIPTS[1:] / "rule-a").symlink_to("rule-eth9")
    (root / SCRIPTS[1:] / "rule-z").symlink_to("rule-eth9")
    assert (STALE,) == changing.find_owned(root)


def test_nothing_is_owned_where_there_is_nothing(tmp_path):
    assert () == changing.find_owned(tmp_path)


# The diff


CONTENT = st.one_of(
    st.none(), st.lists(st.sampled_from([b"a\n", b"b\n", b"c", b"\n"]), max_size=9).map(b"".join)
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(before=CONTENT, after=CONTENT)
@example(before=b"a", after=b"a\n")
@example(before=b"a\n", after=None)
def test_patch_makes_of_the_diff_what_the_change_says(tmp_path_factory, before, after):
    folder = tmp_path_factory.mktemp("patch")
    if before is not None:
        write(folder, "/etc/x", before)
    diff = files_changes.unified_diff([Change("/etc/x", before, after)])
    command = ["patch", "-p1", "-s", "-u"]
    if diff and (before or after):
        subprocess.run(command, input=diff.encode(), cwd=str(folder), check=True)
    result = folder / "etc/x"
    assert (after or b"") == (result.read_bytes() if result.exists() else b"")


def test_the_diff_is_that_of_diff(tmp_path):
    before, after = b"a\nb\nc\nd\ne\nf", b"a\nB\nc\nd\ne\nf\n"
    for name, content in (("a", before), ("b", after)):
        write(tmp_path, f"/{name}/etc/x", content)
    command = ["diff", "-u", "--label", "a/etc/x", "--label", "b/etc/x", "a/etc/x", "b/etc/x"]
    real = subprocess.run(command, cwd=str(tmp_path), stdout=subprocess.PIPE, check=False)
    assert real.stdout.decode() == files_changes.unified_diff([Change("/etc/x", before, after)])


def test_the_diff_shows_what_a_terminal_would_act_on():
    after = "\x1b[2Jx\r\n\ttab \u202e\xe4\n".encode() + b"\xff\n"
    lines = files_changes.unified_diff([Change("/etc/x", None, after)]).split("\n")
    assert ["--- /dev/null", "+++ b/etc/x"] == lines[:2]
    assert ["+\\x1b[2Jx\\r", "+\ttab \\u202e\xe4", "+\\xff"] == lines[3:6]


def test_the_diff_leaves_out_what_keeps():
    assert "" == files_changes.unified_diff([Change("/etc/x", b"a", b"a")])


# Installing


def test_install_writes_keeps_mode_and_owner_and_backs_up(root, monkeypatch):
    monkeypatch.setattr(install, "_now", lambda: NOON)
    before = (root / ROUTE[1:]).read_bytes()
    name = run(root)
    assert "20240229T120000Z-1" == name
    status = (root / ROUTE[1:]).stat()
    assert (0o640, 1234, 4321) == (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    assert blocks.put(before, BODY) == (root / ROUTE[1:]).read_bytes()
    status = (root / RULE[1:]).stat()
    assert (0o644, 0, 0) == (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid)
    assert not (root / STALE[1:]).exists()
    assert 0o755 == stat.S_IMODE((root / TABLES[1:]).parent.stat().st_mode)
    backup = root / STATE / "backups" / name
    assert before == (backup / ROUTE[1:]).read_bytes()
    files = json.loads((backup / "manifest.json").read_text())["files"]
    manifest = {file["path"]: file for file in files}
    assert (True, 0o640, 1234) == tuple(manifest[ROUTE][key] for key in ("existed", "mode", "uid"))
    assert not manifest[RULE]["existed"]
    assert [] == hidden(root)
    assert ["backups"] == sorted(path.name for path in (root / STATE).iterdir())


def test_a_umask_does_not_make_files_unreadable(root):
    old = os.umask(0o077)
    try:
        run(root)
    finally:
        os.umask(old)
    assert 0o644 == stat.S_IMODE((root / TABLES[1:]).stat().st_mode)
    assert 0o755 == stat.S_IMODE((root / TABLES[1:]).parent.stat().st_mode)


def test_nothing_to_do_touches_nothing(root):
    assert run(root) is not None
    shutil.rmtree(str(root / "var"))
    assert run(root) is None
    assert not (root / "var").exists()


def test_removal_gives_the_tree_of_before_back(root):
    before = tree(root)
    run(root)
    install.install(
        root, changing.find_changes(root, {STALE: "from 10.0.9.9 lookup 109\n"}, WANTED)
    )
    folders = {"etc/iproute2", "etc/iproute2/rt_tables.d"}
    assert before == {path: value for path, value in tree(root).items() if path not in folders}


def test_a_file_that_was_changed_meanwhile_is_refused(root):
    changes = changing.find_changes(root, WANTED, [STALE])
    write(root, RULE, b"mine\n")
    before = tree(root)
    with pytest.raises(Refusal, match=f"{RULE} was changed"):
        install.install(root, changes)
    assert before == tree(root)
    assert [] == hidden(root)


def test_a_line_written_to_the_old_file_while_it_is_replaced_is_not_lost(root, monkeypatch):
    place = root / ROUTE[1:]
    switch = install._switch

    def edit_then_switch(step):
        if step.change.path == ROUTE:
            with place.open("ab") as file:
                file.write(b"\nlate line\n")
        switch(step)

    monkeypatch.setattr(install, "_switch", edit_then_switch)
    with pytest.raises(Refusal, match=f"{ROUTE} was changed"):
        run(root)
    assert place.read_bytes().endswith(b"\nlate line\n")
    assert [] == hidden(root)


def test_the_access_control_list_is_kept(root):
    place = root / ROUTE[1:]
    # version 2; user::rw- user:99:rw- group::r-- mask::rw- other::--- (linux/posix_acl_xattr.h)
    entries = [(1, 6, -1), (2, 6, 99), (4, 4, -1), (16, 6, -1), (32, 0, -1)]
    value = b"\x02\0\0\0" + b"".join(
        struct.pack("<HHi", tag, rights, who) for tag, rights, who in entries
    )
    try:
        os.setxattr(str(place), "system.posix_acl_access", value)
    except OSError as error:
        warnings.warn(f"no ACLs here, so keeping them was not tested: {error}", stacklevel=1)
        pytest.skip("no ACLs on this file system")
    run(root)
    assert value == os.getxattr(str(place), "system.posix_acl_access")


def test_the_selinux_label_is_kept(root):
    label = b"system_u:object_r:net_conf_t:s0\0"
    try:
        os.setxattr(str(root / ROUTE[1:]), "security.selinux", label)
    except OSError as error:
        warnings.warn(f"no labels here, so keeping them was not tested: {error}", stacklevel=1)
        pytest.skip("no security.selinux on this file system")
    run(root)
    assert label == os.getxattr(str(root / ROUTE[1:]), "security.selinux")


@pytest.mark.parametrize(("code", "notes"), [(0, 0), (7, 1)])
def test_new_files_are_labelled_by_restorecon_whose_failure_is_told(
    tmp_path, monkeypatch, code, notes
):
    script = f'echo "$@" > {tmp_path}/called\nexit {code}\n'
    write(tmp_path, "/restorecon", b"#!/bin/sh\n" + script.encode(), 0o755)
    monkeypatch.setattr(programs, "FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(install, "_SELINUX", tmp_path)
    found = []
    install._relabel(pathlib.Path("/"), [ROUTE, RULE], found.append)
    assert f"{ROUTE} {RULE}\n" == (tmp_path / "called").read_text()
    assert [True] * notes == [f"labels of {ROUTE}" in note for note in found]


def test_a_root_that_is_no_folder_is_wrong_input(tmp_path):
    (tmp_path / "file").write_bytes(b"mine")
    with pytest.raises(InputError, match="file is not a folder"):
        changing.find_changes(tmp_path / "file", WANTED)
    with pytest.raises(InputError):
        install.install(tmp_path / "file", [Change(ROUTE, None, b"x")])
    assert b"mine" == (tmp_path / "file").read_bytes()


def test_a_root_that_is_not_there_yet_is_made(tmp_path):
    root = tmp_path / "new" / "root"
    install.install(root, changing.find_changes(root, WANTED))
    assert tuple(sorted(WANTED)) == changing.find_owned(root)


def test_ten_backups_are_kept_even_if_the_clock_goes_backwards(root, monkeypatch):
    for turn in range(13):
        moment = NOON - datetime.timedelta(days=turn)
        monkeypatch.setattr(install, "_now", lambda m=moment: m)
        install.install(root, changing.find_changes(root, {RULE: f"# {turn}\n"}))
    names = [backup.name for backup in backups.backups(root)]
    assert [4, 13, 10] == [int(names[0].split("-")[1]), int(names[-1].split("-")[1]), len(names)]


def test_restore_brings_back_bytes_modes_and_owners(root):
    (root / STALE[1:]).chmod(0o600)
    os.chown(str(root / STALE[1:]), 55, 66)
    before = tree(root)
    run(root)
    install.restore(root)
    folders = {"etc/iproute2", "etc/iproute2/rt_tables.d"}
    assert before == {path: value for path, value in tree(root).items() if path not in folders}


def test_restoring_twice_is_back_and_forth(root, after):
    run(root)
    install.restore(root)
    install.restore(root)
    assert after == tree(root)


def test_restore_refuses_what_was_edited_since_and_shows_the_diff(root):
    run(root)
    write(root, RULE, (root / RULE[1:]).read_bytes() + b"my new line\n")
    with pytest.raises(Refusal, match="-my new line"):
        install.restore(root)


def test_restore_of_what_is_not_there_is_wrong_input(root):
    with pytest.raises(InputError, match="no backup"):
        install.restore(root)
    name = run(root)
    with pytest.raises(InputError, match=name):
        install.restore(root, "../../etc")


def test_a_damaged_backup_is_refused(root):
    name = run(root)
    write(root, f"/{STATE}/backups/{name}{ROUTE}", b"rotten")
    with pytest.raises(Refusal, match="checksum"):
        install.restore(root)


# The lock


def test_a_held_lock_is_refused_in_time_and_names_the_holder(root):
    before = tree(root)
    with locked(root), pytest.raises(Refusal, match=f"process {os.getpid()}"):
        run(root, timeout=0.2)
    assert before == tree(root)


def test_the_lock_of_a_dead_process_holds_nobody_up(root, after):
    def hold():
        with locked(root):
            os.kill(os.getpid(), signal.SIGKILL)

    assert -signal.SIGKILL == ended(forked(hold))
    run(root, timeout=0.0)
    assert after == tree(root)


def test_of_two_at_once_one_is_refused_and_none_corrupts(root):
    changes = [changing.find_changes(root, {**WANTED, RULE: f"# {turn}\n"}) for turn in range(4)]
    pids = [forked(lambda change=change: install.install(root, change)) for change in changes]
    codes = [ended(pid) for pid in pids]
    assert [0, 3, 3, 3] == sorted(codes)
    winner = blocks.put(None, f"# {codes.index(0)}\n")
    assert winner == (root / RULE[1:]).read_bytes()
    assert [] == hidden(root)


def test_of_two_at_once_that_want_the_same_both_succeed_and_one_writes(root, after):
    changes = changing.find_changes(root, WANTED, [STALE])
    assert install.install(root, changes)
    assert install.install(root, changes) is None
    assert (after, 1) == (tree(root), len(backups.backups(root)))


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        ("folder", "move away"),
        ("link", "move away"),
        ("file as folder", "move away"),
        ("unprivileged", "run as root"),
    ],
)
def test_a_lock_that_cannot_be_made_says_what_helps(root, kind, hint):
    state, lock = root / STATE, lock_place(root)
    state.parent.mkdir(parents=True)
    if kind == "file as folder":
        state.write_bytes(b"")
    else:
        state.mkdir()
    with contextlib.ExitStack() as stack:
        if kind == "folder":
            lock.mkdir()
            stack.callback(lock.rmdir)
        elif kind == "link":
            lock.symlink_to("nowhere")
            stack.callback(lock.unlink)
        if kind == "unprivileged":
            (root / "x").write_bytes(b"")
            stack.enter_context(unprivileged(root))
        error = stack.enter_context(pytest.raises((SystemFailure, Refusal)))
        stack.enter_context(locked(root))
    assert hint in str(error.value)
    assert ("run as root" in str(error.value)) == (kind == "unprivileged")


# Faults


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_fault_leaves_no_backup_of_a_write_that_was_none(root, monkeypatch):
    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(install, "_switch", fail)
    with pytest.raises(SystemFailure, match=r"Input/output error.*as it was before"):
        run(root)
    assert () == backups.backups(root)


def test_an_interrupt_from_the_keyboard_puts_all_back(root, monkeypatch):
    before = tree(root)
    switched = []

    def interrupt(step):
        if switched:
            raise KeyboardInterrupt
        switched.append(step)
        install_switch(step)

    install_switch = install._switch
    monkeypatch.setattr(install, "_switch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(root)
    assert before == tree(root)
    assert [] == hidden(root)


def kill_after_the_renames(root):
    def child():
        install._check_untouched = lambda _: kill()
        run(root)

    assert -signal.SIGKILL == ended(forked(child))


def test_an_edit_after_a_kill_is_never_undone(root):
    before = tree(root)
    kill_after_the_renames(root)
    edited = (root / ROUTE[1:]).read_bytes() + b"my new line\n"
    (root / ROUTE[1:]).write_bytes(edited)
    (root / STALE[1:]).write_bytes(b"mine again\n")
    notes = install.recover(root)
    assert [ROUTE, STALE] == [path for path in (ROUTE, STALE) if path in "".join(notes[1:])]
    assert edited == (root / ROUTE[1:]).read_bytes()
    assert b"mine again\n" == (root / STALE[1:]).read_bytes()
    assert before[ROUTE[1:]][3] == next((root / STATE / "backups").glob("*" + ROUTE)).read_bytes()
    assert RULE[1:] not in tree(root)
    assert [] == hidden(root)


def test_install_itself_recovers_says_so_and_wants_a_new_look(root, after):
    changes = changing.find_changes(root, WANTED, [STALE])
    kill_after_the_renames(root)
    notes = []
    install.install(root, changes, note=notes.append)
    assert ROUTE in notes[0]
    assert after == tree(root)


def test_recover_without_leftovers_writes_nothing(root):
    assert () == install.recover(root)
    assert not (root / "var").exists()


def test_a_stray_hidden_file_of_ours_is_swept_and_no_other(root):
    stray = write(root, SCRIPTS + "/.symroute-nm.route-eth0.0123abcd", b"")
    other = write(root, SCRIPTS + "/.symroute-nm-notes", b"mine")
    install.recover(root, [SCRIPTS])
    assert [False, True] == [stray.exists(), other.exists()]


def test_a_damaged_journal_is_refused(root):
    write(root, f"/{STATE}/journal", b"{")
    with pytest.raises(Refusal, match="journal is damaged"):
        install.recover(root)


ENTRY = {"path": "/a", "target": "a", "new": "n", "old": "o", "before": "", "after": ""}


@pytest.mark.parametrize(
    "content",
    [
        [],
        {"entries": 3},
        {"entries": [{}]},
        {"folders": "etc"},
        {"folders": [3]},
        {"backup": None},
        {"backup": "../../etc"},
        *(
            {"entries": [dict(ENTRY, **{name: wrong})]}
            for name in ("target", "old")
            for wrong in (2, None, "../a", "a\0", "\ud800")
        ),
    ],
    ids=repr,
)
@pytest.mark.parametrize("name", ["journal", "journal.done"])
def test_a_journal_of_wrong_types_is_refused(root, content, name):
    before = tree(root)
    if isinstance(content, dict):
        content = dict({"format": 1, "backup": "b", "entries": [ENTRY], "folders": []}, **content)
    write(root, f"/{STATE}/{name}", json.dumps(content).encode())
    with pytest.raises(Refusal, match=r"is damaged .*compare the files with the newest backup"):
        install.recover(root)
    assert before == tree(root)


@pytest.mark.parametrize(
    "change",
    [{"path": 3}, {"mode": "x"}, {"mode": -1}, {"uid": 2**40}, {"existed": 1}, {"path": "/a\0"}],
    ids=repr,
)
def test_a_backup_of_wrong_types_is_refused(root, change):
    place = root / STATE / "backups" / run(root) / "manifest.json"
    content = json.loads(place.read_text())
    content["files"][0].update(change)
    place.write_text(json.dumps(content))
    with pytest.raises(Refusal, match=r"manifest\.json is damaged"):
        install.restore(root)


# The real thing: a full disk, a read-only one, the immutable bit

PROGRAM = f"""
import pathlib, sys
from symroute_nm.files import install
from symroute_nm.targets.ifcfg.changes import find_changes
from symroute_nm.errors import SymrouteError
root = pathlib.Path(sys.argv[1])
try:
    install.install(root, find_changes(root, {{{ROUTE!r}: "x" * 200000 + "\\n", {RULE!r}: "y\\n"}}))
except SymrouteError as error:
    sys.stdout.write(str(error))
    sys.exit(error.exit_code)
"""


def run_on_mount(root, prepare):
    """Run PROGRAM on the root behind shell commands in a mount namespace: (code, output, tree)."""
    script = 'set -e; %s; code=0; "$1" -c "$2" "$3" || code=$?; tar cf "$4" -C "$3" etc; exit $code'
    archive = root.parent / "after.tar"
    arguments = [sys.executable, PROGRAM, str(root), str(archive)]
    result = subprocess.run(
        ["unshare", "-m", "sh", "-c", script % prepare, "sh", *arguments],
        cwd=str(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    found = root.parent / "found"
    found.mkdir()
    subprocess.run(["tar", "-xpf", str(archive), "-C", str(found)], check=True)
    return result.returncode, result.stdout.decode(), tree(found)


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (
            'cp -a "$3" "$3.copy"; mount -t tmpfs -o size=160k none "$3"; cp -a "$3.copy/." "$3"',
            "No space left on device",
        ),
        ('mount --bind "$3" "$3"; mount -o remount,bind,ro "$3"', "Read-only file system"),
    ],
)
def test_a_full_or_read_only_disk_changes_nothing(root, prepare, reason):
    before = {path: value for path, value in tree(root).items() if path != "etc"}
    code, output, found = run_on_mount(root, prepare)
    assert (4, True) == (code, reason in output), output
    assert before == {path: value for path, value in found.items() if path != "etc"}


def test_the_immutable_bit_is_a_failure_that_changes_nothing(root):
    before = tree(root)
    place = str(root / ROUTE[1:])
    if subprocess.run(["chattr", "+i", place], stderr=subprocess.DEVNULL, check=False).returncode:
        warnings.warn("no chattr +i here, so an immutable file was not tested", stacklevel=1)
        pytest.skip("chattr +i does not work on this file system")
    try:
        with pytest.raises(SystemFailure, match=f"{ROUTE}: Operation not permitted"):
            run(root)
    finally:
        subprocess.run(["chattr", "-i", place], check=True)
    assert before == tree(root)
    assert [] == hidden(root)


def test_the_journal_names_all_hidden_files(root):
    kill_after_the_renames(root)
    record = json.loads((root / STATE / "journal").read_text())
    named = {entry[key] for entry in record["entries"] for key in ("new", "old")} - {""}
    assert {pathlib.Path(each).name for each in hidden(root)} <= named
    assert journal.has_interrupted_run(root)
