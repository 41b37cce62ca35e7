"""The integer rules of the nodes without weights that are not pools, see :mod:`edgesqueeze.graph.integer`."""

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.graph.grid import QMAX, QMIN, ActivationQuant
from edgesqueeze.graph.nodes import AnyNode, Floats, Mul, Pad, Pointwise, Resize, Shuffle, Slice

_Int8s = NDArray[np.int8]
_ONE = 1 << 11


def run_map(
    node: AnyNode, inputs: list[_Int8s], grids: list[ActivationQuant], out: ActivationQuant
) -> _Int8s:
    """The output int8 [N, …] of one node."""
    q = inputs[0]
    match node:
        case Mul():
            return _product(inputs, grids, out)
        case Pointwise(function="sigmoid"):
            return _sigmoid(q, grids[0], out)
        case Slice():
            return q[:, node.start : node.stop]
        case Shuffle():
            grouped = q.reshape(len(q), node.groups, -1, *q.shape[2:])
            return grouped.swapaxes(1, 2).reshape(q.shape)
        case Pad():
            top, left, bottom, right = node.pads
            amounts = ((0, 0), (0, 0), (top, bottom), (left, right))
            return np.pad(q, amounts, constant_values=np.int8(out.zero_point))
        case Resize(mode="nearest"):
            rows, columns = (_nearest(q.shape[2 + axis], size) for axis, size in enumerate(node.size))
            return q[:, :, rows[:, np.newaxis], columns]
        case Resize():
            return _bilinear(q, node)
        case _:
            raise AssertionError("an input is not computed; the others were lowered")


def _product(inputs: list[_Int8s], grids: list[ActivationQuant], out: ActivationQuant) -> _Int8s:
    """rint(float32((a - zero_a) · (b - zero_b)) · float32(s_a · s_b / s_out)) + zero_out."""
    left, right = (q.astype(np.int32) - grid.zero_point for q, grid in zip(inputs, grids, strict=True))
    multiplier = np.float32(grids[0].scale) * np.float32(grids[1].scale) / np.float32(out.scale)
    return _saturate(np.rint((left * right).astype(np.float32) * multiplier) + np.float32(out.zero_point))


def _sigmoid(q: _Int8s, grid: ActivationQuant, out: ActivationQuant) -> _Int8s:
    """A table: the nearest integer to the real sigmoid of every value."""
    x = (np.arange(QMIN, QMAX + 1) - grid.zero_point) * grid.scale
    real = 1.0 / (1.0 + np.exp(-np.clip(x, -80.0, 80.0)))
    table = _saturate((np.rint(real / out.scale) + out.zero_point).astype(np.float32))
    return table[q.astype(np.int16) - QMIN]


def _nearest(length: int, size: int) -> NDArray[np.intp]:
    return np.minimum(np.arange(size) * length // size, length - 1).astype(np.intp)


def _bilinear(q: _Int8s, node: Resize) -> _Int8s:
    """XNNPACK's rule: weights of 11 bits, exact sums, halves rounded up.

    ONNX Runtime resizes in float32 instead and may differ by 1.
    """
    top, bottom, down = _places(q.shape[2], node.size[0])
    left, right, across = _places(q.shape[3], node.size[1])
    wide = q.astype(np.int64)
    upper, lower = (
        line[..., left] * _ONE + (line[..., right] - line[..., left]) * across
        for line in (wide[:, :, top], wide[:, :, bottom])
    )
    total = upper * _ONE + (lower - upper) * down[:, np.newaxis]
    return np.asarray((total + _ONE * _ONE // 2) // (_ONE * _ONE), np.int8)


def _places(length: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]:
    """For every output place the input places before and behind it, and the weight of the one behind."""
    ratio = np.float32(length) / np.float32(size)
    place = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * ratio - np.float32(0.5)
    place = np.clip(place, np.float32(0), np.float32(length - 1))
    first = place.astype(np.intp)
    weight = np.rint((place - first.astype(np.float32)) * np.float32(_ONE)).astype(np.int64)
    return first, np.minimum(first + 1, length - 1), weight


def _saturate(values: Floats) -> _Int8s:
    return np.asarray(np.clip(values, QMIN, QMAX), np.int8)
