"""Arrays of a transposed convolution as those of the convolution that stands for it in int8 files.

Each of the stride · stride places of an output block reads every stride-th weight of the kernel only, so the
transposed convolution is one convolution with so many times the channels. A decoder knows of it by these
numbers alone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LARGEST_STRIDE = 16
"""Bounds how much larger than its layer a spread weight can be."""


@dataclass(frozen=True)
class Spread:
    """How: the stride, and how many zeros (fewer than it) stand before the kernel's rows and columns."""

    stride: tuple[int, int]
    fronts: tuple[int, int]

    @property
    def is_possible(self) -> bool:
        """Whether a file may say so."""
        pairs = zip(self.stride, self.fronts, strict=True)
        return all(0 <= front < stride <= _LARGEST_STRIDE for stride, front in pairs)

    def shape(self, shape: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        """The shape [block height · block width · out, in, taps…] that [out, in, kernel…] gets."""
        out, channels, high, wide = shape
        (down, across), (top, left) = self.stride, self.fronts
        return down * across * out, channels, -(-(top + high) // down), -(-(left + wide) // across)

    def weight(self, weight: NDArray[Any], zero: int = 0) -> NDArray[Any]:
        """A weight spread; where the kernel has no tap there is ``zero``."""
        out, channels, high, wide = weight.shape
        (down, across), (top, left) = self.stride, self.fronts
        shape = self.shape((out, channels, high, wide))
        rows, columns = shape[2:]
        padded = np.full((out, channels, rows * down, columns * across), zero, weight.dtype)
        padded[:, :, top : top + high, left : left + wide] = weight
        by_place = padded.reshape(out, channels, rows, down, columns, across).transpose(3, 5, 0, 1, 2, 4)
        # A transposed convolution adds from the input outwards: seen from the output, its kernel is mirrored.
        return np.ascontiguousarray(by_place[..., ::-1, ::-1].reshape(shape))

    def channels(self, values: NDArray[Any]) -> NDArray[Any]:
        """A bias or scale: once for every place of a block."""
        return np.tile(values, self.stride[0] * self.stride[1])
