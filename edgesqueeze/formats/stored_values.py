"""What files store, in the form in which it is compared."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Layers = dict[str, dict[str, Array]]
"""Layer to kind (see ``measure.proof.equal_integers.KINDS``) to values, in PyTorch's layout."""


def grid_of(scale: float, zero_point: int) -> dict[str, Array]:
    """The grid of a layer's output, int8."""
    return {"scale": np.array([scale], np.float32), "zero point": np.array([zero_point], np.int64)}
