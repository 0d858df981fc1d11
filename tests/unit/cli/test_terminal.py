"""Tables for people: whatever a host is called, it is text and nothing else."""

import pytest

from symroute_nm.cli.terminal import draw_tables
from symroute_nm.report.inspection import Table


@pytest.mark.parametrize(
    "text", ["\\[/b]", "[/b]", "[bold]x[/]", "\\[link=http://x]", "2001:a:b::5/64", ":a:", "[/"]
)
def test_text_of_others_is_neither_markup_nor_a_picture(text):
    drawn = draw_tables([Table("Rules", ("rule",), ((text,),))], [text], 120)
    assert 2 == drawn.count(text), drawn


@pytest.mark.parametrize("name", ["COLUMNS", "LINES"])
@pytest.mark.parametrize("value", ["\u00b2", "", "x", "-1", "99999"])
def test_sizes_in_the_environment_may_be_anything(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert "10.0.6.5" in draw_tables([], ["10.0.6.5"], None)
