"""Unpacks wheels: bundle.py WHEELS DESTINATION LICENCES

Python files alone, so that nothing compiled comes along, and each distribution's licences.
"""

import sys
import zipfile
from pathlib import Path, PurePosixPath


def main() -> None:
    """Unpack every wheel of a folder."""
    wheels, destination, licences = map(Path, sys.argv[1:])
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(str(wheel)) as archive:
            unpack(archive, destination, licences / wheel.name.partition("-")[0])


def unpack(archive: zipfile.ZipFile, destination: Path, licences: Path) -> None:
    """Write one wheel's modules and its licences; exits if it has none of either."""
    names = archive.namelist()
    modules = [name for name in names if name.endswith(".py")]
    texts = [
        name
        for name in names
        if ".dist-info/" in name
        and PurePosixPath(name).name.upper().startswith(("LICENSE", "COPYING", "NOTICE"))
    ]
    if not modules or not texts:
        sys.exit(f"bundle.py: {archive.filename} holds no modules or no licence")
    for name in modules:
        write(destination / name, without_interpreter(archive.read(name)))
    for name in texts:
        write(licences / PurePosixPath(name).name, archive.read(name))


def without_interpreter(source: bytes) -> bytes:
    """A module that nobody runs names no interpreter; the lines keep their numbers."""
    return source[source.index(b"\n") :] if source.startswith(b"#!") else source


def write(path: Path, content: bytes) -> None:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    main()
