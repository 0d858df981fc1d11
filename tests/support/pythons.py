"""The Pythons of this machine, from 3.6 on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Tuple

VERSIONS = tuple((3, minor) for minor in range(6, 14))
OLDEST = VERSIONS[0]


def spell(version: Tuple[int, int]) -> str:
    """``3.6``."""
    return ".".join(map(str, version))


class Python(NamedTuple):
    """An interpreter to run the tests with."""

    version: Tuple[int, int]
    path: Path

    @property
    def name(self) -> str:
        """``3.6``."""
        return spell(self.version)


def current_python() -> Python:
    """The interpreter that runs this."""
    return Python((sys.version_info[0], sys.version_info[1]), Path(sys.executable))


def find_pythons() -> List[Python]:
    """One Python of each version, pyenv's first, then python3.X on PATH; oldest first."""
    found = (next(_candidates(version), None) for version in VERSIONS)
    return [python for python in found if python]


def _candidates(version: Tuple[int, int]) -> Iterator[Python]:
    name = spell(version)
    pyenv = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv")))
    on_path = shutil.which("python" + name)
    for path in [*sorted(pyenv.glob(f"versions/{name}.*/bin/python")), on_path]:
        # A pyenv shim of a version that is not selected is there and fails.
        if path and _version_of(Path(path)) == version:
            yield Python(version, Path(path))


def _version_of(path: Path) -> Optional[Tuple[int, ...]]:
    code = "import sys, ensurepip, venv; print(*sys.version_info[:2])"
    ran = subprocess.run(
        [str(path), "-c", code], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False
    )
    return tuple(map(int, ran.stdout.split())) if ran.returncode == 0 else None
