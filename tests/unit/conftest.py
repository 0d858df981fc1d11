"""Unit tests start no other process: what does belongs to system."""

import os
import sys
from typing import Any, Iterator

import pytest

_PROCESSES = {
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.system",
    "subprocess.Popen",
}


class _Guard:
    """Refuses new processes while a unit test runs, by an audit hook (PEP 578).

    From Python 3.9 on: 3.8's platform.uname(), which pyroute2 calls when it is imported, starts
    uname(1) itself, and before that there are no audit hooks.
    """

    def __init__(self) -> None:
        self.on = False
        if sys.version_info >= (3, 9):
            sys.addaudithook(self.hear)

    def hear(self, event: str, _: Any) -> None:
        """Called with everything that Python tells its auditors."""
        if self.on and event in _PROCESSES:
            raise AssertionError(f"a unit test started a process ({event}): move it to system")


@pytest.fixture(scope="session")
def _guard() -> _Guard:
    return _Guard()


@pytest.fixture(autouse=True)
def _no_other_process(_guard: _Guard) -> Iterator[None]:
    _guard.on = True
    yield
    _guard.on = False


@pytest.fixture
def no_firewall(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks the firewall for its rules, as where the user is not root: that is a process."""
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
