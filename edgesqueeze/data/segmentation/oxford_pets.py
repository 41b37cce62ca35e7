"""The Oxford-IIIT Pet data set (Parkhi et al. 2012): images/, annotations/trimaps/ and two lists."""

from pathlib import Path

from edgesqueeze.data.files.decoding import REFUSED
from edgesqueeze.data.files.layout import check_directory
from edgesqueeze.data.files.reading import ImageFile
from edgesqueeze.data.files.split import ImageSettings
from edgesqueeze.data.segmentation.masked import MaskedImage, Meanings, segmentation_data
from edgesqueeze.data.task_data import TaskData
from edgesqueeze.errors import TaskError

_PET, _BACKGROUND, _OUTLINE = 1, 2, 3
_TRIMAP = {_BACKGROUND: 0, _PET: 1, _OUTLINE: 255}
_MEANINGS = Meanings(("background", "pet"), tuple(_TRIMAP.get(value, REFUSED) for value in range(256)))


def load_oxford_pets(directory: Path, settings: ImageSettings) -> TaskData:
    """Pets and their background; the outline between them, where trimaps decide nothing, is not counted.

    Args:
        directory: with images and annotations, such as torchvision's data/oxford-iiit-pet.
        settings: how files become tensors.

    Raises:
        TaskError: a file or a list is missing or damaged, or a trimap has other values than 1, 2 and 3.
    """
    check_directory(directory, "oxford_pets")
    train, test = (_listed(directory, f"annotations/{name}.txt") for name in ("trainval", "test"))
    return segmentation_data((train, test), _MEANINGS, directory, settings)


def _listed(directory: Path, name: str) -> list[MaskedImage]:
    path = directory / name
    if not path.is_file():
        raise TaskError(f"oxford_pets {directory} has no {name}")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path} cannot be read: {error}") from error
    names = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    if not names:
        raise TaskError(f"{path} names no images")
    return [
        MaskedImage(
            _file(directory, f"images/{each}.jpg", path),
            _file(directory, f"annotations/trimaps/{each}.png", path),
        )
        for each in names
    ]


def _file(directory: Path, name: str, source: Path) -> ImageFile:
    if not (directory / name).is_file():
        raise TaskError(f"{source} names {Path(name).stem}, but {directory} has no {name}")
    return ImageFile(directory / name, name)
