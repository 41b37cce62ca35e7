"""What happens to stored images and targets as batches are made of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from edgesqueeze.normalization import Normalization
from edgesqueeze.trees import Tree, map_tree

if TYPE_CHECKING:  # it brings torchvision, which most recipes do without
    from edgesqueeze.data.augmentation import Augmentation, Moved


@dataclass(frozen=True)
class Sizing:
    """What images become before a model sees them.

    They are resized to ``image_size`` (height, width), bilinear with half-pixel centres; a grayscale image is
    repeated ``channels`` times.
    """

    image_size: tuple[int, int] | None = None
    channels: int = 1


@dataclass(frozen=True)
class Preparation:
    """Augmentation of training batches, then scaling to [0, 1], normalization and sizing, in this order.

    ``moved`` says what of the targets an augmentation moves along.
    """

    normalization: Normalization | None = None
    sizing: Sizing = Sizing()
    augmentation: Augmentation | None = None
    moved: Moved = "nothing"

    def apply(self, x: Tensor, y: Tree, generator: torch.Generator | None) -> tuple[Tensor, Tree]:
        """What a model is given, of images uint8 or float32 [n, C, ...] and their targets.

        Without a generator nothing is augmented. Targets of uint8, such as masks, become int64.
        """
        if self.augmentation is not None and generator is not None:
            x, y = self.augmentation.apply(x, y, self.moved, generator)
        return self._images(x), map_tree(_countable, y)

    def _images(self, x: Tensor) -> Tensor:
        images = x.to(torch.float32) / 255 if x.dtype == torch.uint8 else x
        if self.normalization is not None:
            mean, std = (
                torch.tensor(numbers).view(1, -1, *[1] * (images.ndim - 2))
                for numbers in (self.normalization.mean, self.normalization.std)
            )
            images = (images - mean) / std
        if self.sizing.image_size is not None:
            images = F.interpolate(images, self.sizing.image_size, mode="bilinear", antialias=True)
        return images.repeat(1, self.sizing.channels, 1, 1) if self.sizing.channels != 1 else images


def _countable(target: Tensor) -> Tensor:
    return target.to(torch.int64) if target.dtype == torch.uint8 else target
