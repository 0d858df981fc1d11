"""Golden trees: for each host in ``cases/`` the files that `generate` writes, byte for byte.

A case is a folder ``{host.json, [options], [before/…], etc/…, [message], [removed/…]}``: the
snapshot, words for the command line (one a line), the files that are there already, the whole tree
afterwards, what is said (``exit N`` first, where N is not 0), and, where `remove` does not bring
back ``before/``, what it leaves.

``SYMROUTE_WRITE_CASES=1 pytest tests/cases`` writes host.json from `support.golden.cases`, and
etc/, message and removed/ from what the program does: read the difference before you believe it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import pytest

from support.golden import FOLDER, case_folders
from support.golden.cases import CASES
from support.program import ROOT
from symroute_nm.cli import main
from symroute_nm.model.marking import SCRIPT
from symroute_nm.readers.snapshot import dump_host

STATE = Path("var/lib/symroute-nm")
WRITING = bool(os.environ.get("SYMROUTE_WRITE_CASES"))
# What remove leaves otherwise than it was before: our own earlier blocks, a converted file.
NOT_RESTORED = {
    "addresses-form-converted",
    "earlier-fragment",
    "edited-block",
    "fragment-disagrees",
    "link-down",
    "stale-alone",
    "stale-alone-pruned",
    "stale-excluded",
    "stale-kept",
    "stale-pruned",
}

DAMAGED = {"damaged-block", "end-without-begin", "two-blocks"}
REFUSED = 3

Tree = Dict[str, bytes]

# nm-dispatcher.c, check_permissions(): it runs what its owner may execute.
NEW_MODES = {SCRIPT: 0o755}


class Run(NamedTuple):
    """What a command said and how it ended."""

    code: int
    out: str
    err: str


class Case:
    """A folder of cases/ and a copy of its ``before/`` to run commands on."""

    def __init__(self, name: str, root: Path, capsys: pytest.CaptureFixture) -> None:
        self.folder = FOLDER / name
        self.root = root
        self.capsys = capsys
        options = self.folder / "options"
        self.options = options.read_text().split("\n") if options.exists() else []
        self.options = [option for option in self.options if option]
        if (self.folder / "before").exists():
            shutil.copytree(str(self.folder / "before"), str(root))
        else:
            root.mkdir()
        self.before = tree(root)

    def generate(self, *more: str) -> Run:
        return self.run("generate", "--host", str(self.folder / "host.json"), *self.options, *more)

    def run(self, command: str, *words: str) -> Run:
        sys.argv = ["symroute-nm", command, "--root", str(self.root), *words]
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = self.capsys.readouterr()
        return Run(ended.value.code or 0, said.out, said.err.replace(str(self.root), "ROOT"))


@pytest.fixture
def case(request, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    return Case(request.param, tmp_path / "root", capsys)


every_case = pytest.mark.parametrize("case", sorted(CASES), indirect=True)


def tree(root: Path) -> Tree:
    """{path below root: bytes}, what the program keeps for itself left out."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and STATE not in path.relative_to(root).parents
    }


def everything(root: Path) -> List[Tuple[str, int, int]]:
    """All there is, with mode and time of change: what shows any write."""
    return [
        (str(each), each.lstat().st_mode, each.lstat().st_mtime_ns)
        for each in [root, *sorted(root.rglob("*"))]
        if each.exists()
    ]


def backups(root: Path) -> List[str]:
    """The names of the backups taken."""
    folder = root / STATE / "backups"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def expected(case: Case) -> Tree:
    """What stands below etc/ in the case, and what stood elsewhere before."""
    found = {
        path: content for path, content in tree(case.folder).items() if path.startswith("etc/")
    }
    elsewhere = {
        path: content for path, content in case.before.items() if not path.startswith("etc/")
    }
    return {**elsewhere, **found}


def message(run: Run) -> List[str]:
    """What the message file has of a run: its exit code unless 0, what it says, what it skips."""
    code = [f"exit {run.code}"] if run.code else []
    skipped = [line for line in run.out.splitlines() if line.startswith("skipped")]
    return code + run.err.splitlines() + skipped


def write_case(case: Case) -> None:
    """Make the case's files anew."""
    host = dump_host(CASES[case.folder.name]())
    (case.folder / "host.json").write_text(host, encoding="ascii")
    said = message(case.generate())
    (case.folder / "message").write_text("".join(line + "\n" for line in said), encoding="utf-8")
    write_tree(case.folder, case.root)
    case.run("remove")
    shutil.rmtree(str(case.folder / "removed"), ignore_errors=True)
    if case.folder.name in NOT_RESTORED:
        write_tree(case.folder / "removed", case.root)


def write_tree(folder: Path, root: Path) -> None:
    """The tree below `root` as the case's etc/."""
    shutil.rmtree(str(folder / "etc"), ignore_errors=True)
    for path, content in tree(root).items():
        if not path.startswith("etc/"):
            continue
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


if WRITING:
    test_write = every_case(write_case)


def test_every_case_has_its_folder():
    assert sorted(CASES) == [folder.name for folder in case_folders()]


@every_case
def test_snapshot_is_what_the_builders_make(case):
    text = (case.folder / "host.json").read_text(encoding="ascii")
    assert dump_host(CASES[case.folder.name]()) == text


@every_case
def test_generate_writes_the_expected_tree(case):
    run = case.generate()
    wanted = (case.folder / "message").read_text(encoding="utf-8").splitlines()
    assert wanted == message(run)
    assert expected(case) == tree(case.root)


@every_case
def test_generate_again_changes_nothing(case):
    first = case.generate()
    shown, kept = everything(case.root / "etc"), backups(case.root)
    again = case.generate()
    assert first.code == again.code
    assert expected(case) == tree(case.root)
    assert kept == backups(case.root)
    assert shown == everything(case.root / "etc")
    # The snapshot's kernel has nothing of it yet: the commands are said again.
    assert first.code or "nothing to change" in again.out
    assert [line for line in first.out.splitlines() if "nmcli" in line] == [
        line for line in again.out.splitlines() if "nmcli" in line
    ]


@every_case
def test_check_finds_what_is_to_be_done_and_nothing_after(case):
    shown = everything(case.root)
    before = case.generate("--check")
    assert shown == everything(case.root)
    run = case.generate()
    changes = expected(case) != case.before
    assert (run.code or int(changes)) == before.code
    assert run.code == case.generate("--check").code


@every_case
def test_dry_run_shows_the_change_and_writes_nothing(case):
    untouched = everything(case.root)
    run = case.generate("--dry-run")
    assert untouched == everything(case.root)
    # Of a plan that cannot be proved, the files are shown as well.
    shown = expected(case) != case.before or "cannot be proved" in run.err
    assert shown == run.out.startswith("--- ")


@every_case
def test_remove_brings_back_what_was_before(case):
    case.generate()
    run = case.run("remove")
    assert (REFUSED if case.folder.name in DAMAGED else 0) == run.code, run.err
    removed = case.folder / "removed"
    assert (tree(removed) if removed.exists() else case.before) == tree(case.root)


@every_case
def test_modes_of_files_stay(case):
    for place in case.root.rglob("*"):
        if place.is_file():
            place.chmod(0o640)
    case.generate()
    modes = {path: (case.root / path).stat().st_mode & 0o777 for path in tree(case.root)}
    assert {
        path: 0o640 if path in case.before else NEW_MODES.get("/" + path, 0o644) for path in modes
    } == modes


def test_not_restored_is_said_only_where_it_is_so():
    assert NOT_RESTORED == {path.parent.name for path in FOLDER.glob("*/removed")}


def test_as_a_program(tmp_path):
    command = [
        sys.executable,
        "-m",
        "symroute_nm",
        "generate",
        "--root",
        str(tmp_path),
        "--host",
        str(FOLDER / "two-uplinks" / "host.json"),
    ]
    subprocess.run(command, check=True, cwd=str(ROOT), stdout=subprocess.DEVNULL)
    assert tree(FOLDER / "two-uplinks" / "etc") == tree(tmp_path / "etc")
