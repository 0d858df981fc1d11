"""Scripts of the marks, given to a real shell."""

import shutil
import subprocess

import pytest

from symroute_nm.errors import SystemFailure
from symroute_nm.kernel import netfilter
from symroute_nm.model.marking import SCRIPT, Mark, Marking
from symroute_nm.targets.marks import render_script


@pytest.mark.skipif(not shutil.which("timeout"), reason="coreutils' timeout bounds scripts")
def test_a_script_may_be_longer_than_an_argument():
    netfilter.run_script("#" + "x" * (1 << 18) + "\0\n:\n")
    with pytest.raises(SystemFailure, match="marks cannot be set: exit 7"):
        netfilter.run_script("#" + "x" * (1 << 18) + "\nexit 7\n")


@pytest.mark.parametrize("backend", ["nft", "iptables"])
def test_the_script_is_one_for_a_shell(backend):
    text = render_script(Marking(backend, 0x7F, (Mark("eth0", 0x64), Mark("eth1", 0x65))))
    ran = subprocess.run(["sh", "-n"], input=text.encode(), stderr=subprocess.PIPE, check=False)
    assert (0, b"") == (ran.returncode, ran.stderr)
    assert text.startswith("#!/bin/sh\n") and SCRIPT.endswith("/90-symroute-nm")
    if shutil.which("shellcheck"):
        assert 0 == subprocess.run(["shellcheck", "-"], input=text.encode(), check=False).returncode
