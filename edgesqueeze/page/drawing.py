"""What a network finds in images, drawn on them: boxes, classes of pixels, and pictures given back."""

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from edgesqueeze.task.task import Task

Picture = NDArray[np.uint8]
"""RGB [H, W, 3]."""
_SURE = 0.4
"""Boxes below this score are not drawn."""
_SMALLEST = 160
"""Columns of a drawn picture, at least: small images are enlarged by whole numbers."""


def images_of(task: Task, x: torch.Tensor) -> list[Picture]:
    """Inputs [N, C, H, W] as RGB of 0 to 255, spread over that range where the task does not say how."""
    if task.kind == "reconstruction":
        return [_levels(image) for image in x.numpy().clip(0, 1)]
    if task.normalization is not None:
        return [_rgb(image) for image in task.normalization.pixels(x.numpy())]
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    spread = (x - low) / (high - low).clamp(min=1e-9)
    return [_levels(image) for image in spread.numpy()]


def truth_of(task: Task, images: Sequence[Picture], targets: Any) -> list[Image.Image]:
    """What is right, drawn on each image; of a classifier and of a reconstruction the image itself."""
    match task.kind:
        case "detection":
            wanted = [
                [(box, int(label), "") for box, label in zip(boxes, labels, strict=True) if label >= 0]
                for boxes, labels in zip(targets["boxes"].numpy(), targets["labels"].numpy(), strict=True)
            ]
            return [_with_boxes(*pair, task.classes) for pair in zip(images, wanted, strict=True)]
        case "segmentation":
            return _with_masks(images, targets.numpy(), len(task.classes))
        case _:
            return [enlarged(image) for image in images]


def answers_of(
    task: Task, images: Sequence[Picture], outputs: Mapping[str, NDArray[np.float32]]
) -> list[Image.Image]:
    """What a file's outputs [N, ...] say of each image, drawn on it; of a classifier the image itself."""
    match task.kind:
        case "detection":
            assert task.decoding is not None
            found = [
                [
                    (box, int(label), f" {score:.2f}")
                    for box, label, score in zip(one.boxes, one.labels, one.scores, strict=True)
                    if score >= _SURE
                ]
                for one in task.decoding.decode(dict(outputs))
            ]
            return [_with_boxes(*pair, task.classes) for pair in zip(images, found, strict=True)]
        case "segmentation":
            return _with_masks(images, next(iter(outputs.values())).argmax(1), len(task.classes))
        case "reconstruction":
            return [enlarged(_levels(image)) for image in next(iter(outputs.values())).clip(0, 1)]
        case _:
            return [enlarged(image) for image in images]


def enlarged(image: Picture) -> Image.Image:
    """A picture large enough to be seen."""
    height, width = image.shape[:2]
    zoom = _zoom(image)
    return Image.fromarray(image).resize((width * zoom, height * zoom), Image.Resampling.NEAREST)


def _zoom(image: Picture) -> int:
    return max(1, -(-_SMALLEST // int(image.shape[1])))


def _with_boxes(image: Picture, drawn: Sequence[tuple[Any, int, str]], classes: Sequence[str]) -> Image.Image:
    picture = enlarged(image)
    pen = ImageDraw.Draw(picture)
    for box, label, score in drawn:
        color = _color(label, len(classes))
        left, top, right, bottom = (float(side) * _zoom(image) for side in box)
        pen.rectangle((left, top, right, bottom), outline=color, width=2)
        place, text = (left + 3, top + 2), f"{classes[label]}{score}"
        pen.rectangle(pen.textbbox(place, text), fill=color)  # letters alone drown in a busy image
        pen.text(place, text, fill="black")
    return picture


def _with_masks(images: Sequence[Picture], masks: NDArray[Any], count: int) -> list[Image.Image]:
    """Colours of the classes over the images; class 0 is left clear."""
    colors = np.array([_color(label, count) for label in range(count)], np.float32)
    drawn = []
    for image, mask in zip(images, masks, strict=True):
        covered = (mask > 0) & (mask < count)
        tinted = 0.35 * image + 0.65 * colors[np.where(covered, mask, 0)]
        drawn.append(enlarged(np.where(covered[..., None], tinted, image).astype(np.uint8)))
    return drawn


def _levels(image: NDArray[Any]) -> Picture:
    """An image [C, H, W] of 0 to 1."""
    return _rgb(np.rint(image * 255).astype(np.uint8))


def _rgb(image: NDArray[np.uint8]) -> Picture:
    """An image [1, H, W] or [3, H, W] with its channels last, grey ones three times."""
    return np.ascontiguousarray(np.repeat(image, 3 // len(image), axis=0).transpose(1, 2, 0))


def _color(label: int, count: int) -> tuple[int, ...]:
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(label / count, 0.85, 1.0))
