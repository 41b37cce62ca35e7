"""One-dimensional k-means for weight sharing (Han et al. 2016, arXiv 1510.00149, section 3)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from edgesqueeze.errors import CodecError


def kmeans_1d(
    values: ArrayLike, num_centroids: int, max_iterations: int = 100
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cluster numbers by Lloyd's iteration from centroids spread linearly between minimum and maximum.

    Linear initialisation keeps centroids for the few large weights, which matter most (section 3.2).
    The values are sorted once; a cluster is then a slice, and its sum a difference of cumulative sums, so
    an iteration costs k binary searches instead of a pass over the data. A value half-way between two
    centroids belongs to the lower one. A cluster that holds no value keeps its centroid.

    Args:
        values: any shape, finite, at least one value; read as float32.
        num_centroids: k, at least 1.
        max_iterations: stop after so many updates even if values still change cluster; at least 1.

    Returns:
        Centroids, float32, ascending, [k]; and the index of the nearest centroid of every value, int64, in
        the shape of ``values``. Data with no more than k distinct values come back exactly, with one
        centroid per distinct value, so fewer than k.

    Raises:
        CodecError: no values, a value that is not finite in float32, k < 1 or max_iterations < 1.
    """
    data = _checked(values, num_centroids, max_iterations)
    ordered = np.sort(data, axis=None)
    centroids = _distinct(ordered, num_centroids)
    if centroids is None:
        centroids = _lloyd(ordered, num_centroids, max_iterations)
    indices = np.searchsorted(_midpoints(centroids), data, side="left")
    return centroids, indices.astype(np.int64, copy=False)


def _checked(values: ArrayLike, num_centroids: int, max_iterations: int) -> NDArray[np.float32]:
    if num_centroids < 1 or max_iterations < 1:
        raise CodecError(
            f"k-means with {num_centroids} centroids and {max_iterations} iterations; both must be at least 1"
        )
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite and is refused below
        data = np.asarray(values).astype(np.float32, copy=False)
    if data.size == 0:
        raise CodecError("k-means needs at least one value, found none")
    if not np.isfinite(data).all():
        raise CodecError(
            f"k-means needs finite float32 values, found {int((~np.isfinite(data)).sum())} that are not"
        )
    return data


def _distinct(ordered: NDArray[np.float32], at_most: int) -> NDArray[np.float32] | None:
    """The distinct values, or nothing if there are more than ``at_most``."""
    changes = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    return ordered[np.concatenate(([0], changes))] if len(changes) < at_most else None


def _midpoints(centroids: NDArray[np.floating]) -> NDArray[np.float64]:
    wide = centroids.astype(np.float64)
    return (wide[1:] + wide[:-1]) / 2


def _lloyd(ordered: NDArray[np.float32], num_centroids: int, max_iterations: int) -> NDArray[np.float32]:
    sums = np.concatenate(([0.0], np.cumsum(ordered, dtype=np.float64)))
    centroids = np.linspace(float(ordered[0]), float(ordered[-1]), num_centroids)
    previous: NDArray[np.intp] | None = None
    for _ in range(max_iterations):
        inner = _slices(ordered, _midpoints(centroids))
        if previous is not None and np.array_equal(inner, previous):
            break
        previous = inner
        cuts = np.concatenate(([0], inner, [len(ordered)]))
        counts = np.diff(cuts)
        means = np.diff(sums[cuts]) / np.maximum(counts, 1)
        centroids = np.where(counts > 0, means, centroids)
    # Rounding of the cumulative sums can push a mean past a value of its own slice by some 1e-16.
    return np.sort(np.clip(centroids, ordered[0], ordered[-1])).astype(np.float32)


def _slices(ordered: NDArray[np.float32], boundaries: NDArray[np.float64]) -> NDArray[np.intp]:
    """How many values lie at or below each boundary.

    The search runs in float32, where x <= b holds exactly if x <= the largest float32 not above b; asking
    in float64 would make numpy convert all of the data in every iteration.
    """
    narrow = boundaries.astype(np.float32)
    above = narrow.astype(np.float64) > boundaries
    narrow[above] = np.nextafter(narrow[above], np.float32(-np.inf))
    return np.searchsorted(ordered, narrow, side="right")
