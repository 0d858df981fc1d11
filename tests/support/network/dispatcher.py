"""Gets the real dispatcher script, which is NetworkManager's and no part of this repository."""

import os
import re
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Iterator, List

SCRIPT = "10-ifcfg-rh-routes.sh"
# Where NetworkManager's source keeps what RHEL packages as NetworkManager-dispatcher-routing-rules.
MEMBER = "examples/dispatcher/" + SCRIPT
ADVICE = (
    f"set SYMROUTE_DISPATCHER to a copy of NetworkManager's {MEMBER}, put one into "
    "~/.cache/symroute-nm/, or run on Debian or Ubuntu with apt-get and a reachable mirror"
)


class Unavailable(Exception):
    """The script cannot be had here; the text says why and what to do."""


def find_script() -> Path:
    """Path of the script: SYMROUTE_DISPATCHER, else the cache, else fetched; raises Unavailable."""
    given = os.environ.get("SYMROUTE_DISPATCHER")
    if given:
        if not Path(given).is_file():
            raise Unavailable(f"SYMROUTE_DISPATCHER names no file: {given}; {ADVICE}")
        return Path(given)
    cached = Path.home() / ".cache" / "symroute-nm" / SCRIPT
    if not cached.is_file():
        _store(cached, _fetch())
    return cached


def _store(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=str(path.parent))
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    Path(name).replace(path)  # parallel runs never see half a script


def _fetch() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            tarball = _download(folder)
        except OSError as error:
            raise Unavailable(f"cannot run apt-get: {error}; {ADVICE}") from error
        with tarfile.open(str(tarball)) as archive:
            for member in archive:
                content = archive.extractfile(member) if member.name.endswith(MEMBER) else None
                if content:
                    return content.read()
    raise Unavailable(f"{tarball.name} holds no {MEMBER}; {ADVICE}")


def _download(folder: Path) -> Path:
    """The orig tarball of network-manager; apt's own state stays as it is."""
    sources = "\n\n".join(dict.fromkeys(stanza.strip() for stanza in _source_stanzas()))
    if not sources:
        raise Unavailable("no Debian or Ubuntu source is configured in /etc/apt; " + ADVICE)
    for part in ("parts", "lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    (folder / "parts" / "src.sources").write_text(sources)
    _apt(folder, "update")
    _apt(folder, "source", "--download-only", "--tar-only", "network-manager")
    found = sorted(folder.glob("network-manager_*.orig.tar.*[!c]"))
    if not found:
        raise Unavailable("apt-get source brought no tarball; " + ADVICE)
    return found[0]


def _apt(folder: Path, *arguments: str) -> None:
    options = {
        "Dir::Etc::sourcelist": "/dev/null",
        "Dir::Etc::sourceparts": str(folder / "parts"),
        "Dir::State::lists": str(folder / "lists"),
        "Dir::Cache": str(folder / "cache"),
        "APT::Sandbox::User": "root",  # the folder is closed to _apt
        "Acquire::Languages": "none",
    }
    command = ["apt-get", "-q"]
    for key, value in options.items():
        command += ["-o", f"{key}={value}"]
    ran = subprocess.run(
        command + list(arguments),
        cwd=str(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        check=False,
    )
    if ran.returncode:
        raise Unavailable(f"apt-get {arguments[0]} failed:\n{ran.stdout[-2000:]}\n{ADVICE}")


def _source_stanzas() -> Iterator[str]:
    """The machine's own distribution sources as deb822 ``deb-src`` stanzas (sources.list(5))."""
    apt = Path("/etc/apt")
    for path in sorted(apt.glob("sources.list.d/*.sources")):
        for stanza in re.split(r"\n\s*\n", path.read_text()):
            if re.search(r"^URIs:.*/(debian|ubuntu)/?(\s|$)", stanza, re.M):
                yield re.sub(r"^Types:.*$", "Types: deb-src", stanza, flags=re.M)
    for path in [apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list"))]:
        if path.is_file():
            yield from _convert_lines(path.read_text().splitlines())


def _convert_lines(lines: List[str]) -> Iterator[str]:
    pattern = r"\s*deb(?:-src)?\s+(?:\[(.*?)\]\s+)?(\S+/(?:debian|ubuntu)/?)\s+(\S+)\s+(.*)"
    for line in lines:
        match = re.match(pattern, line)
        if match:
            options, uri, suite, components = match.groups()
            signed = re.search(r"signed-by=(\S+)", options or "")
            yield "Types: deb-src\nURIs: {}\nSuites: {}\nComponents: {}\n{}".format(
                uri,
                suite,
                components.split("#")[0].strip(),
                f"Signed-By: {signed.group(1)}\n" if signed else "",
            )
