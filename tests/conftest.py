"""What may be skipped: in CI nothing that is not named here, with the reason why it may be."""

import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, Iterator, List, Tuple

import pytest
from namespace import Namespace, missing

import symroute_nm
from symroute_nm import cli

# Who needs one of these needs network namespaces, and is essential: a part of the promise.
_NAMESPACE_FIXTURES = {"script", "lab", "plain", "namespace"}
# What CI may skip: beginning of the reason -> why it may be.
_MAY_BE_SKIPPED = {
    "no ACLs on this file system": "a property of the machine's /tmp",
    "no security.selinux on this file system": "only kernels with SELinux have it",
    "chattr +i does not work on this file system": "a property of the machine's /tmp",
}

_skipped: List[Any] = []


def pytest_report_header() -> str:
    """Which package is tested: the installed one, unless it is run by hand in a checkout."""
    return "symroute_nm: %s" % Path(symroute_nm.__file__).parent


def pytest_configure() -> None:
    """Heed the signals that whoever began us ignores, as a shell does for what is in the
    background and nohup(1) does: the commands under test would inherit that."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def pytest_collection_modifyitems(items: List[pytest.Item]) -> None:
    """Mark what needs network namespaces, and that as essential."""
    for item in items:
        if _NAMESPACE_FIXTURES.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("namespace")
        if item.get_closest_marker("namespace"):
            item.add_marker("essential")


def pytest_runtest_logreport(report: Any) -> None:
    """Remember what was skipped."""
    if report.skipped and not hasattr(report, "wasxfail"):
        _skipped.append(report)


def pytest_collectreport(report: Any) -> None:
    """Remember modules that were skipped as a whole."""
    if report.skipped:
        _skipped.append(report)


def _unexcused() -> List[str]:
    found = []
    for report in _skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = reason.replace("Skipped: ", "", 1)
        excused = any(reason.startswith(each) for each in _MAY_BE_SKIPPED)
        if "essential" in report.keywords or not excused:
            found.append("%s: %s" % (report.nodeid, reason))
    return found


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in ("1", "true")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail in CI if something was skipped that must not be."""
    if _in_ci() and session.exitstatus == 0 and _unexcused():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say what must not be skipped in CI, and was."""
    unexcused = _unexcused() if _in_ci() else []
    if unexcused:
        terminalreporter.section("skipped, and must not be in CI", red=True)
        for line in unexcused:
            terminalreporter.line(line)


@pytest.fixture
def namespace() -> Iterator[Namespace]:
    """A network namespace with nothing but lo in it."""
    reason = missing()
    if reason:
        pytest.skip(reason)  # it is essential: CI does not let this pass
    with Namespace() as made:
        yield made


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
            cli.main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return ended.value.code or 0, said.out, said.err

    return running
