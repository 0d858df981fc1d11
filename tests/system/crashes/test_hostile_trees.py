"""Trees that others own, or made: nothing outside is made, changed or removed by what is in them.

Each folder and file that the commands look at (they are asked which, call by call) is a link to a
twin outside, in which a write through the link would succeed. All that the commands may not touch
is compared before and after, and no program of the tree may run. Here folders are swapped for links
for a few seconds, by ``python tests/soak/writes.py swaps 60`` for a minute.
"""

import itertools
import json
import os
import random
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Dict, Iterator, List

import pytest

from support import syscalls
from support.hostile_trees import (
    BACKUP,
    CODES,
    FINE,
    INPUT,
    KINDS,
    NOBODY,
    OWNERS,
    RACE,
    READING,
    REFUSED,
    SWAPS,
    WRITING,
    Grounds,
    beside,
    exchange,
    give,
    lead_out,
    look,
    swaps,
    used_paths,
)
from support.trees import (
    ROUTE,
    RULE,
    SCRIPTS,
    STATE,
    command,
    ended,
    forked,
    hidden,
    memory_folder,
    redirect,
    write,
)
from symroute_nm.files.journal import digest


@pytest.fixture(name="grounds", scope="module")
def _grounds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grounds]:
    folder = memory_folder(tmp_path_factory.mktemp("hostile"))
    yield Grounds(folder)
    shutil.rmtree(str(folder))


@pytest.mark.skipif(not syscalls.AVAILABLE, reason=syscalls.WHY_NOT)
def test_a_link_in_any_place_leads_nothing_out(grounds):
    """`generate` meets each of them, and another command in turn, in trees of either owner;
    ``soak.py links`` has all commands with all links."""
    paths = used_paths(grounds)
    # The search found what it must, or what follows would show little.
    assert {
        ROUTE[1:],
        RULE[1:],
        SCRIPTS[1:],
        "etc",
        "var/lib",
        STATE,
        STATE + "/backups",
        STATE + "/journal",
        "etc/symroute-nm.conf",
        "etc/iproute2/rt_tables.d",
    } <= paths
    kinds, others = itertools.cycle(KINDS), itertools.cycle((*WRITING[1:], *READING))
    for path, uid in zip(sorted(paths), itertools.cycle(OWNERS.values())):
        lead_out(grounds, path, uid, next(kinds), ["generate"])
        # What the other owner's tree has is met by what writes otherwise, or only reads.
        lead_out(grounds, path, NOBODY - uid, next(kinds), [next(others)])


# State


def journal(**fields: object) -> Dict[str, object]:
    entry = {"path": "/x/f", "target": "x/f", "new": "n", "old": "", "before": "", "after": ""}
    entry.update({name: value for name, value in fields.items() if name in entry})
    given = {name: value for name, value in fields.items() if name not in entry}
    return {"format": 1, "backup": BACKUP, "entries": [entry], "folders": [], **given}


JOURNALS = [
    journal(after=digest(b"precious\n")),
    journal(target="x/sub/f", after=digest(b"precious\n")),
    journal(old="f"),
    journal(old="g", before=digest(b"precious\n")),
    journal(folders=["x/empty"]),
    journal(folders=["x", "x/empty"]),
    journal(folders=["../outside/victim/empty"]),
    journal(folders=["a/../../outside/victim/empty"]),
    journal(target="../outside/victim/f", after=digest(b"precious\n")),
    journal(target="/outside/victim/f"),
    journal(target=""),
    journal(target="."),
    journal(new="../outside/victim/f"),
    journal(new=".."),
    journal(new="."),
    journal(old="."),
    journal(backup="../../../../../outside/victim"),
    journal(backup=".."),
    journal(backup="."),
    journal(backup=""),
    journal(backup="/outside"),
    journal(target=["x"]),
    journal(target={"x": 1}),
    journal(folders={"x": 1}),
    journal(entries=[]),
    journal(entries=None),
    journal(entries="x"),
    [],
    None,
    1,
    "x",
]


@pytest.mark.parametrize("name", ["journal", "journal.done"])
@pytest.mark.parametrize("owner", sorted(OWNERS))
def test_a_journal_is_not_followed_out_of_the_tree(grounds, owner, name):
    victim = grounds.folder / "outside" / "victim"
    write(grounds.folder, "/outside/victim/f", b"precious\n")
    write(grounds.folder, "/outside/victim/n", b"precious\n")
    write(grounds.folder, "/outside/victim/sub/f", b"precious\n")
    (victim / "empty").mkdir(exist_ok=True)
    # One of others is refused as a whole, whatever is in it.
    for content in JOURNALS[:: 1 if owner == "root" else 5]:
        grounds.fresh(OWNERS[owner])
        (grounds.tree / "x").symlink_to(str(victim))
        write(grounds.tree, f"/{STATE}/{name}", json.dumps(content).encode())
        give(grounds.tree, OWNERS[owner])
        before = grounds.outside()
        grounds.run("generate")
        assert before == grounds.outside(), content
    shutil.rmtree(str(victim))


@pytest.mark.parametrize("owner", sorted(OWNERS))
@pytest.mark.parametrize(
    "change",
    [
        {},
        {"mode": 0o2755},
        {"mode": 0o1755},
        {"mode": 1 << 40},
        {"uid": -2},
        {"uid": 2**32 - 1},
        {"path": "/../../outside/twin/etc/symroute-nm.conf"},
        {"path": "etc/x"},
        {"path": "/"},
        {"path": "/etc//x"},
        {"after": "x"},
        {"mode": True},
    ],
    ids=repr,
)
def test_undo_gives_no_file_rights_that_it_must_not_have(grounds, owner, change):
    grounds.fresh(OWNERS[owner])
    place = grounds.tree / STATE / "backups" / BACKUP / "manifest.json"
    content = json.loads(place.read_text())
    content["files"][0].update(change)
    place.write_text(json.dumps(content))
    before, inside = grounds.outside(), look(grounds.tree, grounds.tree / "run")
    assert REFUSED == grounds.run("undo")
    assert before == grounds.outside()
    for path, found in look(grounds.tree, grounds.tree / "run").items():
        assert inside.get(path, found)[0] == found[0], path
        assert not found[0] & (stat.S_ISUID | stat.S_ISGID) or found == inside[path]
    assert b"10.9.0.0/16" in (grounds.tree / ROUTE[1:]).read_bytes()


# What is done in such a tree, and what is not


def shared_by(root: Path, how: str) -> None:
    """Let others write a folder."""
    place = root / SCRIPTS[1:] if "scripts" in how else root
    if "owner" in how:
        os.chown(str(place), NOBODY, NOBODY)
    else:
        place.chmod(0o775 if "group" in how else 0o757)


SHARED = ("owner", "group", "others", "owner of scripts", "group of scripts", "others of scripts")


@pytest.mark.parametrize("how", SHARED)
def test_where_others_can_write_files_are_replaced_and_nothing_is_kept(grounds, how):
    root = grounds.fresh(0)
    shutil.rmtree(str(root / STATE))
    shared_by(root, how)
    os.chown(str(root / ROUTE[1:]), 1234, 4321)
    (root / ROUTE[1:]).chmod(0o6640)
    assert FINE == grounds.run("generate")
    said = grounds.said.read_text()
    place = root / SCRIPTS[1:] if "scripts" in how else root
    lines = [line for line in said.splitlines() if "one by one" in line]
    assert [
        f"{place} can be written by others than root: its files were replaced one by one, "
        "no journal and no backup was kept, and undo is refused there"
    ] == lines
    assert "backup 2" not in said
    assert not (root / STATE / "backups").exists()
    assert not (root / STATE / "journal").exists()
    assert [] == hidden(root)
    route, rule = (root / ROUTE[1:]).stat(), (root / RULE[1:]).stat()
    assert (0o640, 1234, 4321) == (stat.S_IMODE(route.st_mode), route.st_uid, route.st_gid)
    owner = (root / RULE[1:]).parent.stat()
    assert (0o644, owner.st_uid) == (stat.S_IMODE(rule.st_mode), rule.st_uid)
    assert b"10.9.0.0/16 via 10.0.6.9 dev eth0\n# BEGIN" in (root / ROUTE[1:]).read_bytes()
    for name in ("undo", "undo --list"):
        # Where only the scripts are others', the (empty) list of backups may be seen.
        code = grounds.run(name)
        assert (code == REFUSED) or "scripts" in how
    assert FINE == grounds.run("remove")
    assert [] == [
        place
        for place in root.rglob("*")
        if place.is_file()
        and "tmp" not in place.parts
        and b"BEGIN symroute-nm" in place.read_bytes()
    ]


@pytest.mark.parametrize("how", SHARED)
def test_a_backup_is_not_believed_once_others_can_write(grounds, how):
    root = grounds.fresh(0)
    shutil.rmtree(str(root / STATE))
    assert FINE == grounds.run("generate")
    assert "symroute-nm undo" in grounds.said.read_text()
    shared_by(root, how)
    before = look(root / "etc")
    assert REFUSED == grounds.run("undo")
    assert "can be written by others than root" in grounds.said.read_text()
    assert before == look(root / "etc")


def test_a_file_with_other_names_is_not_copied_into_a_tree_of_others(grounds):
    secret = write(grounds.folder, "/outside/secret", b"# secret\n", 0o600)
    root = grounds.fresh(NOBODY)
    (root / ROUTE[1:]).unlink()
    os.link(str(secret), str(root / ROUTE[1:]))
    before = grounds.outside()
    assert REFUSED == grounds.run("generate")
    assert "has other names (hard links)" in grounds.said.read_text()
    assert before == grounds.outside()
    (root / ROUTE[1:]).unlink()
    secret.unlink()


def test_a_manifest_that_others_can_write_is_not_believed(grounds):
    root = grounds.fresh(0)
    shutil.rmtree(str(root / STATE))
    assert FINE == grounds.run("generate")
    (place,) = (root / STATE / "backups").glob("*/manifest.json")
    os.chown(str(place), NOBODY, NOBODY)
    assert REFUSED == grounds.run("undo")


# Names of snapshots


@pytest.mark.parametrize("name", [".json", "..json", "...json", ".hidden.json", "....json"])
@pytest.mark.parametrize("below", ["trees", "a/b/trees"])
def test_snapshots_with_names_of_no_host_are_refused(grounds, tmp_path, name, below):
    folder = tmp_path / "snapshots"
    folder.mkdir()
    for each in ("web1.json", name):
        shutil.copyfile(str(grounds.snapshot), str(folder / each))
    trees = tmp_path / below
    before = grounds.outside()

    def action() -> None:
        redirect(str(grounds.said))
        os._exit(command(["generate", "--host", folder, "--root", trees, "--jobs", "1"])())

    assert INPUT == ended(forked(action))
    assert "is no name of a host" in grounds.said.read_text()
    assert before == grounds.outside()
    assert {"snapshots"} == {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("target", ["twin", "nowhere"])  # to "/", a mistake would hit this machine
def test_a_fleets_tree_that_is_a_link_is_not_followed(grounds, tmp_path, target):
    folder, trees = tmp_path / "snapshots", tmp_path / "trees"
    folder.mkdir()
    trees.mkdir()
    shutil.copyfile(str(grounds.snapshot), str(folder / "web1.json"))
    (trees / "web1").symlink_to(str(grounds.twin) if target == "twin" else target)
    before = grounds.outside()

    def action() -> None:
        redirect(str(grounds.said))
        os._exit(
            command(["generate", "--force", "--host", folder, "--root", trees, "--jobs", "1"])()
        )

    assert 1 == ended(forked(action))
    assert "web1: failed" in grounds.said.read_text()
    assert before == grounds.outside()
    assert (trees / "web1").is_symlink()


@pytest.mark.parametrize("owner", sorted(OWNERS))
def test_a_folder_swapped_for_a_link_leads_nothing_out(grounds, owner):
    found = swaps(grounds, OWNERS[owner], RACE)
    # Some came through: the race was with commands that write.
    assert found.get(("generate", FINE), 0) > 0, found


@pytest.mark.skipif(not syscalls.AVAILABLE, reason=syscalls.WHY_NOT)
@pytest.mark.parametrize("path", ["etc/sysconfig", SCRIPTS[1:], STATE])
def test_a_folder_swapped_before_any_call_that_changes_something_leads_nothing_out(grounds, path):
    """The moment that a race only may find: some of them here, by dice that are told."""
    seed = random.SystemRandom().randrange(1 << 32)
    action = command(grounds.words("generate"))
    grounds.fresh(0)
    without_backups(grounds)
    calls: List[syscalls.Call] = []
    syscalls.follow(action, calls.append, reading=False)
    assert len(calls) > 50
    for turn in random.Random(seed).sample(range(1, len(calls) + 1), SWAPS):
        grounds.fresh(0)
        without_backups(grounds)
        pair = beside(grounds, path, turn)
        before = grounds.outside()
        code = syscalls.follow(
            action,
            lambda _, pair=pair: exchange(*pair),
            only={turn},
            reading=False,
            output=str(grounds.said),
        )
        said = grounds.said.read_text(errors="replace")
        assert code in CODES, (seed, turn, said)
        assert before == grounds.outside(), (seed, turn, said)


def without_backups(grounds: Grounds) -> None:
    """Without a backup that is not believed, so that all is written."""
    shutil.rmtree(str(grounds.tree / STATE / "backups"))


def test_the_oracle_sees_a_change(grounds):
    before = grounds.outside()
    place = grounds.twin / ROUTE[1:]
    subprocess.run(["touch", "-d", "2001-01-01", str(place)], check=True)
    assert before != grounds.outside()
