"""Folders of image files, one folder per class, in torchvision's ImageFolder layout.

Either DIR/train/<class>/* with DIR/test/<class>/* (or DIR/val), or DIR/<class>/* alone, of which a fixed
fifth of every class becomes the test split.
"""

import hashlib
import os
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import Dataset
from torchvision import transforms
from torchvision.datasets.folder import IMG_EXTENSIONS

from edgesqueeze.data.splits import ClassificationData, DatasetSplit, Normalization
from edgesqueeze.errors import TaskError

_TEST_FOLDERS = ("test", "val")
_TEST_FRACTION = 0.2


@dataclass(frozen=True)
class ImageSettings:
    """How a file becomes a tensor: resized to (height, width), scaled to [0, 1], normalized.

    One value in ``normalization`` makes images grayscale, three make them RGB.
    """

    size: tuple[int, int]
    normalization: Normalization

    @property
    def channels(self) -> int:
        """1 or 3."""
        return len(self.normalization.mean)


@dataclass(frozen=True)
class LabelledFile:
    """An image file, its class index, and its name relative to the data's folder."""

    path: Path
    label: int
    name: str


class ImageFiles(Dataset[tuple[Tensor, int]]):
    """Items (float32 [C, H, W], class index), decoded when they are asked for."""

    def __init__(self, files: list[LabelledFile], settings: ImageSettings) -> None:
        self._files = files
        self._mode = "L" if settings.channels == 1 else "RGB"
        self._transform = transforms.Compose(
            [
                transforms.Resize(settings.size),
                transforms.ToTensor(),
                transforms.Normalize(settings.normalization.mean, settings.normalization.std),
            ]
        )

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """One image and its class.

        Raises:
            TaskError: the file cannot be decoded.
        """
        file = self._files[index]
        try:
            with Image.open(file.path) as image:
                pixels = image.convert(self._mode)
        except Exception as error:  # Pillow's decoders raise many unrelated types
            raise _unreadable(file.path, error) from error
        tensor: Tensor = self._transform(pixels)
        return tensor, file.label


def load_image_folder(directory: Path, settings: ImageSettings) -> ClassificationData:
    """The data in a folder. Every file is read once to fingerprint it and to check its header.

    The training split is in a fixed order that mixes the classes, the test split in order of names.
    Classes are numbered in order of their folders' names.

    Raises:
        TaskError: the layout is neither of the two, the classes differ between training and test, a class
            has too few images, or a file is not an image.
    """
    if not directory.is_dir():
        raise TaskError(f"image_folder {directory} is not a directory")
    if _subfolders(directory / "train"):
        classes, train, test = _two_folders(directory)
    else:
        classes, train, test = _one_folder(directory)
    if len(classes) < 2:
        found = f"only {classes[0]!r}" if classes else "none"
        raise TaskError(f"image_folder {directory} needs at least two class folders; found {found}")
    return ClassificationData(
        train=DatasetSplit(ImageFiles(train, settings)),
        test=DatasetSplit(ImageFiles(test, settings)),
        num_classes=len(classes),
        image_shape=(settings.channels, *settings.size),
        fingerprint=_fingerprint([train, test], settings),
    )


def _two_folders(directory: Path) -> tuple[list[str], list[LabelledFile], list[LabelledFile]]:
    name = next((n for n in _TEST_FOLDERS if (directory / n).is_dir()), None)
    if name is None:
        raise TaskError(f"image_folder {directory} has train/ but neither test/ nor val/")
    classes, tested = _subfolders(directory / "train"), _subfolders(directory / name)
    different = sorted(set(classes) ^ set(tested))
    if different:
        has, lacks = ("train", name) if different[0] in classes else (name, "train")
        raise TaskError(
            f"image_folder {directory}: class {different[0]!r} is in {has}/ but not in {lacks}/"
            f" ({len(different)} such classes); both must have the same"
        )
    train = [f for c in classes for f in _class_files(directory, f"train/{c}", classes.index(c), 1)]
    test = [f for c in classes for f in _class_files(directory, f"{name}/{c}", classes.index(c), 1)]
    return classes, sorted(train, key=_mixing_key), test


def _one_folder(directory: Path) -> tuple[list[str], list[LabelledFile], list[LabelledFile]]:
    classes = _subfolders(directory)
    if set(classes) and set(classes) <= set(_TEST_FOLDERS):
        raise TaskError(f"image_folder {directory} has {classes[0]}/ but no train/ with class folders in it")
    train: list[LabelledFile] = []
    test: list[LabelledFile] = []
    for label, name in enumerate(classes):
        # The order of hashed names is fixed, mixes well, and hardly moves when a file is added.
        files = sorted(_class_files(directory, name, label, 2), key=_mixing_key)
        count = max(1, round(len(files) * _TEST_FRACTION))
        # The last ones, so that the training files that are left still mix evenly from the first on.
        test += files[-count:]
        train += files[:-count]
    return classes, sorted(train, key=_mixing_key), sorted(test, key=lambda file: file.name)


def _subfolders(directory: Path) -> list[str]:
    if not directory.is_dir():
        return []
    try:
        return sorted(p.name for p in directory.iterdir() if p.is_dir() and not p.name.startswith("."))
    except OSError as error:
        raise TaskError(f"image_folder {directory} cannot be listed: {error}") from error


def _class_files(directory: Path, folder: str, label: int, least: int) -> list[LabelledFile]:
    """The images below a class folder in order of names; like torchvision, pass over other files."""
    paths = [
        Path(parent, name)
        for parent, _, names in os.walk(directory / folder, followlinks=True)
        for name in names
        if name.lower().endswith(IMG_EXTENSIONS) and not name.startswith(".")
    ]
    if len(paths) < least:
        raise TaskError(
            f"class folder {directory / folder} has {len(paths)} images, at least {least} needed; "
            f"known types are {' '.join(IMG_EXTENSIONS)}"
        )
    files = [LabelledFile(path, label, path.relative_to(directory).as_posix()) for path in paths]
    return sorted(files, key=lambda file: file.name)


def _mixing_key(file: LabelledFile) -> bytes:
    return hashlib.sha256(os.fsencode(file.name)).digest()


def _fingerprint(splits: list[list[LabelledFile]], settings: ImageSettings) -> str:
    digest = hashlib.sha256(repr(settings).encode())
    for files in splits:
        for file in files:
            content = hashlib.sha256(_checked_bytes(file.path)).hexdigest()
            digest.update(f"{file.name!r} {file.label} {content}\n".encode())
    return digest.hexdigest()


def _checked_bytes(path: Path) -> bytes:
    """The content of a file whose header Pillow can read."""
    try:
        content = path.read_bytes()
        with Image.open(BytesIO(content)) as image:
            mode = image.mode
    except Exception as error:  # Pillow's plugins raise many unrelated types
        raise _unreadable(path, error) from error
    if mode == "F" or mode.startswith("I"):
        # Pillow clips such pixels at 255 when it converts them, which would show a white picture.
        raise TaskError(
            f"image {path} has more than 8 bits per channel (mode {mode}); convert it to 8 bits first"
        )
    return content


def _unreadable(path: Path, error: Exception) -> TaskError:
    # Pillow names an in-memory file by its address, which says nothing to a reader.
    reason = "not an image Pillow knows" if isinstance(error, UnidentifiedImageError) else str(error)
    return TaskError(f"image {path} cannot be read: {reason or type(error).__name__}")
