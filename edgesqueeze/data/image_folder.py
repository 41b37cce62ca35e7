"""Folders of image files, one folder per class, in torchvision's ImageFolder layout.

Either DIR/train/<class>/* with DIR/test/<class>/* (or DIR/val), or DIR/<class>/* alone, of which a fixed
fifth of every class becomes the test split.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from edgesqueeze.data.files.layout import (
    TEST_FOLDERS,
    check_directory,
    fixed_fifth,
    folder_of_tests,
    images_below,
    known_types,
    mixed,
    subfolders,
)
from edgesqueeze.data.files.reading import ImageFile, examine_splits
from edgesqueeze.data.files.split import ImageSettings, fingerprint_of
from edgesqueeze.data.task_data import TaskData
from edgesqueeze.errors import TaskError

_KEY = "image_folder"


@dataclass(frozen=True)
class LabelledFile:
    """An image file and its class index."""

    file: ImageFile
    label: int


def load_image_folder(directory: Path, settings: ImageSettings) -> TaskData:
    """The data in a folder. Every file is read once to fingerprint it and to check its header.

    The training split is in a fixed order that mixes the classes, the test split in order of names.
    Classes are numbered in order of their folders' names.

    Raises:
        TaskError: the layout is neither of the two, the classes differ between training and test, a class
            has too few images, or a file is not an image.
    """
    check_directory(directory, _KEY)
    if subfolders(directory / "train", _KEY):
        classes, train, test = _two_folders(directory)
    else:
        classes, train, test = _one_folder(directory)
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none"
        raise TaskError(f"image_folder {directory} needs at least two class folders; found {found}")
    reading = settings.reading
    train_files, test_files = examine_splits(
        _files(train), _files(test), directory, settings.decoding, reading
    )
    lines = (*train_files.lines(_labels(train)), *test_files.lines(_labels(test)))
    return TaskData(
        kind="classification",
        train=settings.split(train_files, torch.tensor(_labels(train)), "nothing"),
        test=settings.split(test_files, torch.tensor(_labels(test)), None),
        classes=tuple(classes),
        image_shape=settings.image_shape,
        fingerprint=fingerprint_of(settings, classes, lines),
        normalization=settings.normalization,
    )


def _files(labelled: list[LabelledFile]) -> list[ImageFile]:
    return [each.file for each in labelled]


def _labels(labelled: list[LabelledFile]) -> list[int]:
    return [each.label for each in labelled]


_Folders = tuple[list[str], list[LabelledFile], list[LabelledFile]]


def _two_folders(directory: Path) -> _Folders:
    name = folder_of_tests(directory, _KEY)
    classes, tested = subfolders(directory / "train", _KEY), subfolders(directory / name, _KEY)
    different = sorted(set(classes) ^ set(tested))
    if different:
        has, lacks = ("train", name) if different[0] in classes else (name, "train")
        raise TaskError(
            f"image_folder {directory}: class {different[0]!r} is in {has}/ but not in {lacks}/"
            f" ({len(different)} such classes); both must have the same"
        )
    train, test = (
        [f for label, c in enumerate(classes) for f in _class_files(directory, f"{folder}/{c}", label, 1)]
        for folder in ("train", name)
    )
    return classes, mixed(train, _name), test


def _one_folder(directory: Path) -> _Folders:
    classes = subfolders(directory, _KEY)
    if set(classes) and set(classes) <= set(TEST_FOLDERS):
        raise TaskError(f"image_folder {directory} has {classes[0]}/ but no train/ with class folders in it")
    train: list[LabelledFile] = []
    test: list[LabelledFile] = []
    for label, name in enumerate(classes):
        kept, tested = fixed_fifth(_class_files(directory, name, label, 2), _name)
        train += kept
        test += tested
    return classes, mixed(train, _name), sorted(test, key=_name)


def _class_files(directory: Path, folder: str, label: int, least: int) -> list[LabelledFile]:
    files = images_below(directory, folder)
    if len(files) < least:
        raise TaskError(
            f"class folder {directory / folder} has {len(files)} images, at least {least} needed; "
            f"known types are {known_types()}"
        )
    return [LabelledFile(file, label) for file in files]


def _name(labelled: LabelledFile) -> str:
    return labelled.file.name
