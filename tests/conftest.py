"""What the tests share, and what may be skipped: in CI nothing that is not named here, with the
reason why it may be."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import pytest

import symroute_nm
from support.hosts import two_uplinks
from support.network.dispatcher import Unavailable, find_script
from support.network.namespaces import Namespace, missing
from symroute_nm.cli import main
from symroute_nm.readers.snapshot import dump_host

# What CI may skip: beginning of the reason -> why it may be.
_MAY_BE_SKIPPED = {
    "no control groups can be made here": "a property of the machine, or of its container",
    "no ACLs on this file system": "a property of the machine's /tmp",
    "no security.selinux on this file system": "only kernels with SELinux have it",
    "chattr +i does not work on this file system": "a property of the machine's /tmp",
}
_LAB_COMMANDS = ("ip", "nft", "nsenter", "unshare", "mount", "bash", "ping")


class Reports:
    """Shows each failure as soon as it is there, and remembers what was skipped."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._skipped: List[Any] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Remember a skipped test, show one that failed."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._skipped.append(report)
        if report.failed:
            self._show(report)

    def pytest_collectreport(self, report: Any) -> None:
        """Remember modules that were skipped as a whole, show those that cannot be imported."""
        if report.skipped:
            self._skipped.append(report)
        if report.failed:
            self._show(report)

    def _show(self, report: Any) -> None:
        terminal = self._config.pluginmanager.getplugin("terminalreporter")
        terminal.ensure_newline()
        terminal.section(f"{report.nodeid} ({report.when or 'collect'})", sep="_", red=True)
        terminal.write_line(report.longreprtext)
        for title, content in report.sections:
            terminal.section(title, sep="-")
            terminal.write_line(content)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail in CI if something was skipped that must not be."""
        self._config.option.tbstyle = "no"  # all failures have been shown
        if self._unexcused() and session.exitstatus == 0:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say what must not be skipped in CI, and was."""
        unexcused = self._unexcused()
        if unexcused:
            terminalreporter.section("skipped, and must not be in CI", red=True)
            for line in unexcused:
                terminalreporter.line(line)

    def _unexcused(self) -> List[str]:
        """What was skipped without an excuse; nothing outside of CI."""
        if os.environ.get("CI", "").lower() not in ("1", "true"):
            return []
        found = []
        for report in self._skipped:
            reason = report.longrepr
            if isinstance(reason, tuple):
                reason = reason[2]
            reason = str(reason).replace("Skipped: ", "", 1)
            if not reason.startswith(tuple(_MAY_BE_SKIPPED)):
                found.append(f"{report.nodeid}: {reason}")
        return found


def pytest_report_header() -> str:
    """Which package is tested: the installed one, unless it is run by hand in a checkout."""
    return f"symroute_nm: {Path(symroute_nm.__file__).parent}"


def pytest_configure(config: pytest.Config) -> None:
    """Heed the signals that whoever began us ignores, as a shell does for what is in the
    background and nohup(1) does: the commands under test would inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    config.pluginmanager.register(Reports(config), "symroute-reports")


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A network namespace with nothing but lo in it."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    with Namespace() as made:
        yield made


@pytest.fixture(scope="session")
def script() -> Path:
    """The real dispatcher script, on a machine where a lab can be built."""
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    lacking = [command for command in _LAB_COMMANDS if not shutil.which(command, path=path)]
    if lacking:
        pytest.skip("install the packages with: " + " ".join(lacking))
    if subprocess.run(
        ["unshare", "--mount", "--net", "ip", "link", "add", "type", "veth"], check=False
    ).returncode:
        pytest.skip("network namespaces need root (in a container: --privileged)")
    try:
        return find_script()
    except Unavailable as error:
        pytest.skip(str(error))
        raise


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A snapshot of the two-uplink host."""
    path = tmp_path / "host.json"
    path.write_text(dump_host(two_uplinks()))
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty root folder."""
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder of root's alone, to which nobody else can write from / on: below /tmp is none."""
    with tempfile.TemporaryDirectory(prefix="symroute-test-", dir="/run") as made:
        yield Path(made)


@pytest.fixture
def run(capsys: Any, monkeypatch: Any) -> Callable[..., Tuple[int, str, str]]:
    """Run the command line in this interpreter; its exit code, stdout and stderr."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def running(*words: Any) -> Tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["symroute-nm", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main.main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return ended.value.code or 0, said.out, said.err

    return running
