"""What scenes are made of: items of Fashion-MNIST and MNIST, or images with transparency, cut out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edgesqueeze.data import ItemName
from edgesqueeze.data.files.decoding import unreadable
from edgesqueeze.data.files.layout import check_directory, fixed_fifth, images_below
from edgesqueeze.data.files.reading import ImageFile
from edgesqueeze.data.named import load_named
from edgesqueeze.data.splits import DataSplit
from edgesqueeze.data.task_data import reconstruction
from edgesqueeze.errors import TaskError

_ENOUGH = 5
"""A folder of fewer images is no class, unless it is named as one."""
_OPAQUE = 128
_GRAY_OPAQUE = 12


class Items(Protocol):
    """Cut-outs of one split, each with its class."""

    @property
    def labels(self) -> NDArray[np.int64]:
        """[N]."""
        ...

    def cutout(self, place: int, longest: int, tint: NDArray[np.float64]) -> NDArray[np.float32]:
        """Red, green, blue times alpha, 0 to 255, and alpha, 0 to 1: [h, w, 4] with max(h, w) = longest.

        ``tint`` is a colour, [3] from 0 to 1, for items that have none of their own.
        """
        ...


@dataclass(frozen=True, eq=False)
class GrayItems:
    """Images uint8 [N, H, W], bright on black; only what is nearly black is not opaque."""

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def cutout(self, place: int, longest: int, tint: NDArray[np.float64]) -> NDArray[np.float32]:
        """See :meth:`Items.cutout`."""
        pixels = self.images[place]
        image = Image.fromarray(pixels).crop(_extent(pixels >= _GRAY_OPAQUE))
        gray = np.asarray(_scaled(image, longest), np.float32)[..., None] / 255
        alpha = np.minimum(gray * (255 / 2 / _GRAY_OPAQUE), 1)
        return np.concatenate([alpha * (0.3 + 0.7 * gray) * tint.astype(np.float32) * 255, alpha], -1)


@dataclass(frozen=True, eq=False)
class ColourItems:
    """Images of Pillow's mode RGBa, colours times alpha, cut off at what is opaque."""

    images: Sequence[Image.Image]
    labels: NDArray[np.int64]

    def cutout(self, place: int, longest: int, tint: NDArray[np.float64]) -> NDArray[np.float32]:  # noqa: ARG002
        """See :meth:`Items.cutout`; they have colours of their own."""
        rgba = np.array(_scaled(self.images[place], longest), np.float32)
        rgba[..., 3] /= 255
        return rgba


@dataclass(frozen=True, eq=False)
class ItemSets:
    """Disjoint items for training and for test scenes, and the names of their classes."""

    train: Items
    test: Items
    classes: tuple[str, ...]


def load_items(items: ItemName | Path, classes: tuple[str, ...] | None, largest: int) -> ItemSets:
    """Items of a named data set, by its own two splits, or of a folder, by a fixed fifth.

    Args:
        items: a name, or a folder of images with transparency, sorted into folders by class.
        classes: of a named data set, the names of those wanted; of a folder, folders below it, each with
            everything in it. None means all: of a folder, every folder in which at least five images lie.
        largest: no item will be asked for with a longer side.

    Raises:
        TaskError: something is missing, no image, or wholly transparent.
    """
    if not isinstance(items, Path):
        return _named(items, classes)
    check_directory(items, "items")
    _check_apart(items, classes or ())
    found = (
        _class_folders(items) if classes is None else [(name, images_below(items, name)) for name in classes]
    )
    if not found:
        raise TaskError(f"items {items} has no folder with at least {_ENOUGH} images in it")
    few = next(((name, files) for name, files in found if len(files) < 2), None)
    if few is not None:
        raise TaskError(f"items {items}: class {few[0]!r} has {len(few[1])} images, at least 2 needed")
    splits: tuple[list[tuple[ImageFile, int]], ...] = ([], [])
    for label, (_, files) in enumerate(found):
        for split, part in zip(splits, fixed_fifth(files, lambda file: file.name), strict=True):
            split += [(file, label) for file in part]
    train, test = (_colour_items(split, largest) for split in splits)
    return ItemSets(train, test, tuple(name for name, _ in found))


def _check_apart(items: Path, classes: tuple[str, ...]) -> None:
    """An item of two classes would be right and wrong at once, and could lie in both splits."""
    pairs = ((one, other) for one in classes for other in classes if one != other)
    nested = next((pair for pair in pairs if (items / pair[1]).is_relative_to(items / pair[0])), None)
    if nested is not None:
        raise TaskError(
            f"items {items}: class {nested[1]!r} lies inside {nested[0]!r}; no class may hold another"
        )


def _named(name: ItemName, classes: tuple[str, ...] | None) -> ItemSets:
    data = load_named(name)
    wanted = data.classes if classes is None else classes
    unknown = next((c for c in wanted if c not in data.classes), None)
    if unknown is not None:
        raise TaskError(f"{name} has no class {unknown!r}; allowed: {', '.join(data.classes)}")
    plain = reconstruction(data)
    numbers = [data.classes.index(c) for c in wanted]
    train, test = (
        _gray_items(labelled, images, numbers)
        for labelled, images in ((data.train, plain.train), (data.test, plain.test))
    )
    return ItemSets(train, test, wanted)


def _gray_items(labelled: DataSplit, images: DataSplit, numbers: list[int]) -> GrayItems:
    size = 4096
    labels = np.concatenate([y.numpy() for _, y in labelled.batches(size)])
    pixels = np.concatenate([(x[:, 0] * 255).round().byte().numpy() for x, _ in images.batches(size)])
    chosen = np.isin(labels, numbers) & (pixels >= _GRAY_OPAQUE).any((1, 2))
    places = np.zeros(max(numbers) + 1, np.int64)
    places[numbers] = np.arange(len(numbers))
    return GrayItems(pixels[chosen], places[labels[chosen]])


def _class_folders(directory: Path) -> list[tuple[str, list[ImageFile]]]:
    by_folder: dict[str, list[ImageFile]] = {}
    for file in images_below(directory, "."):
        by_folder.setdefault(file.path.parent.relative_to(directory).as_posix(), []).append(file)
    return sorted((name, files) for name, files in by_folder.items() if len(files) >= _ENOUGH and name != ".")


def _colour_items(files: list[tuple[ImageFile, int]], largest: int) -> ColourItems:
    images = [_read(file.path, largest) for file, _ in files]
    return ColourItems(images, np.array([label for _, label in files], np.int64))


def _read(path: Path, largest: int) -> Image.Image:
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGBA")
    except Exception as error:  # Pillow's decoders raise many unrelated types
        raise unreadable(path, error) from error
    opaque = np.asarray(image.getchannel("A")) >= _OPAQUE
    if not opaque.any():
        raise TaskError(f"image {path} has no opaque pixel that could be cut out")
    cut = image.crop(_extent(opaque)).convert("RGBa")
    # Twice as large as it is ever needed: smaller sizes are made of fewer pixels then.
    return _scaled(cut, 2 * largest) if max(cut.size) > 2 * largest else cut


def _extent(opaque: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the pixels that are set."""
    rows, columns = np.flatnonzero(opaque.any(1)), np.flatnonzero(opaque.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _scaled(image: Image.Image, longest: int) -> Image.Image:
    factor = longest / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.BILINEAR)
