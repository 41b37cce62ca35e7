"""A layer's weight taken apart into the matrices that are rounded each for itself."""

from dataclasses import dataclass
from math import prod
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

MOST_COLUMNS = 9216
"""Of one part: its second moments are a square of so many numbers (340 MB in float32)."""
_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True)
class Parts:
    """A weight of ``shape`` [groups · rows, …] as [groups · pieces, rows, columns].

    A group of channels reads inputs of its own; ``pieces`` of its columns are taken as if their inputs had
    nothing in common, where all together were too many.
    """

    shape: tuple[int, ...]
    groups: int = 1
    pieces: int = 1

    @classmethod
    def of(cls, shape: tuple[int, ...], groups: int) -> "Parts":
        """Of a weight: no piece has more columns than MOST_COLUMNS."""
        columns = prod(shape[1:])
        pieces = next(n for n in range(1, columns + 1) if columns % n == 0 and columns // n <= MOST_COLUMNS)
        return cls(shape, groups, pieces)

    def split(self, weight: NDArray[_Number]) -> NDArray[_Number]:
        """A weight's parts, contiguous."""
        apart: NDArray[Any] = weight.reshape(
            self.groups, -1, self.pieces, prod(self.shape[1:]) // self.pieces
        )
        return np.ascontiguousarray(apart.swapaxes(1, 2)).reshape(-1, apart.shape[1], apart.shape[3])

    def join(self, parts: NDArray[_Number]) -> NDArray[_Number]:
        """The inverse of :meth:`split`."""
        apart = parts.reshape(self.groups, self.pieces, parts.shape[1], parts.shape[2])
        return np.ascontiguousarray(apart.swapaxes(1, 2)).reshape(self.shape)

    def of_rows(self, values: NDArray[_Number]) -> NDArray[_Number]:
        """One value for each row of the weight, [groups · rows], as [parts, rows]."""
        return np.repeat(values.reshape(self.groups, -1), self.pieces, axis=0)

    def by_row(self, values: NDArray[_Number]) -> NDArray[_Number]:
        """Values [parts, rows] of all pieces of a row together, [groups · rows]."""
        summed: NDArray[_Number] = values.reshape(self.groups, self.pieces, -1).sum(1)
        return summed.reshape(-1)
