"""Lines of route and rule files that the dispatcher script misreads."""

from symroute_nm.files import blocks
from symroute_nm.targets.ifcfg import broken_lines

BLOCK = blocks.put(None, "10.0.6.0/24 dev eth0 table 100\n")


def test_flaws_name_the_line_and_spare_the_block_and_good_lines():
    lines = b"\xef\xbb\xbf10.0.0.0/8 dev a\n# hi\r\n10.1.0.0/16 dev b\r\n10.2.0.0/16 dev c # why\n"
    found = broken_lines.find_flaws(lines + BLOCK)
    assert ["line 1 ", "line 3 ", "line 4 "] == [flaw[:7] for flaw in found]
    assert ["order mark", "CR LF", "comment"] == [
        word for flaw, word in zip(found, ("order mark", "CR LF", "comment")) if word in flaw
    ]
    assert () == broken_lines.find_flaws(BLOCK)


def test_a_backslash_that_joins_a_route_with_a_comment_is_a_flaw():
    for content in (b"10.0.0.0/8 dev a \\\n# note\n", b"# note \\\n10.0.0.0/8 dev a\n"):
        assert broken_lines.find_flaws(content)[0].startswith("line 1 ends in a backslash")
    assert () == broken_lines.find_flaws(b"10.0.0.0/8 \\\n  dev a\n")


def test_a_comment_behind_a_value_is_no_flaw_in_a_file_that_is_sourced():
    assert () == broken_lines.find_flaws(b"ADDRESS0=10.0.0.0 # lab\n")
