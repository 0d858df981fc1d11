"""The program under test: where it is run from, and how without any privilege."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator, Tuple

# The tree of these tests: a checkout, or the runner's copy of one without the package.
ROOT = Path(__file__).resolve().parents[2]
# The checkout. The suite runs beside the installed package, and tells where its source is.
SOURCE = Path(os.environ.get("SYMROUTE_SOURCE", str(ROOT)))
NOBODY = 65534
# The program as nobody, who it becomes only after all is imported: the interpreter's own files may
# be root's alone.
AS_NOBODY = f"""
import codecs, ctypes, encodings.idna, gettext, hashlib, locale, os, pkgutil, sys
codecs.lookup("unicode_escape")  # jinja2's
import jinja2
import symroute_nm
from symroute_nm.kernel.rtnetlink import read_host
for module in pkgutil.walk_packages(symroute_nm.__path__, "symroute_nm."):
    if module.name != "symroute_nm.__main__":
        __import__(module.name)
import rich.console, rich.table, rich.box
read_host(probe=False)
os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
from symroute_nm.cli.main import main
sys.argv[0] = "symroute-nm"
main()
"""


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Let root be nobody meanwhile, as to files; whoever is not root stays who they are."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def run_program(*words: Any, code: str = "", **environment: str) -> Tuple[int, str, str]:
    """Run the real program, or Python code that ends in it; its exit code, stdout and stderr."""
    command = ["-c", code] if code else ["-m", "symroute_nm"]
    ran = subprocess.run(
        [sys.executable, *command, *map(str, words)],
        cwd=str(ROOT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        check=False,
        env=dict(
            {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            **environment,
        ),
    )
    out, err = (stream.decode("utf-8", "replace") for stream in (ran.stdout, ran.stderr))
    return ran.returncode, out, err
