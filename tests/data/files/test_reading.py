"""Many files read by workers and through a cache: the same results, and the same mistakes named."""

import shutil
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from edgesqueeze.data.augmentation import Augmentation
from edgesqueeze.data.files.reading import Reading
from edgesqueeze.data.files.split import ImageSettings
from edgesqueeze.data.image_folder import load_image_folder
from edgesqueeze.data.splits import DataSplit
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization

SETTINGS = ImageSettings(
    (12, 16), Normalization((0.4, 0.5, 0.6), (0.2, 0.25, 0.3)), augmentation=Augmentation(flip=True, crop=2)
)


@pytest.fixture
def folder(tmp_path):
    draw = np.random.default_rng(0)
    for name in ("blue", "red"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(20):
            pixels = draw.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i:02}.png")
    return tmp_path / "photos"


def load(folder, **reading):
    return load_image_folder(folder, replace(SETTINGS, reading=Reading(**reading)))


def walked(data, seed=3):
    generator = torch.Generator().manual_seed(seed)
    batches = [b for s, g in ((data.train, generator), (data.test, None)) for b in s.batches(5, g)]
    return torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])


def same(one, other):
    return one.fingerprint == other.fingerprint and all(map(torch.equal, walked(one), walked(other)))


def test_workers_and_cache_change_nothing(folder, tmp_path):
    plain = load(folder)
    assert isinstance(plain.train, DataSplit)
    torch.manual_seed(0)
    state = torch.random.get_rng_state()
    assert same(plain, load(folder, workers=2))
    assert same(plain, load(folder, cache=tmp_path / "cache"))  # fills it
    assert same(plain, load(folder, cache=tmp_path / "cache", workers=2))  # reads it
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_part_keeps_its_order(folder):
    train = load(folder).train
    whole = [label for _, y in train.batches(7) for label in y.tolist()]
    part = train.part(5, 30).first(10)
    assert len(part) == 10
    assert [label for _, y in part.batches(3) for label in y.tolist()] == whole[5:15]


def arrays(cache):
    return {path: path.read_bytes() for path in cache.rglob("*") if path.is_file() and "arrays-" in str(path)}


def test_a_full_cache_answers_without_the_files(folder, tmp_path):
    cache = tmp_path / "cache"
    first = load(folder, cache=cache)
    assert len(arrays(cache)) == 40
    expected = walked(first)
    # Emptied, but with the size and the time of change by which the cache knows them.
    for path in folder.rglob("*.png"):
        stat = path.stat()
        path.write_bytes(b"\0" * stat.st_size)
        shutil.os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = load(folder, cache=cache)
    assert again.fingerprint == first.fingerprint
    assert all(map(torch.equal, walked(again), expected))


def test_a_cache_notices_new_content_and_new_settings(folder, tmp_path):
    cache = tmp_path / "cache"
    before = load(folder, cache=cache)
    path = folder / "red" / "07.png"
    Image.fromarray(np.zeros((20, 24, 3), np.uint8)).save(path)
    assert load(folder, cache=cache).fingerprint == load(folder).fingerprint != before.fingerprint
    assert same(load(folder, cache=cache), load(folder))
    smaller = replace(SETTINGS, size=(6, 8))
    small = load_image_folder(folder, replace(smaller, reading=Reading(cache=cache)))
    assert same(small, load_image_folder(folder, smaller))


def test_a_cache_that_was_cut_off_is_completed(folder, tmp_path):
    cache = tmp_path / "cache"
    load(folder, cache=cache)
    for number, path in enumerate(sorted(arrays(cache))):
        if number % 3 == 0:
            path.unlink()
        elif number % 3 == 1:
            path.write_bytes(path.read_bytes()[:50])
    assert same(load(folder, cache=cache), load(folder))
    for path in cache.glob("files-*"):
        path.unlink()
    assert same(load(folder, cache=cache), load(folder))


PROGRAM = """
import sys
from pathlib import Path
from test_reading import load
load(Path(sys.argv[1]), cache=Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_a_cache_that_the_next_one_completes(folder, tmp_path):
    cache = tmp_path / "cache"
    for i in range(400):
        shutil.copy(folder / "red" / "00.png", folder / "red" / f"more{i}.png")
        with (folder / "red" / f"more{i}.png").open("ab") as file:
            file.write(i.to_bytes(2, "big"))  # another content, the same picture
    environment = {"PYTHONPATH": f"{__file__.rpartition('/')[0]}:{':'.join(sys.path)}"}
    run = subprocess.Popen([sys.executable, "-c", PROGRAM, str(folder), str(cache)], env=environment)
    while len(arrays(cache)) < 20:
        assert run.poll() is None
        time.sleep(0.005)
    run.kill()
    run.wait()
    assert len(arrays(cache)) < 440
    assert same(load(folder, cache=cache), load(folder))
    assert same(load(folder, cache=cache), load(folder))


@pytest.mark.parametrize("workers", [0, 2])
def test_what_is_wrong_with_a_file_is_one_sentence_from_any_process(folder, workers):
    path = folder / "red" / "07.png"
    content = path.read_bytes()
    path.write_bytes(b"this is text")
    with pytest.raises(TaskError) as caught:
        load(folder, workers=workers)
    assert str(caught.value) == f"image {path} cannot be read: not an image Pillow knows"
    path.write_bytes(content[:-200])
    data = load(folder, workers=workers)
    with pytest.raises(TaskError) as caught:
        walked(data)
    assert str(caught.value).startswith(f"image {path} cannot be read: ")
    assert "\n" not in str(caught.value)
