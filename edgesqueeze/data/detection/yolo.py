"""YOLO: images/<split>/ with labels/<split>/*.txt beside it, and a data.yaml that names the classes.

One line an object: class, then the centre and the size of its box in shares of the image's.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgesqueeze.data.detection.annotated import AnnotatedImage, Box, detection_data
from edgesqueeze.data.files.layout import TEST_FOLDERS, images_below, known_types
from edgesqueeze.data.files.reading import ImageFile
from edgesqueeze.data.files.split import ImageSettings
from edgesqueeze.data.task_data import TaskData
from edgesqueeze.errors import RecipeError, TaskError
from edgesqueeze.settings import read_yaml


@dataclass(frozen=True)
class _Description:
    """What a data.yaml says: the folder its other paths begin in, and its keys."""

    path: Path
    root: Path
    content: dict[str, Any]

    def classes(self) -> tuple[str, ...]:
        names = self.content.get("names")
        if isinstance(names, dict) and sorted(names) == list(range(len(names))):
            names = [names[number] for number in range(len(names))]
        if not isinstance(names, list) or not names:
            raise TaskError(
                f"{self.path}: names is {names!r}; a list of names, or a mapping from 0, is needed"
            )
        count = self.content.get("nc", len(names))
        if count != len(names):
            raise TaskError(f"{self.path}: nc is {count!r} but names has {len(names)} classes")
        return tuple(str(name) for name in names)

    def images(self, splits: tuple[str, ...]) -> Path:
        """The folder of the first of these splits that is there."""
        for split in splits:
            named = self.content.get(split)
            if named is not None and not isinstance(named, str):
                raise TaskError(f"{self.path}: {split} is {named!r}; one folder of images is needed")
            folder = self.root / (named or f"images/{split}")
            if folder.is_dir():
                return folder
            if named is not None:
                raise TaskError(f"{self.path}: {split} is {named}, but {folder} is not a directory")
        wanted = " or ".join(f"images/{split}" for split in splits)
        raise TaskError(f"yolo {self.root} has no {wanted}")


def load_yolo(place: Path, settings: ImageSettings) -> TaskData:
    """The boxes of a YOLO folder. An image without a file of labels shows no object.

    Args:
        place: the folder, in which data.yaml lies, or a file like it, of which ``path``, ``train``, ``val``,
            ``test``, ``names`` and ``nc`` are read; train and test, or val, are folders.
        settings: how files become tensors.

    Raises:
        TaskError: a file or a folder is missing or damaged, or an object has an unknown class.
    """
    described = _described(place)
    classes = described.classes()
    train, test = (
        _annotated(described.images(splits), described, len(classes)) for splits in (("train",), TEST_FOLDERS)
    )
    return detection_data(train, test, classes, described.root, settings)


def _described(place: Path) -> _Description:
    path = place / "data.yaml" if place.is_dir() else place
    if not path.is_file():
        raise TaskError(f"yolo {place} is neither a folder with a data.yaml in it nor such a file")
    try:
        content = read_yaml(path)
    except RecipeError as error:
        raise TaskError(str(error)) from error
    root = content.get("path", ".")
    if not isinstance(root, str):
        raise TaskError(f"{path}: path is {root!r}; a folder is needed")
    return _Description(path, path.parent / root, content)


def _annotated(folder: Path, described: _Description, num_classes: int) -> list[AnnotatedImage]:
    files = images_below(folder, ".")
    if not files:
        raise TaskError(f"{folder} has no images; known types are {known_types()}")
    labels = _labels_of(folder, described)
    images = []
    for file in files:
        path = labels / Path(file.name).with_suffix(".txt")
        boxes = _boxes(path, num_classes) if path.is_file() else []
        images.append(
            AnnotatedImage(ImageFile(file.path, f"{folder.name}/{file.name}"), boxes, path, relative=True)
        )
    if not any(image.boxes for image in images):
        raise TaskError(f"no image of {folder} has an object; their labels are looked for in {labels}")
    return images


def _labels_of(folder: Path, described: _Description) -> Path:
    parts = list(folder.parts)
    places = [place for place, part in enumerate(parts) if part == "images"]
    if not places:
        raise TaskError(f"{described.path}: {folder} has no images/ in its path that labels/ could replace")
    parts[places[-1]] = "labels"
    return Path(*parts)


def _boxes(path: Path, num_classes: int) -> list[Box]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path} cannot be read: {error}") from error
    return [
        _box(line.split(), f"{path}, line {n}", num_classes)
        for n, line in enumerate(lines, 1)
        if line.strip()
    ]


def _box(words: list[str], where: str, num_classes: int) -> Box:
    try:
        number, x, y, width, height = (float(word) for word in words)
    except ValueError as error:
        raise TaskError(
            f"{where} is {' '.join(words)[:80]!r}; "
            "five numbers are needed: class, centre x and y, width, height"
        ) from error
    if number not in range(num_classes):
        raise TaskError(f"{where} has class {words[0]}; allowed: 0 to {num_classes - 1}")
    if not (0 <= width <= 1 and 0 <= height <= 1):
        raise TaskError(
            f"{where} has a box of {words[3]} × {words[4]}; shares of the image are needed, 0 to 1"
        )
    return Box((x - width / 2, y - height / 2, x + width / 2, y + height / 2), int(number))
