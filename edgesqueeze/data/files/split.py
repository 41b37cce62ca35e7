"""A split whose images are decoded as batches need them, and the settings of data in files."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesqueeze.data.augmentation import Augmentation, Moved
from edgesqueeze.data.files.decoding import ImageDecoding
from edgesqueeze.data.files.reading import DecodedFiles, Examined, Reading, batches_in_order
from edgesqueeze.data.preparation import Preparation
from edgesqueeze.data.splits import check_batch_size
from edgesqueeze.normalization import Normalization
from edgesqueeze.trees import Tree, rows_of


@dataclass(frozen=True)
class ImageSettings:
    """How a file becomes a tensor: resized to (height, width), scaled to [0, 1], normalized.

    One value in ``normalization`` makes images grayscale, three make them RGB. ``reading`` and
    ``augmentation`` (of training images) do not change what the files say, and are left out of fingerprints.
    """

    size: tuple[int, int]
    normalization: Normalization
    reading: Reading = field(default=Reading(), repr=False)
    augmentation: Augmentation | None = field(default=None, repr=False)

    @property
    def channels(self) -> int:
        """1 or 3."""
        return len(self.normalization.mean)

    @property
    def decoding(self) -> ImageDecoding:
        """What a picture's bytes become."""
        return ImageDecoding(self.size, self.channels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """[C, H, W]."""
        return (self.channels, *self.size)

    def split(self, images: Examined, targets: Tree | DecodedFiles, moved: Moved | None) -> "FileSplit":
        """Examined files with their targets, as a split.

        ``moved`` says what of the targets an augmentation moves along; None leaves the split as it is.
        """
        preparation = Preparation(self.normalization)
        if moved is not None:
            preparation = Preparation(self.normalization, augmentation=self.augmentation, moved=moved)
        return FileSplit(
            images=images.decoded(self.decoding, self.reading.cache),
            targets=targets,
            preparation=preparation,
            workers=self.reading.workers,
            rows=range(len(images.files)),
        )


@dataclass(frozen=True)
class FileSplit:
    """Images in files, and their targets: in memory, [N, ...] or a tree of them, or masks in files."""

    images: DecodedFiles
    targets: Tree | DecodedFiles
    preparation: Preparation
    workers: int
    rows: range

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, start: int, stop: int) -> "FileSplit":
        """See :meth:`~edgesqueeze.data.splits.DataSplit.part`."""
        return replace(self, rows=self.rows[start:stop])

    def first(self, count: int) -> "FileSplit":
        """See :meth:`~edgesqueeze.data.splits.DataSplit.first`."""
        return self.part(0, count)

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, Tree]]:
        """See :meth:`~edgesqueeze.data.splits.Split.batches`.

        Raises:
            TaskError: a file cannot be decoded.
        """
        check_batch_size(batch_size)
        return self._batches(batch_size, generator)

    def _batches(self, batch_size: int, generator: torch.Generator | None) -> Iterator[tuple[Tensor, Tree]]:
        order = torch.tensor(self.rows, dtype=torch.int64)
        if generator is not None:
            order = order[torch.randperm(len(self), generator=generator)]
        masks = self.targets if isinstance(self.targets, DecodedFiles) else None
        loaded = batches_in_order(
            _Pairs(self.images, masks), order.tolist(), batch_size, self.workers, _stacked
        )
        for number, (x, mask) in enumerate(loaded):
            rows = order[number * batch_size : (number + 1) * batch_size]
            y = rows_of(self.targets, rows) if masks is None else mask
            yield self.preparation.apply(x, y, generator)


class _Pairs:
    def __init__(self, images: DecodedFiles, masks: DecodedFiles | None) -> None:
        self._images, self._masks = images, masks

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, place: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        return self._images[place], None if self._masks is None else self._masks[place]


def _stacked(
    pairs: list[tuple[NDArray[np.uint8], NDArray[np.uint8] | None]],
) -> tuple[Tensor, Tensor | None]:
    images = torch.from_numpy(np.stack([image for image, _ in pairs]))
    masks = [mask for _, mask in pairs if mask is not None]
    return images, torch.from_numpy(np.stack(masks)) if masks else None


def mixing_key(name: str) -> bytes:
    """By which files are sorted to mix them: fixed, even, and hardly moved when a file is added."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()


def fingerprint_of(settings: ImageSettings, classes: Sequence[str], lines: Iterable[str]) -> str:
    """SHA-256 over settings, classes, and one line for each file: its name, its content and its target."""
    digest = hashlib.sha256(f"{settings!r} {list(classes)!r}".encode())
    for line in lines:
        digest.update(f"{line}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
