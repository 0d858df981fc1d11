"""Runs the tests against the installed package: builds sdist and wheel once, makes a virtual
environment for each Python, and runs pytest where nothing else can be imported.

With ``--all``: every Python 3.6 to 3.13 that is found. The oldest and the newest run everything but
what one of them does for all; those between leave out what needs network namespaces or takes long,
and write to memory. All lands in .cache/tests.
"""

import argparse
import concurrent.futures
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

SOURCE = Path(__file__).resolve().parent.parent
CACHE = SOURCE / ".cache" / "tests"
VERSIONS = tuple((3, minor) for minor in range(6, 14))
OLDEST = VERSIONS[0]
NEWEST_AT_LEAST = (3, 12)  # what CI must have besides the oldest: RHEL 10's
BUILDS = (3, 8)  # setuptools that knows [project], and build
CHECKS = (3, 10)  # ruff and mypy
STYLE = ("ruff>=0.12,<1", "mypy>=1.14,<3")
JOBS = 2
MEMORY = Path("/dev/shm")
PACKAGED_SCRIPT = Path("/usr/lib/NetworkManager/dispatcher.d/10-ifcfg-rh-routes.sh")
_GENERATED = ("__pycache__", "*.egg-info", ".git", ".cache", ".hypothesis", ".*_cache", ".venv*")
_SUMMARY = re.compile(r"^(=+ )?.*\b\d+ (passed|failed|errors?|skipped|deselected)\b.* in [0-9.]+s")


class Python(NamedTuple):
    """An interpreter to run the tests with."""

    version: Tuple[int, int]
    path: Path

    @property
    def name(self) -> str:
        """``3.6``."""
        return "%d.%d" % self.version


class Result(NamedTuple):
    """How the tests went with one Python."""

    python: Python
    passed: bool
    output: str
    seconds: float


def main() -> int:
    """0 if everything passed."""
    arguments = _parse_arguments()
    pythons = find_pythons() if arguments.all else [_current()]
    _check_pythons(pythons)
    os.environ.update(_dispatcher_script())
    wheel = build_wheel(_builder(pythons))
    style = check_style(pythons[-1], wheel)
    results = run_all(pythons, wheel, arguments.pytest)
    report(results)
    return 0 if style and all(each.passed for each in results) else 1


def say(text: str) -> None:
    """A line on how far it is."""
    print("== " + text, flush=True)


# -- Pythons --------------------------------------------------------------------------------------


def find_pythons() -> List[Python]:
    """One Python of each version, pyenv's first, then python3.X on PATH; oldest first."""
    return [found[0] for found in ([*_candidates(version)] for version in VERSIONS) if found]


def _candidates(version: Tuple[int, int]) -> Iterator[Python]:
    name = "%d.%d" % version
    pyenv = Path(os.environ.get("PYENV_ROOT", str(Path.home() / ".pyenv")))
    on_path = shutil.which("python" + name)
    for path in [*sorted(pyenv.glob("versions/%s.*/bin/python" % name)), on_path]:
        # A pyenv shim of a version that is not selected is there and fails.
        if path and _version_of(Path(path)) == version:
            yield Python(version, Path(path))


def _version_of(path: Path) -> Optional[Tuple[int, ...]]:
    code = "import sys, ensurepip, venv; print(*sys.version_info[:2])"
    ran = subprocess.run([str(path), "-c", code], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=False)
    return tuple(map(int, ran.stdout.split())) if ran.returncode == 0 else None


def _current() -> Python:
    return Python((sys.version_info[0], sys.version_info[1]), Path(sys.executable))


def _builder(pythons: Sequence[Python]) -> Python:
    able = [each for each in [_current(), *reversed(pythons), *find_pythons()]
            if each.version >= BUILDS]
    if not able:
        sys.exit("tests/run: building the wheel needs a Python of %d.%d or later besides this one; "
                 "on RHEL 8: dnf install python3.11" % BUILDS)
    return able[0]


def _check_pythons(pythons: Sequence[Python]) -> None:
    say("Python " + ", ".join(each.name for each in pythons))
    if not pythons:
        sys.exit("tests/run: no Python 3.6 to 3.13 found")
    if in_ci() and pythons[0].version != OLDEST:
        sys.exit("tests/run: Python %d.%d is missing, and CI must run it" % OLDEST)
    if in_ci() and pythons[-1].version < NEWEST_AT_LEAST:
        sys.exit("tests/run: Python %d.%d or later is missing, and CI must run it" %
                 NEWEST_AT_LEAST)


def in_ci() -> bool:
    """Whether nothing essential may be left out."""
    return os.environ.get("CI", "").lower() in ("1", "true")


# -- what is installed ----------------------------------------------------------------------------


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
    execute(folder / "bin" / "python", "-m", "pip", "install", "--quiet",
            "--disable-pip-version-check", *arguments)


def execute(*command: Any, **options: Any) -> None:
    """Run a command that must work; exits with its output if it does not."""
    ran = subprocess.run([str(each) for each in command], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, check=False, **options)
    if ran.returncode:
        sys.exit("%s\ntests/run: failed: %s" % (
            ran.stdout.decode(errors="replace"), " ".join(map(str, command))))


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


def build_wheel(python: Python) -> Path:
    """The wheel, built from the sdist, so that what is missing there is missed in the tests."""
    say("sdist and wheel")
    commands = make_venv("builder", python, "build")
    copy_tree(CACHE / "source")
    shutil.rmtree(str(CACHE / "dist"), ignore_errors=True)
    execute(commands / "python", "-m", "build", "--outdir", CACHE / "dist", CACHE / "source")
    (wheel,) = (CACHE / "dist").glob("*.whl")
    return wheel


def check_style(python: Python, wheel: Path) -> bool:
    """Whether ruff and mypy find nothing."""
    if python.version < CHECKS:
        say("ruff and mypy are left out: they need Python %d.%d or later" % CHECKS)
        return True
    commands = make_venv("style", python, *STYLE, "pytest", "hypothesis", str(wheel))
    say("ruff, mypy --strict")
    mypy = [str(commands / "mypy"), "--cache-dir", str(CACHE / "mypy")]
    codes = [subprocess.call(command, cwd=str(SOURCE)) for command in (
        [str(commands / "ruff"), "check", "--no-cache", "symroute_nm", "tests", "rpm",
         "rpm/build"], mypy)]
    return codes == [0, 0]


def _dispatcher_script() -> Dict[str, str]:
    """The environment that names the dispatcher script, found once for all versions."""
    if "SYMROUTE_DISPATCHER" in os.environ or os.geteuid() != 0:
        return {}
    if PACKAGED_SCRIPT.is_file():
        return {"SYMROUTE_DISPATCHER": str(PACKAGED_SCRIPT)}
    from support.network import dispatcher

    try:
        return {"SYMROUTE_DISPATCHER": str(dispatcher.find_script())}
    except dispatcher.Unavailable as error:
        say("the dispatcher script is not here: %s" % error)
        return {}


# -- the tests ------------------------------------------------------------------------------------


def run_all(pythons: Sequence[Python], wheel: Path, arguments: List[str]) -> List[Result]:
    """Every Python's result, in the order of `pythons`; those that run everything begin first."""
    whole = {pythons[0].version, pythons[-1].version}
    order = sorted(pythons, key=lambda each: each.version not in whole)
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        futures = {
            each.version: pool.submit(
                run, each, wheel, _markers(each, pythons), arguments,
                None if each.version in whole or not os.access(str(MEMORY), os.W_OK) else MEMORY)
            for each in order
        }
        return [futures[each.version].result() for each in pythons]


def _markers(python: Python, pythons: Sequence[Python]) -> str:
    oldest, newest = python is pythons[0], python is pythons[-1]
    left_out = []
    if not newest or python.version < BUILDS:
        left_out.append("packaging")
    # The program is the same by then: of what firewalls do with its marks, once is enough; so it is
    # of every call that can fail, and of traffic that goes on meanwhile.
    left_out += [] if newest else ["marks"]
    left_out += [] if oldest else ["oldest"]
    left_out += [] if oldest or newest else ["namespace", "long"]
    return " and ".join("not %s" % each for each in left_out)


def run(
    python: Python, wheel: Path, markers: str, arguments: List[str], memory: Optional[Path]
) -> Result:
    """Run pytest in a copy of the tree without the package, so that the installed one is tested."""
    begun = time.monotonic()
    commands = make_venv("python" + python.name, python, "%s[test]" % wheel)
    pip(commands.parent, "--no-deps", "--force-reinstall", wheel)
    tree = CACHE / ("tree-" + python.name)
    copy_tree(tree, "symroute_nm", "templates")
    with temporary_folder(memory) as temporary:
        environment = dict(
            os.environ, PATH="%s:%s" % (commands, os.environ["PATH"]), TMPDIR=temporary,
            SYMROUTE_SOURCE=str(SOURCE), SYMROUTE_DIST=str(wheel.parent))
        ran = subprocess.run(
            [str(commands / "pytest"), "-p", "no:cacheprovider", "-m", markers, *arguments],
            cwd=str(tree), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, check=False)
    output = ran.stdout.decode(errors="replace")
    result = Result(python, ran.returncode == 0, output, time.monotonic() - begun)
    say("Python %s, %d s: %s" % (python.name, result.seconds, _summary(output)))
    return result


@contextlib.contextmanager
def temporary_folder(parent: Optional[Path]) -> Iterator[str]:
    """A folder of its own: pytest closes the one that all share to others each time it begins."""
    folder = tempfile.mkdtemp(prefix="symroute-tests-", dir=str(parent) if parent else None)
    try:
        Path(folder).chmod(0o755)  # for tests as nobody
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _summary(output: str) -> str:
    lines = [line for line in output.splitlines() if _SUMMARY.match(line)]
    return lines[-1] if lines else "no summary"


def report(results: Sequence[Result]) -> None:
    """All that pytest said with Pythons that failed and with the newest, whose summary is last."""
    for each in results:
        if not each.passed or each is results[-1]:
            say("Python %s" % each.python.name)
            print(each.output, end="", flush=True)
    for each in results:
        if not each.passed:
            say("Python %s failed: %s" % (each.python.name, _summary(each.output)))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests/run", description="Run the tests.")
    parser.add_argument("--all", action="store_true", help="with every Python that is found")
    parser.add_argument("pytest", nargs="*", help="for pytest, after --")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
