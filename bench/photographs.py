"""Crops of the photographs that scikit-image and scikit-learn bring along, for networks with real weights.

A picture's left half calibrates and its right half tests, so that no pixel is in both. ``scikit-image`` is
needed for this alone; its files are read where it is installed, and it is not imported.
"""

from importlib.metadata import files
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from edgesqueeze.errors import TaskError

Half = Literal["left", "right"]
_PICTURES = {
    "scikit-image": (
        *("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png"),
        *("hubble_deep_field.jpg", "ihc.png", "retina.jpg"),
    ),
    "scikit-learn": ("china.jpg", "flower.jpg"),
}
_FACES = "lfw_subset.npy"
_NUM_FACES = 100
"""The first half of the file; the rest are no faces."""
_MIDDLE, _SPREAD = 127.5, 128.0


def photograph_crops(half: Half, count: int, size: int) -> Tensor:
    """Square crops of seeded places and sizes, ``count`` of every half picture, scaled by (v - 127.5) / 128.

    float32 [N, 3, size, size].
    """
    rng = np.random.default_rng([0, half == "right"])
    crops = []
    for package, names in _PICTURES.items():
        for name in names:
            picture = Image.open(_packaged(package, name)).convert("RGB")
            middle = picture.width // 2
            ends = (0, middle) if half == "left" else (middle, picture.width)
            part = picture.crop((ends[0], 0, ends[1], picture.height))
            crops += [_crop(part, size, rng) for _ in range(count)]
    return _scaled(np.stack(crops))


def face_crops(half: Half, size: int) -> Tensor:
    """Labeled Faces in the Wild's packaged faces, fifty a half, in grey: float32 [50, 3, size, size]."""
    faces = np.load(_packaged("scikit-image", _FACES))[:_NUM_FACES]
    chosen = faces[: _NUM_FACES // 2] if half == "left" else faces[_NUM_FACES // 2 :]
    pictures = [
        Image.fromarray((255 * face).astype(np.uint8))
        .convert("RGB")
        .resize((size, size), Image.Resampling.BICUBIC)
        for face in chosen
    ]
    return _scaled(np.stack([np.asarray(picture) for picture in pictures]))


def _crop(picture: Image.Image, size: int, rng: np.random.Generator) -> np.ndarray:
    shortest = min(picture.size)
    side = int(rng.integers(shortest // 2, shortest + 1))
    x, y = (int(rng.integers(0, length - side + 1)) for length in picture.size)
    cut = picture.crop((x, y, x + side, y + side))
    return np.asarray(cut.resize((size, size), Image.Resampling.BICUBIC))


def _scaled(pictures: np.ndarray) -> Tensor:
    values = (pictures.astype(np.float32) - _MIDDLE) / _SPREAD
    return torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))


def _packaged(package: str, name: str) -> Path:
    for file in files(package) or ():
        if file.name == name:
            return Path(str(file.locate()))
    raise TaskError(f"{name} of {package} is not there; pip install {package}")
