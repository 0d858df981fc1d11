"""The house, as far as neither import-linter nor ruff can say it.

Who writes, who prints, which names there are, why an exemption is one; and style that must not come
back.
"""

import ast
import re
from pathlib import Path
from typing import Iterator, List, NamedTuple

import pytest

from suite import PLAN
from support.program import SOURCE

PACKAGE = SOURCE / "symroute_nm"
TESTS = SOURCE / "tests"
WINGS = {
    "cli",
    "diagnosis",
    "files",
    "kernel",
    "model",
    "plan",
    "readers",
    "report",
    "rpdb",
    "targets",
    "workflow",
}
AT_THE_PACKAGES_TOP = {"__init__", "__main__", "errors", "lazy", "programs", "rendering"}
AT_THE_TOP = {
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "rpm",
    "symroute_nm",
    "templates",
    "tests",
}
# What tools leave, and git ignores.
LEFT_BY_TOOLS = re.compile(r"(.*\.egg-info|__pycache__|build|dist)\Z")

# main exits and needs its streams for that, inspect asks whether there is a terminal; all else goes
# through terminal.
MAY_PRINT = {"__main__", "cli.main", "cli.terminal", "cli.commands.inspect"}
# Below a root; below /run, locks, the record of a running change and its socket; and a sysctl.
MAY_WRITE = {
    "files.access",
    "files.backups",
    "files.install",
    "files.journal",
    "files.lock",
    "files.own_folders",
    "kernel.keeper",
    "kernel.netfilter",
}
# Children end so, and are told by a pipe; main says on stderr that no stream can be opened.
MAY_CALL = {
    "cli.main": {"os.write"},
    "programs": {"os.write"},
    "kernel.netlink": {"os.write", "os._exit"},
    "kernel.keeper": {"os._exit"},
}
PRINTING = {"print", "click.echo", "typer.echo", "sys.exit", "os._exit"}
STREAMS = {"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"}
# str.replace() and datetime.replace() have their names, too: those are looked at by their module.
WRITING = {"os.replace", "os.remove", "os.write"}
WRITING_METHODS = re.compile(
    r"([fl]?ch(mod|own)|copy(2|file|tree)|(hard|sym)?link(_to)?|makedirs|mk(dir|fifo|nod)"
    r"|renames?|rm(dir|tree)|removedirs|setxattr|touch|f?truncate|unlink"
    r"|pwrite|write_(bytes|text))\Z"
)
WRITING_FLAGS = {"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"}

_WORDS = {"hint", "message", "reason", "said", "told", "words"}


class Module(NamedTuple):
    """A module of the package; of the name what is behind ``symroute_nm.``."""

    name: str
    path: Path
    tree: ast.Module


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def find_modules() -> Iterator[Module]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        yield Module(name, path, parse(path))


MODULES = list(find_modules())


def nodes(tree: ast.AST, *kinds: type) -> Iterator[ast.AST]:
    return (node for node in ast.walk(tree) if isinstance(node, kinds))


def literal(node: ast.AST) -> str:
    """The text of a string literal; 3.6 and 3.7 have a node of their own for it."""
    text = getattr(node, "s" if type(node).__name__ == "Str" else "value", None)
    return text if isinstance(text, str) else ""


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return getattr(node, "id", "")


# -- names ----------------------------------------------------------------------------------------


def test_the_top_of_the_repository_holds_what_the_design_lists():
    names = {
        path.name
        for path in SOURCE.iterdir()
        if not path.name.startswith(".") and not LEFT_BY_TOOLS.match(path.name)
    }
    assert set() == names - AT_THE_TOP


def test_the_package_has_eleven_wings_and_little_beside():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert WINGS == folders
    assert {path.stem for path in PACKAGE.glob("*.py")} == AT_THE_PACKAGES_TOP


def test_a_wing_says_what_it_is_and_imports_nothing():
    for module in MODULES:
        if module.path.name == "__init__.py" and module.path.parent != PACKAGE:
            assert ast.get_docstring(module.tree), module.name
            assert 1 == len(module.tree.body), module.name


def test_every_folder_of_the_package_is_installed():
    text = (SOURCE / "pyproject.toml").read_text(encoding="utf-8")
    listed = text.partition("\npackages = [")[2].partition("\n]")[0]
    names = {name for name in re.findall(r'"([^"]+)"', listed) if ".templates" not in name}
    folders = {path.parent.relative_to(SOURCE) for path in PACKAGE.rglob("__init__.py")}
    assert {".".join(folder.parts) for folder in folders} == names


def test_unit_tests_are_named_after_what_they_test():
    """``unit/WING/test_MODULE.py``, or more behind it where a module has several."""
    unknown = []
    for path in sorted((TESTS / "unit").rglob("*/test_*.py")):
        folder = PACKAGE / path.parent.relative_to(TESTS / "unit")
        name = path.stem.partition("_")[2]
        known = {module.stem for module in folder.glob("*.py")}
        if not any(f"{name}_".startswith(f"{module}_") for module in known):
            unknown.append(path)
    assert [] == unknown


def test_no_test_module_is_imported():
    """What several of them need is in tests/support, or a fixture of a conftest.py."""
    importers = []
    for path in sorted(TESTS.rglob("*.py")):
        for node in nodes(parse(path), ast.Import, ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            parts = {part for name in names for part in name.split(".")}
            if any(part.startswith("test_") or part == "conftest" for part in parts):
                importers.append(f"{path}:{node.lineno}")
    assert [] == importers


def test_the_runner_knows_every_folder_with_tests():
    folders = {str(path.parent.relative_to(TESTS)) for path in TESTS.rglob("test_*.py")}
    assert {"unit/model", "lab", "system/crashes"} <= folders
    assert [] == [
        folder
        for folder in folders
        if not any(f"{folder}/".startswith(f"{known}/") for known in PLAN)
    ]


# -- who does what --------------------------------------------------------------------------------


def printing_lines(module: Module) -> List[int]:
    """The lines of what prints, ends the process or takes a stream."""
    mine = PRINTING - MAY_CALL.get(module.name, set())
    calls = [call for call in nodes(module.tree, ast.Call) if dotted(call.func) in mine]
    streams = [node for node in nodes(module.tree, ast.Attribute) if dotted(node) in STREAMS]
    return [node.lineno for node in calls + streams]


def test_few_modules_print():
    assert MAY_PRINT == {module.name for module in MODULES if printing_lines(module)}


def writing_lines(module: Module) -> List[int]:
    """The lines of what changes files."""
    mine = WRITING - MAY_CALL.get(module.name, set())
    lines = []
    for call in nodes(module.tree, ast.Call):
        name = dotted(call.func).rpartition(".")[2] or getattr(call.func, "attr", "")
        modes = [literal(argument) for argument in call.args[1:2]]
        modes += [literal(keyword.value) for keyword in call.keywords if keyword.arg == "mode"]
        opened = name == "open" and any(set(mode) & set("wax+") for mode in modes)
        if WRITING_METHODS.match(name) or dotted(call.func) in mine or opened:
            lines.append(call.lineno)
    flags = [node for node in nodes(module.tree, ast.Attribute) if node.attr in WRITING_FLAGS]
    return lines + [flag.lineno for flag in flags]


def test_few_modules_write():
    assert MAY_WRITE == {module.name for module in MODULES if writing_lines(module)}


def test_pyroute2_is_one_modules():
    """It is imported by a name in a string, which no linter sees."""
    users = set()
    for module in MODULES:
        imported = {
            alias.name.partition(".")[0]
            for node in nodes(module.tree, ast.Import, ast.ImportFrom)
            for alias in node.names
        }
        called = {
            literal(argument).partition(".")[0]
            for call in nodes(module.tree, ast.Call)
            for argument in call.args
        }
        if "pyroute2" in imported | called:
            users.add(module.name)
    assert {"kernel.netlink"} == users


def test_only_a_way_back_goes_on_whatever_it_meets():
    broad = {
        module.name
        for module in MODULES
        for handler in nodes(module.tree, ast.ExceptHandler)
        if handler.type is None or dotted(handler.type) in ("Exception", "BaseException")
    }
    assert {"kernel.attempts"} == broad


def test_every_exemption_from_a_rule_has_a_reason():
    marked = re.compile(r"#\s*(noqa|type:\s*ignore)\b")
    reasoned = re.compile(
        r"#\s*(noqa:\s*[A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*|type:\s*ignore\[[a-z-]+\])\s+#\s+\S.*"
    )
    silent = []
    for path in [*PACKAGE.rglob("*.py"), *TESTS.rglob("*.py"), *(SOURCE / "rpm").glob("*.py")]:
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines, 1):
            if marked.search(line) and not reasoned.search(line) and path.name != "test_house.py":
                silent.append(f"{path}:{number}")
    assert [] == silent


# -- style ----------------------------------------------------------------------------------------


def is_percent_formatting(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.BinOp)
        and isinstance(node.op, ast.Mod)
        and (isinstance(node.left, ast.JoinedStr) or literal(node.left) != "")
    )


def is_variable_each(node: ast.AST) -> bool:
    stored = isinstance(getattr(node, "ctx", None), ast.Store) and getattr(node, "id", "")
    return "each" in (stored, getattr(node, "arg", ""))


def has_several_for(node: ast.AST) -> bool:
    return len(getattr(node, "generators", ())) > 1


def is_index_into_literal(node: ast.AST) -> bool:
    """``(a, b)[flag]``, ``{True: a, False: b}[flag]``."""
    return isinstance(node, ast.Subscript) and isinstance(
        node.value, (ast.Tuple, ast.List, ast.Dict)
    )


def is_decision_by_words(node: ast.AST) -> bool:
    """``reason.startswith("excluded")``."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr in ("startswith", "endswith")
        and dotted(node.value).rpartition(".")[2] in _WORDS
    )


FORBIDDEN = (
    is_percent_formatting,
    is_variable_each,
    has_several_for,
    is_index_into_literal,
    is_decision_by_words,
)


@pytest.mark.parametrize("forbidden", FORBIDDEN, ids=lambda forbidden: forbidden.__name__)
def test_what_the_style_rules_forbid_is_nowhere(forbidden):
    found = [
        f"{module.path}:{node.lineno}"
        for module in MODULES
        for node in nodes(module.tree, ast.AST)
        if forbidden(node)
    ]
    assert [] == found


@pytest.mark.parametrize(
    ("forbidden", "code"),
    [
        (is_percent_formatting, "'%s' % x"),
        (is_percent_formatting, "f'{x} %s' % y"),
        (is_variable_each, "[each for each in z]"),
        (is_variable_each, "lambda each: each"),
        (has_several_for, "[x for y in z for x in y]"),
        (is_index_into_literal, "(a, b)[flag]"),
        (is_decision_by_words, "skip.reason.startswith('excluded')"),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
def test_what_the_style_rules_forbid_is_found(forbidden, code):
    assert 1 == sum(map(forbidden, ast.walk(ast.parse(code))))


# The target and the readers that know the names of ifcfg files, and the words that both use.
KNOWS_IFCFG = re.compile(r"(targets|readers)/ifcfg/|model/(places|profiles)\.py")


def test_only_the_target_and_its_readers_know_the_names_of_ifcfg_files():
    name = re.compile(r"network-scripts|ifcfg-|route6-|rule6-")
    knowing = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if name.search(path.read_text(encoding="utf-8"))
    }
    assert [] == [path for path in sorted(knowing) if not KNOWS_IFCFG.match(path)]
