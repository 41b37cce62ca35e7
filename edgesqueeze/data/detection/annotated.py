"""What the layouts of detection have in common: images with boxes, checked and made into batches' targets."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesqueeze.data.files.cache import FileFacts
from edgesqueeze.data.files.layout import mixed
from edgesqueeze.data.files.reading import Examined, ImageFile, examine_splits
from edgesqueeze.data.files.split import ImageSettings, fingerprint_of
from edgesqueeze.data.task_data import TaskData
from edgesqueeze.errors import TaskError

_ROUNDING = 1.0
"""Annotations round in many ways: a box may reach so many pixels beyond its image, and is cut off."""


@dataclass(frozen=True, slots=True)
class Box:
    """One object: x1, y1, x2, y2 in pixels of the file, its class, and whether it is not counted."""

    corners: tuple[float, float, float, float]
    label: int
    crowd: bool = False


@dataclass(frozen=True)
class AnnotatedImage:
    """An image file and what is said of it in ``source``.

    ``size`` is the (width, height) that the annotation claims, None where it claims none. With ``relative``
    the boxes are in shares of the image's width and height.
    """

    file: ImageFile
    boxes: list[Box]
    source: Path
    size: tuple[int, int] | None = None
    relative: bool = False


def detection_data(
    train: list[AnnotatedImage],
    test: list[AnnotatedImage],
    classes: tuple[str, ...],
    folder: Path,
    settings: ImageSettings,
) -> TaskData:
    """Annotated images as data; the training split in a fixed order that mixes names.

    Boxes without an area are left out: COCO's own files hold some.

    Raises:
        TaskError: a split has no images, a file is no image or of another size than its annotation says, or a
            box lies outside its image or ends before it begins.
    """
    for name, split in (("training", train), ("test", test)):
        if not split:
            raise TaskError(f"{folder}: the {name} split has no images")
    train = mixed(train, lambda image: image.file.name)
    train_files, test_files = examine_splits(
        [image.file for image in train],
        [image.file for image in test],
        folder,
        settings.decoding,
        settings.reading,
    )
    most = max(1, *(len(image.boxes) for image in (*train, *test)))
    lines = (
        *train_files.lines(image.boxes for image in train),
        *test_files.lines(image.boxes for image in test),
    )
    return TaskData(
        kind="detection",
        train=settings.split(train_files, _targets(train, train_files, most, settings.size), "boxes"),
        test=settings.split(test_files, _targets(test, test_files, most, settings.size), None),
        classes=classes,
        image_shape=settings.image_shape,
        fingerprint=fingerprint_of(settings, classes, lines),
        normalization=settings.normalization,
    )


def _targets(
    images: list[AnnotatedImage], files: Examined, most: int, size: tuple[int, int]
) -> dict[str, Tensor]:
    boxes = np.zeros((len(images), most, 4), np.float32)
    labels = np.full((len(images), most), -1, np.int64)
    crowd = np.zeros((len(images), most), np.bool_)
    for row, (image, facts) in enumerate(zip(images, files.facts, strict=True)):
        _check_size(image, facts)
        scale = [size[1] / facts.width, size[0] / facts.height] * 2
        place = 0
        for box in image.boxes:
            corners = _in_pixels(box, image, facts)
            if corners[0] == corners[2] or corners[1] == corners[3]:
                continue
            boxes[row, place] = corners * scale
            labels[row, place], crowd[row, place] = box.label, box.crowd
            place += 1
    return {
        "boxes": torch.from_numpy(boxes),
        "labels": torch.from_numpy(labels),
        "crowd": torch.from_numpy(crowd),
    }


def _check_size(image: AnnotatedImage, facts: FileFacts) -> None:
    if image.size is not None and image.size != (facts.width, facts.height):
        raise TaskError(
            f"{image.source} says that {image.file.path.name} has {image.size[0]} × {image.size[1]} pixels, "
            f"but the file has {facts.width} × {facts.height}"
        )


def _in_pixels(box: Box, image: AnnotatedImage, facts: FileFacts) -> NDArray[np.float64]:
    edges = np.array([facts.width, facts.height] * 2, np.float64)
    corners = np.array(box.corners, np.float64) * (edges if image.relative else 1)
    x1, y1, x2, y2 = corners.tolist()
    what = (
        f"{image.source}: a box of {image.file.path.name} is {x1:g}, {y1:g}, {x2:g}, {y2:g} (x1, y1, x2, y2)"
    )
    if not (x1 <= x2 and y1 <= y2):  # of a NaN neither holds
        raise TaskError(f"{what}, which ends before it begins")
    if min(x1, y1) < -_ROUNDING or (corners > edges + _ROUNDING).any():
        raise TaskError(f"{what}, outside the image of {facts.width} × {facts.height} pixels")
    return np.clip(corners, 0, edges)
