"""How the runtimes bring a map to another size."""

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import Floats, Pair
from edgesqueeze.network.integers.rules.rule import Int8s

_ONE = 1 << 11


def nearest_places(length: int, size: int) -> NDArray[np.intp]:
    """The input place that each output place takes."""
    return np.minimum(np.arange(size) * length // size, length - 1).astype(np.intp)


def fixed_point(q: Int8s, size: Pair, *, corners: bool) -> Int8s:
    """XNNPACK's rule: weights of 11 bits, exact sums, halves rounded up."""
    top, bottom, down = _places(q.shape[2], size[0], corners=corners)
    left, right, across = _places(q.shape[3], size[1], corners=corners)
    wide = q.astype(np.int64)
    upper, lower = (
        line[..., left] * _ONE + (line[..., right] - line[..., left]) * across
        for line in (wide[:, :, top], wide[:, :, bottom])
    )
    total = upper * _ONE + (lower - upper) * down[:, np.newaxis]
    return np.asarray((total + _ONE * _ONE // 2) // (_ONE * _ONE), np.int8)


def _places(
    length: int, size: int, *, corners: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]:
    """For every output place the input places before and behind it, and the weight of the one behind."""
    place = np.arange(size, dtype=np.float32)
    if corners:
        place = place * (np.float32(length - 1) / np.float32(max(size - 1, 1)))
    else:
        place = (place + np.float32(0.5)) * (np.float32(length) / np.float32(size)) - np.float32(0.5)
    place = np.clip(place, np.float32(0), np.float32(length - 1))
    first = place.astype(np.intp)
    weight = np.rint((place - first.astype(np.float32)) * np.float32(_ONE)).astype(np.int64)
    return first, np.minimum(first + 1, length - 1), weight


def in_float(x: Floats, size: Pair, *, corners: bool) -> Floats:
    """ONNX Runtime's bilinear resize of real numbers [N, C, H, W], rounded where its kernel rounds.

    Its int8 files resize in float32 between the grids. The order of the products and sums below is that of
    the kernel where the compiler does not fuse them, as on x86-64: the same bits.
    """
    top, bottom, down, up = _real_places(x.shape[2], size[0], corners=corners)
    left, right, across, back = _real_places(x.shape[3], size[1], corners=corners)
    rows = (top[:, np.newaxis], bottom[:, np.newaxis])
    down, up = down[:, np.newaxis], up[:, np.newaxis]
    y = back * up * x[:, :, rows[0], left]
    y += across * up * x[:, :, rows[0], right]
    y += back * down * x[:, :, rows[1], left]
    y += across * down * x[:, :, rows[1], right]
    return np.asarray(y, np.float32)


def _real_places(
    length: int, size: int, *, corners: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats, Floats]:
    """Every output place's input places before and behind it; the weight of the one behind, and before."""
    ratio, place = np.float32(size) / np.float32(length), np.arange(size, dtype=np.float32)
    if corners and ratio != 1:
        place = place * np.float32(length - 1) / np.float32(max(size - 1, 1))
    elif ratio != 1:
        place = (place + np.float32(0.5)) / ratio - np.float32(0.5)
    place = np.clip(place, np.float32(0), np.float32(length - 1))
    first = place.astype(np.intp)
    second = np.minimum(first + 1, length - 1)
    behind, before = np.abs(place - first.astype(np.float32)), np.abs(place - second.astype(np.float32))
    last = first == second
    behind[last] = before[last] = 0.5
    return first, second, behind, before
