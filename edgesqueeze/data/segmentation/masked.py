"""What the layouts of segmentation have in common: pairs of image and mask, checked and made into data."""

from dataclasses import dataclass
from pathlib import Path

from edgesqueeze.data.augmentation import Moved
from edgesqueeze.data.files.decoding import MaskDecoding
from edgesqueeze.data.files.layout import mixed
from edgesqueeze.data.files.reading import Examined, ImageFile, examine_splits
from edgesqueeze.data.files.split import FileSplit, ImageSettings, fingerprint_of
from edgesqueeze.data.task_data import TaskData
from edgesqueeze.errors import TaskError


@dataclass(frozen=True)
class MaskedImage:
    """An image file and the file of its mask."""

    file: ImageFile
    mask: ImageFile


@dataclass(frozen=True)
class Meanings:
    """The classes of masks, and what each of the 256 values of a file means (see ``MaskDecoding``)."""

    classes: tuple[str, ...]
    values: tuple[int, ...]


def segmentation_data(
    splits: tuple[list[MaskedImage], list[MaskedImage]],
    meanings: Meanings,
    folder: Path,
    settings: ImageSettings,
) -> TaskData:
    """Pairs of image and mask, training and test, as data; the former in a fixed order that mixes names.

    Raises:
        TaskError: a split has no images, a file is no image, an image and its mask differ in size, or a mask
            has a value without a meaning.
    """
    for name, split in zip(("training", "test"), splits, strict=True):
        if not split:
            raise TaskError(f"{folder}: the {name} split has no images")
    train, test = mixed(splits[0], lambda pair: pair.file.name), splits[1]
    decoding = MaskDecoding(settings.size, meanings.values)
    images = examine_splits(_images(train), _images(test), folder, settings.decoding, settings.reading)
    masks = examine_splits(_masks(train), _masks(test), folder, decoding, settings.reading)
    made: list[FileSplit] = []
    lines: list[str] = []
    moves: tuple[Moved | None, ...] = ("mask", None)
    for pictures, answers, moved in zip(images, masks, moves, strict=True):
        _check_sizes(pictures, answers)
        cached = answers.decoded(decoding, settings.reading.cache)
        made.append(settings.split(pictures, cached, moved))
        lines += pictures.lines(facts.sha256 for facts in answers.facts)
    return TaskData(
        kind="segmentation",
        train=made[0],
        test=made[1],
        classes=meanings.classes,
        image_shape=settings.image_shape,
        fingerprint=fingerprint_of(settings, (*meanings.classes, str(meanings.values)), lines),
        normalization=settings.normalization,
    )


def _check_sizes(images: Examined, masks: Examined) -> None:
    for file, image, mask, found in zip(images.files, images.facts, masks.files, masks.facts, strict=True):
        if (image.width, image.height) != (found.width, found.height):
            raise TaskError(
                f"image {file.path} has {image.width} × {image.height} pixels, "
                f"but its mask {mask.path} has {found.width} × {found.height}"
            )


def _images(pairs: list[MaskedImage]) -> list[ImageFile]:
    return [pair.file for pair in pairs]


def _masks(pairs: list[MaskedImage]) -> list[ImageFile]:
    return [pair.mask for pair in pairs]
