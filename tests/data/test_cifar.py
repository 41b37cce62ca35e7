"""CIFAR from small files in both of its layouts."""

import hashlib
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.datasets import CIFAR10

from edgesqueeze.data.cifar import CIFAR10_VERSION, CIFAR100_VERSION, find_cifar, load_cifar
from edgesqueeze.data.named import load_named
from edgesqueeze.data.splits import fixed_order
from edgesqueeze.errors import TaskError

NAMES = ["airplane", "automobile", "bird"]
VERSIONS = {"cifar10": CIFAR10_VERSION, "cifar100": CIFAR100_VERSION}


def pixels(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def write_binary(directory, version, count=3):
    *train, test, names = version.binary_files(directory)
    names.parent.mkdir(parents=True)
    names.write_text("\n".join(NAMES) + "\n\n")
    for seed, path in enumerate((*train, test)):
        labels = np.arange(count, dtype=np.uint8)[:, None] % 3
        coarse = [np.full((count, 1), 99, np.uint8)] * (version.label_bytes - 1)
        path.write_bytes(np.hstack([*coarse, labels, pixels(count, seed).reshape(count, -1)]).tobytes())
    return names.parent


@pytest.mark.parametrize("name", VERSIONS)
def test_binary_version(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_binary(tmp_path / "data", VERSIONS[name])
    data = load_named(name)
    batches = len(VERSIONS[name].train)
    assert (data.kind, data.classes, data.image_shape) == ("classification", tuple(NAMES), (3, 32, 32))
    assert (len(data.train), len(data.test)) == (3 * batches, 3)
    ((x, y),) = data.test.batches(3)
    mean, std = (
        torch.tensor(numbers).view(3, 1, 1) for numbers in vars(VERSIONS[name].normalization).values()
    )
    assert torch.equal(((x * std + mean) * 255).round(), torch.from_numpy(pixels(3, batches)).float())
    assert y.tolist() == [0, 1, 2]
    ((_, labels),) = data.train.batches(100)
    assert labels.tolist() == [i % 3 for i in fixed_order(3 * batches, 20_090_408)]


class Published(CIFAR10):
    """CIFAR-10 as it would be if the files that a test writes were the published ones."""


def write_pickled(directory, count=3):
    folder = directory / CIFAR10.base_folder
    folder.mkdir(parents=True)
    sums = {}
    for seed, name in enumerate([*(n for n, _ in CIFAR10.train_list), "test_batch", "batches.meta"]):
        entry = {"data": pixels(count, seed).reshape(count, -1), "labels": [i % 3 for i in range(count)]}
        content = pickle.dumps({"label_names": NAMES} if name == "batches.meta" else entry)
        (folder / name).write_bytes(content)
        sums[name] = hashlib.md5(content).hexdigest()
    Published.train_list = [[name, sums[name]] for name, _ in CIFAR10.train_list]
    Published.test_list = [["test_batch", sums["test_batch"]]]
    Published.meta = {**CIFAR10.meta, "md5": sums["batches.meta"]}
    return folder


def test_python_version_is_the_same_data(tmp_path):
    binary = load_cifar(CIFAR10_VERSION, write_binary(tmp_path, CIFAR10_VERSION))
    pickled = load_cifar(replace(CIFAR10_VERSION, pickled=Published), write_pickled(tmp_path))
    assert pickled.classes == binary.classes
    assert pickled.fingerprint == binary.fingerprint


class Opened:
    def __reduce__(self):
        return exec, ("raise RuntimeError('a pickle of unknown origin was opened')",)


@pytest.mark.parametrize("name", ["data_batch_3", "test_batch", "batches.meta"])
def test_other_pickles_are_never_opened(tmp_path, name):
    folder = write_pickled(tmp_path)
    (folder / name).write_bytes(pickle.dumps(Opened()))
    with pytest.raises(TaskError, match="is not as published .a checksum differs.") as caught:
        load_cifar(replace(CIFAR10_VERSION, pickled=Published), folder)
    assert "opened" not in str(caught.value.__cause__)


def test_the_binary_version_comes_first_and_must_be_whole(tmp_path):
    assert find_cifar(CIFAR10_VERSION, tmp_path) is None
    pickled = write_pickled(tmp_path)
    assert find_cifar(CIFAR10_VERSION, tmp_path) == pickled
    binary = write_binary(tmp_path, CIFAR10_VERSION)
    assert find_cifar(CIFAR10_VERSION, tmp_path) == binary
    (binary / "data_batch_4.bin").unlink()
    assert find_cifar(CIFAR10_VERSION, tmp_path) == pickled


def test_damaged_files(tmp_path):
    folder = write_binary(tmp_path, CIFAR100_VERSION)
    path = folder / "train.bin"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(
        TaskError, match="train.bin holds 9221 bytes, which is no number of records of 3074 bytes"
    ):
        load_cifar(CIFAR100_VERSION, folder)
    path.write_bytes(b"\0\x07" + content[2:])
    with pytest.raises(TaskError, match="a training image has label 7, outside the 3 classes"):
        load_cifar(CIFAR100_VERSION, folder)
