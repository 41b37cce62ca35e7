"""Which places of a row a mirrored edge repeats."""

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import Edge


def mirrored_places(length: int, before: int, behind: int, edge: Edge) -> NDArray[np.intp]:
    """For every place of the longer row the place of the row that it repeats."""
    places = np.abs(np.arange(-before, length + behind) + (0.5 if edge == "symmetric" else 0.0))
    last = length - 0.5 if edge == "symmetric" else length - 1.0
    mirrored = np.where(places > last, 2 * last - places + (1.0 if edge == "symmetric" else 0.0), places)
    return np.asarray(np.floor(mirrored), np.intp)
