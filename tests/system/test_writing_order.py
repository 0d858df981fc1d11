"""Rule files are written first and removed last, and put back the other way round."""

import pytest

from support import syscalls
from support.syscalls import Kill
from support.trees import ROUTE, RULE, TABLES, WANTED, build, copy, tree
from symroute_nm.files import install
from symroute_nm.targets.base import choose_target
from symroute_nm.targets.ifcfg import changes as changing

MARKER = b"# BEGIN symroute-nm"


@pytest.fixture(autouse=True)
def _followed():
    if not syscalls.AVAILABLE:
        pytest.skip(syscalls.WHY_NOT)


def write(root, wanted, gone=()):
    changes = changing.find_changes(root, wanted, gone)
    install.install(root, changes, order=choose_target().writing_order)
    return 0


def is_served(root):
    """Whether no route file has our block while the rule file of its profile has none."""

    def has_block(path):
        place = root / path.lstrip("/")
        return place.exists() and MARKER in place.read_bytes()

    return has_block(RULE) or not has_block(ROUTE)


@pytest.mark.parametrize("removing", [False, True])
def test_killed_at_any_call_no_route_file_is_without_its_rule_file(tmp_path, removing):
    wanted = {path: WANTED[path] for path in (ROUTE, RULE, TABLES)}
    start = build(tmp_path / "start")
    if removing:
        write(start, wanted)
    before, words = tree(start), ({}, tuple(wanted)) if removing else (wanted,)
    write(copy(start, tmp_path / "after"), *words)
    turn, code, seen = 0, -9, set()
    while code != 0:
        turn += 1
        root = copy(start, tmp_path / "root")
        code = syscalls.follow(
            lambda root=root: write(root, *words), lambda _: Kill(), only={turn}, reading=False
        )
        assert is_served(root), turn
        seen.add((root / RULE.lstrip("/")).exists())
        if turn % 17 == 0:
            _check_putting_back(root, before, tree(tmp_path / "after"))
    assert {True, False} == seen


def _check_putting_back(left, before, after):
    turn, code = 0, -9
    while code != 0:
        turn += 1
        root = copy(left, left.parent / "again")
        code = syscalls.follow(
            lambda root=root: len(install.recover(root)) and 0,
            lambda _: Kill(),
            only={turn},
            reading=False,
        )
        assert is_served(root), turn
    assert tree(root) in (before, after)
