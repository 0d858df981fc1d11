"""The house: what may import what, who prints, who writes."""

import ast
import re
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Set

import pytest

from suite import PLAN
from support.program import SOURCE

PACKAGE = SOURCE / "symroute_nm"

# The layers, from the inside out. A module imports from its own layer and those before it.
PURE = {
    "__init__",
    "absence",
    "aggregation",
    "alterations",
    "applied",
    "attempts",
    "awaited",
    "blocks",
    "checkup",
    "choices",
    "classes",
    "conversion",
    "decisions",
    "diagnosis",
    "directxml",
    "dormant",
    "drift",
    "dues",
    "errors",
    "explanation",
    "fib",
    "fields",
    "findings",
    "gateways",
    "judgement",
    "kernel",
    "leftovers",
    "loaded",
    "marking",
    "marks",
    "marksetup",
    "match",
    "model",
    "networks",
    "observation",
    "ownership",
    "ownrules",
    "owntables",
    "parts",
    "plan",
    "prove",
    "published",
    "ranks",
    "recognition",
    "remarks",
    "routefiles",
    "routes",
    "rpdb",
    "rulefiles",
    "selectors",
    "services",
    "shvar",
    "staticroutes",
    "surroundings",
    "tables",
    "transition",
    "unified",
    "uplinks",
    "verdicts",
    "wording",
}
# What each reader and each writer stands on.
GROUND = {
    "attributes",
    "bounded",
    "kernelroutes",
    "netfilter",
    "netlink",
    "programs",
    "rooted",
    "submodules",
}
READERS = {"evidence", "files", "host", "leases", "profiles", "session", "settings", "snapshot"}
# Each imports those before it.
WRITERS = ["lock", "journal", "backups", "changes", "install"]
COMMANDS = {"provision", "queries", "running"}
TOP = {
    *COMMANDS,
    "cli",
    "countdown",
    "fleet",
    "inputs",
    "options",
    "planning",
    "terminal",
    "__main__",
}

# No I/O: neither files, network, processes nor the process's own state.
PURE_STANDARD = {
    "array",
    "bisect",
    "collections",
    "copy",
    "difflib",
    "enum",
    "errno",
    "fnmatch",
    "functools",
    "heapq",
    "ipaddress",
    "itertools",
    "math",
    "operator",
    "re",
    "shlex",
    "string",
    "types",
    "typing",
}
ONLY_IN = {
    "pyroute2": {"netlink"},
    "jinja2": {"render"},
    "typer": {*COMMANDS, "cli", "options"},
    "click": {"cli"},
    "multiprocessing": {"workers"},
    "rich": {"queries", "report", "terminal"},
    "subprocess": {"programs"},
    "socket": {"entrance", "live", "netlink", "profiles", "trial"},
    "fcntl": {"lock"},
    "shutil": {"journal"},
}
# cli exits and needs its streams for that, queries asks whether there is a terminal; what is
# printed goes through terminal.
MAY_PRINT = {"__main__", "cli", "queries", "terminal"}
# runtime writes below /run, entrance makes its socket there, and trial opens /dev/null.
MAY_WRITE = {*WRITERS, "entrance", "rooted", "runtime", "trial"}
# Calls that change files; str.replace() and datetime.replace() are looked at by their object.
WRITING_METHODS = {
    "chmod",
    "lchmod",
    "fchmod",
    "chown",
    "fchown",
    "hardlink_to",
    "link",
    "link_to",
    "mkdir",
    "makedirs",
    "mkfifo",
    "mknod",
    "rmdir",
    "removedirs",
    "rename",
    "renames",
    "rmtree",
    "setxattr",
    "symlink",
    "symlink_to",
    "touch",
    "truncate",
    "unlink",
    "write_bytes",
    "write_text",
    "copy2",
    "copyfile",
    "copytree",
}
WRITING_FLAGS = {"O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND"}
# The probe's child process writes its answer to a pipe and ends; a keeper ends, too. Programs are
# told what they need by a pipe; cli says on stderr that no stream can be opened.
MAY_CALL = {
    "cli": {"os.write"},
    "programs": {"os.write"},
    "netlink": {"os.write", "os._exit"},
    "trial": {"os._exit"},
}
ALLOWED_AT_THE_TOP = {
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


class Module(NamedTuple):
    """A module of the package."""

    name: str
    text: str
    tree: ast.Module


def parse(path: Path) -> Module:
    text = path.read_text(encoding="utf-8")
    return Module(path.stem, text, ast.parse(text))


MODULES = {path.stem: parse(path) for path in sorted(PACKAGE.glob("*.py"))}
every_module = pytest.mark.parametrize("module", list(MODULES.values()), ids=lambda each: each.name)


def nodes(module: Module, *kinds: type) -> Iterator[ast.AST]:
    return (each for each in ast.walk(module.tree) if isinstance(each, kinds))


def typing_only(module: Module) -> Set[ast.AST]:
    """The statements under ``if TYPE_CHECKING:``, which are never run."""
    return {
        inner
        for branch in nodes(module, ast.If)
        if getattr(branch.test, "id", "") == "TYPE_CHECKING"
        for statement in branch.body
        for inner in ast.walk(statement)
    }


def imports(module: Module) -> Set[str]:
    """Top-level names of what it imports anywhere; our own modules as ``symroute_nm.NAME``."""
    found: Set[str] = set()
    unused = typing_only(module)
    for node in nodes(module, ast.Import, ast.ImportFrom):
        if node in unused:
            continue
        if isinstance(node, ast.Import):
            names = [each.name for each in node.names]
        else:
            assert node.level == 0, "%s: relative import" % module.name
            inner = node.module == "symroute_nm"
            names = ["symroute_nm." + each.name for each in node.names] if inner else [node.module]
        found |= {
            each if each.startswith("symroute_nm.") else each.partition(".")[0] for each in names
        }
    # importlib.import_module("…") with a literal counts, too.
    for call in nodes(module, ast.Call):
        if called(call) in ("import_module", "__import__"):
            found |= {text.partition(".")[0] for text in map(literal, call.args) if text}
    return found - {"symroute_nm.__version__"}


def literal(node: ast.AST) -> str:
    """The text of a string literal; 3.6 and 3.7 have a node of their own for it."""
    text = getattr(node, "s" if type(node).__name__ == "Str" else "value", None)
    return text if isinstance(text, str) else ""


def called(call: ast.AST) -> str:
    function = getattr(call, "func", None)
    return getattr(function, "attr", getattr(function, "id", ""))


def own_imports(module: Module) -> Set[str]:
    prefix = "symroute_nm."
    return {each[len(prefix) :] for each in imports(module) if each.startswith(prefix)}


def layers() -> Dict[str, Set[str]]:
    """{module: what it may import of ours}."""
    allowed = {name: set(PURE) for name in PURE}
    allowed.update(dict.fromkeys(GROUND, PURE))
    allowed.update(dict.fromkeys(READERS, PURE | {"bounded"}))
    allowed["files"] = PURE | {"bounded", "rundir"}
    allowed["trees"] = PURE | {"rooted"}
    allowed["kernelroutes"] = PURE | {"attributes", "netlink"}
    allowed["evidence"] |= {"programs"}
    allowed["netfilter"] = PURE | {"programs"}
    allowed["host"] = PURE | {"kernelroutes", "netlink"}
    for index, name in enumerate(WRITERS):
        allowed[name] = PURE | {"programs", "rooted"} | set(WRITERS[:index])
    allowed["render"] = PURE | {"submodules"}
    allowed["netlink"] = PURE | {"attributes", "submodules"}
    # What puts readers, the core and writers together.
    allowed["reading"] = PURE | READERS
    allowed["draft"] = PURE | {"changes", "render", "rooted"}
    allowed["generation"] = PURE | {"draft", "files", "rooted", "settings"} | set(WRITERS)
    allowed["report"] = allowed["activation"] = PURE | {"generation"}
    allowed["live"] = PURE | {"kernelroutes", "netlink", "host"}
    allowed["entrance"] = PURE
    allowed["trial"] = PURE | {"entrance"}
    allowed["workers"] = set()
    allowed["runtime"] = PURE | {"journal", "live", "rooted", "rundir", "snapshot"}
    allowed["enactment"] = PURE | {
        "evidence",
        "live",
        "lock",
        "netfilter",
        "render",
        "rooted",
        "rundir",
        "runtime",
        "trial",
    }
    allowed["verification"] = PURE | {"backups", "draft", "enactment", "journal", "rooted"}
    allowed["reversal"] = PURE | {"netfilter", "reading", "rooted"}
    everything = set(MODULES)
    allowed.update(dict.fromkeys(TOP, everything))
    return allowed


def test_every_module_has_its_layer():
    assert [] == sorted(set(MODULES) - set(layers()))


@every_module
def test_imports_go_in_one_direction(module):
    assert set() == own_imports(module) - layers().get(module.name, set(MODULES))


def test_no_import_comes_round_to_itself():
    graph = {name: own_imports(module) & set(MODULES) for name, module in MODULES.items()}
    while graph:
        leaves = {name for name, needed in graph.items() if not needed & set(graph)}
        assert leaves, "a cycle among %s" % sorted(graph)
        graph = {name: needed for name, needed in graph.items() if name not in leaves}


@pytest.mark.parametrize("name", sorted(PURE & set(MODULES)))
def test_the_core_does_no_io(name):
    module = MODULES[name]
    foreign = {each for each in imports(module) if not each.startswith("symroute_nm")}
    assert set() == foreign - PURE_STANDARD
    assert [] == [
        call.lineno
        for call in nodes(module, ast.Call)
        if getattr(call.func, "id", "") in ("open", "print", "input", "exec", "eval")
    ]


@every_module
def test_each_of_these_is_imported_in_one_place(module):
    found = {name for name in imports(module) & set(ONLY_IN) if module.name not in ONLY_IN[name]}
    assert set() == found


def dotted(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return "%s.%s" % (dotted(node.value), node.attr)
    return getattr(node, "id", "")


@every_module
def test_only_one_module_prints(module):
    if module.name in MAY_PRINT:
        return
    calls = [
        call.lineno
        for call in nodes(module, ast.Call)
        if dotted(call.func)
        in {"print", "click.echo", "typer.echo", "sys.exit", "os._exit"}
        - MAY_CALL.get(module.name, set())
    ]
    streams = [
        each.lineno
        for each in nodes(module, ast.Attribute)
        if dotted(each) in ("sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__")
    ]
    assert [] == calls + streams


def writing_calls(module: Module) -> List[int]:
    """The lines of calls that change files."""
    found = []
    for call in nodes(module, ast.Call):
        name, target = called(call), dotted(call.func)
        modes = [literal(each) for each in call.args[1:2]] + [
            literal(each.value) for each in call.keywords if each.arg == "mode"
        ]
        opened = name == "open" and any(set(mode) & set("wax+") for mode in modes)
        writing = {"os.replace", "os.remove", "os.write"} - MAY_CALL.get(module.name, set())
        if name in WRITING_METHODS or target in writing or opened:
            found.append(call.lineno)
    flags = [each.lineno for each in nodes(module, ast.Attribute) if each.attr in WRITING_FLAGS]
    return found + flags


@every_module
def test_only_the_installation_writes(module):
    if module.name not in MAY_WRITE:
        assert [] == writing_calls(module)


def test_the_search_for_writing_calls_finds_some():
    assert [] != writing_calls(MODULES["install"])
    assert [] != writing_calls(MODULES["rooted"])


@every_module
def test_what_is_public_says_what_it_is(module):
    assert ast.get_docstring(module.tree)
    public = [
        each
        for parent in [module.tree, *nodes(module, ast.ClassDef)]
        for each in parent.body
        if isinstance(each, (ast.FunctionDef, ast.ClassDef))
        and not each.name.startswith("_")
        and not getattr(parent, "name", "").startswith("_")
    ]
    assert [] == [each.name for each in public if not ast.get_docstring(each)]


SOURCES = sorted([*PACKAGE.glob("*.py"), *(SOURCE / "tests").rglob("*.py")])


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_every_exception_from_a_rule_has_a_reason(path):
    reasoned = re.compile(
        r"#\s*(noqa:\s*[A-Z]+[0-9]+(,\s*[A-Z]+[0-9]+)*|type:\s*ignore\[[a-z-]+\])(\s+#)?\s+\S.*"
    )
    lines = path.read_text(encoding="utf-8").splitlines()
    marks = [
        (number, line)
        for number, line in enumerate(lines, 1)
        if re.search(r"#\s*(noqa|type:\s*ignore)\b", line) and path.name != Path(__file__).name
    ]
    assert [] == [number for number, line in marks if not reasoned.search(line)]


def test_no_test_module_is_imported():
    """What several of them need is in tests/support, or a fixture of a conftest.py."""
    found = {path: imports(parse(path)) for path in (SOURCE / "tests").rglob("*.py")}
    assert len(found) > 50
    assert [] == [
        (path, name)
        for path, names in found.items()
        for name in names
        if name.startswith("test_") or name == "conftest"
    ]


def test_the_runner_knows_every_folder_with_tests():
    tests = SOURCE / "tests"
    folders = {str(path.parent.relative_to(tests)) for path in tests.rglob("test_*.py")}
    assert {"unit", "lab", "system/crashes"} <= folders
    assert [] == [
        folder
        for folder in folders
        if not any((folder + "/").startswith(known + "/") for known in PLAN)
    ]


def test_nobody_catches_everything():
    broad = [
        "%s:%d" % (module.name, handler.lineno)
        for module in MODULES.values()
        for handler in nodes(module, ast.ExceptHandler)
        if module.name != "attempts"  # by which a way back goes on, whatever it meets
        and (handler.type is None or dotted(handler.type) in ("Exception", "BaseException"))
    ]
    assert [] == broad


def test_names_say_what_things_are():
    banned = re.compile(r"(manager|handler|utils|helper|data|info|process)\Z", re.IGNORECASE)
    named = [(module.name, module.name) for module in MODULES.values()] + [
        (module.name, each.name)
        for module in MODULES.values()
        for each in nodes(module, ast.FunctionDef, ast.ClassDef)
    ]
    assert [] == [each for each in named if banned.search(each[1])]


def test_the_top_of_the_repository_holds_what_the_design_lists():
    found = {
        each.name
        for each in SOURCE.iterdir()
        if not each.name.startswith(".") and not LEFT_BY_TOOLS.match(each.name)
    }
    assert set() == found - ALLOWED_AT_THE_TOP


def test_templates_are_the_only_text_that_is_rendered():
    """No route or rule line is put together outside the templates (but for people to read)."""
    assert {"ifcfg"} <= {each.name for each in (SOURCE / "templates").iterdir()}
    assert [] == [
        name
        for name, module in MODULES.items()
        if "BEGIN symroute-nm" in module.text and name != "blocks"
    ]


# The target and the readers that know the names of ifcfg files, and the words that both use.
KNOWS_IFCFG = re.compile(r"(targets|readers)/ifcfg/|model/(places|profiles)\.py|files/journal\.py")


def test_only_the_target_and_its_readers_know_the_names_of_ifcfg_files():
    name = re.compile(r"network-scripts|ifcfg-|route6-|rule6-")
    knowing = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if name.search(path.read_text(encoding="utf-8"))
    }
    assert [] == [path for path in sorted(knowing) if not KNOWS_IFCFG.match(path)]
