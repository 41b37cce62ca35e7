"""What is written whole or not at all, and what is removed."""

import os

import pytest

from edgesqueeze.errors import OutputError
from edgesqueeze.files import remove, write_atomically


@pytest.mark.parametrize(
    ("raised", "seen"), [(OSError(28, "no space left"), OutputError), (SystemExit(), SystemExit)]
)
def test_what_ends_the_writing_leaves_the_file_as_it_was(raised, seen, tmp_path, monkeypatch):
    def fail(_):
        raise raised

    path = tmp_path / "file"
    write_atomically(path, b"before")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(seen):
        write_atomically(path, b"behind")
    assert [found.name for found in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"before"


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
