"""How the pixels of an image become the numbers that a network is given, and back."""

from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import TaskError

METADATA_KEY = "normalization"
"""Under which a file with metadata keeps :meth:`Normalization.text`."""
_LARGEST = 255
_MEAN, _STD = "mean", "std"


@dataclass(frozen=True)
class Normalization:
    """(x - mean) / std per channel, on images scaled to [0, 1]; one value per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def check(self, channels: int) -> None:
        """Raise TaskError unless there is one value per channel and every std is above 0."""
        if {len(self.mean), len(self.std)} != {channels}:
            raise TaskError(
                f"mean has {len(self.mean)} and std {len(self.std)} values, "
                f"but the images have {channels} channels"
            )
        if min(self.std) <= 0:
            raise TaskError(f"std must be above 0, found {list(self.std)}")

    def repeated(self, times: int) -> "Normalization":
        """That of images whose channels are these, over and over again."""
        return Normalization(self.mean * times, self.std * times)

    def floats(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What a network is given of pixels [N, C, ...]: float32, bit for bit as batches of data have it."""
        mean, std = (self._along(values, pixels.ndim).astype(np.float32) for values in (self.mean, self.std))
        return (pixels.astype(np.float32) / np.float32(_LARGEST) - mean) / std

    def pixels(self, x: NDArray[np.float32]) -> NDArray[np.uint8]:
        """The nearest pixels [N, C, ...] of what a network is given: the inverse of :meth:`floats`.

        What lies between two pixels, as after a resize, is rounded; what lies outside of them is cut off.
        """
        mean, std = (self._along(values, x.ndim) for values in (self.mean, self.std))
        nearest = np.rint((x.astype(np.float64) * std + mean) * _LARGEST)
        return np.clip(nearest, 0, _LARGEST).astype(np.uint8)

    def formula(self) -> str:
        """In one line, for readers: ``(pixel / 255 - 0.1307) / 0.3081``."""
        scaled = f"pixel / {_LARGEST}"
        return (
            scaled
            if self == plain(len(self.mean))
            else f"({scaled} - {_listed(self.mean)}) / {_listed(self.std)}"
        )

    def summary(self) -> str:
        """In a few words, for readers: ``mean 0.1307 and std 0.3081``."""
        return f"mean {_listed(self.mean)} and std {_listed(self.std)}"

    def limits(self) -> tuple[float, float]:
        """What black and white become, over all channels: the range of what a network is given."""
        pairs = list(zip(self.mean, self.std, strict=True))
        return min(-mean / std for mean, std in pairs), max((1 - mean) / std for mean, std in pairs)

    def text(self) -> str:
        """In one line, for files: ``mean 0.1307 std 0.3081``, as :func:`normalization_from` reads it."""
        mean, std = ([repr(float(value)) for value in values] for values in (self.mean, self.std))
        return " ".join([_MEAN, *mean, _STD, *std])

    def _along(self, values: tuple[float, ...], dimensions: int) -> NDArray[np.float64]:
        return np.array(values, np.float64).reshape(1, -1, *[1] * (dimensions - 2))


def plain(channels: int) -> Normalization:
    """Images in [0, 1] as they are."""
    return Normalization((0.0,) * channels, (1.0,) * channels)


def normalization_from(text: str) -> Normalization | None:
    """The inverse of :meth:`Normalization.text`; None for any other text."""
    words = text.split(" ")
    channels = len(words) // 2 - 1
    if channels < 1 or len(words) % 2 or (words[0], words[channels + 1]) != (_MEAN, _STD):
        return None
    try:
        numbers = [float(word) for word in (*words[1 : channels + 1], *words[channels + 2 :])]
    except ValueError:
        return None
    found = Normalization(tuple(numbers[:channels]), tuple(numbers[channels:]))
    return found if all(map(isfinite, numbers)) and min(found.std) > 0 and found.text() == text else None


def _listed(values: tuple[float, ...]) -> str:
    """One number where all are equal, else all of them in brackets."""
    return f"{values[0]:g}" if len(set(values)) == 1 else f"({', '.join(f'{value:g}' for value in values)})"
