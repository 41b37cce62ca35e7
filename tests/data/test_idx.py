"""IDX files written here, byte by byte: round trip, exact refusals, mutations."""

import gzip
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesqueeze.data.idx import IDX_FILES, load_idx_directory, missing_idx_files, read_idx
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization


def idx_bytes(array):
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_directory(folder, train=(60, 4), test=(20, 4), size=(5, 6), compress=False):
    """An MNIST-style directory with random images; (count, number of classes) per split."""
    generator = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for prefix, (count, classes) in (("train", train), ("t10k", test)):
        arrays = {
            f"{prefix}-images-idx3-ubyte": generator.integers(0, 256, (count, *size)),
            f"{prefix}-labels-idx1-ubyte": np.arange(count) * classes // max(count, 1),
        }
        for name, array in arrays.items():
            content = idx_bytes(array)
            if compress:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
    return folder


@given(
    shape=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    seed=st.integers(0, 2**32 - 1),
    compress=st.booleans(),
)
@settings(max_examples=60)
def test_round_trip(tmp_path_factory, shape, seed, compress):
    array = np.random.default_rng(seed).integers(0, 256, shape)
    path = tmp_path_factory.mktemp("idx") / "x"
    path.write_bytes(gzip.compress(idx_bytes(array)) if compress else idx_bytes(array))
    assert np.array_equal(read_idx(path, len(shape)), array)


GOOD = idx_bytes(np.arange(24).reshape(2, 3, 4))


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it begins with nothing"),
        (b"\0\0", "is not an IDX file"),
        (b"\x01" + GOOD[1:], "it begins with 01000803, not with 0000"),
        (b"\0\0\x0d\x03" + GOOD[4:], "IDX type 0x0d; only unsigned bytes"),
        (b"\0\0\x08\x01" + GOOD[4:], "has 1 dimensions; 3 are needed"),
        (GOOD[:10], "ends within its header"),
        (GOOD[:-1], "should hold 24 bytes of data for shape [2, 3, 4], but holds only 23"),
        (GOOD + b"\0", "but holds more than that"),
        (b"\0\0\x08\x03" + b"\xff" * 12, "bytes of data, more than it can"),
    ],
)
def test_refusals(tmp_path, content, words, compress):
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(content) if compress else content)
    with pytest.raises(TaskError) as caught:
        read_idx(path, 3)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)


def test_promises_beyond_the_file_are_refused_before_reading(tmp_path):
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(b"\0\0\x08\x03" + struct.pack(">3I", 1000, 1000, 1000)))
    with pytest.raises(TaskError, match="says it holds 1000000000 bytes of data, more than it can"):
        read_idx(path, 3)


def test_unreadable_paths(tmp_path):
    with pytest.raises(TaskError, match="cannot be read"):
        read_idx(tmp_path / "absent", 3)
    with pytest.raises(TaskError, match="cannot be read"):
        read_idx(tmp_path, 3)


@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(1, 255), cut=st.booleans())
@settings(max_examples=150)
def test_altered_gzip_raises_only_our_error(tmp_path_factory, where, flip, cut):
    content = bytearray(gzip.compress(GOOD))
    at = int(where * len(content))
    if cut:
        del content[at:]
    else:
        content[at] ^= flip
    path = tmp_path_factory.mktemp("gz") / "x.gz"
    path.write_bytes(content)
    try:
        assert np.array_equal(read_idx(path, 3), np.arange(24).reshape(2, 3, 4))
        assert not cut
    except TaskError:
        pass


@pytest.mark.parametrize("compress", [False, True])
def test_directory(tmp_path, compress):
    folder = write_directory(tmp_path / "d", compress=compress)
    data = load_idx_directory(folder)
    assert (len(data.train), len(data.test), data.num_classes, data.image_shape) == (60, 20, 4, (1, 5, 6))
    ((x, y),) = data.train.batches(100)
    images = np.random.default_rng(0).integers(0, 256, (60, 5, 6))
    scaled = images / 255
    # The default normalization makes the training images mean 0 and deviation 1, to four decimals.
    assert abs(float(x.mean())) < 1e-3
    assert abs(float(x.std()) - 1) < 1e-3
    restored = (x * round(scaled.std(), 4) + round(scaled.mean(), 4)) * 255
    rows = sorted(zip(map(bytes, restored.round().byte().flatten(1).numpy()), y.tolist(), strict=True))
    stored = zip(map(bytes, images.astype(np.uint8).reshape(60, -1)), np.arange(60) * 4 // 60, strict=True)
    assert rows == sorted(stored)
    assert y.dtype == torch.int64


def test_sorted_files_are_mixed_for_training_and_kept_for_testing(tmp_path):
    data = load_idx_directory(write_directory(tmp_path / "d"))
    ((_, first),) = data.train.first(20).batches(20)
    assert set(first.tolist()) == {0, 1, 2, 3}
    ((_, test),) = data.test.batches(20)
    assert test.tolist() == sorted(test.tolist())


def test_plain_and_compressed_files_are_the_same_data(tmp_path):
    plain = load_idx_directory(write_directory(tmp_path / "a"))
    compressed = load_idx_directory(write_directory(tmp_path / "b", compress=True))
    assert plain.fingerprint == compressed.fingerprint


def test_given_normalization(tmp_path):
    folder = write_directory(tmp_path / "d")
    ((x, _),) = load_idx_directory(folder, normalization=Normalization((0.5,), (0.25,))).test.batches(20)
    assert float(x.min()) >= -2
    assert float(x.max()) <= 2
    levels = (x * 0.25 + 0.5) * 255
    assert torch.allclose(levels, levels.round(), atol=1e-3)


@pytest.mark.parametrize("name", IDX_FILES)
def test_missing_file(tmp_path, name):
    folder = write_directory(tmp_path / "d")
    (folder / name).unlink()
    assert missing_idx_files(folder) == [name]
    with pytest.raises(TaskError, match=f"has no {name} or {name}.gz; the four files"):
        load_idx_directory(folder)


def test_no_directory(tmp_path):
    with pytest.raises(TaskError, match="absent is not a directory; the four files"):
        load_idx_directory(tmp_path / "absent")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"train": (60, 4), "test": (20, 5)}, "a test image has label 4, outside the 4 classes 0 to 3"),
        ({"train": (0, 4)}, "the training split has no images"),
        ({"test": (0, 4)}, "the test split has no images"),
        ({"train": (60, 1), "test": (20, 1)}, "every training label is 0"),
        ({"size": (0, 6)}, r"holds images of size \[0, 6\]"),
    ],
)
def test_directories_that_do_not_fit(tmp_path, arguments, words):
    folder = write_directory(tmp_path / "d", **arguments)
    with pytest.raises(TaskError, match=words) as caught:
        load_idx_directory(folder)
    assert str(folder) in str(caught.value)


def test_images_and_labels_of_different_length(tmp_path):
    folder = write_directory(tmp_path / "d")
    (folder / "train-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(59)))
    with pytest.raises(TaskError, match="holds 60 images but train-labels-idx1-ubyte 59 labels"):
        load_idx_directory(folder)


def test_flat_images(tmp_path):
    folder = write_directory(tmp_path / "d")
    (folder / "train-images-idx3-ubyte").write_bytes(idx_bytes(np.full((60, 5, 6), 7)))
    with pytest.raises(TaskError, match="all training images are one flat colour"):
        load_idx_directory(folder)


def test_labels_beyond_a_given_number_of_classes(tmp_path):
    with pytest.raises(TaskError, match="a training image has label 3, outside the 3 classes"):
        load_idx_directory(write_directory(tmp_path / "d"), ("a", "b", "c"))
