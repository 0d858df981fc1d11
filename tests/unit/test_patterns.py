"""Regular expressions take a time that grows with the text's length, whatever it is."""

import ast
import importlib
import itertools
import pkgutil
import re
import time
from pathlib import Path

import pytest

import symroute_nm

PACKAGE = Path(symroute_nm.__file__).parent
FUNCTIONS = {"match", "search", "fullmatch", "sub", "split", "findall", "finditer", "subn"}
HOW = {
    "match": "match",
    "fullmatch": "fullmatch",
    **dict.fromkeys(FUNCTIONS - {"match", "fullmatch"}, "finditer"),
}
# Made of others' words, within bounds of their own.
ELSEWHERE = {"settings.py": 1}
TOKENS = (
    " ",
    "\t",
    "\n",
    "\r",
    "0",
    "1a",
    "a",
    "A",
    "_",
    "-",
    ".",
    ":",
    ",",
    ";",
    "=",
    "/",
    '"',
    "'",
    "\\",
    "#",
    "<",
    ">",
    "[",
    "]",
    "{",
    "}",
    "(",
    ")",
    "$",
    "é",
    '""',
    "\\\\",
    '\\"',
    " a",
    "a ",
    "a=",
    "=a",
    "# ",
    " #",
    "\\\n",
    "{}",
    "</",
    "/>",
    "[]",
    "1.",
    "1:",
    "0x",
)
SHORT, LONG = 24, 4000
SLOW = 0.01  # seconds for LONG tokens, from which on it is looked at more closely
NOISE = 9  # times as long for four times as much: linear is 4, quadratic 16


def patterns_of(value):
    """The compiled patterns in a module's value, also within tuples and the like."""
    if isinstance(value, type(re.compile(""))):
        yield value
    if isinstance(value, dict):
        yield from patterns_of(tuple(value.values()))
    if isinstance(value, (tuple, list, set, frozenset)):
        for item in value:
            yield from patterns_of(item)


def modules():
    for found in pkgutil.walk_packages([str(PACKAGE)], "symroute_nm."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def inline(module):
    """The patterns that calls such as re.sub("…") name, compiled; None where it is unclear."""
    tree = ast.parse(Path(module.__file__).read_text("utf-8"))
    for node in ast.walk(tree):
        if not (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "re"
        ):
            continue
        if node.func.attr in FUNCTIONS or node.func.attr == "compile":
            try:
                pattern = re.compile(ast.literal_eval(node.args[0]))
                if node.func.attr != "compile":
                    yield pattern, node.func.attr
            except ValueError:
                name = getattr(node.args[0], "id", "")
                known = getattr(module, name, None)
                top = (
                    node.func.attr == "compile"
                    and node.col_offset < 45
                    and any(
                        part.lineno
                        <= node.lineno
                        <= max(getattr(sub, "lineno", 0) for sub in ast.walk(part))
                        for part in tree.body
                        if isinstance(part, (ast.Assign, ast.AnnAssign))
                    )
                )
                if not top:
                    yield re.compile(known) if isinstance(known, str) else None, node.func.attr


def methods_in(module):
    """{name: how the patterns of that name are used in the module}."""
    found = {}
    for node in ast.walk(ast.parse(Path(module.__file__).read_text("utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in FUNCTIONS:
            name = getattr(node.value, "id", "")
            found.setdefault(name, set()).add(node.attr)
    return found


def collect():
    """{(pattern, how it is used)}, and how many are not known by file."""
    found, unclear = {}, {}
    for module in modules():
        methods = methods_in(module)
        anyhow = set().union(*methods.values()) - {"sub", "split"}
        for name, value in vars(module).items():
            for pattern in patterns_of(value):
                for method in methods.get(name, anyhow):
                    found[pattern.pattern, pattern.flags, HOW[method]] = pattern
        for pattern, method in inline(module):
            name = Path(module.__file__).name
            if pattern is None:
                unclear[name] = unclear.get(name, 0) + 1
            else:
                found[pattern.pattern, pattern.flags, HOW[method]] = pattern
    return [(pattern, key[2]) for key, pattern in found.items()], unclear


FOUND, UNCLEAR = collect()


def words_of(pattern):
    """The runs of letters in a pattern, alone and with the signs around them."""
    text = pattern.pattern
    text = text.decode("latin-1") if isinstance(text, bytes) else text
    plain = re.sub(r"\\[bswdSWDAZ]|\(\?[:=!<P]+", " ", text).replace("\\", "")
    words = re.findall(r"[A-Za-z_]{2,}", plain)
    runs = re.findall(r"[A-Za-z_\-\"'<=>:/&| ]{2,}", plain)
    return sorted({*words, *runs, *(run.strip() for run in runs), *(f"{word} " for word in words)})


def seconds(use, text):
    """Of this process alone: what else the machine does is not counted."""
    began = time.process_time()
    use(text)
    return time.process_time() - began


def grows(use, make):
    """Whether four times as much takes far more than four times as long, however often tried."""
    if seconds(use, make(SHORT)) > SLOW:
        return True  # longer would take for ever
    if seconds(use, make(LONG)) < SLOW:
        return False
    # What is linear looks otherwise on a busy machine now and then, what is quadratic always does.
    return all(_grows_now(use, make) for _ in range(4))


def _grows_now(use, make):
    little, much = (min(seconds(use, make(times)) for _ in range(5)) for times in (LONG, 4 * LONG))
    return much > NOISE * little


def using(pattern, how):
    """What goes through a text as the package does."""
    if how != "finditer":
        return getattr(pattern, how)
    return lambda text: sum(1 for _ in pattern.finditer(text))


def test_all_patterns_are_known():
    assert ELSEWHERE == UNCLEAR
    assert len(FOUND) > 50


def tries(pattern):
    """What a text begins with, consists of and ends with."""
    words = words_of(pattern)
    return itertools.chain(
        itertools.product(("", *words[:12]), TOKENS, ("", "\0")),
        itertools.product(("",), words, ("", "\0")),
        itertools.product(words, words[:12], ("\0",)),
    )


@pytest.mark.parametrize(
    ("pattern", "how"), FOUND, ids=lambda part: repr(getattr(part, "pattern", part))
)
def test_no_pattern_takes_longer_than_its_text(pattern, how):
    use = using(pattern, how)
    for begin, token, end in tries(pattern):

        def make(times, parts=(begin, token, end)):
            text = parts[0] + parts[1] * times + parts[2]
            return text.encode() if isinstance(pattern.pattern, bytes) else text

        assert not grows(use, make), (begin, token, end)


def test_a_slow_pattern_is_found():
    slow = re.compile(r"[ \t]*</direct>")

    assert grows(using(slow, "finditer"), lambda times: " " * times)
    assert not grows(using(slow, "match"), lambda times: " " * times)
