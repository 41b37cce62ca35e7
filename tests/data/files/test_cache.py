"""What is kept of decoded files, whatever happened while it was written."""

import os
from dataclasses import replace

import numpy as np
import pytest

from edgesqueeze.data.files.cache import ArrayCache, FileFacts, Manifest, stamp_of
from edgesqueeze.data.files.decoding import ImageDecoding
from edgesqueeze.errors import OutputError

DECODING = ImageDecoding((2, 3), 3)

KEY = "ab" * 32
ARRAY = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)


def cache(folder, size=(2, 4), channels=3):
    return ArrayCache.below(folder, ImageDecoding(size, channels))


def test_an_array_comes_back_and_other_settings_do_not_see_it(tmp_path):
    cache(tmp_path).store(KEY, ARRAY)
    assert np.array_equal(cache(tmp_path).load(KEY), ARRAY)
    assert cache(tmp_path).load("cd" * 32) is None
    assert cache(tmp_path, size=(4, 2)).load(KEY) is None


@pytest.mark.parametrize("damage", ["short", "long", "flipped", "empty"])
def test_a_damaged_array_counts_as_absent(tmp_path, damage):
    cache(tmp_path).store(KEY, ARRAY)
    (path,) = (p for p in tmp_path.rglob("*") if p.is_file())
    content = path.read_bytes()
    path.write_bytes(
        {
            "short": content[:-3],
            "long": content + b"\0",
            "flipped": bytes([content[0] ^ 1]) + content[1:],
            "empty": b"",
        }[damage]
    )
    assert cache(tmp_path).load(KEY) is None
    cache(tmp_path).store(KEY, ARRAY)
    assert np.array_equal(cache(tmp_path).load(KEY), ARRAY)


def test_a_write_that_was_cut_off_leaves_nothing_under_the_final_name(tmp_path):
    cache(tmp_path).store(KEY, ARRAY)
    (path,) = (p for p in tmp_path.rglob("*") if p.is_file())
    path.rename(path.with_name(".part-killed"))
    assert cache(tmp_path).load(KEY) is None


def test_manifest_knows_files_until_they_are_touched(tmp_path):
    files = [tmp_path / name for name in "ab"]
    for path in files:
        path.write_text(path.name)
    facts = [FileFacts(KEY, 3, 4), FileFacts("cd" * 32, 5, 6)]
    for path, found in zip(files, facts, strict=True):
        Manifest(tmp_path / "cache", tmp_path, DECODING).add([(path, stamp_of(path), found)])
    manifest = Manifest(tmp_path / "cache", tmp_path, DECODING)
    assert [manifest.facts(path) for path in files] == facts
    assert Manifest(tmp_path / "cache", tmp_path.parent, DECODING).facts(files[0]) is None
    other = replace(DECODING, channels=1)
    assert Manifest(tmp_path / "cache", tmp_path, other).facts(files[0]) is None
    os.utime(files[0], (1, 1))
    assert manifest.facts(files[0]) is None
    files[1].unlink()
    assert manifest.facts(files[1]) is None


def test_a_manifest_that_was_cut_off_knows_its_whole_lines(tmp_path):
    files = [tmp_path / name for name in "abc"]
    for path in files:
        path.write_text(path.name)
    Manifest(tmp_path, tmp_path, DECODING).add(
        [(path, stamp_of(path), FileFacts(KEY, 3, 4)) for path in files[:2]]
    )
    (written,) = tmp_path.glob("files-*.jsonl")
    written.write_text(written.read_text()[:-20])
    Manifest(tmp_path, tmp_path, DECODING).add([(files[2], stamp_of(files[2]), FileFacts(KEY, 5, 6))])
    found = [Manifest(tmp_path, tmp_path, DECODING).facts(path) for path in files]
    assert found == [FileFacts(KEY, 3, 4), None, FileFacts(KEY, 5, 6)]


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot create directory"):
        cache(tmp_path / "file").store(KEY, ARRAY)
