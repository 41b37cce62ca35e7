"""Folders of images of any structure, for networks that give back what they are shown.

DIR/train with DIR/test (or DIR/val), or DIR alone, of which a fixed fifth becomes the test split.
"""

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

_KEY = "images"


def load_images(directory: Path, settings: ImageSettings) -> TaskData:
    """The images below a folder, each its own target.

    Raises:
        TaskError: there are too few images, or a file is not an image.
    """
    check_directory(directory, _KEY)
    if "train" in subfolders(directory, _KEY):
        test_name = folder_of_tests(directory, _KEY)
        train, test = (_some(directory, name, 1) for name in ("train", test_name))
    else:
        train, test = fixed_fifth(_some(directory, ".", 2), _name)
    reading = settings.reading
    train_files, test_files = examine_splits(mixed(train, _name), test, directory, settings.decoding, reading)
    none = torch.zeros(len(train) + len(test), 0)
    lines = (*train_files.lines([""] * len(train)), *test_files.lines([""] * len(test)))
    return TaskData(
        kind="reconstruction",
        train=SelfTargets(settings.split(train_files, none, "nothing")),
        test=SelfTargets(settings.split(test_files, none, None)),
        classes=(),
        image_shape=settings.image_shape,
        fingerprint=fingerprint_of(settings, (), lines),
        normalization=settings.normalization,
    )


def _some(directory: Path, folder: str, least: int) -> list[ImageFile]:
    files = images_below(directory, folder)
    if len(files) < least:
        raise TaskError(
            f"{directory / folder} has {len(files)} images, at least {least} needed; "
            f"known types are {known_types()}"
        )
    return files


def _name(file: ImageFile) -> str:
    return file.name
