"""What a file's bytes become: an array of uint8 of one size for all files of a data set."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from edgesqueeze.errors import TaskError

VALUES = 256
REFUSED = -1
"""In a mask's meanings: a value that no pixel may have."""


class Decoding(Protocol):
    """Makes an array of an image file; equal settings have equal ``repr``, by which arrays are kept."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of every array."""
        ...

    def decode(self, content: bytes, path: Path) -> NDArray[np.uint8]:
        """The array in a file's bytes; ``path`` is for messages.

        Raises:
            TaskError: the file cannot be decoded, or holds what it may not.
        """
        ...


@dataclass(frozen=True)
class ImageDecoding:
    """A picture, resized to (height, width) as torchvision's Resize does: uint8 [channels, height, width]."""

    size: tuple[int, int]
    channels: int

    @property
    def shape(self) -> tuple[int, ...]:
        """[C, H, W]."""
        return (self.channels, *self.size)

    def decode(self, content: bytes, path: Path) -> NDArray[np.uint8]:
        """See :meth:`Decoding.decode`."""
        height, width = self.size
        try:
            with Image.open(BytesIO(content)) as image:
                pixels = image.convert("L" if self.channels == 1 else "RGB")
                resized = np.asarray(pixels.resize((width, height), Image.Resampling.BILINEAR))
        except Exception as error:  # Pillow's decoders raise many unrelated types
            raise unreadable(path, error) from error
        return np.ascontiguousarray(resized.reshape(height, width, self.channels).transpose(2, 0, 1))


@dataclass(frozen=True)
class MaskDecoding:
    """The class of every pixel, uint8 [height, width], resized to the nearest pixel.

    ``meanings`` has for each of the 256 values of a file its class, 255 for pixels that are not counted, or
    :data:`REFUSED`. Of a palette image the value is the index, not the colour.
    """

    size: tuple[int, int]
    meanings: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """[H, W]."""
        return self.size

    def decode(self, content: bytes, path: Path) -> NDArray[np.uint8]:
        """See :meth:`Decoding.decode`."""
        try:
            with Image.open(BytesIO(content)) as image:
                mode, values = image.mode, np.array(image).astype(np.int64)
        except Exception as error:  # Pillow's decoders raise many unrelated types
            raise unreadable(path, error) from error
        if mode not in ("P", "L", "1"):
            raise TaskError(
                f"mask {path} is a picture of mode {mode}; "
                "one value a pixel is needed (a palette or grayscale PNG)"
            )
        classes = np.array(self.meanings)[values]
        if (classes == REFUSED).any():
            found = int(values[classes == REFUSED][0])
            allowed = ", ".join(_ranges([v for v in range(VALUES) if self.meanings[v] != REFUSED]))
            raise TaskError(f"mask {path} has a pixel of value {found}; allowed: {allowed}")
        height, width = self.size
        whole = Image.fromarray(classes.astype(np.uint8))
        return np.array(whole.resize((width, height), Image.Resampling.NEAREST))


def class_values(num_classes: int) -> tuple[int, ...]:
    """Meanings of masks whose values are the classes themselves, with 255 for what is not counted.

    Raises:
        TaskError: there are more classes than a byte has values beside 255.
    """
    if num_classes >= VALUES:
        raise TaskError(f"a mask has room for {VALUES - 1} classes, found {num_classes}")
    return tuple(v if v < num_classes or v == VALUES - 1 else REFUSED for v in range(VALUES))


def check_header(content: bytes, path: Path) -> tuple[int, int]:
    """Width and height of an image in 8 bits, from its header.

    Raises:
        TaskError: Pillow cannot read it, or it has more bits.
    """
    try:
        with Image.open(BytesIO(content)) as image:
            mode, size = image.mode, image.size
    except Exception as error:  # Pillow's plugins raise many unrelated types
        raise unreadable(path, error) from error
    if mode == "F" or mode.startswith("I"):
        # Pillow clips such pixels at 255 when it converts them, which would show a white picture.
        raise TaskError(
            f"image {path} has more than 8 bits per channel (mode {mode}); convert it to 8 bits first"
        )
    return size


def read_content(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        TaskError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise TaskError(f"image {path} cannot be read: {error.strerror or error}") from error


def unreadable(path: Path, error: Exception) -> TaskError:
    """What is said of a file that Pillow refused."""
    # Pillow names an in-memory file by its address, which says nothing to a reader.
    reason = "not an image Pillow knows" if isinstance(error, UnidentifiedImageError) else str(error)
    return TaskError(f"image {path} cannot be read: {reason or type(error).__name__}")


def _ranges(values: list[int]) -> list[str]:
    starts = [v for v in values if v - 1 not in values]
    ends = [v for v in values if v + 1 not in values]
    return [str(a) if a == b else f"{a} to {b}" for a, b in zip(starts, ends, strict=True)]
