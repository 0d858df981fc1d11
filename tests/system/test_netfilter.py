"""What sets marks, as the programs list it."""

import os

import pytest

from symroute_nm import programs
from symroute_nm.errors import SystemFailure
from symroute_nm.kernel import netfilter


@pytest.mark.parametrize("name", ["nft", "iptables-save"])
def test_a_program_that_is_killed_has_not_said_that_nothing_is_loaded(tmp_path, monkeypatch, name):
    if os.geteuid():
        pytest.skip("only root may list what sets marks")
    program = tmp_path / name
    program.write_text("#!/bin/sh\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(programs, "FOLDERS", (str(tmp_path), *programs.FOLDERS))
    with pytest.raises(SystemFailure, match=f"{name} was killed by signal 9"):
        netfilter.read_loaded()
