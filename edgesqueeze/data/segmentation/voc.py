"""Pascal VOC's segmentation: JPEGImages/, SegmentationClass/*.png, ImageSets/Segmentation/*.txt."""

from pathlib import Path

from edgesqueeze.data.files.decoding import class_values
from edgesqueeze.data.files.layout import check_directory
from edgesqueeze.data.files.reading import ImageFile
from edgesqueeze.data.files.split import ImageSettings
from edgesqueeze.data.files.voc_lists import VocFolder
from edgesqueeze.data.segmentation.masked import MaskedImage, Meanings, segmentation_data
from edgesqueeze.data.task_data import TaskData
from edgesqueeze.errors import TaskError

VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"),
    "tvmonitor",
)
"""The palette of the PNGs of VOC 2007 to 2012, by index."""
_MASKS = "SegmentationClass"


def load_voc_masks(directory: Path, classes: tuple[str, ...] | None, settings: ImageSettings) -> TaskData:
    """The masks of a VOC folder; the outlines of objects, 255, are not counted.

    Args:
        directory: with ImageSets, JPEGImages and SegmentationClass.
        classes: the names of the palette's indices from 0, the background; None means those of VOC.
        settings: how files become tensors.

    Raises:
        TaskError: a file or a list is missing or damaged, or a mask has an index that is no class.
    """
    check_directory(directory, "voc")
    classes = VOC_CLASSES if classes is None else classes
    train, test = (
        [_pair(directory, file) for file in files] for files in VocFolder(directory, "Segmentation").splits()
    )
    return segmentation_data(
        (train, test), Meanings(classes, class_values(len(classes))), directory, settings
    )


def _pair(directory: Path, file: ImageFile) -> MaskedImage:
    name = f"{_MASKS}/{file.path.stem}.png"
    if not (directory / name).is_file():
        raise TaskError(f"voc {directory} has no {name} for {file.name}")
    return MaskedImage(file, ImageFile(directory / name, name))
