"""The table of hosts against the golden cases, and README's against the table."""

import re
from pathlib import Path
from typing import Dict, List, Set

import pytest

from support.golden import FOLDER, case_folders
from support.golden.table import ROWS, Row
from support.program import SOURCE

HEADING = "## What it does with …"
# The line above the rules of an uplink, from the template.
_RULES_OF = re.compile(r"^# replies of (\S+) leave by \1: ", re.MULTILINE)

every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.case)


def files(folder: Path) -> Dict[str, str]:
    """{path: text} of a tree."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8", errors="replace")
        for path in folder.rglob("*")
        if path.is_file()
    }


def generated(row: Row) -> Set[str]:
    """The links whose rules stand in files that the case writes or rewrites."""
    before = files(FOLDER / row.case / "before" / "etc")
    return {
        link
        for path, text in files(FOLDER / row.case / "etc").items()
        if before.get(path) != text
        for link in _RULES_OF.findall(text)
    }


def message(row: Row) -> str:
    return (FOLDER / row.case / "message").read_text(encoding="utf-8")


def test_each_case_has_one_row():
    assert [folder.name for folder in case_folders()] == sorted(row.case for row in ROWS)


@every_row
def test_the_uplinks_of_a_row_are_those_that_the_case_writes(row):
    assert set(row.uplinks.split()) == generated(row)


@every_row
def test_a_row_is_refused_where_the_case_is(row):
    said = re.match(r"exit (\d+)\n", message(row))
    assert row.exit == (int(said.group(1)) if said else 0)
    assert (row.exit != 0) == row.does.startswith("refused: ")
    assert (row.exit == 0 and not row.uplinks) == row.does.startswith("nothing: ")


@every_row
def test_what_a_row_quotes_is_in_the_case(row):
    lines = {
        line for text in files(FOLDER / row.case / "etc").values() for line in text.splitlines()
    }
    assert [] == [words for words in row.says if words not in message(row)]
    assert [] == [line for line in row.writes if line not in lines]


def test_a_row_that_is_shown_quotes_its_case():
    assert [] == [row.case for row in ROWS if row.shown and not row.says and not row.writes]


def section() -> List[str]:
    """The rows of README's table."""
    text = (SOURCE / "README.md").read_text(encoding="utf-8")
    part = text.partition(HEADING + "\n")[2].partition("\n## ")[0]
    return [line for line in part.splitlines() if line.startswith("| ")][2:]


def test_readme_has_the_rows_that_are_shown():
    assert [f"| {row.host} | {row.does} |" for row in ROWS if row.shown] == section()
