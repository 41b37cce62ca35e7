"""Splits: batches of images and targets, in memory or read as needed, always in a reproducible order."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, Subset

from edgesqueeze.errors import TaskError
from edgesqueeze.trees import Tree, leaves

_RANKS = (2, 3, 4)
"""The dimensions of a batch of vectors, or of images."""


@runtime_checkable
class Split(Protocol):
    """A part of a data set that can be walked in batches, as often as wanted."""

    def __len__(self) -> int:
        """The number of images."""
        ...

    def batches(self, batch_size: int, generator: torch.Generator | None = None) -> Iterator[tuple[Any, Any]]:
        """Pairs of images, float32 [n, C, H, W], and targets, [n, ...]; the last batch may be smaller.

        For a network of several inputs the first is a tuple, or a dictionary by their names; targets may be
        such trees as well.

        The order is the stored one without a generator, and shuffled by the generator with one. The
        global random state of torch is neither read nor changed.
        """
        ...


@dataclass(frozen=True)
class Normalization:
    """(x - mean) / std per channel, on images scaled to [0, 1]; one value per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Sizing:
    """What images become before a model sees them.

    They are resized to ``image_size`` (height, width), bilinear with half-pixel centres; a grayscale image is
    repeated ``channels`` times.
    """

    image_size: tuple[int, int] | None = None
    channels: int = 1


class ArraySplit:
    """Images and targets in memory; a batch is one indexing operation.

    uint8 images stay uint8 in memory and are divided by 255 as batches are made; float32 images are taken
    as they are. ``normalization`` and then ``sizing`` are applied to either.

    Args:
        x: images, uint8 or float32 [N, C, H, W].
        y: targets, [N, ...]; integer class labels, or anything else the loss and the metrics read.
        normalization: one mean and standard deviation per channel, or None.
        sizing: the size and number of channels of what batches give; None leaves images as they are.

    Raises:
        TaskError: a shape, a type or a length does not fit.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        normalization: Normalization | None = None,
        sizing: Sizing | None = None,
    ) -> None:
        if x.ndim not in (3, 4) or x.dtype not in (torch.uint8, torch.float32):
            raise TaskError(
                f"the images are {_describe(x)}; uint8 or float32 [number, channels, height, width], or of "
                "signals [number, channels, length], is needed"
            )
        if y.ndim < 1 or len(x) != len(y):
            raise TaskError(f"there are {len(x)} images but the targets are {_describe(y)}")
        if normalization is not None:
            _check_channels(normalization, x.shape[1])
        if x.ndim == 3 and sizing not in (None, Sizing()):
            raise TaskError(f"signals of shape {list(x.shape[1:])} have no height and width to be changed")
        if sizing is not None and sizing.channels != 1 and x.shape[1] != 1:
            raise TaskError(f"only grayscale images can be repeated, these have {x.shape[1]} channels")
        self._x, self._y, self._normalization, self._sizing = x, y, normalization, sizing or Sizing()

    def __len__(self) -> int:
        return len(self._x)

    def first(self, count: int) -> "ArraySplit":
        """The first ``count`` images as a split of their own; nothing is copied."""
        return ArraySplit(self._x[:count], self._y[:count], self._normalization, self._sizing)

    def rows(self, rows: NDArray[np.intp]) -> "ArraySplit":
        """These images, in this order, as a split of their own; they are copied."""
        return ArraySplit(self._x[rows], self._y[rows], self._normalization, self._sizing)

    def sized(self, sizing: Sizing) -> "ArraySplit":
        """The same images given in another size or number of channels; nothing is copied."""
        return ArraySplit(self._x, self._y, self._normalization, sizing)

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """See :meth:`Split.batches`."""
        _check_batch_size(batch_size)
        return self._batches(batch_size, generator)

    def _batches(self, batch_size: int, generator: torch.Generator | None) -> Iterator[tuple[Tensor, Tensor]]:
        order = None if generator is None else torch.randperm(len(self), generator=generator)
        for start in range(0, len(self), batch_size):
            rows = slice(start, start + batch_size)
            if order is None:
                yield self._images(self._x[rows]), self._y[rows]
            else:
                yield self._images(self._x[order[rows]]), self._y[order[rows]]

    def _images(self, x: Tensor) -> Tensor:
        images = x.to(torch.float32) / 255 if x.dtype == torch.uint8 else x
        if self._normalization is not None:
            mean, std = (
                torch.tensor(numbers).view(1, -1, *[1] * (images.ndim - 2))
                for numbers in (self._normalization.mean, self._normalization.std)
            )
            images = (images - mean) / std
        if self._sizing.image_size is not None:
            images = F.interpolate(images, self._sizing.image_size, mode="bilinear", antialias=True)
        return images.repeat(1, self._sizing.channels, 1, 1) if self._sizing.channels != 1 else images


class DatasetSplit:
    """A map-style torch data set, read as batches need it.

    Args:
        dataset: its items are pairs of a float32 image [C, H, W] and a target; of several inputs a tuple or a
            dictionary of images or vectors, and of several targets likewise.
    """

    def __init__(self, dataset: Dataset[Any]) -> None:
        if not hasattr(dataset, "__len__"):
            raise TaskError(f"{type(dataset).__name__} has no length; a map-style data set is needed")
        self._dataset = dataset

    def __len__(self) -> int:
        return len(self._dataset)

    def first(self, count: int) -> "DatasetSplit":
        """The first ``count`` items as a split of their own."""
        return DatasetSplit(Subset(self._dataset, range(min(count, len(self)))))

    def rows(self, rows: NDArray[np.intp]) -> "DatasetSplit":
        """These items, in this order, as a split of their own."""
        return DatasetSplit(Subset(self._dataset, rows.tolist()))

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tree, Tree]]:
        """See :meth:`Split.batches`.

        Raises:
            TaskError: an item is no pair, or its image is not float32 [C, H, W].
        """
        _check_batch_size(batch_size)
        return self._batches(batch_size, generator)

    def _batches(self, batch_size: int, generator: torch.Generator | None) -> Iterator[tuple[Tree, Tree]]:
        if len(self) == 0:
            return
        loader = DataLoader(
            self._dataset,
            batch_size,
            shuffle=generator is not None,
            # A loader without a generator of its own draws from the global random state.
            generator=torch.Generator().manual_seed(0) if generator is None else generator,
        )
        for batch in loader:
            if not isinstance(batch, tuple | list) or len(batch) != 2:
                raise TaskError(
                    f"an item of {type(self._dataset).__name__} is not a pair of image and target"
                )
            x, y = batch
            for part in leaves(x):
                if not isinstance(part, Tensor) or part.ndim not in _RANKS or part.dtype != torch.float32:
                    found = _describe(part) if isinstance(part, Tensor) else type(part).__name__
                    owner = type(self._dataset).__name__
                    raise TaskError(
                        f"a batch of {owner} is {found}; "
                        "float32 [n, C, H, W], [n, C, L] or [n, features] is needed"
                    )
            yield x, y


@dataclass(frozen=True, eq=False)
class ClassificationData:
    """Images with one class label each, split for training and testing.

    ``image_shape`` is (channels, height, width); labels are int64 in [0, num_classes). ``fingerprint`` is a
    SHA-256 over everything that decides what a model sees: the images, their labels, their order and
    their normalization.
    """

    train: ArraySplit | DatasetSplit
    test: ArraySplit | DatasetSplit
    num_classes: int
    image_shape: tuple[int, int, int]
    fingerprint: str


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Grayscale images uint8 [N, H, W] and their labels uint8 [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def take(self, rows: NDArray[np.intp]) -> "LabelledImages":
        """These rows, in this order."""
        return LabelledImages(self.images[rows], self.labels[rows])


def grayscale_data(
    train: LabelledImages, test: LabelledImages, num_classes: int, normalization: Normalization
) -> ClassificationData:
    """In-memory data from grayscale arrays, checked against each other.

    Raises:
        TaskError: a split is empty, the image sizes differ, or a label lies outside the classes.
    """
    for name, split in (("training", train), ("test", test)):
        if len(split.images) == 0:
            raise TaskError(f"the {name} split has no images")
        if split.labels.max() >= num_classes:
            raise TaskError(
                f"a {name} image has label {split.labels.max()}, "
                f"outside the {num_classes} classes 0 to {num_classes - 1}"
            )
    if train.images.shape[1:] != test.images.shape[1:]:
        raise TaskError(
            f"training images are {train.images.shape[1:]} but test images {test.images.shape[1:]}"
        )
    height, width = train.images.shape[1:]
    return ClassificationData(
        train=_array_split(train, normalization),
        test=_array_split(test, normalization),
        num_classes=num_classes,
        image_shape=(1, height, width),
        fingerprint=_fingerprint([train, test], normalization),
    )


def resized(data: ClassificationData, sizing: Sizing) -> ClassificationData:
    """Grayscale data in memory, its images resized and repeated as batches are made.

    Raises:
        TaskError: the images are not grayscale in memory.
    """
    if not (isinstance(data.train, ArraySplit) and isinstance(data.test, ArraySplit)):
        raise TaskError("only images in memory can be resized as batches are made")
    height, width = sizing.image_size or data.image_shape[1:]
    digest = hashlib.sha256(f"{data.fingerprint} {sizing!r}".encode())
    return ClassificationData(
        train=data.train.sized(sizing),
        test=data.test.sized(sizing),
        num_classes=data.num_classes,
        image_shape=(sizing.channels, height, width),
        fingerprint=digest.hexdigest(),
    )


def fixed_order(count: int, seed: int) -> NDArray[np.intp]:
    """A permutation of range(count) that is the same on every machine and with every version of numpy.

    It sorts raw PCG64 output, whose stream numpy keeps stable; ``Generator.permutation`` promises no such
    thing.
    """
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")


def _array_split(split: LabelledImages, normalization: Normalization) -> ArraySplit:
    images = torch.tensor(split.images).unsqueeze(1)  # a copy: arrays read from bytes are not writable
    return ArraySplit(images, torch.from_numpy(split.labels.astype(np.int64)), normalization)


def _fingerprint(splits: list[LabelledImages], normalization: Normalization) -> str:
    digest = hashlib.sha256(repr(normalization).encode())
    for split in splits:
        for array in (split.images, split.labels):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _check_channels(normalization: Normalization, channels: int) -> None:
    if {len(normalization.mean), len(normalization.std)} != {channels}:
        raise TaskError(
            f"mean has {len(normalization.mean)} and std {len(normalization.std)} values, "
            f"but the images have {channels} channels"
        )
    if min(normalization.std) <= 0:
        raise TaskError(f"std must be above 0, found {list(normalization.std)}")


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise TaskError(f"the batch size must be at least 1, found {batch_size}")


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
