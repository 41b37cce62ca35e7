"""A file is whole or not there, whatever ends the writing."""

import os

import pytest

from edgesqueeze.errors import OutputError
from edgesqueeze.files import write_atomically


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
