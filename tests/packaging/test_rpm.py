"""The packages: built for every release family, checked, installed into an empty tree, run from
there, upgraded and erased."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, Tuple

import pytest

import symroute_nm
from support import installed
from support.building import copy_tree
from support.golden import FOLDER
from support.installed import COMMAND, EPOCH, PRIVATE, Root, must, run
from support.network.lab import PROFILES, Lab, broken
from support.network.namespaces import missing
from support.program import SOURCE
from support.pythons import Python, current_python, find_pythons

RELEASES = {"el7": (3, 6), "el8": (3, 6), "el9": (3, 9), "el10": (3, 12)}
PYTHONS = {python.version: python for python in find_pythons()}
CURRENT = current_python()
SNAPSHOT = FOLDER / "two-uplinks" / "host.json"
SCRIPT_PACKAGE = "NetworkManager-dispatcher-routing-rules"
# What rpm 4.11.3 provides of itself (rpmlibProvides in its lib/rpmds.c).
RPM_4_11 = {
    f"rpmlib({each})"
    for each in (
        "VersionedDependencies",
        "CompressedFileNames",
        "PayloadIsBzip2",
        "PayloadIsXz",
        "PayloadFilesHavePrefix",
        "ExplicitPackageProvide",
        "HeaderLoadSortsTags",
        "ScriptletInterpreterArgs",
        "PartialHardlinkSets",
        "ConcurrentAccess",
        "BuiltinLuaScripts",
        "FileDigests",
        "FileCaps",
        "ScriptletExpansion",
        "TildeInVersions",
    )
}
# Whether bytecode is this Python's, belongs to its source as it is, and names its installed path.
CHECK_BYTECODE = """
import importlib.util, marshal, os, sys
head = 12 if sys.version_info < (3, 7) else 16
for name in sys.argv[2:]:
    with open(name, "rb") as opened:
        raw = opened.read()
    source = importlib.util.source_from_cache(name)
    time = int.from_bytes(raw[head - 8:head - 4], "little")
    assert raw[:4] == importlib.util.MAGIC_NUMBER, name
    assert time == int(os.stat(source).st_mtime), name
    assert marshal.loads(raw[head:]).co_filename.startswith(sys.argv[1]), name
"""
every_release = pytest.mark.parametrize("release", sorted(RELEASES))


@pytest.fixture(scope="session")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Path]:
    """{release: package}."""
    for command in ("rpmbuild", "rpm", "rpmlint"):
        if not shutil.which(command):
            pytest.skip(f"{command} is not installed")
    if missing():
        pytest.skip(missing())
    if not set(RELEASES.values()) <= set(PYTHONS):
        pytest.skip("the releases' Pythons are needed: 3.6, 3.9 and 3.12")
    return installed.build(CURRENT, SOURCE, tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="session")
def needed(tmp_path_factory: pytest.TempPathFactory) -> List[Path]:
    """What the packages require, as empty packages."""
    folder = tmp_path_factory.mktemp("needed")
    return [
        installed.stub(folder, "python3", "3.6.8"),
        installed.stub(folder, SCRIPT_PACKAGE, "1.18.8"),
    ]


@pytest.fixture(scope="session")
def roots(
    packages: Dict[str, Path], needed: List[Path], tmp_path_factory: pytest.TempPathFactory
) -> Dict[str, Root]:
    """{release: a tree with the package in it}; not to be changed."""
    found = {}
    for release, package in packages.items():
        found[release] = Root(tmp_path_factory.mktemp("roots") / release)
        assert "" == found[release].rpm("-i", *needed, package).stdout
    return found


@pytest.fixture
def root(packages: Dict[str, Path], needed: List[Path], tmp_path: Path) -> Root:
    """A tree of the test's own with EL8's package in it."""
    made = Root(tmp_path / "root")
    assert "" == made.rpm("-i", *needed, packages["el8"]).stdout
    return made


def query(package: Path, *options: str) -> List[str]:
    return must(["rpm", "-qp", *options, package]).splitlines()


# -- the packages themselves ----------------------------------------------------------------------


def test_one_package_a_release(packages: Dict[str, Path]) -> None:
    name = f"symroute-nm-{symroute_nm.__version__}-1.%s.noarch.rpm"
    assert {each: name % each for each in RELEASES} == {
        release: path.name for release, path in packages.items()
    }


def test_a_commit_gives_the_same_bytes_wherever_and_whenever(
    packages: Dict[str, Path], tmp_path: Path
) -> None:
    """By another Python, in another folder, time zone, language, home and umask, offline."""
    copy = tmp_path / "a checkout elsewhere"
    copy_tree(copy, source=SOURCE)
    (copy / "symroute_nm" / "left-over.pyc").write_bytes(b"")
    before = os.umask(0o077)
    try:
        again = installed.build(
            PYTHONS[3, 6],
            copy,
            tmp_path / "again",
            "el7",
            "el10",
            within=("unshare", "--net"),
            TZ="Asia/Kathmandu",
            LANG="C",
            PYTHONHASHSEED="7",
            HOME=str(tmp_path),
        )
    finally:
        os.umask(before)
    assert {"el7", "el10"} == set(again)
    assert [] == [each for each in again if packages[each].read_bytes() != again[each].read_bytes()]
    assert [EPOCH] == query(packages["el8"], "--qf", "%{BUILDTIME}\n")


def test_a_wheel_that_is_not_the_pinned_one_is_not_built_in(
    packages: Dict[str, Path], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(str(SOURCE / ".cache" / "rpm"), str(cache))
    (wheel,) = cache.glob("click-*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"\n")
    ran = run(
        [
            sys.executable,
            SOURCE / "rpm" / "build",
            "--cache",
            cache,
            "--output",
            tmp_path / "output",
            "el8",
        ],
        env=dict(os.environ, PIP_NO_INDEX="1", SOURCE_DATE_EPOCH=EPOCH),
    )
    assert ran.returncode == 1
    assert "click" in ran.stdout
    assert "rpm/build: pip did not bring the wheels" in ran.stdout
    assert not (tmp_path / "output").exists()


def test_rpmlint_finds_nothing_unexplained(packages: Dict[str, Path]) -> None:
    said = must(["rpmlint", "-c", SOURCE / "rpm" / "rpmlint.toml", *packages.values()])
    assert "4 packages" in said
    assert "0 errors, 0 warnings" in said, said


@every_release
def test_it_requires_only_what_the_release_has(packages: Dict[str, Path], release: str) -> None:
    required = query(packages[release], "--requires")
    own = {requirement for requirement in required if not requirement.startswith("rpmlib(")}
    script_package = set() if release == "el10" else {SCRIPT_PACKAGE}
    # RPM may tie a configuration file to its package.
    assert {"python3 >= 3.6"} | script_package == {
        each for each in own if not each.startswith("config(symroute-nm)")
    }
    assert (
        set()
        == {requirement.split()[0] for requirement in required if requirement not in own} - RPM_4_11
    )


@every_release
def test_rpm_4_11_can_read_it(packages: Dict[str, Path], release: str) -> None:
    (line,) = query(
        packages[release], "--qf", "%{PAYLOADFORMAT} %{PAYLOADCOMPRESSOR} %{FILEDIGESTALGO}\n"
    )
    assert "cpio xz 8" == line  # 8: SHA-256
    for weak in ("recommends", "suggests", "supplements", "enhances"):
        assert [] == query(packages[release], "--" + weak)
    assert [] == [each for each in query(packages[release], "--requires") if " if " in each]


@every_release
def test_what_it_bundles_is_what_the_lock_file_pins(
    packages: Dict[str, Path], roots: Dict[str, Root], release: str
) -> None:
    lock = (SOURCE / "rpm" / "bundled.txt").read_text()
    pins = {
        name.lower().replace("_", "-"): version
        for name, version in re.findall(r"(?m)^(\S+)==(\S+) ", lock)
    }
    assert {"jinja2", "typer", "click", "markupsafe", "pyroute2"} <= set(pins)
    provided = {
        each
        for each in query(packages[release], "--provides")
        if not each.startswith(("symroute-nm = ", "config(symroute-nm)"))
    }
    assert {"bundled(python3-{}) = {}".format(*each) for each in pins.items()} == provided
    modules = {
        path.name for path in roots[release].path(PRIVATE).iterdir() if path.name != "__pycache__"
    }
    assert {"symroute_nm", "pr2modules"} | {
        each.replace("-", "_") + suffix
        for each, suffix in (
            (name, ".py" if name in ("dataclasses", "typing-extensions") else "") for name in pins
        )
    } == modules
    licences = roots[release].path("/usr/share/licenses/symroute-nm")
    assert set(pins) | {"licenses"} == {
        path.parent.name.lower().replace("_", "-").replace("symroute-nm", "licenses")
        for path in licences.rglob("LICENSE*")
    }


def test_the_lock_file_is_enough_for_what_the_project_depends_on() -> None:
    lock = (SOURCE / "rpm" / "bundled.txt").read_text().lower()
    project = (SOURCE / "pyproject.toml").read_text()
    dependencies = project[project.index("\ndependencies = [") :]
    names = re.findall(
        r'^    "([a-z0-9]+)', dependencies[: dependencies.index("]\n")], re.MULTILINE
    )
    assert {"typer", "jinja2"} <= set(names)
    assert [] == [name for name in names if f"\n{name}==" not in lock]


@every_release
def test_no_scriptlet_runs(packages: Dict[str, Path], release: str) -> None:
    assert [] == query(packages[release], "--scripts", "--triggers")


@every_release
def test_it_holds_what_it_should_and_pure_python_alone(
    roots: Dict[str, Root], release: str
) -> None:
    files = set(roots[release].files())
    assert {
        COMMAND,
        "/etc/symroute-nm.conf",
        "/usr/share/man/man8/symroute-nm.8.gz",
        "/usr/share/man/man5/symroute-nm.conf.5.gz",
        "/usr/share/licenses/symroute-nm/LICENSE",
        "/usr/share/bash-completion/completions/symroute-nm",
        PRIVATE + "/symroute_nm/templates/ifcfg/rule.j2",
        PRIVATE + "/symroute_nm/cli/main.py",
    } <= files
    assert roots[release].path("/var/lib/symroute-nm").is_dir()
    inside = {file for file in files if file.startswith(PRIVATE)}
    assert {".py", ".pyc", ".j2"} == {Path(each).suffix for each in inside}
    outside = {each.rpartition("/")[0] for each in files - inside}
    assert [] == [each for each in outside if "python" in each]


@every_release
def test_every_module_has_bytecode_for_the_release_s_python_and_no_other(
    roots: Dict[str, Root], release: str
) -> None:
    major, minor = RELEASES[release]
    tag = f".cpython-{major}{minor}.pyc"
    folder = roots[release].path(PRIVATE)
    modules = {path.parent / "__pycache__" / (path.stem + tag) for path in folder.rglob("*.py")}
    assert modules == set(folder.rglob("*.pyc"))
    python = PYTHONS[RELEASES[release]].path
    assert "" == must([python, "-c", CHECK_BYTECODE, PRIVATE, *sorted(modules)])


# -- installed ------------------------------------------------------------------------------------


@every_release
def test_it_needs_nothing_that_an_empty_tree_lacks_but_what_it_says(
    packages: Dict[str, Path], tmp_path: Path, release: str
) -> None:
    root = Root(tmp_path / "root")
    refused = root.rpm("-i", packages[release])
    wanted = {"python3 >= 3.6", SCRIPT_PACKAGE} - ({SCRIPT_PACKAGE} if release == "el10" else set())
    assert wanted == set(re.findall(r"\t(.*) is needed by", refused.stdout))
    assert "" == root.rpm("-i", "--nodeps", packages[release]).stdout
    assert "" == root.rpm("-V", "--nodeps", "symroute-nm").stdout


def example(python: Python, root: Root, *options: str) -> Dict[str, bytes]:
    """What the installed command writes into its own tree for the two-uplink host."""
    before = root.files()
    ran = root.run(
        python,
        "generate",
        "--host",
        SNAPSHOT,
        "--root",
        root.folder,
        *options,
        env={"PATH": os.environ["PATH"], "HOME": "/root"},
    )
    assert ran.returncode == 0, ran.stdout
    return {name: content for name, content in root.files().items() if before.get(name) != content}


def test_every_supported_python_writes_what_the_checkout_does(root: Root, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    must([sys.executable, "-m", "symroute_nm", "generate", "--host", SNAPSHOT, "--root", plain])
    expected = {
        "/" + str(path.relative_to(plain)): path.read_bytes()
        for path in plain.rglob("*")
        if path.is_file()
    }
    kept = {each: text for each, text in expected.items() if not each.startswith("/var")}
    assert len(kept) > 4
    for python in PYTHONS.values():
        written = example(python, root)
        assert kept == {each: text for each, text in written.items() if each in kept}, python
        shown = root.run(python, "inspect", "--host", SNAPSHOT).stdout
        assert "Uplinks" in shown and "10.0.6.5/24" in shown, python
        assert "Usage: symroute-nm" in root.run(python, "generate", "--help").stdout
        for name in kept:
            root.path(name).unlink()
    # Pythons without bytecode of their own left none behind.
    assert "" == root.rpm("-V", "symroute-nm").stdout
    assert {".cpython-36.pyc"} == {
        path.name[path.name.index(".") :] for path in root.folder.rglob("*.pyc")
    }


def test_an_unchanged_installation_verifies(roots: Dict[str, Root]) -> None:
    assert dict.fromkeys(RELEASES, "") == {
        release: root.rpm("-V", "symroute-nm").stdout for release, root in roots.items()
    }


EVIL = "import os; os.write(2, b'IMPORTED '+__name__.encode()); os._exit(99)\n"


@pytest.mark.parametrize("release, version", [("el7", (3, 6)), ("el10", (3, 12))])
def test_nothing_else_is_imported(
    roots: Dict[str, Root], tmp_path: Path, release: str, version: Tuple[int, int]
) -> None:
    """Neither from the current folder, nor by the environment, nor from any site-packages."""
    python = PYTHONS[version]
    names = (
        "jinja2",
        "typer",
        "click",
        "rich",
        "symroute_nm",
        "json",
        "typing",
        "usercustomize",
        "sitecustomize",
        "pyroute2",
        "markupsafe",
    )
    user = tmp_path / ".local" / "lib" / ("python" + python.name) / "site-packages"
    for folder in (tmp_path, user, tmp_path / "sub"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            (folder / (name + ".py")).write_text(EVIL)
        (folder / "evil.pth").write_text("import os; os._exit(98)\n")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "PYTHONPATH": str(tmp_path / "sub"),
        "PYTHONSTARTUP": str(tmp_path / "json.py"),
        "PYTHONINSPECT": "",
        "PYTHONHOME": "/nowhere",
        "PYTHONUSERBASE": str(tmp_path / ".local"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    system = must([python.path, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"])
    over = f"mount --bind {user} {system.strip()}"
    arguments = ("inspect", "--host", SNAPSHOT)
    ran = roots[release].run(python, *arguments, before=[over], cwd=str(tmp_path), env=environment)
    assert ran.returncode == 0, ran.stdout
    assert "Uplinks" in ran.stdout
    # The same traps do spring for a Python that is not isolated.
    del environment["PYTHONHOME"]
    sprung = run([python.path, "-c", "import jinja2"], cwd=str(tmp_path), env=environment)
    assert sprung.returncode in (98, 99)


def test_the_interpreter_is_the_system_s_and_isolated(roots: Dict[str, Root]) -> None:
    for root in roots.values():
        first = root.path(COMMAND).read_text().splitlines()[0]
        assert "#!/usr/bin/python3 -ISB" == first
        assert 0o755 == root.path(COMMAND).stat().st_mode & 0o7777


# -- upgraded, erased -----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def following(packages: Dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The next version for EL8, with another example configuration and a module less."""
    copy = tmp_path_factory.mktemp("next") / "checkout"
    copy_tree(copy, source=SOURCE)
    own = copy / "symroute_nm" / "__init__.py"
    own.write_text(own.read_text().replace(symroute_nm.__version__, "99.0"))
    example = copy / "rpm" / "symroute-nm.conf"
    example.write_text(example.read_text() + "\n# A remark of the next version's.\n")
    wing = copy / "symroute_nm" / "diagnosis"
    (wing / "published_ports.py").rename(wing / "served.py")
    return installed.build(CURRENT, copy, copy.parent, "el8")["el8"]


def test_an_upgrade_keeps_a_changed_configuration_and_all_generated_files(
    root: Root, following: Path
) -> None:
    written = example(PYTHONS[3, 6], root)
    assert len(written) > 5
    config = root.path("/etc/symroute-nm.conf")
    config.write_text(config.read_text().replace("#exclude = veth*, wg0", "exclude = wg9"))
    changed = config.read_bytes()
    assert "c /etc/symroute-nm.conf" in root.rpm("-V", "symroute-nm").stdout
    said = root.rpm("-U", following).stdout
    assert ["warning: /etc/symroute-nm.conf created as /etc/symroute-nm.conf.rpmnew"] == [
        line.replace(str(root.folder), "") for line in said.splitlines()
    ]
    assert changed == config.read_bytes()
    assert b"next version" in root.path("/etc/symroute-nm.conf.rpmnew").read_bytes()
    files = root.files()
    assert written == {name: files[name] for name in written}
    assert not [path for path in files if "/diagnosis/services" in path]
    assert [path for path in files if path.endswith("/diagnosis/served.py")]
    assert "symroute-nm-99.0-1.el8.noarch\n" == root.rpm("-q", "symroute-nm").stdout


def test_an_upgrade_replaces_an_unchanged_configuration(root: Root, following: Path) -> None:
    assert "" == root.rpm("-U", following).stdout
    assert b"next version" in root.path("/etc/symroute-nm.conf").read_bytes()
    assert "" == root.rpm("-V", "symroute-nm").stdout


def test_erasing_leaves_what_was_generated_and_nothing_else(root: Root) -> None:
    written = example(PYTHONS[3, 6], root)
    config = root.path("/etc/symroute-nm.conf")
    config.write_text(config.read_text() + "[interface eth0]\nid = 7\n")
    said = root.rpm("-e", "symroute-nm").stdout
    assert ["warning: /etc/symroute-nm.conf saved as /etc/symroute-nm.conf.rpmsave"] == [
        line.replace(str(root.folder), "") for line in said.splitlines()
    ]
    assert set(written) | {"/etc/symroute-nm.conf.rpmsave"} == set(root.files())
    assert written == {name: root.files()[name] for name in written}
    assert not root.path("/usr/share/symroute-nm").exists()


def test_erasing_what_was_never_used_leaves_nothing(root: Root) -> None:
    assert "" == root.rpm("-e", "symroute-nm").stdout
    assert {} == root.files()
    assert not root.path("/var/lib/symroute-nm").exists()


# -- in the packet lab ----------------------------------------------------------------------------


class InstalledLab(Lab):
    """The lab whose server has the package: its command, its configuration, its Python."""

    def __init__(self, path: Path, root: Root, python: Python) -> None:
        super().__init__(path, PROFILES)
        self._root, self._python = root, python

    def mounts(self) -> List[str]:
        """The package's files over the server's."""
        shutil.copy(str(self._root.path("/etc/symroute-nm.conf")), str(self.path("/etc")))
        (self.folder / "var-lib" / "symroute-nm").mkdir()
        return self._root.mounts(self._python)

    def symroute(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run the installed command on the server."""
        return self.run([COMMAND, *arguments])


@pytest.fixture(params=[("el7", (3, 6)), ("el10", (3, 12))], ids=["el7-3.6", "el10-3.12"])
def server(
    request: pytest.FixtureRequest, script: Path, roots: Dict[str, Root]
) -> Iterator[InstalledLab]:
    """A fresh lab with a release's package and Python."""
    release, version = request.param
    with InstalledLab(script, roots[release], PYTHONS[version]) as made:
        yield made


def test_every_flow_works_by_the_installed_command(server: InstalledLab) -> None:
    version = server.run(["/usr/bin/python3", "-c", "import sys; print(sys.version_info[:2])"])
    assert str(server._python.version) == version.stdout.strip()
    assert server.symroute("diagnose").returncode == 1
    ran = server.symroute("generate")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "" == server.boot()
    assert set() == broken(server.flows())
    for agreeing in (["diagnose"], ["generate", "--check"], ["verify"]):
        ran = server.symroute(*agreeing)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    removed = server.symroute("remove")
    assert removed.returncode == 0, removed.stderr
    assert [] == [
        file
        for file in server.files()
        if file.startswith("etc") and Path(file).name.startswith(("route", "rule"))
    ]


def test_the_installed_command_changes_the_kernel_and_takes_it_back(server: InstalledLab) -> None:
    unconfirmed = server.symroute("apply", "--timeout", "1")
    assert (3, []) == (unconfirmed.returncode, server.rules()), unconfirmed.stderr
    ran = server.symroute("apply", "--yes")
    assert ran.returncode == 0, ran.stderr
    assert set() == broken(server.flows())
    assert [] == [file for file in server.files() if "network-scripts/r" in file]
