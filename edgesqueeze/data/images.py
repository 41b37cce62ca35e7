"""Folders of images of any structure, for networks that give back what they are shown, and without labels.

DIR/train with DIR/test (or DIR/val), or DIR alone, of which a fixed fifth becomes the test split, or half of
it without labels.
"""

from dataclasses import replace
from pathlib import Path

import torch

from edgesqueeze.data.files.layout import (
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
from edgesqueeze.data.task_data import SelfTargets, TaskData
from edgesqueeze.errors import TaskError
from edgesqueeze.kinds import TaskKind

_KEY = "images"
FEWEST_UNLABELLED = 16
"""Of fewer images a share says nothing, and ranges are those of the images."""
_Files = list[ImageFile]


def load_images(directory: Path, settings: ImageSettings) -> TaskData:
    """The images below a folder, each its own target.

    Raises:
        TaskError: there are too few images, or a file is not an image.
    """
    check_directory(directory, _KEY)
    splits = _given_splits(directory, 1) or fixed_fifth(_some(directory, ".", 2), _name)
    data = _loaded(directory, settings, splits)
    return replace(data, train=SelfTargets(data.train), test=SelfTargets(data.test))


def load_unlabelled(directory: Path, settings: ImageSettings, kind: TaskKind) -> TaskData:
    """The images below a folder for a network of some kind, without targets.

    Of DIR alone one half, in a fixed and mixed order, calibrates, and the other measures.

    Raises:
        TaskError: there are too few images, or a file is not an image.
    """
    check_directory(directory, _KEY)
    splits = _given_splits(directory, FEWEST_UNLABELLED)
    if splits is None:
        files = mixed(_some(directory, ".", 2 * FEWEST_UNLABELLED), _name)
        splits = files[: len(files) // 2], files[len(files) // 2 :]
    return replace(_loaded(directory, settings, splits), kind=kind, labelled=False)


def _given_splits(directory: Path, least: int) -> tuple[_Files, _Files] | None:
    """The images of DIR/train and DIR/test (or val), at least so many of each; None without DIR/train."""
    if "train" not in subfolders(directory, _KEY):
        return None
    test_name = folder_of_tests(directory, _KEY)
    return _some(directory, "train", least), _some(directory, test_name, least)


def _loaded(directory: Path, settings: ImageSettings, splits: tuple[_Files, _Files]) -> TaskData:
    train, test = splits
    reading = settings.reading
    train_files, test_files = examine_splits(mixed(train, _name), test, directory, settings.decoding, reading)
    none = torch.zeros(len(train) + len(test), 0)
    lines = (*train_files.lines([""] * len(train)), *test_files.lines([""] * len(test)))
    return TaskData(
        kind="reconstruction",
        train=settings.split(train_files, none[: len(train)], "nothing"),
        test=settings.split(test_files, none[: len(test)], None),
        classes=(),
        image_shape=settings.image_shape,
        fingerprint=fingerprint_of(settings, (), lines),
        normalization=settings.normalization,
    )


def _some(directory: Path, folder: str, least: int) -> _Files:
    files = images_below(directory, folder)
    if len(files) < least:
        raise TaskError(
            f"{directory / folder} has {len(files)} images, at least {least} needed; "
            f"known types are {known_types()}"
        )
    return files


def _name(file: ImageFile) -> str:
    return file.name
