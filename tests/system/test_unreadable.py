"""What somebody who is not root may not look at: named where it matters, else as if absent."""

import os
import subprocess
import sys

import pytest

from support.hosts import two_uplinks
from support.program import AS_NOBODY, ROOT
from symroute_nm.readers import rt_tables
from symroute_nm.readers.ifcfg import dispatcher
from symroute_nm.readers.snapshot import dump_host

NOBODY = 65534
FINE, INPUT, SYSTEM = 0, 2, 4

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")


@pytest.fixture(autouse=True)
def _reachable(tmp_path):
    """Folders that nobody can pass through, down to the test's own."""
    parents = [(each, each.stat().st_mode) for each in (tmp_path, *tmp_path.parents)]
    modes = [(each, mode) for each, mode in parents if mode & 0o055 != 0o055]
    for each, mode in modes:
        each.chmod(mode | 0o055)
    yield
    for each, mode in modes:
        each.chmod(mode)


def as_nobody(*words):
    """Run the program as nobody; its exit code and stderr."""
    ran = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *map(str, words)],
        cwd=str(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
    )
    err = ran.stderr.decode()
    assert "Traceback" not in err
    return ran.returncode, err


def closed_folder(place):
    place.mkdir(parents=True)
    place.chmod(0o700)
    return place


FOLDERS = [
    "etc/iproute2",
    "etc/iproute2/rt_tables.d",
    "etc/NetworkManager",
    "etc/NetworkManager/dispatcher.d",
    "usr/lib",
    "usr/lib/NetworkManager",
    "usr/share",
    "etc/systemd",
    "etc/rc.d",
    "etc/rc3.d",
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_closed_folder_counts_as_absent(tmp_path, folder):
    root = tmp_path / "root"
    closed_folder(root / folder)
    os.seteuid(NOBODY)
    try:
        assert () == rt_tables.read_tables(root)
        assert ("", False) == (
            dispatcher.find_dispatcher(root),
            dispatcher.has_network_service(root),
        )
        assert rt_tables.reads_drop_ins(root)
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("loop", ["etc/iproute2", "etc/NetworkManager", "etc/systemd"])
def test_a_link_loop_counts_as_absent(tmp_path, loop):
    place = tmp_path / loop
    place.parent.mkdir(parents=True)
    place.symlink_to(place.name)
    assert () == rt_tables.read_tables(tmp_path)
    assert ("", False) == (
        dispatcher.find_dispatcher(tmp_path),
        dispatcher.has_network_service(tmp_path),
    )
    assert rt_tables.reads_drop_ins(tmp_path)


@pytest.mark.parametrize("command", ["inspect", "generate", "diagnose"])
def test_a_closed_configuration_is_exit_4_and_named(tmp_path, command):
    (tmp_path / "host.json").write_text(dump_host(two_uplinks()))
    closed_folder(tmp_path / "root/etc")
    words = [command, "--host", tmp_path / "host.json", "--root"]
    code, err = as_nobody(*words, tmp_path / "root")
    assert (SYSTEM, True) == (code, "etc/symroute-nm.conf" in err), err
    code, err = as_nobody(*words, tmp_path, "--config", tmp_path / "root/etc/x.conf")
    assert (SYSTEM, True) == (code, "etc/x.conf" in err), err


@pytest.mark.parametrize("command", ["inspect", "remove", "undo", "snapshot", "diagnose"])
@pytest.mark.parametrize("root", ["closed/root", "loop/root"])
def test_a_root_that_cannot_be_looked_at_is_exit_4_and_named(tmp_path, command, root):
    closed_folder(tmp_path / "closed")
    (tmp_path / "closed/root").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    code, err = as_nobody(command, "--root", tmp_path / root)
    assert (SYSTEM, True) == (code, root in err), err
