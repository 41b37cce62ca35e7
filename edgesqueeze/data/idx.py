"""IDX files, the format of MNIST.

Two zero bytes, a type byte, the number of dimensions, the sizes as big-endian 32-bit numbers, the data.
Only unsigned bytes (type 0x08) are read, plain or gzip-compressed.
"""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.data.splits import fixed_order
from edgesqueeze.data.task_data import LabelledImages, TaskData, labelled_data
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization

IDX_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
"""The four files of an MNIST-style directory; each may end in .gz."""
_UNSIGNED_BYTE = 0x08
_LARGEST = 1 << 32
# Deflate shrinks by 1032 to 1 at most: a header that promises more is wrong before anything is read.
_DEFLATE_LIMIT = 1032
_ORDER_SEED = 19_980_101


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array in an IDX file of unsigned bytes.

    Args:
        path: the file, plain or gzip-compressed (told by its first bytes, not by its name).
        dimensions: how many dimensions the array must have, 3 for images [N, H, W] and 1 for labels [N].

    Raises:
        TaskError: the file cannot be read or is not exactly what its header says.
    """
    try:
        with path.open("rb") as raw:
            compressed = raw.read(2) == b"\x1f\x8b"
            size = raw.seek(0, 2)
            raw.seek(0)
            if not compressed:
                return _read(raw, path, dimensions, size)
            with gzip.GzipFile(fileobj=raw) as file:
                return _read(file, path, dimensions, size * _DEFLATE_LIMIT)
    except (OSError, EOFError, zlib.error) as error:
        raise TaskError(f"{path} cannot be read: {error}") from error


def _read(file: BinaryIO | gzip.GzipFile, path: Path, dimensions: int, most: int) -> NDArray[np.uint8]:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0":
        raise TaskError(f"{path} is not an IDX file: it begins with {head.hex() or 'nothing'}, not with 0000")
    if head[2] != _UNSIGNED_BYTE:
        raise TaskError(
            f"{path} holds values of IDX type 0x{head[2]:02x}; only unsigned bytes (0x08) are read"
        )
    if head[3] != dimensions:
        raise TaskError(f"{path} has {head[3]} dimensions; {dimensions} are needed")
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise TaskError(f"{path} ends within its header")
    shape = struct.unpack(f">{dimensions}I", sizes)
    count = prod(shape)
    if count > min(_LARGEST, most):
        raise TaskError(f"{path} says it holds {count} bytes of data, more than it can")
    data = file.read(count + 1)
    if len(data) != count:
        found = f"only {len(data)}" if len(data) < count else "more than that"
        raise TaskError(
            f"{path} should hold {count} bytes of data for shape {list(shape)}, but holds {found}"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def missing_idx_files(directory: Path) -> list[str]:
    """Which of the four files of an MNIST-style directory are absent, both plain and with .gz."""
    return [name for name in IDX_FILES if _find(directory, name) is None]


def load_idx_directory(
    directory: Path, classes: tuple[str, ...] | None = None, normalization: Normalization | None = None
) -> TaskData:
    """The data in an MNIST-style directory. Training images are put in a fixed shuffled order.

    Args:
        directory: holds the files of :data:`IDX_FILES`, plain or .gz.
        classes: names of the labels; None means the numbers up to the highest training label.
        normalization: None means the mean and standard deviation of the training images, rounded to
            four decimals (for MNIST and Fashion-MNIST the well-known constants).

    Raises:
        TaskError: a file is missing or damaged, or the files do not fit each other.
    """
    missing = missing_idx_files(directory)
    if missing:
        state = "is not a directory" if not directory.is_dir() else f"has no {missing[0]} or {missing[0]}.gz"
        raise TaskError(
            f"{directory} {state}; the four files {', '.join(IDX_FILES)} are needed, plain or .gz"
        )
    train, test = _labelled(directory, *IDX_FILES[:2]), _labelled(directory, *IDX_FILES[2:])
    if len(train.images) == 0:
        raise TaskError(f"{directory}: the training split has no images")
    names = tuple(str(n) for n in range(int(train.labels.max()) + 1)) if classes is None else classes
    if len(names) < 2:
        raise TaskError(f"{directory}: every training label is 0; at least two classes are needed")
    shuffled = train.take(fixed_order(len(train.images), _ORDER_SEED))
    chosen = normalization or _measured(train.images, directory)
    try:
        return labelled_data(shuffled, test, names, chosen)
    except TaskError as error:
        raise TaskError(f"{directory}: {error}") from error


def _find(directory: Path, name: str) -> Path | None:
    try:
        return next((p for p in (directory / name, directory / f"{name}.gz") if p.is_file()), None)
    except OSError as error:
        raise TaskError(f"{directory} cannot be read: {error}") from error


def _labelled(directory: Path, images_name: str, labels_name: str) -> LabelledImages:
    images_path, labels_path = _find(directory, images_name), _find(directory, labels_name)
    if images_path is None or labels_path is None:
        raise TaskError(f"{directory}: {images_name} or {labels_name} disappeared while it was read")
    images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
    if len(images) != len(labels):
        raise TaskError(
            f"{images_path} holds {len(images)} images but {labels_path.name} {len(labels)} labels"
        )
    if 0 in images.shape[1:]:
        raise TaskError(f"{images_path} holds images of size {list(images.shape[1:])}")
    return LabelledImages(images, labels)


def _measured(images: NDArray[np.uint8], directory: Path) -> Normalization:
    counts = np.bincount(images.ravel(), minlength=256).astype(np.float64)
    levels = np.arange(256) / 255
    mean = float(counts @ levels / counts.sum())
    std = round(float(np.sqrt(counts @ (levels - mean) ** 2 / counts.sum())), 4)
    if std == 0:
        raise TaskError(f"{directory}: all training images are one flat colour")
    return Normalization((round(mean, 4),), (std,))
