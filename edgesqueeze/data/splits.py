"""Splits: batches of images and targets, in memory or read as needed, always in a reproducible order."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from edgesqueeze.data.preparation import Preparation, Sizing
from edgesqueeze.errors import TaskError
from edgesqueeze.normalization import Normalization
from edgesqueeze.trees import Tree, leaves, rows_of

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

        The order is the stored one without a generator, and shuffled by the generator with one, which also
        draws what a training split augments; without one nothing is augmented. The global random state of
        torch is neither read nor changed.
        """
        ...


@runtime_checkable
class DataSplit(Split, Protocol):
    """A split of which a part can be taken."""

    def part(self, start: int, stop: int) -> "DataSplit":
        """The images from ``start`` to before ``stop``, in the stored order, as a split of their own."""
        ...

    def first(self, count: int) -> "DataSplit":
        """The first ``count`` images as a split of their own."""
        ...


class ArraySplit:
    """Images and targets in memory; a batch is one indexing operation.

    uint8 images stay uint8 in memory and are divided by 255 as batches are made; float32 images are taken
    as they are. ``normalization`` and then ``sizing`` are applied to either.

    Args:
        x: images, uint8 or float32 [N, C, H, W].
        y: targets, [N, ...], or a tree of them; integer class labels, or anything else the loss and the
            metrics read. Those of uint8 are given as int64.
        normalization: one mean and standard deviation per channel, or None.
        sizing: the size and number of channels of what batches give; None leaves images as they are.

    Raises:
        TaskError: a shape, a type or a length does not fit.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tree,
        normalization: Normalization | None = None,
        sizing: Sizing | None = None,
    ) -> None:
        if x.ndim not in (3, 4) or x.dtype not in (torch.uint8, torch.float32):
            raise TaskError(
                f"the images are {_describe(x)}; uint8 or float32 [number, channels, height, width], or of "
                "signals [number, channels, length], is needed"
            )
        for part in leaves(y):
            if part.ndim < 1 or len(x) != len(part):
                raise TaskError(f"there are {len(x)} images but the targets are {_describe(part)}")
        self._x, self._y = x, y
        self._preparation = Preparation(normalization, sizing or Sizing())
        self._check()

    def _check(self) -> None:
        normalization, sizing = self._preparation.normalization, self._preparation.sizing
        if normalization is not None:
            normalization.check(self._x.shape[1])
        if self._x.ndim == 3 and sizing != Sizing():
            raise TaskError(
                f"signals of shape {list(self._x.shape[1:])} have no height and width to be changed"
            )
        if sizing.channels != 1 and self._x.shape[1] != 1:
            raise TaskError(f"only grayscale images can be repeated, these have {self._x.shape[1]} channels")

    def __len__(self) -> int:
        return len(self._x)

    @property
    def preparation(self) -> Preparation:
        """What happens to images and targets as batches are made."""
        return self._preparation

    def prepared(self, preparation: Preparation) -> "ArraySplit":
        """The same images, made into batches in another way; nothing is copied.

        Raises:
            TaskError: it does not fit the images.
        """
        split = ArraySplit(self._x, self._y)
        split._preparation = preparation
        split._check()
        return split

    def part(self, start: int, stop: int) -> "ArraySplit":
        """See :meth:`DataSplit.part`; nothing is copied."""
        rows = slice(start, stop)
        return ArraySplit(self._x[rows], rows_of(self._y, rows)).prepared(self._preparation)

    def first(self, count: int) -> "ArraySplit":
        """The first ``count`` images as a split of their own; nothing is copied."""
        return self.part(0, count)

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, Tree]]:
        """See :meth:`Split.batches`."""
        check_batch_size(batch_size)
        return self._batches(batch_size, generator)

    def _batches(self, batch_size: int, generator: torch.Generator | None) -> Iterator[tuple[Tensor, Tree]]:
        order = None if generator is None else torch.randperm(len(self), generator=generator)
        for start in range(0, len(self), batch_size):
            places = slice(start, start + batch_size)
            rows = places if order is None else order[places]
            yield self._preparation.apply(self._x[rows], rows_of(self._y, rows), generator)


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

    def part(self, start: int, stop: int) -> "DatasetSplit":
        """See :meth:`DataSplit.part`."""
        return DatasetSplit(Subset(self._dataset, range(len(self))[start:stop]))

    def first(self, count: int) -> "DatasetSplit":
        """The first ``count`` items as a split of their own."""
        return self.part(0, count)

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tree, Tree]]:
        """See :meth:`Split.batches`.

        Raises:
            TaskError: an item is no pair, or its image is not float32 [C, H, W].
        """
        check_batch_size(batch_size)
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


def fixed_order(count: int, seed: int) -> NDArray[np.intp]:
    """A permutation of range(count) that is the same on every machine and with every version of numpy.

    It sorts raw PCG64 output, whose stream numpy keeps stable; ``Generator.permutation`` promises no such
    thing.
    """
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")


def check_batch_size(batch_size: int) -> None:
    """Raise TaskError unless a batch has at least one image."""
    if batch_size < 1:
        raise TaskError(f"the batch size must be at least 1, found {batch_size}")


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
