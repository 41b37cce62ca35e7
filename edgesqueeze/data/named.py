"""Data sets that a recipe can call by name, where they are looked for, and how to get them."""

from pathlib import Path

from edgesqueeze.data import DataName
from edgesqueeze.data.cifar import CIFAR10_VERSION, CIFAR100_VERSION, find_cifar, load_cifar
from edgesqueeze.data.idx import load_idx_directory, missing_idx_files
from edgesqueeze.data.mnist_sample import DIGITS, MNIST_NORMALIZATION, find_mnist_sample, load_mnist_sample
from edgesqueeze.data.task_data import TaskData
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization

GARMENTS = (
    *("T-shirt/top", "trouser", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
"""The classes of Fashion-MNIST (Xiao, Rasul and Vollgraf 2017)."""
_DIRECTORIES = {
    "fashion_mnist": (Path("/usr/share/datasets/fashion-mnist"), Path("data/FashionMNIST/raw")),
    "mnist": (Path("data/MNIST/raw"),),
}
_CIFAR = {"cifar10": CIFAR10_VERSION, "cifar100": CIFAR100_VERSION}
_CIFAR_DIRECTORY = Path("data")
_NORMALIZATIONS = {
    "fashion_mnist": Normalization(mean=(0.2860,), std=(0.3530,)),
    "mnist": MNIST_NORMALIZATION,
}
_CLASSES = {"fashion_mnist": GARMENTS, "mnist": DIGITS}
_TORCHVISION_NAMES = {
    "fashion_mnist": "FashionMNIST",
    "mnist": "MNIST",
    "mnist_sample": "MNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
}


def locate(name: DataName) -> Path | None:
    """Where a named data set lies on this machine (a file or a directory), or None if it does not."""
    if name == "mnist_sample":
        return find_mnist_sample()
    if name in _CIFAR:
        return find_cifar(_CIFAR[name], _CIFAR_DIRECTORY)
    return next((d for d in _DIRECTORIES[name] if not missing_idx_files(d)), None)


def load_named(name: DataName) -> TaskData:
    """Load a named data set.

    Raises:
        TaskError: it is not on this machine (the message lists every way to get it), or it is damaged.
    """
    path = locate(name)
    if path is None:
        raise TaskError(f"data {name!r} is not on this machine: {ways_to_get(name)}")
    if name == "mnist_sample":
        return load_mnist_sample(path)
    if name in _CIFAR:
        return load_cifar(_CIFAR[name], path)
    return load_idx_directory(path, _CLASSES[name], _NORMALIZATIONS[name])


def ways_to_get(name: DataName) -> str:
    """How to get a named data set, or one that can stand in for it, as the second half of a sentence."""
    torchvision = _TORCHVISION_NAMES[name]
    download = (
        f"python -c \"from torchvision.datasets import {torchvision}; {torchvision}('data', download=True)\""
    )
    if name in _CIFAR:
        version = _CIFAR[name]
        return (
            f"{download} (looked for in ./data/{version.pickled.base_folder}); or the binary version from "
            f"https://www.cs.toronto.edu/~kriz/cifar.html, unpacked as ./data/{version.binary}"
        )
    sample = "pip install 'edgesqueeze[mnist]' (5,000 packaged digits"
    ways = {
        "mnist_sample": [
            f"{sample})",
            f"{download} and data: mnist",
            "apt install dataset-fashion-mnist and data: fashion_mnist",
        ],
        "fashion_mnist": [
            "apt install dataset-fashion-mnist (Debian)",
            f"{download} (looked for in ./data/FashionMNIST/raw)",
            f"{sample}, with data: mnist_sample)",
        ],
        "mnist": [
            f"{download} (looked for in ./data/MNIST/raw)",
            f"{sample}, with data: mnist_sample)",
            "apt install dataset-fashion-mnist and data: fashion_mnist",
        ],
    }
    return "; ".join([*ways[name], "or any MNIST-style IDX files, with data: {idx: DIRECTORY}"])
