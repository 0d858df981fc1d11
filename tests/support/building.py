"""The package as its users get it: sdist and wheel, built once, and environments to install it in.

All lands in .cache/tests of the checkout.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, List, Sequence

from support.program import SOURCE
from support.pythons import Python, current_python, find_pythons, spell

CACHE = SOURCE / ".cache" / "tests"
BUILDS = (3, 8)  # setuptools that knows [project], and build
_GENERATED = ("__pycache__", "*.egg-info", ".git", ".cache", ".hypothesis", ".*_cache", ".venv*")


def say(text: str) -> None:
    """A line on how far it is."""
    print("== " + text, flush=True)


def execute(*command: Any, **options: Any) -> None:
    """Run a command that must work; exits with its output if it does not."""
    ran = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        **options,
    )
    if ran.returncode:
        said, words = ran.stdout.decode(errors="replace"), " ".join(map(str, command))
        sys.exit(f"{said}\ntests/run: failed: {words}")


def make_venv(name: str, python: Python, *packages: str) -> Path:
    """Folder of the commands of a virtual environment with these packages; kept while they stay."""
    folder = CACHE / name
    wanted = "\n".join([sys.version, str(python), *packages, _read(SOURCE / "pyproject.toml")])
    if _read(folder / "made-of") != wanted:
        shutil.rmtree(str(folder), ignore_errors=True)
        execute(python.path, "-m", "venv", folder)
        if python.version < (3, 7):
            # Its own pip 18.1 neither reads today's metadata nor finds the wheels.
            pip(folder, "pip==21.3.1")
        pip(folder, *packages)
        (folder / "made-of").write_text(wanted)
    return folder / "bin"


def pip(folder: Path, *arguments: Any) -> None:
    """Run pip install in a virtual environment."""
    execute(
        folder / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        *arguments,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def copy_tree(destination: Path, *left_out: str, source: Path = SOURCE) -> None:
    """Copy the tree without what was built or cached in it, and without `left_out` at its top."""
    generated = shutil.ignore_patterns(*_GENERATED)

    def ignored(folder: str, names: List[str]) -> Any:
        top = {"build", "dist", *left_out} if Path(folder) == source else set()
        return set(generated(folder, names)) | top.intersection(names)

    shutil.rmtree(str(destination), ignore_errors=True)
    shutil.copytree(str(source), str(destination), symlinks=True, ignore=ignored)


def build_wheel(pythons: Sequence[Python] = ()) -> Path:
    """The wheel, built from the sdist, so that what is missing there is missed in the tests.

    Any Python that can does it: the current one, the newest of `pythons`, any other.
    """
    able = [
        python
        for python in [current_python(), *reversed(pythons), *find_pythons()]
        if python.version >= BUILDS
    ]
    if not able:
        sys.exit(
            f"tests/run: building the wheel needs a Python of {spell(BUILDS)} or later "
            "besides this one; on RHEL 8: dnf install python3.11"
        )
    say("sdist and wheel")
    # Not isolated: the environment is kept, and building takes a few seconds and no network.
    commands = make_venv("builder", able[0], "build", "setuptools>=70.1")
    copy_tree(CACHE / "source")
    shutil.rmtree(str(CACHE / "dist"), ignore_errors=True)
    execute(
        commands / "python",
        "-m",
        "build",
        "--no-isolation",
        "--outdir",
        CACHE / "dist",
        CACHE / "source",
    )
    (wheel,) = (CACHE / "dist").glob("*.whl")
    return wheel
