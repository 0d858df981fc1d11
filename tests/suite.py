"""Runs the tests against the installed package: tests/run [--all] [FOLDER…] [-- PYTEST ARGUMENTS]

Builds sdist and wheel once, makes a virtual environment for each Python, and runs pytest in a copy
of the tree, where nothing else can be imported. A folder is one of tests/, or a file or folder in
it; "style" is ruff, mypy and import-linter, which belong to a run of everything. All lands in
.cache/tests.

With ``--all``: every Python 3.6 to 3.13 that is found, each with the folders that `PLAN` gives it.
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
import threading
import time
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence

from support.building import CACHE, build_wheel, copy_tree, make_venv, pip, say
from support.network import dispatcher
from support.program import SOURCE
from support.pythons import OLDEST, Python, current_python, find_pythons, spell

EVERY, ENDS, FIRST, LAST = "every Python", "the oldest and the newest", "the oldest", "the newest"
# Which Pythons run a folder; what is longest begins first. Packets, packages and a write's calls
# are the same with any Python: once is enough.
PLAN = {
    "system": ENDS,
    "lab": LAST,
    "packaging": LAST,
    "system/crashes": FIRST,
    "unit": EVERY,
    "cases": EVERY,
}
IN_MEMORY = {"unit", "cases"}  # the others are about real file systems
STYLE = "style"
NEWEST_AT_LEAST = (3, 12)  # what CI must have besides the oldest: RHEL 10's
BUILDS = (3, 8)  # what the packaging tests need
CHECKS = (3, 10)  # ruff, mypy and import-linter
CHECKERS = ("ruff>=0.12,<1", "mypy>=1.14,<3")
# In an environment of its own: it wants a click that typer cannot take.
IMPORT_LINTER = "import-linter>=2.3,<3"
# All of the tree; and a program whose name does not say that it is Python.
CHECKED = (".", "rpm/build")
JOBS = 2
NOTHING_SELECTED = 5  # pytest's exit code
PACKAGED_SCRIPT = Path("/usr/lib/NetworkManager/dispatcher.d/10-ifcfg-rh-routes.sh")
_TESTS = SOURCE / "tests"
_MEMORY = Path("/dev/shm")
_SUMMARY = re.compile(r"^(=+ )?.*\b\d+ (passed|failed|errors?|skipped|deselected)\b.* in [0-9.]+s")
_printing = threading.Lock()


class Job(NamedTuple):
    """Test files that one pytest runs with one Python."""

    python: Python
    folder: str
    part: str  # "1/2" of a folder that several share, else ""
    files: Sequence[str]

    @property
    def name(self) -> str:
        """``3.6 unit``."""
        return " ".join(filter(None, (self.python.name, self.folder, self.part)))


class Result(NamedTuple):
    """How a job ended: pytest's exit code and its last lines."""

    job: Job
    code: int
    seconds: float
    summary: str
    failures: Sequence[str]


def main() -> int:
    """0 if everything passed, 1 if something did not, 2 for wrong input."""
    arguments = _parse_arguments()
    pythons = find_pythons() if arguments.all else [current_python()]
    wanted = _existing(arguments.folders)
    style = STYLE in arguments.folders or not arguments.folders
    _check_pythons(pythons, whole=not arguments.folders)
    jobs = plan_jobs(pythons, wanted)
    wheel = build_wheel(pythons)
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        checking = pool.submit(check_style, pythons[-1], wheel) if style else None
        used = [python for python in pythons if python in {job.python for job in jobs}]
        list(pool.map(lambda python: prepare(python, wheel), used))
        if any(job.folder in ("lab", "packaging") for job in jobs):
            _name_dispatcher_script()
        begun = [pool.submit(run, job, wheel, arguments.pytest, len(jobs) == 1) for job in jobs]
        try:
            results = [future.result() for future in begun]
        except KeyboardInterrupt:
            for future in begun:
                future.cancel()
            raise
        clean = checking.result() if checking else True
    return 0 if report(results) and clean else 1


# -- what is run ----------------------------------------------------------------------------------


def _existing(words: Sequence[str]) -> List[Path]:
    """The folders and files that the words name; all folders of the plan for none."""
    found = [_TESTS / re.sub("^(./)?tests/", "", word) for word in words if word != STYLE]
    for path in found:
        if not path.exists() or _TESTS not in path.parents:
            known = ", ".join(sorted(PLAN))
            print(
                f"tests/run: there is no {path}; the folders are {known} and {STYLE}",
                file=sys.stderr,
            )
            sys.exit(2)
    return found or ([] if words else [_TESTS])


def plan_jobs(pythons: Sequence[Python], wanted: Sequence[Path]) -> List[Job]:
    """What is to be run of `wanted`, in the order in which it begins."""
    jobs = []
    for folder, which in PLAN.items():
        files = [
            path
            for path in sorted((_TESTS / folder).rglob("test_*.py"))
            if folder == _folder_of(path)
            and any(path == place or place in path.parents for place in wanted)
        ]
        for python in _chosen(pythons, which):
            if folder == "packaging" and python.version < BUILDS:
                say(f"packaging is left out: it needs Python {spell(BUILDS)} or later")
                continue
            # More parts than are run at once, as some take longer; with many Pythons there is
            # enough to do.
            parts = _divided(files, 3 * JOBS if folder == "unit" and len(pythons) == 1 else 1)
            for number, part in enumerate(parts, 1):
                share = f"{number}/{len(parts)}" if len(parts) > 1 else ""
                jobs.append(Job(python, folder, share, part))
    return jobs


def _folder_of(path: Path) -> str:
    """The plan's folder that a test file is in; of one in another, the inner."""
    return max((name for name in PLAN if _TESTS / name in path.parents), key=len)


def _chosen(pythons: Sequence[Python], which: str) -> List[Python]:
    """The oldest and the newest first: they have most to do."""
    oldest, newest = pythons[0], pythons[-1]
    ends = [oldest] if oldest == newest else [oldest, newest]
    if which == EVERY:
        return [*ends, *pythons[1:-1]]
    return {ENDS: ends, FIRST: [oldest], LAST: [newest]}[which]


def _divided(files: Sequence[Path], most: int) -> List[List[str]]:
    """The files in at most so many parts of about the same size, none of them empty."""
    parts: List[List[str]] = [[] for _ in range(most)]
    sizes = [0] * most
    for path in sorted(files, key=lambda path: path.stat().st_size, reverse=True):
        smallest = sizes.index(min(sizes))
        sizes[smallest] += path.stat().st_size
        parts[smallest].append(str(path.relative_to(SOURCE)))
    return [sorted(part) for part in parts if part]


def _check_pythons(pythons: Sequence[Python], whole: bool) -> None:
    say("Python " + ", ".join(python.name for python in pythons))
    if not pythons:
        sys.exit("tests/run: no Python 3.6 to 3.13 found")
    if not whole or os.environ.get("CI", "").lower() not in ("1", "true"):
        return
    if pythons[0].version != OLDEST:
        sys.exit(f"tests/run: Python {spell(OLDEST)} is missing, and CI must run it")
    if pythons[-1].version < NEWEST_AT_LEAST:
        sys.exit(
            f"tests/run: Python {spell(NEWEST_AT_LEAST)} or later is missing, and CI must run it"
        )


# -- style ----------------------------------------------------------------------------------------


def check_style(python: Python, wheel: Path) -> bool:
    """Whether ruff, mypy and import-linter find nothing."""
    if python.version < CHECKS:
        say(f"{STYLE} is left out: it needs Python {spell(CHECKS)} or later")
        return True
    tools = make_venv("style", python, *CHECKERS, "pytest", "hypothesis", str(wheel))
    imports = make_venv("imports", python, IMPORT_LINTER)
    commands = [
        [tools / "ruff", "check", "--no-cache", *CHECKED],
        [tools / "ruff", "format", "--check", "--no-cache", *CHECKED],
        [tools / "mypy", "--cache-dir", CACHE / "mypy"],
        [imports / "lint-imports", "--no-cache"],
    ]
    clean = [_is_clean([str(word) for word in command]) for command in commands]
    return all(clean)


def _is_clean(command: Sequence[str]) -> bool:
    ran = subprocess.run(
        command, cwd=str(SOURCE), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    words = [Path(command[0]).name, *(word for word in command[1:2] if word.isalpha())]
    with _printing:
        say(f"{' '.join(words)}: {'failed' if ran.returncode else 'clean'}")
        if ran.returncode:
            print(ran.stdout.decode(errors="replace"), end="", flush=True)
    return ran.returncode == 0


# -- the tests ------------------------------------------------------------------------------------


def prepare(python: Python, wheel: Path) -> None:
    """Install the package for a Python, and lay out a copy of the tree without it."""
    commands = make_venv("python" + python.name, python, f"{wheel}[test]")
    pip(commands.parent, "--no-deps", "--force-reinstall", wheel)
    copy_tree(_tree(python), "symroute_nm", "templates")


def _tree(python: Python) -> Path:
    return CACHE / ("tree-" + python.name)


def _name_dispatcher_script() -> None:
    """Find the dispatcher script once for all, and name it in the environment."""
    if "SYMROUTE_DISPATCHER" in os.environ or os.geteuid() != 0:
        return
    try:
        script = PACKAGED_SCRIPT if PACKAGED_SCRIPT.is_file() else dispatcher.find_script()
    except dispatcher.Unavailable as error:
        say(f"the dispatcher script is not here: {error}")
    else:
        os.environ["SYMROUTE_DISPATCHER"] = str(script)


def run(job: Job, wheel: Path, arguments: Sequence[str], alone: bool) -> Result:
    """Run pytest; what it says goes out as it comes, with the job's name before each line unless
    it is alone."""
    begun = time.monotonic()
    commands = CACHE / ("python" + job.python.name) / "bin"
    memory = job.folder in IN_MEMORY and os.access(str(_MEMORY), os.W_OK)
    with temporary_folder(_MEMORY if memory else None) as temporary:
        # Unbuffered, but not what the tests start.
        running = subprocess.Popen(
            [
                str(commands / "python"),
                "-u",
                str(commands / "pytest"),
                "-p",
                "no:cacheprovider",
                *job.files,
                *arguments,
            ],
            cwd=str(_tree(job.python)),
            stdin=subprocess.DEVNULL,
            stdout=None if alone else subprocess.PIPE,
            stderr=None if alone else subprocess.STDOUT,
            env=dict(
                os.environ,
                PATH=f"{commands}:{os.environ['PATH']}",
                TMPDIR=temporary,
                SYMROUTE_SOURCE=str(SOURCE),
                SYMROUTE_DIST=str(wheel.parent),
            ),
        )
        lines = list(_shown(running, job.name))
        code = running.wait()
    return Result(
        job,
        code,
        time.monotonic() - begun,
        next((line for line in reversed(lines) if _SUMMARY.match(line)), "").strip("= "),
        [line for line in lines if line.startswith(("FAILED ", "ERROR "))],
    )


def _shown(running: "subprocess.Popen[bytes]", name: str) -> Iterator[str]:
    """The lines of a process, each shown before it is given."""
    for raw in running.stdout or ():
        line = raw.decode(errors="replace").rstrip()
        with _printing:
            print(f"{name} | {line}", flush=True)
        yield line


@contextlib.contextmanager
def temporary_folder(parent: Optional[Path]) -> Iterator[str]:
    """A folder of its own: pytest closes the one that all share to others each time it begins."""
    folder = tempfile.mkdtemp(prefix="symroute-tests-", dir=str(parent) if parent else None)
    try:
        Path(folder).chmod(0o755)  # for tests as nobody
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def report(results: Sequence[Result]) -> bool:
    """Say how each job went, and what failed; whether all passed and something was run at all."""
    words: Dict[int, str] = {0: "passed", NOTHING_SELECTED: "nothing selected"}
    for result in sorted(results, key=lambda result: (result.job.python, result.job.folder)):
        how = words.get(result.code, "FAILED")
        say(f"{result.job.name}: {how}, {result.seconds:.0f} s  {result.summary}".rstrip())
        for line in result.failures:
            print(line, flush=True)
    nothing = all(result.code == NOTHING_SELECTED for result in results) and bool(results)
    return not nothing and all(result.code in words for result in results)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tests/run",
        description="Run the tests.",
        usage="tests/run [--all] [FOLDER …] [-- PYTEST ARGUMENTS]",
    )
    parser.add_argument("--all", action="store_true", help="with every Python that is found")
    parser.add_argument(
        "folders",
        nargs="*",
        metavar="FOLDER",
        help=f"of tests/, or a file in one, or {STYLE!r}; everything if none",
    )
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    arguments = parser.parse_args(words[:end])
    arguments.pytest = words[end + 1 :]
    return arguments


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
