"""Packages as they are installed: made by rpm/build, put into an empty tree by rpm, and run from
there as if that tree were the machine's own."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any, Dict, List, Sequence

from support.program import SOURCE
from support.pythons import Python, find_pythons

COMMAND = "/usr/sbin/symroute-nm"
PRIVATE = "/usr/share/symroute-nm/python"
EPOCH = "1700000000"
STUB = """
Name: {name}
Version: {version}
Release: 1
Summary: Stands for the distribution's
License: MIT
BuildArch: noarch
%description
Stands for the distribution's.
%files
"""


def run(command: Sequence[Any], **options: Any) -> "subprocess.CompletedProcess[str]":
    """What a command said, on both streams together, and its exit code."""
    return subprocess.run(
        [str(each) for each in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        check=False,
        **options,
    )


def must(command: Sequence[Any], **options: Any) -> str:
    """What a command said that has to work."""
    ran = run(command, **options)
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def build(
    python: Python,
    source: Path,
    output: Path,
    *releases: str,
    within: Sequence[str] = (),
    **environment: str,
) -> Dict[str, Path]:
    """{release: package}, made by this Python from a checkout, with the releases' own on PATH.

    `within` is a command that runs another.
    """
    path = [str(each.path.parent) for each in find_pythons()] + [os.environ["PATH"]]
    must(
        [
            *within,
            python.path,
            source / "rpm" / "build",
            "--cache",
            SOURCE / ".cache" / "rpm",
            "--output",
            output,
            *releases,
        ],
        env=dict(os.environ, PATH=os.pathsep.join(path), SOURCE_DATE_EPOCH=EPOCH, **environment),
    )
    return {each.name.split(".")[-3]: each for each in output.glob("*.noarch.rpm")}


def stub(folder: Path, name: str, version: str) -> Path:
    """An empty package of that name, as the distribution's own would be."""
    spec = folder / (name + ".spec")
    spec.write_text(STUB.format(name=name, version=version))
    must(["rpmbuild", "-bb", "--define", f"_topdir {folder}", spec])
    (made,) = folder.glob(f"RPMS/noarch/{name}-{version}-1.noarch.rpm")
    return made


class Root:
    """A tree of its own with an RPM database, empty at first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.rpm("--initdb")

    def rpm(self, *arguments: Any) -> "subprocess.CompletedProcess[str]":
        """Run rpm on the tree; Debian's own remark on that is left out of what it says."""
        ran = run(["rpm", "--root", self.folder, "--dbpath", "/var/lib/rpm", *arguments])
        ran.stdout = re.sub("(?m)^rpm: (RPM should not|However assuming).*\n", "", ran.stdout)
        return ran

    def path(self, path: str) -> Path:
        """Where a file of the tree is."""
        return self.folder / path.lstrip("/")

    def files(self) -> Dict[str, bytes]:
        """{path: content} of all its files but RPM's database."""
        found = {}
        for path in sorted(self.folder.rglob("*")):
            name = "/" + str(path.relative_to(self.folder))
            if path.is_file() and not name.startswith("/var/lib/rpm/"):
                found[name] = path.read_bytes()
        return found

    def mounts(self, python: Python) -> List[str]:
        """Shell commands that put the tree's /usr, with this Python in it, over the machine's."""
        layer = self.folder.parent / ("layer-" + python.name)
        if not layer.is_dir():
            (layer / "bin").mkdir(parents=True)
            (layer / "bin" / "python3").symlink_to(python.path)
        layers = ":".join(map(str, (layer, self.folder / "usr", "/usr")))
        private = shlex.quote(str(self.path(PRIVATE)))
        return [
            f"mount -t overlay overlay -o lowerdir={shlex.quote(layers)} /usr",
            # Writable as on a real host: bytecode that should not be written would show.
            f"mount --bind {private} {PRIVATE}",
        ]

    def run(
        self, python: Python, *arguments: Any, before: Sequence[str] = (), **options: Any
    ) -> "subprocess.CompletedProcess[str]":
        """Run the installed command by its own first line; `before` are more mounts."""
        script = " && ".join([*self.mounts(python), *before, 'exec "$0" "$@"'])
        return run(["unshare", "--mount", "sh", "-c", script, COMMAND, *arguments], **options)
