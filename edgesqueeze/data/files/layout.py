"""What layouts of folders have in common: which files are images, which is the test split, a fixed fifth."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from torchvision.datasets.folder import IMG_EXTENSIONS

from edgesqueeze.data.files.reading import ImageFile
from edgesqueeze.data.files.split import mixing_key
from edgesqueeze.errors import TaskError

TEST_FOLDERS = ("test", "val")
_TEST_FRACTION = 0.2
T = TypeVar("T")


def check_directory(directory: Path, key: str) -> None:
    """Raise TaskError unless it is a directory; ``key`` is what a recipe calls it."""
    if not directory.is_dir():
        raise TaskError(f"{key} {directory} is not a directory")


def folder_of_tests(directory: Path, key: str) -> str:
    """The name of the folder beside train/ that holds the test split: test before val.

    Raises:
        TaskError: neither is there.
    """
    name = next((n for n in TEST_FOLDERS if (directory / n).is_dir()), None)
    if name is None:
        raise TaskError(f"{key} {directory} has train/ but neither test/ nor val/")
    return name


def subfolders(directory: Path, key: str) -> list[str]:
    """The names of a directory's folders, hidden ones left out, in order; none if it is not there."""
    if not directory.is_dir():
        return []
    try:
        return sorted(p.name for p in directory.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise TaskError(f"{key} {directory} cannot be listed: {error}") from error


def images_below(directory: Path, folder: str) -> list[ImageFile]:
    """The images below a folder of the data's directory in order of names; other files are passed over."""
    paths = [
        Path(parent, name)
        for parent, _, names in os.walk(directory / folder, followlinks=True)
        for name in names
        if name.lower().endswith(IMG_EXTENSIONS) and not name.startswith(".")
    ]
    files = [ImageFile(path, path.relative_to(directory).as_posix()) for path in paths]
    return sorted(files, key=lambda file: file.name)


def known_types() -> str:
    """The endings of image files, for messages."""
    return " ".join(IMG_EXTENSIONS)


def fixed_fifth(items: Sequence[T], name: Callable[[T], str]) -> tuple[list[T], list[T]]:
    """Training and test items: a fifth, at least one, is for testing, as the hashes of the names say."""
    ordered = mixed(items, name)
    count = max(1, round(len(ordered) * _TEST_FRACTION))
    # The last ones, so that the training files that are left still mix evenly from the first on.
    return ordered[:-count], sorted(ordered[-count:], key=name)


def mixed(items: Sequence[T], name: Callable[[T], str]) -> list[T]:
    """Items in the fixed order that mixes their names."""
    return sorted(items, key=lambda item: mixing_key(name(item)))
