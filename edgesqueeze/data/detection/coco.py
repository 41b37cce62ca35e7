"""COCO: annotations/instances_<split>*.json beside the images of each split (Lin et al. 2014)."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesqueeze.data.detection.annotated import AnnotatedImage, Box, detection_data
from edgesqueeze.data.files.layout import TEST_FOLDERS, check_directory
from edgesqueeze.data.files.reading import ImageFile
from edgesqueeze.data.files.split import ImageSettings
from edgesqueeze.data.task_data import TaskData
from edgesqueeze.errors import TaskError


@dataclass(frozen=True)
class _Split:
    """One file of annotations, and the folder its images lie in."""

    path: Path
    images: Path
    content: dict[str, Any]

    def records(self, key: str) -> list[dict[str, Any]]:
        records = self.content.get(key)
        if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
            raise TaskError(f"{self.path} has no list of {key}")
        return records

    def value(self, record: dict[str, Any], key: str, kind: type | tuple[type, ...]) -> Any:
        value = record.get(key)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise TaskError(f"{self.path}: {key} is {value!r} in the record {_short(record)}")
        return value

    def classes(self) -> dict[int, str]:
        """The names of the categories by their ids, in order of the ids."""
        found = [(self.value(c, "id", int), self.value(c, "name", str)) for c in self.records("categories")]
        return dict(sorted(found))


def load_coco(directory: Path, settings: ImageSettings) -> TaskData:
    """The boxes of a COCO folder; classes in order of their ids, which may have gaps.

    ``annotations/instances_train*.json`` and ``instances_test*.json`` (or ``instances_val*.json``): images
    lie in ``train*/`` or ``images/train*/``, likewise named. A box marked ``iscrowd`` is not counted.

    Raises:
        TaskError: a file is missing or damaged, the two files have other categories, or an annotation is of
            an unknown image or category.
    """
    check_directory(directory, "coco")
    train = _open(directory, ("train",))
    test = _open(directory, TEST_FOLDERS)
    classes = train.classes()
    if not classes:
        raise TaskError(f"{train.path} has no categories")
    if test.classes() != classes:
        raise TaskError(f"{train.path} and {test.path.name} beside it have different categories")
    labels = {number: label for label, number in enumerate(classes)}
    made = [_annotated(split, labels, directory) for split in (train, test)]
    return detection_data(made[0], made[1], tuple(classes.values()), directory, settings)


def _open(directory: Path, names: tuple[str, ...]) -> _Split:
    for name in names:
        found = sorted((directory / "annotations").glob(f"instances_{name}*.json"))
        if len(found) > 1:
            raise TaskError(
                f"coco {directory} has several instances_{name}*.json, and only one is read: "
                f"{', '.join(path.name for path in found)}"
            )
        if found:
            return _Split(found[0], _images_of(directory, found[0]), _read(found[0]))
    wanted = " or ".join(f"annotations/instances_{name}*.json" for name in names)
    raise TaskError(f"coco {directory} has no {wanted}")


def _images_of(directory: Path, annotations: Path) -> Path:
    name = annotations.stem.removeprefix("instances_")
    for folder in (directory / name, directory / "images" / name):
        if folder.is_dir():
            return folder
    raise TaskError(f"coco {directory} has neither {name}/ nor images/{name}/ for {annotations.name}")


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise TaskError(f"{path} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise TaskError(f"{path} holds {type(content).__name__}, not an object with images and annotations")
    return content


def _annotated(split: _Split, labels: dict[int, int], directory: Path) -> list[AnnotatedImage]:
    boxes: dict[int, list[Box]] = {}
    for image in split.records("images"):
        boxes[split.value(image, "id", int)] = []
    for record in split.records("annotations"):
        image_id = split.value(record, "image_id", int)
        category = split.value(record, "category_id", int)
        if image_id not in boxes:
            raise TaskError(f"{split.path}: an annotation is of image {image_id}, which is not listed")
        if category not in labels:
            known = ", ".join(str(number) for number in labels)
            raise TaskError(f"{split.path}: an annotation has category {category}; allowed: {known}")
        boxes[image_id].append(Box(_corners(split, record), labels[category], bool(record.get("iscrowd", 0))))
    return [_image(split, image, boxes[image["id"]], directory) for image in split.records("images")]


def _corners(split: _Split, record: dict[str, Any]) -> tuple[float, float, float, float]:
    box = split.value(record, "bbox", list)
    if len(box) != 4 or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in box):
        raise TaskError(f"{split.path}: bbox is {box!r}; four numbers x, y, width, height are needed")
    x, y, width, height = box
    return x, y, x + width, y + height


def _image(split: _Split, record: dict[str, Any], boxes: list[Box], directory: Path) -> AnnotatedImage:
    path = split.images / split.value(record, "file_name", str)
    if not path.is_file():
        raise TaskError(f"{split.path} names {path.name}, which is not in {split.images}")
    size = split.value(record, "width", int), split.value(record, "height", int)
    file = ImageFile(path, path.relative_to(directory).as_posix())
    return AnnotatedImage(file, boxes, split.path, size)


def _short(record: dict[str, Any]) -> str:
    text = json.dumps(record)
    return text if len(text) <= 120 else f"{text[:120]}…"
