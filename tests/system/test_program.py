"""The program in an interpreter of its own: exit codes, signals, imports, locales."""

import subprocess
import sys

import pytest

from support.hosts import two_uplinks
from support.program import ROOT, run_program
from symroute_nm.readers.snapshot import dump_host

FINE, REFUSED, SYSTEM, BUG, INTERRUPTED = 0, 3, 4, 70, 130


KILLED = """
import os, sys
from symroute_nm.cli import main
from symroute_nm.files import install
switch = install._switch
def killed(step, turns=[]):
    switch(step)
    turns.append(step)
    if len(turns) == 3:
        os._exit(9)
install._switch = killed
main.main()
"""


@pytest.mark.parametrize("then", ["generate", "remove"])
def test_after_a_killed_run_the_next_one_succeeds_at_once(run, host, root, then):
    words = ["--root", root]
    assert 9 == run_program("generate", "--host", host, *words, code=KILLED)[0]
    code, _, err = run(then, *words, *(["--host", host] if then == "generate" else []))
    assert FINE == code, err
    files = [path for path in (root / "etc").rglob("*") if path.is_file()]
    assert ({"generate": 9, "remove": 0}[then]) == len(files)


RAISES = """
import sys
from symroute_nm.cli.main import main
from symroute_nm.readers import host
def broken(*words):
    raise %s
host.read_host = broken
main()
"""


@pytest.mark.parametrize(
    ("raised", "expected", "said"),
    [
        ("ZeroDivisionError('x')", BUG, "this is a bug"),
        ("KeyboardInterrupt()", INTERRUPTED, ""),
    ],  # some versions of typer say it, some do not
)
def test_bugs_and_interrupts_have_exit_codes_of_their_own(raised, expected, said):
    code, out, err = run_program("inspect", code=RAISES % raised)
    assert (expected, "", True) == (code, out, said in err)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option):
    code, out, _ = run_program(option)
    assert (FINE, True) == (code, "symroute-nm" in out or "Usage" in out)
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "symroute_nm", option],
        cwd=str(ROOT),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0]
        for line in ran.stderr.decode().splitlines()
    }
    imported |= imported_by(option)  # -X importtime is 3.7+
    assert "typer" in imported
    assert set() == imported & {"pyroute2", "jinja2", "rich"} - imported_by_typer()


LISTS_MODULES = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"


def imported_by(*words, code="from symroute_nm.cli import main; main.main()"):
    said = run_program(*words, code=LISTS_MODULES + code)[2]
    return {word.partition(".")[0] for word in said.split()}


def imported_by_typer():
    """What typer brings in itself: 0.10, the last for Python 3.6, has rich."""
    return imported_by(code="import typer")


def test_a_snapshots_plan_imports_no_netlink(host, root):
    modules = imported_by("generate", "--host", host, "--root", root)
    assert set() == modules & {"pyroute2", "rich"} - imported_by_typer()
    assert "jinja2" in modules


STRANGE = "dock\u00e9r\ud800\x1b[31m"


@pytest.mark.parametrize(
    "environment", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C.UTF-8"}], ids=repr
)
def test_any_name_can_be_printed_in_any_locale(host, root, environment):
    made = two_uplinks()
    host.write_text(
        dump_host(
            made._replace(
                links=tuple(
                    link._replace(name=STRANGE) if link.name == "docker0" else link
                    for link in made.links
                )
            )
        )
    )
    for words in (["inspect"], ["generate", "-n"], ["generate"], ["generate", "--json"]):
        code, out, err = run_program(*words, "--host", host, "--root", root, **environment)
        assert (FINE, False) == (code, "\x1b" in out + err), err
    assert FINE == run_program("remove", "--root", root, **environment)[0]


def test_a_reader_that_goes_away_is_no_error(host, root):
    command = "%s -m symroute_nm generate -n --host %s --root %s | head -1; exit ${PIPESTATUS[0]}"
    ran = subprocess.run(
        ["bash", "-c", command % (sys.executable, host, root)],
        cwd=str(ROOT),
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert (FINE, b"") == (ran.returncode, ran.stderr)


def test_the_same_plan_from_a_snapshot_as_from_the_host(root, tmp_path):
    """Live where the kernel can be asked; the snapshot of it must give the same plan."""
    code, text, err = run_program("snapshot")
    if code == SYSTEM:
        pytest.skip("netlink: " + err)
    assert FINE == code, err
    (tmp_path / "live.json").write_text(text)
    live = run_program("generate", "--dry-run", "--json", "--root", "/")
    told = run_program(
        "generate", "--dry-run", "--json", "--root", "/", "--host", tmp_path / "live.json"
    )
    assert (live[0], live[1]) == (told[0], told[1])


UNHEARD = """
import os, signal, sys, time, weakref
from symroute_nm.cli import main

class Something:
    def __del__(self):
        if "del" in sys.argv:
            os.kill(os.getpid(), signal.SIGTERM)
            sum(range(1000))

signal.signal(signal.SIGTERM, main._end)
known = weakref.WeakValueDictionary()
known["one"] = it = Something()
also = weakref.ref(it, lambda _: "del" in sys.argv or weakref.kill())
kill = compile("lambda: (os.kill(os.getpid(), 15), sum(range(1000)))", "weakref", "eval")
weakref.kill = eval(kill, dict(vars(weakref), os=os))
del it
time.sleep(10)
"""


@pytest.mark.parametrize("where", ["del", "callback"])
def test_a_signal_is_heard_where_nothing_can_be_raised(where):
    ran = subprocess.run(
        [sys.executable, "-c", UNHEARD, where],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    assert (143, b"") == (ran.returncode, ran.stderr)


# The machine's own root may be closed in parts to whoever is not root.


def test_a_snapshots_files_do_not_go_to_this_machine_unasked(run, host):
    code, out, err = run("generate", "--host", host, "--root", "/")
    assert (REFUSED, "", True) == (code, out, "--root DIR" in err)


def test_a_dry_run_for_this_machine_warns(run, host):
    code, out, err = run("generate", "--host", host, "--dry-run")
    assert (FINE, True, True) == (code, out.startswith("--- "), "warning: " in err)
