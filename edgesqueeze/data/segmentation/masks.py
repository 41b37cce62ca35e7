"""Folders of images and masks: DIR/train/{images,masks} with DIR/test (or val), or DIR/{images,masks} alone.

A mask has the name of its image and holds one value a pixel, its class; 255 is not counted.
"""

from pathlib import Path, PurePosixPath

from edgesqueeze.data.files.decoding import class_values
from edgesqueeze.data.files.layout import (
    check_directory,
    fixed_fifth,
    folder_of_tests,
    images_below,
    known_types,
)
from edgesqueeze.data.files.reading import ImageFile
from edgesqueeze.data.files.split import ImageSettings
from edgesqueeze.data.segmentation.masked import MaskedImage, Meanings, segmentation_data
from edgesqueeze.data.task_data import TaskData
from edgesqueeze.errors import TaskError

_KEY = "masks"


def load_masks(directory: Path, classes: tuple[str, ...], settings: ImageSettings) -> TaskData:
    """The images and masks in a folder; class n is the value n, or the index n of a palette.

    Raises:
        TaskError: a folder is missing or empty, an image has no mask or a mask no image, or a mask holds a
            value that is no class.
    """
    check_directory(directory, _KEY)
    if (directory / "train").is_dir():
        tests = folder_of_tests(directory, _KEY)
        train, test = (_pairs(directory, f"{name}/", 1) for name in ("train", tests))
    else:
        train, test = fixed_fifth(_pairs(directory, "", 2), lambda pair: pair.file.name)
    meanings = Meanings(classes, class_values(len(classes)))
    return segmentation_data((train, test), meanings, directory, settings)


def _pairs(directory: Path, folder: str, least: int) -> list[MaskedImage]:
    images, masks = (_by_name(directory, f"{folder}{kind}") for kind in ("images", "masks"))
    if len(images) < least:
        raise TaskError(
            f"masks {directory}: {folder}images has {len(images)} images, at least {least} needed; "
            f"known types are {known_types()}"
        )
    for these, others, kind in ((images, masks, "masks"), (masks, images, "images")):
        alone = next((name for name in these if name not in others), None)
        if alone is not None:
            raise TaskError(f"{these[alone].path} has no partner {alone}.* in {directory / folder / kind}")
    return [MaskedImage(images[name], masks[name]) for name in images]


def _by_name(directory: Path, folder: str) -> dict[str, ImageFile]:
    if not (directory / folder).is_dir():
        raise TaskError(f"masks {directory} has no {folder}/")
    found: dict[str, ImageFile] = {}
    for file in images_below(directory, folder):
        name = str(PurePosixPath(file.name).relative_to(folder).with_suffix(""))
        if name in found:
            raise TaskError(f"{file.path} and {found[name].path.name} differ only in their endings")
        found[name] = file
    return found
