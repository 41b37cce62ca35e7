"""The boxes of all places as arithmetic on distances: what both formats write as one product and one sum."""

from dataclasses import dataclass

import numpy as np

from edgesqueeze.errors import ExportError
from edgesqueeze.numerics.boxes import BoxDecoding, Floats

FOUND = ("boxes", "scores", "labels", "count")
"""The outputs, in the order of the files."""
RAW = ("boxes", "scores")
"""The outputs of a detector that are read."""


@dataclass(frozen=True)
class Sides:
    """Sides x1, y1, x2, y2 are ``offset`` + ``factor`` · distances ([1, A, 4]), from 0 to ``limit`` [4]."""

    factor: Floats
    offset: Floats
    limit: Floats


def sides_of(decoding: BoxDecoding) -> Sides:
    """The arithmetic of a decoding."""
    x, y, stride = decoding.places().T
    height, width = decoding.image_size
    return Sides(
        factor=np.stack([-stride, -stride, stride, stride], 1)[np.newaxis].astype(np.float32),
        offset=np.stack([x, y, x, y], 1)[np.newaxis].astype(np.float32),
        limit=np.array([width, height, width, height], np.float32),
    )


def check_ends(names: list[str], shapes: dict[str, list[int]], decoding: BoxDecoding) -> int:
    """The number of classes of a file with a detector's two outputs.

    Raises:
        ExportError: it has others.
    """
    places = len(decoding.places())
    fits = set(names) == set(RAW) and shapes["boxes"] == [1, places, 4]
    if not fits or len(shapes["scores"]) != 3 or shapes["scores"][:2] != [1, places]:
        found = ", ".join(f"{name} {shapes[name]}" for name in names)
        raise ExportError(
            f"a detector's outputs are boxes [1, {places}, 4] and scores [1, {places}, classes]; "
            f"this file has {found}"
        )
    return shapes["scores"][2]
