"""A root is reached folder by folder, and by no link that has come since it was named."""

import pytest

from symroute_nm.errors import InputError, Refusal
from symroute_nm.files.access import Tree


@pytest.fixture
def tree(tmp_path):
    """A tree below a folder that somebody else may swap, and where a link would lead."""
    (tmp_path / "home" / "tree").mkdir(parents=True)
    (tmp_path / "victim" / "tree").mkdir(parents=True)
    return tmp_path / "home" / "tree"


def test_a_folder_above_the_root_that_became_a_link_is_refused(tree, tmp_path):
    with Tree(tree) as found:
        assert [] == found.names(".")
    (tmp_path / "home").rename(tmp_path / "moved")
    (tmp_path / "home").symlink_to("victim")
    with pytest.raises(Refusal, match="lies behind one"), Tree(tree):
        pass


def test_a_root_that_is_a_link_or_a_file_is_refused(tree, tmp_path):
    (tmp_path / "link").symlink_to(tree)
    with pytest.raises(Refusal, match="is a link"), Tree(tmp_path / "link"):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="not a folder"), Tree(tmp_path / "file"):
        pass


def test_a_root_that_is_not_there_is_empty(tmp_path):
    with Tree(tmp_path / "a" / "b") as found:
        assert not found.has("etc")
