"""TaskData: what every source of images gives, and what can be done with it as a whole."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesqueeze.data.augmentation import Augmentation
from edgesqueeze.data.preparation import Sizing
from edgesqueeze.data.splits import ArraySplit, DataSplit
from edgesqueeze.errors import TaskError
from edgesqueeze.kinds import TaskKind
from edgesqueeze.normalization import Normalization, plain


@dataclass(frozen=True, eq=False)
class TaskData:
    """Images and their targets, split for training and testing.

    ``image_shape`` is (channels, height, width). ``classes`` names what labels 0, 1, … mean (of segmentation
    the background too); a reconstruction has none. ``fingerprint`` is a SHA-256 over everything that decides
    what a model sees: the images, their targets, their order and their normalization. ``normalization`` is
    how pixels 0 to 255 become those images; None where they do not come from pixels. Images that are not
    ``labelled`` have empty targets, float32 [n, 0].

    Targets are, for n images:

    * classification: class labels, int64 [n]
    * detection: ``{"boxes": float32 [n, M, 4], "labels": int64 [n, M], "crowd": bool [n, M]}``, boxes as x1,
      y1, x2, y2 in pixels of the image; label -1 is padding up to M, which is fixed for the data; crowd marks
      what is not counted
    * segmentation: the class of every pixel, int64 [n, H, W], 255 where it is not counted
    * reconstruction: the images themselves, float32 [n, C, H, W] in [0, 1]
    """

    kind: TaskKind
    train: DataSplit
    test: DataSplit
    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    fingerprint: str
    normalization: Normalization | None = None
    labelled: bool = True

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.classes)


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images uint8 [N, H, W], or [N, C, H, W], and their labels uint8 [N]."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def take(self, rows: NDArray[np.intp]) -> "LabelledImages":
        """These rows, in this order."""
        return LabelledImages(self.images[rows], self.labels[rows])


def labelled_data(
    train: LabelledImages, test: LabelledImages, classes: tuple[str, ...], normalization: Normalization
) -> TaskData:
    """In-memory data for classification, the two splits checked against each other.

    Raises:
        TaskError: a split is empty, the image sizes differ, or a label lies outside the classes.
    """
    for name, split in (("training", train), ("test", test)):
        if len(split.images) == 0:
            raise TaskError(f"the {name} split has no images")
        if split.labels.max() >= len(classes):
            raise TaskError(
                f"a {name} image has label {split.labels.max()}, "
                f"outside the {len(classes)} classes 0 to {len(classes) - 1}"
            )
    if train.images.shape[1:] != test.images.shape[1:]:
        raise TaskError(
            f"training images are {train.images.shape[1:]} but test images {test.images.shape[1:]}"
        )
    *channels, height, width = train.images.shape[1:]
    return TaskData(
        kind="classification",
        train=_array_split(train, normalization),
        test=_array_split(test, normalization),
        classes=classes,
        image_shape=(channels[0] if channels else 1, height, width),
        fingerprint=_fingerprint([train, test], normalization),
        normalization=normalization,
    )


def resized(data: TaskData, sizing: Sizing) -> TaskData:
    """Data in memory, its images resized, and grayscale ones repeated, as batches are made.

    Raises:
        TaskError: the images are not in memory, or not grayscale but to be repeated.
    """
    height, width = sizing.image_size or data.image_shape[1:]
    digest = hashlib.sha256(f"{data.fingerprint} {sizing!r}".encode())
    return replace(
        data,
        train=_in_memory(data.train, sizing=sizing),
        test=_in_memory(data.test, sizing=sizing),
        image_shape=(data.image_shape[0] * sizing.channels, height, width),
        fingerprint=digest.hexdigest(),
        normalization=None if data.normalization is None else data.normalization.repeated(sizing.channels),
    )


def augmented(data: TaskData, augmentation: Augmentation | None) -> TaskData:
    """Data in memory, its training images augmented as batches are made."""
    return replace(data, train=_in_memory(data.train, augmentation=augmentation))


def reconstruction(data: TaskData) -> TaskData:
    """The same images, each its own target, in [0, 1] instead of normalized.

    Raises:
        TaskError: the images are not in memory.
    """
    train, test = (_in_memory(split, normalization=None) for split in (data.train, data.test))
    digest = hashlib.sha256(f"{data.fingerprint} reconstruction".encode())
    return TaskData(
        kind="reconstruction",
        train=SelfTargets(train),
        test=SelfTargets(test),
        classes=(),
        image_shape=data.image_shape,
        fingerprint=digest.hexdigest(),
        normalization=plain(data.image_shape[0]),
    )


def fewer(data: TaskData, count: int) -> TaskData:
    """The same data with only the first images of its training split.

    Raises:
        TaskError: there are not so many.
    """
    if count > len(data.train):
        raise TaskError(f"train_images is {count}, but the training split has only {len(data.train)}")
    return replace(data, train=data.train.first(count), fingerprint=f"{data.fingerprint} first {count}")


def held_out(data: TaskData, share: float) -> tuple[DataSplit, DataSplit]:
    """The training split in two: what is left to train on, and a validation split.

    The last images of the fixed, mixed order are held out, so that the first ones stay those that calibrate.
    Walked without a generator, the validation split is not augmented.

    Args:
        data: of any kind.
        share: of the training images that become the validation split, above 0 and below 1.

    Raises:
        TaskError: the share is none, or leaves no image on one side.
    """
    if not 0 < share < 1:
        raise TaskError(f"the share held out for validation must be above 0 and below 1, found {share}")
    count = len(data.train)
    kept = count - round(count * share)
    if kept in (0, count):
        raise TaskError(f"a share of {share} of {count} training images leaves {kept} of them to train on")
    return data.train.part(0, kept), data.train.part(kept, count)


def renormalized(data: TaskData, normalization: Normalization) -> TaskData:
    """The same images, normalized in another way.

    Raises:
        TaskError: they do not come from pixels, or have another number of channels.
    """
    known = data.normalization
    if known is None:
        raise TaskError("the data does not say how its images were normalized, so they cannot be otherwise")
    normalization.check(data.image_shape[0])
    pairs = list(zip(known.mean, known.std, normalization.mean, normalization.std, strict=True))
    factors = tuple(std / other for _, std, _, other in pairs)
    offsets = tuple((mean - other_mean) / other for mean, _, other_mean, other in pairs)
    digest = hashlib.sha256(f"{data.fingerprint} {normalization!r}".encode())
    return replace(
        data,
        train=Rescaled(data.train, factors, offsets),
        test=Rescaled(data.test, factors, offsets),
        fingerprint=digest.hexdigest(),
        normalization=normalization,
    )


@dataclass(frozen=True)
class Rescaled:
    """A split whose images are scaled and moved, channel by channel, as batches are made."""

    split: DataSplit
    factors: tuple[float, ...]
    offsets: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.split)

    def part(self, start: int, stop: int) -> "Rescaled":
        """See :meth:`DataSplit.part`."""
        return replace(self, split=self.split.part(start, stop))

    def first(self, count: int) -> "Rescaled":
        """See :meth:`DataSplit.first`."""
        return replace(self, split=self.split.first(count))

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, Any]]:
        """See :meth:`Split.batches`."""
        factors, offsets = (torch.tensor(n).view(1, -1, 1, 1) for n in (self.factors, self.offsets))
        return ((x * factors + offsets, y) for x, y in self.split.batches(batch_size, generator))


@dataclass(frozen=True)
class SelfTargets:
    """A split whose targets are its images, as batches have them."""

    split: DataSplit

    def __len__(self) -> int:
        return len(self.split)

    def part(self, start: int, stop: int) -> "SelfTargets":
        """See :meth:`DataSplit.part`."""
        return SelfTargets(self.split.part(start, stop))

    def first(self, count: int) -> "SelfTargets":
        """See :meth:`DataSplit.first`."""
        return SelfTargets(self.split.first(count))

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """See :meth:`Split.batches`."""
        return ((x, x) for x, _ in self.split.batches(batch_size, generator))


def _in_memory(split: DataSplit, **changes: Any) -> ArraySplit:
    if not isinstance(split, ArraySplit):
        raise TaskError("only images in memory can be changed as batches are made")
    return split.prepared(replace(split.preparation, **changes))


def _array_split(split: LabelledImages, normalization: Normalization) -> ArraySplit:
    images = torch.tensor(split.images)  # a copy: arrays read from bytes are not writable
    if images.ndim == 3:
        images = images.unsqueeze(1)
    return ArraySplit(images, torch.from_numpy(split.labels.astype(np.int64)), normalization)


def _fingerprint(splits: list[LabelledImages], normalization: Normalization) -> str:
    digest = hashlib.sha256(repr(normalization).encode())
    for split in splits:
        for array in (split.images, split.labels):
            digest.update(repr(array.shape).encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
