"""The lists of Pascal VOC folders, which detection and segmentation share."""

from dataclasses import dataclass
from pathlib import Path

from edgesqueeze.data.files.reading import ImageFile
from edgesqueeze.errors import TaskError

_IMAGES = "JPEGImages"
_SUFFIXES = (".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class VocFolder:
    """A folder with JPEGImages and ImageSets; ``lists`` names the folder of lists, Main or Segmentation."""

    directory: Path
    lists: str

    def splits(self) -> tuple[list[ImageFile], list[ImageFile]]:
        """Training and test images: trainval.txt and test.txt, or, without a test.txt, train.txt and val.txt.

        Raises:
            TaskError: a list is missing, empty or damaged, or an image it names is missing.
        """
        lists = self.directory / "ImageSets" / self.lists
        if (lists / "test.txt").is_file():
            first = "trainval" if (lists / "trainval.txt").is_file() else "train"
            names = (first, "test")
        else:
            names = ("train", "val")
        train, test = (self._images(lists / f"{name}.txt") for name in names)
        return train, test

    def _images(self, path: Path) -> list[ImageFile]:
        if not path.is_file():
            raise TaskError(f"voc {self.directory} has no {path.relative_to(self.directory)}")
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise TaskError(f"{path} cannot be read: {error}") from error
        names = [line.split()[0] for line in lines if line.strip()]
        if not names:
            raise TaskError(f"{path} names no images")
        return [self._image(name, path) for name in names]

    def _image(self, name: str, source: Path) -> ImageFile:
        places = [self.directory / _IMAGES / f"{name}{suffix}" for suffix in _SUFFIXES]
        path = next((place for place in places if place.is_file()), None)
        if path is None:
            raise TaskError(f"{source} names {name}, but {_IMAGES} has no {name}.jpg or .png")
        return ImageFile(path, f"{_IMAGES}/{path.name}")
