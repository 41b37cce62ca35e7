"""How the runtimes bring a map to another size."""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import Floats, Graph, Pair, Resize
from edgesqueeze.network.integers.rules.rule import Int8s

_ONE = 1 << 11
_MOST_BITS = 10


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


def exact_bits(graph: Graph, node: Resize) -> int | None:
    """Bits behind the point of a bilinear resize's exact results; None if they have no end, or too many.

    Where a map becomes 2, 4, 8 or 16 times as large or small both runtimes' weights are exact, and only the
    rounding of halves would tell them apart: see ``lifted_scale``.
    """
    if node.mode == "nearest":
        return None
    total, corners = 0, node.mode == "bilinear_corners"
    for before, after in zip(graph.source(node).shape[2:], node.size, strict=True):
        step = Fraction(before - 1, max(after - 1, 1)) if corners else Fraction(before, after)
        if not corners and not (_is_power_of_two(step.numerator) and _is_power_of_two(step.denominator)):
            return None  # its inverse, by which ONNX Runtime divides, is not exact
        first = Fraction(0) if corners else (step - 1) / 2
        denominator = max(step.denominator, first.denominator)
        if not _is_power_of_two(denominator):
            return None
        total += denominator.bit_length() - 1
    return total if total <= _MOST_BITS else None


def _is_power_of_two(number: int) -> bool:
    return number & (number - 1) == 0


def lifted_scale(scale: float, bits: int) -> np.float32:
    """A scale by which an ONNX file reads integers from 0 to 255 so that halves round up, as in XNNPACK.

    Of values with so many bits behind the point each grows by less than half of the last bit, and a half
    by more than float32's rounding.
    """
    return np.float32(scale * (1 + 2.0 ** -(bits + 9)))


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
