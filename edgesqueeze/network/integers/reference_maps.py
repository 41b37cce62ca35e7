"""The integer rules of the nodes without weights that are not pools, see ``network.integers.reference``."""

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import (
    AnyNode,
    Crop,
    DepthToSpace,
    Floats,
    LayerNorm,
    Mul,
    Pad,
    Pair,
    Pointwise,
    Resize,
    Shuffle,
    Slice,
    Softmax,
)
from edgesqueeze.network.integers.grid import QMAX, QMIN, ActivationQuant
from edgesqueeze.network.integers.tables import table

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
        case Pointwise():
            return table(node.function, grids[0], out)[q.astype(np.int16) - QMIN]
        case Softmax():
            return _softmax(q, grids[0], out)
        case Slice():
            return q[:, node.start : node.stop]
        case Shuffle():
            grouped = q.reshape(len(q), node.groups, -1, *q.shape[2:])
            return grouped.swapaxes(1, 2).reshape(q.shape)
        case Crop():
            top, left = node.pads[:2]
            return q[:, :, top : top + node.shape[2], left : left + node.shape[3]]
        case DepthToSpace():
            return _depth_to_space(q, node)
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


def _softmax(q: _Int8s, grid: ActivationQuant, out: ActivationQuant) -> _Int8s:
    """The nearest integer to the real softmax along channels; the runtimes' sums may round otherwise."""
    below_peak = (q.astype(np.int16) - q.max(axis=1, keepdims=True)) * grid.scale
    powers = np.exp(below_peak)
    real = powers / powers.sum(axis=1, keepdims=True)
    return np.asarray(np.clip(np.rint(real / out.scale) + out.zero_point, QMIN, QMAX), np.int8)


def layer_norm(
    node: LayerNorm,
    q: _Int8s,
    parameters: tuple[Floats, Floats],
    grids: tuple[ActivationQuant, ActivationQuant],
) -> _Int8s:
    """The nearest integer to the real layer norm along channels; both runtimes compute it in float32."""
    grid, out = grids
    x = (q.astype(np.float64) - grid.zero_point) * grid.scale
    centred = x - x.mean(axis=1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + node.epsilon)
    weight, bias = (p.astype(np.float64).reshape(-1, *[1] * (q.ndim - 2)) for p in parameters)
    real = normal * weight + bias
    return np.asarray(np.clip(np.rint(real / out.scale) + out.zero_point, QMIN, QMAX), np.int8)


def _depth_to_space(q: _Int8s, node: DepthToSpace) -> _Int8s:
    rows, columns = q.shape[2:]
    y = q.reshape(len(q), *node.block, -1, rows, columns).transpose(0, 3, 4, 1, 5, 2)
    return y.reshape(len(q), -1, *node.shape[2:])


def _nearest(length: int, size: int) -> NDArray[np.intp]:
    return np.minimum(np.arange(size) * length // size, length - 1).astype(np.intp)


def _bilinear(q: _Int8s, node: Resize) -> _Int8s:
    """XNNPACK's rule: weights of 11 bits, exact sums, halves rounded up."""
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


def resize_real(x: Floats, size: Pair) -> Floats:
    """ONNX Runtime's bilinear resize of real numbers [N, C, H, W], rounded where its kernel rounds.

    Its int8 files resize in float32 between the grids. The order of the products and sums below is that of
    the kernel where the compiler does not fuse them, as on x86-64: the same bits.
    """
    top, bottom, down, up = _real_places(x.shape[2], size[0])
    left, right, across, back = _real_places(x.shape[3], size[1])
    rows = (top[:, np.newaxis], bottom[:, np.newaxis])
    down, up = down[:, np.newaxis], up[:, np.newaxis]
    y = back * up * x[:, :, rows[0], left]
    y += across * up * x[:, :, rows[0], right]
    y += back * down * x[:, :, rows[1], left]
    y += across * down * x[:, :, rows[1], right]
    return np.asarray(y, np.float32)


def _real_places(length: int, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats, Floats]:
    """Every output place's input places before and behind it; the weight of the one behind, and before."""
    ratio, place = np.float32(size) / np.float32(length), np.arange(size, dtype=np.float32)
    if ratio != 1:
        place = (place + np.float32(0.5)) / ratio - np.float32(0.5)
    place = np.clip(place, np.float32(0), np.float32(length - 1))
    first = place.astype(np.intp)
    second = np.minimum(first + 1, length - 1)
    behind, before = np.abs(place - first.astype(np.float32)), np.abs(place - second.astype(np.float32))
    last = first == second
    behind[last] = before[last] = 0.5
    return first, second, behind, before


def _saturate(values: Floats) -> _Int8s:
    return np.asarray(np.clip(values, QMIN, QMAX), np.int8)
