"""Training images flipped, shifted, scaled and tinted at random, their boxes and masks moved along.

Flips and shifts work on a batch at a time, so that they cost little; scales and colours on one image after
the other, by torchvision's transforms (v2).
"""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as moves

from edgesqueeze.kinds import IGNORED
from edgesqueeze.trees import Tree

_KEPT = 0.25
"""A box of which less than this share of its area is left after a move is taken out: who could name it?"""
_DRAWS = 9
Moved = Literal["nothing", "boxes", "mask"]
"""What of a batch's targets moves with its images."""


@dataclass(frozen=True)
class Batch:
    """Images uint8 [n, C, H, W] with what moves along: masks uint8 [n, H, W], or boxes.

    ``boxes`` are float32 [n, M, 4] as x1, y1, x2, y2 in pixels, ``labels`` int64 [n, M], -1 for padding.
    """

    images: Tensor
    masks: Tensor | None = None
    boxes: Tensor | None = None
    labels: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.images.shape[-2], self.images.shape[-1]


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training image each time it is shown.

    Args:
        flip: mirror every second image, left to right.
        crop: shift by up to so many pixels in both directions; what comes in is black, and ignored in masks.
        scale_jitter: lowest and highest factor by which an image is scaled about a place of its own; a
            smaller one is surrounded by black.
        color: strength of changes of brightness, contrast and saturation: factors in 1 ± color.
    """

    flip: bool = False
    crop: int = 0
    scale_jitter: tuple[float, float] | None = None
    color: float = 0.0

    def apply(self, x: Tensor, y: Tree, moved: Moved, generator: torch.Generator) -> tuple[Tensor, Tree]:
        """Images uint8 [n, C, H, W] and their targets, changed by what the generator says.

        Every image takes the same number of draws whatever is switched on, so that a setting more does not
        change what the others do.
        """
        draws = torch.rand(len(x), _DRAWS, generator=generator)
        batch = _batch_of(x, y, moved)
        if self.flip:
            batch = _flipped(batch, draws[:, 0] < 0.5)
        if self.crop:
            batch = _shifted(batch, (draws[:, 1:3] * (2 * self.crop + 1)).long() - self.crop)
        if self.scale_jitter is not None:
            low, high = self.scale_jitter
            batch = _scaled(batch, low + (high - low) * draws[:, 3], draws[:, 4:6])
        if self.color:
            batch = _tinted(batch, 1 + self.color * (2 * draws[:, 6:9] - 1))
        return batch.images, _targets_of(batch, y)


def _batch_of(x: Tensor, y: Tree, moved: Moved) -> Batch:
    if moved == "boxes":
        return Batch(x, boxes=y["boxes"], labels=y["labels"])
    return Batch(x, masks=y if moved == "mask" else None)


def _targets_of(batch: Batch, y: Tree) -> Tree:
    if batch.boxes is not None:
        return {**y, "boxes": batch.boxes, "labels": batch.labels}
    return y if batch.masks is None else batch.masks


def _flipped(batch: Batch, chosen: Tensor) -> Batch:
    places = chosen.view(-1, 1, 1)
    flipped = replace(
        batch, images=torch.where(places.unsqueeze(-1), moves.horizontal_flip(batch.images), batch.images)
    )
    if batch.masks is not None:
        flipped = replace(flipped, masks=torch.where(places, batch.masks.flip(-1), batch.masks))
    if batch.boxes is not None:
        mirrored = moves.horizontal_flip(_tv_boxes(batch.boxes, batch.size)).view_as(batch.boxes)
        flipped = _with_boxes(flipped, torch.where(places, mirrored.as_subclass(Tensor), batch.boxes))
    return flipped


def _shifted(batch: Batch, offsets: Tensor) -> Batch:
    """Everything moved by (rows, columns), int64 [n, 2]."""
    shifted = replace(batch, images=_windows(batch.images, offsets, 0))
    if batch.masks is not None:
        shifted = replace(shifted, masks=_windows(batch.masks, offsets, IGNORED))
    if batch.boxes is not None:
        right_and_down = offsets.flip(1).repeat(1, 2).unsqueeze(1)
        shifted = _with_boxes(shifted, batch.boxes + right_and_down)
    return shifted


def _windows(x: Tensor, offsets: Tensor, fill: int) -> Tensor:
    margin = int(offsets.abs().max())
    padded = F.pad(x, [margin] * 4, value=fill)
    out = torch.empty_like(x)
    # A copy of one slice after the other is several times faster than one gather by indices.
    for row, (down, right) in enumerate(offsets.tolist()):
        top, left = margin - down, margin - right
        out[row] = padded[row, ..., top : top + x.shape[-2], left : left + x.shape[-1]]
    return out


def _scaled(batch: Batch, factors: Tensor, places: Tensor) -> Batch:
    """Every image scaled by its factor, [n], about a place: shares of what it gains or lacks, [n, 2]."""
    height, width = batch.size
    images, masks, boxes = [], [], []
    for row, (factor, (down, right)) in enumerate(zip(factors.tolist(), places.tolist(), strict=True)):
        window = max(1, round(height / factor)), max(1, round(width / factor))
        top, left = round(down * (height - window[0])), round(right * (width - window[1]))
        frame = _Window(top, left, window, batch.size)
        images.append(frame.of_image(batch.images[row]))
        if batch.masks is not None:
            masks.append(frame.of_mask(batch.masks[row]))
        if batch.boxes is not None:
            boxes.append(frame.of_boxes(batch.boxes[row]))
    scaled = replace(batch, images=torch.stack(images), masks=torch.stack(masks) if masks else None)
    return _with_boxes(scaled, torch.stack(boxes)) if boxes else scaled


@dataclass(frozen=True)
class _Window:
    """A window of an image, which may reach beyond it, and becomes the whole new image."""

    top: int
    left: int
    window: tuple[int, int]
    size: tuple[int, int]

    def of_image(self, image: Tensor) -> Tensor:
        return self._cut(tv_tensors.Image(image), 0)

    def of_mask(self, mask: Tensor) -> Tensor:
        return self._cut(tv_tensors.Mask(mask), IGNORED)

    def of_boxes(self, boxes: Tensor) -> Tensor:
        down, right = self.size[0] / self.window[0], self.size[1] / self.window[1]
        origin = torch.tensor([self.left, self.top] * 2)
        return (boxes - origin) * torch.tensor([right, down] * 2)

    def _cut(self, x: Tensor, fill: int) -> Tensor:
        height, width = self.size
        bottom, right = self.top + self.window[0], self.left + self.window[1]
        left, top = max(0, -self.left), max(0, -self.top)
        padding = [left, top, max(0, right - width), max(0, bottom - height)]
        padded = moves.pad(x, padding, fill=fill) if any(padding) else x
        cut = moves.resized_crop(padded, self.top + top, self.left + left, *self.window, list(self.size))
        plain: Tensor = cut.as_subclass(Tensor)
        return plain


def _tinted(batch: Batch, factors: Tensor) -> Batch:
    """Brightness, contrast and saturation of every image times its three factors, [n, 3]."""
    images = []
    for image, (brightness, contrast, saturation) in zip(batch.images, factors.tolist(), strict=True):
        bright = moves.adjust_contrast(moves.adjust_brightness(image, brightness), contrast)
        images.append(moves.adjust_saturation(bright, saturation) if len(image) == 3 else bright)
    return replace(batch, images=torch.stack(images))


def _tv_boxes(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    made: Tensor = tv_tensors.BoundingBoxes(boxes.reshape(-1, 4), format="XYXY", canvas_size=size)
    return made


def _with_boxes(batch: Batch, boxes: Tensor) -> Batch:
    """Boxes as they were moved, cut off at the image's edges; those of which little is left are taken out."""
    assert batch.labels is not None
    clipped = moves.clamp_bounding_boxes(_tv_boxes(boxes, batch.size)).view_as(boxes).as_subclass(Tensor)
    kept = (batch.labels >= 0) & (_area(clipped) > 0) & (_area(clipped) >= _KEPT * _area(boxes))
    return replace(
        batch,
        boxes=torch.where(kept.unsqueeze(-1), clipped, torch.zeros(())),
        labels=torch.where(kept, batch.labels, -1),
    )


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
