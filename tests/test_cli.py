"""The command line: exit codes, what goes where, and never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from case_hosts import CASES
from hosts import two_uplinks

from symroute_nm.snapshot import dump_host

REPOSITORY = Path(__file__).parent.parent
SCRIPTS = "etc/sysconfig/network-scripts"
FINE, FINDING, INPUT, REFUSED, SYSTEM, BUG, INTERRUPTED = 0, 1, 2, 3, 4, 70, 130


def program(*words, code="", **environment):
    """Run the real program, or Python code that ends in it; its exit code, stdout and stderr."""
    command = ["-c", code] if code else ["-m", "symroute_nm"]
    ran = subprocess.run(
        [sys.executable, *command, *map(str, words)], cwd=str(REPOSITORY),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
        env=dict({name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
                 **environment))
    out, err = (each.decode("utf-8", "replace") for each in (ran.stdout, ran.stderr))
    return ran.returncode, out, err


@pytest.fixture
def host(tmp_path):
    path = tmp_path / "host.json"
    path.write_text(dump_host(two_uplinks()))
    return path


@pytest.fixture
def root(tmp_path):
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


def test_generate_twice_then_check(run, host, root):
    assert FINDING == run("generate", "--check", "--host", host, "--root", root)[0]
    assert FINE == run("generate", "--host", host, "--root", root)[0]
    assert FINE == run("generate", "--check", "--host", host, "--root", root)[0]
    code, out, _ = run("generate", "--host", host, "--root", root)
    assert (FINE, True) == (code, "nothing to change" in out)


def test_the_proof_is_shown(run, host, root):
    out = run("generate", "--host", host, "--root", root)[1]
    assert "10.0.6.5 (eth0): asymmetric -> symmetric" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--table", "eth0"], ["--table", "eth0=users:2"]),
        (["--table", "eth0=users:999999999999"], ["eth0"]),
        (["--table", "eth0=main"], ["'main'"]),
        (["--gateway", "eth1"], ["--gateway", "eth1=10.0.5.1"]),
        (["--gateway", "eth1=gw"], ["'gw' is not an address"]),
        (["--gateway", "eth1=10.0.9.1"], ["10.0.9.1 is on no network of eth1"]),
        (["--gateway", "eth9=10.0.5.1"], ["eth9: no such interface", "did you mean eth"]),
        (["--table", "ehh0=users"], ["ehh0: no such interface", "did you mean eth0?"]),
        (["-i", "eth0", "-i", "et1"], ["et1: no such interface", "did you mean eth1?"]),
        (["--guard", "rulez"], ["did you mean rules?"]),
        (["--sources", "x"], ["'x'"]),
        (["--chekc"], ["--chekc"]),
        (["surplus"], ["surplus"]),
        (["--table"], ["--table"]),
        (["--config", "/nonexistent/symroute.conf"], ["/nonexistent/symroute.conf"]),
        (["--config", "/etc"], ["/etc is not a regular file"]),
        (["--host", "/nonexistent/host.json"], ["/nonexistent/host.json", "No such file"]),
        (["--host", "/dev/null"], ["/dev/null is not a regular file; check --host"]),
    ],
)
def test_wrong_usage_is_exit_2_on_stderr_alone(run, host, root, words, said):
    before = sorted(root.rglob("*"))
    code, out, err = run("generate", "--host", host, "--root", root, *words)
    assert (INPUT, "") == (code, out)
    assert [] == [each for each in said if each not in err]
    assert before == sorted(root.rglob("*"))


def test_an_unknown_command_is_exit_2(run):
    assert INPUT == run("genrate")[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[symroute]\ngaurd = auto\n", "did you mean guard?"),
        ("[interface eth0]\nid = 254\n", "254"),
        ("rubbish\n", "symroute-nm.conf"),
        ("[symroute]\nguard = \ud800\n", "UTF-8"),
    ],
)
def test_a_broken_configuration_is_exit_2(run, host, root, text, said):
    (root / "etc").mkdir()
    (root / "etc/symroute-nm.conf").write_bytes(text.encode("utf-8", "surrogatepass"))
    for command in ("generate", "inspect"):
        code, out, err = run(command, "--host", host, "--root", root)
        assert (INPUT, "", True) == (code, out, said in err)


@pytest.mark.parametrize("content", ["", "[" * 100000, '{"format": "symroute-nm host"}', "\ud800"])
def test_a_broken_snapshot_is_exit_2(run, host, root, content):
    host.write_bytes(content.encode("utf-8", "surrogatepass"))
    for command in ("generate", "inspect"):
        code, out, err = run(command, "--host", host, "--root", root)
        assert (INPUT, "", 1) == (code, out, len(err.splitlines()))


def test_what_we_will_not_do_unasked_is_exit_3_with_the_way_on(run, host, root):
    host.write_text(dump_host(CASES["no-profile"]()))
    code, out, err = run("generate", "--host", host, "--root", root)
    assert (REFUSED, "", True) == (code, out, "--exclude eth1" in err)
    assert [] == list(root.rglob("*"))


def test_a_snapshots_files_do_not_go_to_this_machine_unasked(run, host):
    code, out, err = run("generate", "--host", host, "--root", "/")
    assert (REFUSED, "", True) == (code, out, "--root DIR" in err)


def test_a_dry_run_for_this_machine_warns(run, host):
    code, out, err = run("generate", "--host", host, "--dry-run")
    assert (FINE, True, True) == (code, out.startswith("--- "), "warning: " in err)


def test_a_host_without_the_script_is_told_the_package(run, host, root):
    host.write_text(dump_host(two_uplinks(dispatcher="", kernel="3.10.0-1160.el7.x86_64")))
    err = run("generate", "--host", host, "--root", root)[2]
    assert "yum install NetworkManager-dispatcher-routing-rules" in err


def test_a_failing_system_is_exit_4(run, host, root):
    assert SYSTEM == run("inspect", "--host", "x" * 300, "--root", root)[0]  # too long a name
    code, _, err = run("generate", "--host", host, "--root", "/proc")
    assert (SYSTEM, True) == (code, "/proc" in err or "cannot" in err)


@pytest.mark.parametrize("command", ["remove", "undo"])
def test_a_root_that_is_none_is_exit_2(run, tmp_path, command):
    code, out, err = run(command, "--root", tmp_path / "none")
    assert (INPUT, "", True) == (code, out, "none" in err)


def test_json_on_stdout_alone(run, host, root):
    for words in (["generate", "--dry-run"], ["generate", "--check"], ["generate"], ["inspect"]):
        code, out, _ = run(*words, "--json", "--host", host, "--root", root)
        assert (int("--check" in words), True) == (code, bool(json.loads(out)))
    assert "delete" == json.loads(run("remove", "--json", "--root", root)[1])["files"][0]["change"]


def test_remove_with_nothing_there(run, root):
    code, out, _ = run("remove", "--root", root)
    assert (FINE, True, []) == (code, "nothing to change" in out, list(root.rglob("*")))


def test_undo_brings_the_state_before_back(run, host, root):
    (root / SCRIPTS).mkdir(parents=True)
    (root / SCRIPTS / "rule-eth0").write_bytes(b"# mine")
    run("generate", "--host", host, "--root", root)
    assert b"# mine" != (root / SCRIPTS / "rule-eth0").read_bytes()
    assert FINE == run("undo", "--root", root)[0]
    assert [b"# mine"] == [each.read_bytes() for each in (root / SCRIPTS).iterdir()]


KILLED = """
import os, sys
from symroute_nm import cli, install
switch = install._switch
def killed(step, turns=[]):
    switch(step)
    turns.append(step)
    if len(turns) == 3:
        os._exit(9)
install._switch = killed
cli.main()
"""


@pytest.mark.parametrize("then", ["generate", "remove"])
def test_after_a_killed_run_the_next_one_succeeds_at_once(run, host, root, then):
    words = ["--root", root]
    assert 9 == program("generate", "--host", host, *words, code=KILLED)[0]
    code, _, err = run(then, *words, *(["--host", host] if then == "generate" else []))
    assert FINE == code, err
    files = [each for each in (root / "etc").rglob("*") if each.is_file()]
    assert ({"generate": 9, "remove": 0}[then]) == len(files)


RAISES = """
import sys
from symroute_nm import cli, reading
def broken(*words):
    raise %s
reading.read_host = broken
cli.main()
"""


@pytest.mark.parametrize(
    ("raised", "expected", "said"),
    [("ZeroDivisionError('x')", BUG, "this is a bug"),
     ("KeyboardInterrupt()", INTERRUPTED, "")],  # some versions of typer say it, some do not
)
def test_bugs_and_interrupts_have_exit_codes_of_their_own(raised, expected, said):
    code, out, err = program("inspect", code=RAISES % raised)
    assert (expected, "", True) == (code, out, said in err)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_import_nothing_heavy(option):
    code, out, _ = program(option)
    assert (FINE, True) == (code, "symroute-nm" in out or "Usage" in out)
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "symroute_nm", option], cwd=str(REPOSITORY),
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    imported = {line.rpartition("|")[2].strip().partition(".")[0]
                for line in ran.stderr.decode().splitlines()}
    imported |= imported_by(option)  # -X importtime is 3.7+
    assert "typer" in imported
    assert set() == imported & {"pyroute2", "jinja2", "rich"} - imported_by_typer()


LISTS_MODULES = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr));"


def imported_by(*words, code="from symroute_nm import cli; cli.main()"):
    said = program(*words, code=LISTS_MODULES + code)[2]
    return {each.partition(".")[0] for each in said.split()}


def imported_by_typer():
    """What typer brings in itself: 0.10, the last for Python 3.6, has rich."""
    return imported_by(code="import typer")


def test_a_snapshots_plan_imports_no_netlink(host, root):
    modules = imported_by("generate", "--host", host, "--root", root)
    assert set() == modules & {"pyroute2", "rich"} - imported_by_typer()
    assert "jinja2" in modules


STRANGE = "dock\u00e9r\ud800\x1b[31m"


@pytest.mark.parametrize("environment", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"},
                                         {"LC_ALL": "C.UTF-8"}], ids=repr)
def test_any_name_can_be_printed_in_any_locale(host, root, environment):
    made = two_uplinks()
    host.write_text(dump_host(made._replace(links=tuple(
        each._replace(name=STRANGE) if each.name == "docker0" else each for each in made.links))))
    for words in (["inspect"], ["generate", "-n"], ["generate"], ["generate", "--json"]):
        code, out, err = program(*words, "--host", host, "--root", root, **environment)
        assert (FINE, False) == (code, "\x1b" in out + err), err
    assert FINE == program("remove", "--root", root, **environment)[0]


def test_a_reader_that_goes_away_is_no_error(host, root):
    command = "%s -m symroute_nm generate -n --host %s --root %s | head -1; exit ${PIPESTATUS[0]}"
    ran = subprocess.run(
        ["bash", "-c", command % (sys.executable, host, root)], cwd=str(REPOSITORY), check=False,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert (FINE, b"") == (ran.returncode, ran.stderr)


def test_the_same_plan_from_a_snapshot_as_from_the_host(root, tmp_path):
    """Live where the kernel can be asked; the snapshot of it must give the same plan."""
    code, text, err = program("snapshot")
    if code == SYSTEM:
        pytest.skip("netlink: " + err)
    assert FINE == code, err
    (tmp_path / "live.json").write_text(text)
    live = program("generate", "--dry-run", "--json", "--root", "/")
    told = program("generate", "--dry-run", "--json", "--root", "/", "--host",
                   tmp_path / "live.json")
    assert (live[0], live[1]) == (told[0], told[1])


UNHEARD = """
import os, signal, sys, time, weakref
from symroute_nm import cli

class Something:
    def __del__(self):
        if "del" in sys.argv:
            os.kill(os.getpid(), signal.SIGTERM)
            sum(range(1000))

signal.signal(signal.SIGTERM, cli._end)
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
    ran = subprocess.run([sys.executable, "-c", UNHEARD, where], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, timeout=60, check=False)
    assert (143, b"") == (ran.returncode, ran.stderr)
