"""Pascal VOC: JPEGImages/, Annotations/*.xml, ImageSets/Main/*.txt (Everingham et al. 2010)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder
from xml.parsers import expat

from edgesqueeze.data.detection.annotated import AnnotatedImage, Box, detection_data
from edgesqueeze.data.files.layout import check_directory
from edgesqueeze.data.files.reading import ImageFile
from edgesqueeze.data.files.split import ImageSettings
from edgesqueeze.data.files.voc_lists import VocFolder
from edgesqueeze.data.task_data import TaskData
from edgesqueeze.errors import TaskError


@dataclass(frozen=True)
class _Object:
    name: str
    corners: tuple[float, float, float, float]
    difficult: bool


@dataclass(frozen=True)
class _Annotation:
    path: Path
    file: ImageFile
    size: tuple[int, int] | None
    objects: list[_Object]


def load_voc(directory: Path, classes: tuple[str, ...] | None, settings: ImageSettings) -> TaskData:
    """The boxes of a VOC folder. Difficult objects are marked as crowd, which is not counted.

    A box's corners are pixels counted from 1, the last one included, so xmin 1 and xmax 10 are ten columns.

    Args:
        directory: with Annotations, ImageSets and JPEGImages, such as VOCdevkit/VOC2012.
        classes: names in the order of their numbers; None means the names that are found, sorted.
        settings: how files become tensors.

    Raises:
        TaskError: a file or a list is missing or damaged, or an object has an unknown class.
    """
    check_directory(directory, "voc")
    folder = VocFolder(directory, "Main")
    train, test = ([_read(directory, file) for file in files] for files in folder.splits())
    if classes is None:
        classes = tuple(sorted({found.name for image in (*train, *test) for found in image.objects}))
    if not classes:
        raise TaskError(f"voc {directory}: no annotation has an object in it")
    labels = {name: label for label, name in enumerate(classes)}
    made = [[_annotated(image, labels) for image in split] for split in (train, test)]
    return detection_data(made[0], made[1], classes, directory, settings)


def _annotated(image: _Annotation, labels: dict[str, int]) -> AnnotatedImage:
    unknown = next((found.name for found in image.objects if found.name not in labels), None)
    if unknown is not None:
        raise TaskError(f"{image.path} has an object {unknown!r}; allowed: {', '.join(labels)}")
    boxes = [Box(found.corners, labels[found.name], found.difficult) for found in image.objects]
    return AnnotatedImage(image.file, boxes, image.path, image.size)


def _read(directory: Path, file: ImageFile) -> _Annotation:
    path = directory / "Annotations" / f"{file.path.stem}.xml"
    root = parse_xml(path)
    size = root.find("size")
    stated = None if size is None else (_whole(size, "width", path), _whole(size, "height", path))
    return _Annotation(path, file, stated, [_object(found, path) for found in root.iter("object")])


def _object(found: Element, path: Path) -> _Object:
    box = found.find("bndbox")
    if box is None:
        raise TaskError(f"{path}: an object has no bndbox")
    left, top, right, bottom = (_number(box, key, path) for key in ("xmin", "ymin", "xmax", "ymax"))
    difficult = found.findtext("difficult", "0").strip() == "1"
    return _Object(_text(found, "name", path), (left - 1, top - 1, right, bottom), difficult)


def _text(element: Element, key: str, path: Path) -> str:
    text = element.findtext(key)
    if text is None or not text.strip():
        raise TaskError(f"{path}: {element.tag} has no {key}")
    return text.strip()


def _number(element: Element, key: str, path: Path) -> float:
    text = _text(element, key, path)
    try:
        return float(text)
    except ValueError as error:
        raise TaskError(f"{path}: {key} is {text!r}, not a number") from error


def _whole(element: Element, key: str, path: Path) -> int:
    number = _number(element, key, path)
    if not number.is_integer():
        raise TaskError(f"{path}: {key} is {number:g}, not a whole number")
    return int(number)


def parse_xml(path: Path) -> Element:
    """The root of an XML file without declarations: entities could stand for gigabytes, or for files.

    Raises:
        TaskError: it cannot be read, is not well-formed, or declares a document type.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data

    def refuse(*_: Any) -> None:
        raise TaskError(f"{path} declares a document type or entities, which annotations have no need of")

    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(path.read_bytes(), True)
        return builder.close()
    except (OSError, expat.ExpatError, ParseError) as error:
        raise TaskError(f"annotation {path} cannot be read: {error}") from error
