"""The command line: exit codes, what goes where, and never a traceback."""

import json
import os

import pytest

from support.golden.cases import CASES
from support.hosts import two_uplinks
from symroute_nm.readers.snapshot import dump_host

SCRIPTS = "etc/sysconfig/network-scripts"
FINE, FINDING, INPUT, REFUSED, SYSTEM, BUG, INTERRUPTED = 0, 1, 2, 3, 4, 70, 130


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
    assert [] == [line for line in said if line not in err]
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
    assert [b"# mine"] == [path.read_bytes() for path in (root / SCRIPTS).iterdir()]


def test_a_link_of_proc_that_names_no_folder_of_this_system_is_refused(run, host, tmp_path):
    """As ``/proc/PID/root`` of a container: its text is ``/``, and that is another folder here."""
    names = "/proc/self/fd/%d"
    folder = tmp_path / "folder"
    folder.mkdir()
    descriptor = os.open(str(folder), os.O_RDONLY)
    try:
        folder.rename(tmp_path / "moved")
        folder.mkdir()  # what the link named once
        (tmp_path / "moved").rmdir()
        code, _, err = run("generate", "--host", host, "--root", names % descriptor)
    finally:
        os.close(descriptor)
    assert (INPUT, True) == (code, "link of /proc" in err), err
