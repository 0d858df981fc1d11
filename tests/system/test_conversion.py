"""Blocks: what a variables file is, against grep(1)."""

import subprocess

from hypothesis import given
from hypothesis import strategies as st

from symroute_nm.targets.ifcfg import conversion

VARIABLE_PIECES = [b"ADDRESS0=", b"ADDRESS", b"12=", b" ", b"\t", b"\r", b"\n", b"#", b"x"]


@given(st.lists(st.sampled_from(VARIABLE_PIECES), max_size=8))
def test_the_variables_form_is_what_grep_says(pieces):
    content = b"".join(pieces)
    command = ["grep", "-Eq", "^[[:space:]]*ADDRESS[0-9]+="]
    env = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    grep = subprocess.run(command, input=content, env=env, check=False)
    assert (grep.returncode == 0) == conversion.is_variables_form(content)
