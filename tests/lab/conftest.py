"""Fresh labs: the two-uplink server between its firewalls."""

from pathlib import Path
from typing import Iterator

import pytest

from support.network.lab import PROFILES, Lab


@pytest.fixture(params=("eth1", "eth0"))
def lab(request: pytest.FixtureRequest, script: Path) -> Iterator[Lab]:
    """A fresh lab, once with each uplink as the best default."""
    with Lab(script, PROFILES, request.param) as made:
        yield made


@pytest.fixture
def plain(script: Path) -> Iterator[Lab]:
    """A fresh lab with the administrators' uplink as the best default."""
    with Lab(script, PROFILES) as made:
        yield made
