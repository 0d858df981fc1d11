"""What is built and installed: sdist, wheel and editable install hold what a run needs."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import List

import pytest

import symroute_nm
from support.building import copy_tree, execute, pip
from support.golden import FOLDER
from support.program import SOURCE

SNAPSHOT = FOLDER / "two-uplinks" / "host.json"
TEMPLATES = sorted(
    path.relative_to(SOURCE / "templates").as_posix()
    for path in (SOURCE / "templates").rglob("*.j2")
)


def built(pattern: str) -> Path:
    """What tests/run has built."""
    folder = os.environ.get("SYMROUTE_DIST")
    if not folder:
        pytest.skip("nothing was built: use tests/run")
    (found,) = Path(folder).glob(pattern)
    return found


def generate(python: Path, root: Path, **environment: str) -> List[str]:
    """The files that the package of this Python writes for the two-uplink host."""
    root.mkdir()
    ran = subprocess.run(
        [
            str(python),
            "-m",
            "symroute_nm",
            "generate",
            "--host",
            str(SNAPSHOT),
            "--root",
            str(root),
        ],
        cwd=str(root),
        env=dict(environment, PATH=os.environ["PATH"]),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout.decode()
    return sorted(path.name for path in root.rglob("*") if path.is_file())


def test_the_sdist_holds_the_templates_and_the_tests() -> None:
    with tarfile.open(str(built("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"templates/" + name for name in TEMPLATES} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "symroute_nm/cli/main.py"} <= names


def test_the_wheel_holds_the_templates_once_and_nothing_else() -> None:
    with zipfile.ZipFile(str(built("*.whl"))) as archive:
        names = [name for name in archive.namelist() if ".dist-info/" not in name]
    found = [name for name in names if name.endswith(".j2")]
    assert ["symroute_nm/templates/" + name for name in TEMPLATES] == sorted(found)
    assert {"symroute_nm"} == {name.partition("/")[0] for name in names}
    modules = {path.name for path in (SOURCE / "symroute_nm").glob("*.py")}
    assert modules == {
        Path(name).name for name in names if name.endswith(".py") and name.count("/") == 1
    }


def test_the_package_under_test_is_the_installed_one(tmp_path: Path) -> None:
    if "SYMROUTE_DIST" not in os.environ:
        pytest.skip("nothing was installed: use tests/run")
    assert Path(sys.prefix) in Path(symroute_nm.__file__).parents
    assert generate(Path(sys.executable), tmp_path / "root")


def test_an_editable_install_writes_the_same_and_follows_its_templates(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    copy_tree(checkout, source=SOURCE)
    venv = tmp_path / "venv"
    execute(sys.executable, "-m", "venv", venv)
    pip(venv, "--editable", checkout)
    python = venv / "bin" / "python"
    expected = generate(Path(sys.executable), tmp_path / "one")
    assert expected == generate(python, tmp_path / "two")
    template = checkout / "templates" / "ifcfg" / "rule.j2"
    template.write_text("# changed in the checkout\n" + template.read_text())
    generate(python, tmp_path / "three")
    (rules,) = (tmp_path / "three").rglob("rule-eth0")
    assert "# changed in the checkout" in rules.read_text()
    shutil.rmtree(str(venv))
