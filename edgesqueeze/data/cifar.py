"""CIFAR-10 and CIFAR-100: colour images of 32 × 32 (Krizhevsky 2009).

The binary version is read as it is. The Python version is made of pickles, which can run any code when they
are opened: they are left to torchvision's loader, which opens them only if every file is the published
one (MD5).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torchvision.datasets import CIFAR10, CIFAR100

from edgesqueeze.data.splits import fixed_order
from edgesqueeze.data.task_data import LabelledImages, TaskData, labelled_data
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization

_SIDE = 32
_ORDER_SEED = 20_090_408


@dataclass(frozen=True)
class CifarVersion:
    """One of the two data sets: its files and its constants.

    ``label_bytes`` stand before the pixels of a binary record, of which the last is the label that counts.
    """

    binary: str
    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int
    pickled: type[CIFAR10]
    normalization: Normalization

    def binary_files(self, directory: Path) -> list[Path]:
        """The files of the binary version: training, test, names."""
        return [directory / self.binary / name for name in (*self.train, self.test, self.names)]

    def pickled_files(self, directory: Path) -> list[Path]:
        """The files of the Python version."""
        names = [name for name, _ in (*self.pickled.train_list, *self.pickled.test_list)]
        return [
            directory / self.pickled.base_folder / name for name in (*names, self.pickled.meta["filename"])
        ]


CIFAR10_VERSION = CifarVersion(
    binary="cifar-10-batches-bin",
    train=tuple(f"data_batch_{n}.bin" for n in range(1, 6)),
    test="test_batch.bin",
    names="batches.meta.txt",
    label_bytes=1,
    pickled=CIFAR10,
    normalization=Normalization((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
)
CIFAR100_VERSION = CifarVersion(
    binary="cifar-100-binary",
    train=("train.bin",),
    test="test.bin",
    names="fine_label_names.txt",
    label_bytes=2,
    pickled=CIFAR100,
    normalization=Normalization((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
)


def find_cifar(version: CifarVersion, directory: Path) -> Path | None:
    """The folder in a directory that holds all files, the binary version's first; None if there is none."""
    for files in (version.binary_files(directory), version.pickled_files(directory)):
        if all(path.is_file() for path in files):
            return files[0].parent
    return None


def load_cifar(version: CifarVersion, folder: Path) -> TaskData:
    """The data in a folder that :func:`find_cifar` found; training images in a fixed shuffled order.

    Raises:
        TaskError: a file is damaged, or a pickle is not the published one.
    """
    if folder.name == version.binary:
        classes, train, test = _read_binary(version, folder.parent)
    else:
        classes, train, test = _read_pickled(version.pickled, folder)
    shuffled = train.take(fixed_order(len(train.labels), _ORDER_SEED))
    try:
        return labelled_data(shuffled, test, classes, version.normalization)
    except TaskError as error:
        raise TaskError(f"{folder}: {error}") from error


_Read = tuple[tuple[str, ...], LabelledImages, LabelledImages]


def _read_binary(version: CifarVersion, directory: Path) -> _Read:
    *train, test, names = version.binary_files(directory)
    try:
        classes = tuple(names.read_text(encoding="ascii").split())
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{names} cannot be read: {error}") from error
    parts = [_records(path, version.label_bytes) for path in train]
    joined = LabelledImages(
        np.concatenate([part.images for part in parts]), np.concatenate([part.labels for part in parts])
    )
    return classes, joined, _records(test, version.label_bytes)


def _records(path: Path, label_bytes: int) -> LabelledImages:
    try:
        content = np.fromfile(path, np.uint8)
    except OSError as error:
        raise TaskError(f"{path} cannot be read: {error}") from error
    record = label_bytes + 3 * _SIDE * _SIDE
    if len(content) == 0 or len(content) % record:
        raise TaskError(f"{path} holds {len(content)} bytes, which is no number of records of {record} bytes")
    rows = content.reshape(-1, record)
    return LabelledImages(rows[:, label_bytes:].reshape(-1, 3, _SIDE, _SIDE), rows[:, label_bytes - 1])


def _read_pickled(loader: type[CIFAR10], folder: Path) -> _Read:
    try:
        train, test = (loader(folder.parent, train=part, download=False) for part in (True, False))
    except (RuntimeError, OSError) as error:
        raise TaskError(
            f"{folder} is not as published (a checksum differs), and unknown pickles are not opened; "
            "download it again or take the binary version"
        ) from error
    return tuple(train.classes), _of_torchvision(train), _of_torchvision(test)


def _of_torchvision(dataset: CIFAR10) -> LabelledImages:
    pixels = np.ascontiguousarray(dataset.data.transpose(0, 3, 1, 2))
    return LabelledImages(pixels, np.asarray(dataset.targets, np.uint8))
