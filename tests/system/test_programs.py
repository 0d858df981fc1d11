"""Starting other programs: where they are looked for, what they get, how long they may take."""

import ast
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import symroute_nm
from symroute_nm import programs
from symroute_nm.errors import SystemFailure

PACKAGE = Path(symroute_nm.__file__).parent


def run(script, said=b"", seconds=programs.SECONDS):
    return programs.run(["sh", "-c", script], said, seconds)


def test_nothing_else_starts_programs():
    starting = {"subprocess", "pty", "popen2"}
    found = set()
    for path in PACKAGE.glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import) and starting & {name.name for name in node.names}:
                found.add(path.name)
            if isinstance(node, ast.ImportFrom) and node.module in starting:
                found.add(path.name)
            called = node.attr if isinstance(node, ast.Attribute) else ""
            if called in ("system", "popen", "startfile") and getattr(node.value, "id", "") == "os":
                found.add(path.name)
            if called.startswith(("exec", "spawn", "posix_spawn")):
                assert getattr(node.value, "id", "") != "os", path
    assert {"programs.py"} == found


def test_a_program_gets_a_fixed_environment_and_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("ENV", str(tmp_path / "profile"))
    monkeypatch.chdir(tmp_path)
    output = run("pwd; echo $PATH; /usr/bin/env").output.split("\n")

    assert ["/", ":".join(programs.FOLDERS)] == output[:2]
    names = {line.partition("=")[0] for line in output[2:] if line}
    assert names - {"PWD", "OLDPWD", "_", "SHLVL"} == {"PATH", "LC_ALL"}


def test_a_program_in_path_or_in_the_current_folder_is_not_found(monkeypatch, tmp_path):
    (tmp_path / "mine").write_bytes(b"#!/bin/sh\n")
    (tmp_path / "mine").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path) + "::.")
    monkeypatch.chdir(tmp_path)

    assert programs.find("mine") is None
    with pytest.raises(SystemFailure, match="mine is in none of /usr/sbin, /usr/bin"):
        programs.run(["mine"])


def test_what_a_program_says_and_how_it_ends():
    ran = run("cat; echo; echo '  why  ' >&2; exit 3", b"x" * (1 << 20))

    assert (3, "x" * (1 << 20) + "\n", "why") == (ran.code, ran.output, ran.complaint)
    assert "exit 4" == run("exit 4").complaint
    assert -9 == run("kill -9 $$").code


def test_a_program_need_not_read_what_it_is_told():
    assert (0, "") == run("exit 0", b"x" * (1 << 22))[:2]


def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path):
    began = time.monotonic()
    with pytest.raises(SystemFailure, match="takes too long"):
        run(f"(sleep 2; echo > {tmp_path}/later) & sleep 60", seconds=0.3)
    with pytest.raises(SystemFailure, match="takes too long"):
        run("exec >&- 2>&-; sleep 60", seconds=0.3)

    assert time.monotonic() - began < 20
    time.sleep(2.5)
    assert not (tmp_path / "later").exists()


def test_a_program_that_says_too_much_is_killed(monkeypatch):
    monkeypatch.setattr(programs, "MOST_OUTPUT", 1 << 20)
    with pytest.raises(SystemFailure, match="says more than 1048576 bytes"):
        run("cat /dev/zero")
    with pytest.raises(SystemFailure, match="says more than 1048576 bytes"):
        run("cat /dev/zero >&2")


def test_no_descriptor_is_left(monkeypatch):
    monkeypatch.setattr(programs, "MOST_OUTPUT", 1 << 16)
    before = len(list(Path("/proc/self/fd").iterdir()))
    run("exit 3", b"x")
    with pytest.raises(SystemFailure):
        run("cat /dev/zero")

    assert before == len(list(Path("/proc/self/fd").iterdir()))


PYROUTE2 = """
import sys, symroute_nm.kernel.netlink as n
for what in (n.LINKS, n.ADDRESSES, n.ROUTES, n.RULES): n._message_class(what)
from symroute_nm.lazy import quiet_platform
with quiet_platform():
    import rich.console, platform
    print(platform.release(), *tuple(platform.uname())[4:])
c = sys.modules["pyroute2.config"]
print(c.machine, c.arch, c.kernel[0])
"""


def test_pyroute2_and_rich_are_imported_without_starting_uname_and_file(tmp_path):
    for name in ("uname", "file"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho {name} >>{tmp_path}/ran\n")
        (tmp_path / name).chmod(0o755)
    ran = subprocess.run(
        [sys.executable, "-c", PYROUTE2],
        cwd=str(tmp_path),
        stdout=subprocess.PIPE,
        check=True,
        env={**os.environ, "PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(PACKAGE.parent)},
    )
    here = os.uname()
    bits = "64bit" if sys.maxsize > 1 << 32 else "32bit"

    assert not (tmp_path / "ran").exists()
    first = here.release.partition(".")[0]
    expected = f"{here.release} {here.machine} \n{here.machine} {bits} {first}\n"
    assert expected == ran.stdout.decode()
