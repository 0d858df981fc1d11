"""The session's address, read from the environment of real ancestors."""

import os
import subprocess
import sys

from support.program import ROOT

SAYS = "from symroute_nm.readers.session import session_address; print(session_address())"


def test_sudo_drops_the_variable_but_our_ancestors_have_it():
    inner = (
        "import os, subprocess, sys; del os.environ['SSH_CONNECTION']; "
        f"subprocess.check_call([sys.executable, '-c', {SAYS!r}])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", inner],
        check=True,
        cwd=str(ROOT),
        env=dict(os.environ, SSH_CONNECTION="192.0.2.7 50022 10.0.6.5 22"),
        stdout=subprocess.PIPE,
    )
    assert b"10.0.6.5\n" == ran.stdout
