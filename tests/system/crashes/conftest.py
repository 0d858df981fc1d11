"""Writes that are killed, fail or lose power, in memory."""

import shutil
from pathlib import Path
from typing import Iterator

import pytest

from support import syscalls
from support.trees import memory_folder


@pytest.fixture(autouse=True)
def _followed() -> None:
    if not syscalls.AVAILABLE:
        pytest.skip(syscalls.WHY_NOT)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: fsync costs nothing there."""
    made = memory_folder(tmp_path)
    yield made
    shutil.rmtree(str(made))
