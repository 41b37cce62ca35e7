"""What is removed, and what is not."""

import pytest

from edgesqueeze.errors import OutputError
from edgesqueeze.files import remove


def test_a_folder_goes_with_all_in_it_and_of_a_link_only_the_link(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.tex").write_text("years")
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "link").symlink_to(precious)
    link = tmp_path / "link"
    link.symlink_to(precious)
    (tmp_path / ".folder.old").mkdir()  # what a kill left of an earlier removal
    (tmp_path / ".folder.old" / "half").write_text("")
    for path in (folder, link, tmp_path / "nothing"):
        remove(path)
    assert list(tmp_path.iterdir()) == [precious]
    assert (precious / "thesis.tex").read_text() == "years"


def test_what_cannot_be_removed_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot remove .*below: Not a directory"):
        remove(tmp_path / "file" / "below")
