"""Integer rules of the nodes that compute values from values at the same place."""

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import (
    Activation,
    Add,
    AnyNode,
    Extreme,
    Floats,
    MatMul,
    Mul,
    Pointwise,
    Softmax,
)
from edgesqueeze.network.integers.grid import QMIN, ActivationQuant
from edgesqueeze.network.integers.rules.rule import Int8s, Rule, Setting, clamp_limits, requantize, saturate
from edgesqueeze.network.integers.tables import table


def _add(node: Add, inputs: list[Int8s], setting: Setting) -> Int8s:
    add = _fixed_point_sum if setting.sums == "xnnpack" else _float_sum
    return add(inputs, setting.grids(node), setting.out(node), node.activation)


def _pointwise(node: Pointwise, inputs: list[Int8s], setting: Setting) -> Int8s:
    known = table(node.call, setting.grids(node)[0], setting.out(node))
    return known[inputs[0].astype(np.int16) - QMIN]


def _mul(node: Mul, inputs: list[Int8s], setting: Setting) -> Int8s:
    """rint(float32((a - zero_a) · (b - zero_b)) · float32(s_a · s_b / s_out)) + zero_out."""
    grids, out = setting.grids(node), setting.out(node)
    left, right = (q.astype(np.int32) - grid.zero_point for q, grid in zip(inputs, grids, strict=True))
    multiplier = np.float32(grids[0].scale) * np.float32(grids[1].scale) / np.float32(out.scale)
    return saturate(np.rint((left * right).astype(np.float32) * multiplier) + np.float32(out.zero_point))


def _softmax(node: Softmax, inputs: list[Int8s], setting: Setting) -> Int8s:
    """The nearest integer to the real softmax along channels; the runtimes' sums may round otherwise."""
    (q,), (grid,), out = inputs, setting.grids(node), setting.out(node)
    below_peak = (q.astype(np.int16) - q.max(axis=1, keepdims=True)) * grid.scale
    powers = np.exp(below_peak)
    real = powers / powers.sum(axis=1, keepdims=True)
    return saturate(np.rint(real / out.scale) + out.zero_point)


def _fixed_point_sum(
    inputs: list[Int8s], grids: list[ActivationQuant], out: ActivationQuant, activation: Activation
) -> Int8s:
    """XNNPACK's fixed-point sum: integer multipliers of 20 to 21 bits, half rounded up."""
    ratios = [float(np.float32(grid.scale) / np.float32(out.scale)) for grid in grids]
    shift = 20 - (int(np.frexp(max(ratios))[1]) - 1)
    total: NDArray[np.int64] = np.full((), 1 << (shift - 1), np.int64)
    for q, grid, ratio in zip(inputs, grids, ratios, strict=True):
        total = total + (q.astype(np.int64) - grid.zero_point) * int(np.rint(ratio * 2.0**shift))
    low, high = clamp_limits(out, activation)
    return saturate((total >> shift) + out.zero_point, low, high)


def _float_sum(
    inputs: list[Int8s], grids: list[ActivationQuant], out: ActivationQuant, activation: Activation
) -> Int8s:
    """ONNX Runtime's sum in float32, halves to even."""
    total: Floats = np.full((), out.zero_point, np.float32)
    for q, grid in zip(inputs, grids, strict=True):
        ratio = np.float32(grid.scale) / np.float32(out.scale)
        total = total + (q.astype(np.float32) - np.float32(grid.zero_point)) * ratio
    low, high = clamp_limits(out, activation)
    return saturate(np.rint(total), low, high)


def _extreme(node: Extreme, inputs: list[Int8s], _: Setting) -> Int8s:
    return np.maximum(*inputs) if node.which == "maximum" else np.minimum(*inputs)


def _mat_mul(node: MatMul, inputs: list[Int8s], setting: Setting) -> Int8s:
    """Exact sums on the output grid, as ONNX Runtime's kernel has them; TFLite computes in float."""
    grids, out = setting.grids(node), setting.out(node)
    left, right = (q.astype(np.float64) - grid.zero_point for q, grid in zip(inputs, grids, strict=True))
    matrices = right.transpose(0, 2, 1, 3) if node.along == "channels" else right.transpose(0, 2, 3, 1)
    sums = np.matmul(left.transpose(0, 2, 3, 1), matrices).transpose(0, 3, 1, 2)
    multiplier = np.float32(grids[0].scale) * np.float32(grids[1].scale) / np.float32(out.scale)
    return requantize(sums, multiplier, out, "none")


VALUES: dict[type[AnyNode], Rule] = {
    Add: _add,
    Extreme: _extreme,
    MatMul: _mat_mul,
    Mul: _mul,
    Pointwise: _pointwise,
    Softmax: _softmax,
}
