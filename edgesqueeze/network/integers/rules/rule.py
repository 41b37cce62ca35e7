"""What an integer rule is, and what several of them need."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import Activation, AnyNode, Floats, Graph, Pads
from edgesqueeze.network.integers.grid import QMAX, QMIN, ActivationQuant
from edgesqueeze.network.integers.spec import QuantSpec

Int8s = NDArray[np.int8]
Sums = Literal["xnnpack", "onnxruntime"]
"""Whose rule is followed where two differ: XNNPACK's in fixed point, or ONNX Runtime's in float32.

A bilinear resize may differ by 1. Sums and means over a map are equal on aligned grids; where the scales lie
too far apart to be aligned (a factor of 8), or the map is large, they may differ by 1.
"""


@dataclass(frozen=True)
class Setting:
    """Where a node stands: the lowered network, its integers, and whose rule is followed."""

    graph: Graph
    spec: QuantSpec
    sums: Sums

    def grids(self, node: AnyNode) -> list[ActivationQuant]:
        """The grids of what a node reads."""
        return [self.spec.activations[name] for name in node.inputs]

    def out(self, node: AnyNode) -> ActivationQuant:
        """The grid of what it makes."""
        return self.spec.activations[node.name]


Rule = Callable[[Any, list[Int8s], Setting], Int8s]
"""The output int8 [N, …] of a node of one kind, from its inputs."""


def quantize_input(x: Floats, quant: ActivationQuant) -> Int8s:
    """Real numbers to the nearest integers of a grid, saturating: rint(x / scale) + zero_point."""
    return saturate(np.rint(x / np.float32(quant.scale)) + np.float32(quant.zero_point), QMIN, QMAX)


def dequantize(q: Int8s, quant: ActivationQuant) -> Floats:
    """Integers of a grid to real numbers: scale × (q - zero_point)."""
    return (q.astype(np.float32) - np.float32(quant.zero_point)) * np.float32(quant.scale)


def clamp_limits(quant: ActivationQuant, activation: Activation) -> tuple[int, int]:
    """The smallest and largest integer that a fused activation lets through."""
    low, high = QMIN, QMAX
    if activation != "none":
        low = quant.zero_point
    if activation == "relu6":
        high = min(QMAX, int(np.rint(np.float32(6) / np.float32(quant.scale))) + quant.zero_point)
    return low, high


def requantize(
    acc: NDArray[np.float64], multiplier: Floats | np.float32, out: ActivationQuant, activation: Activation
) -> Int8s:
    """Exact sums to output integers, channels on axis 1."""
    low, high = clamp_limits(out, activation)
    q = np.rint(acc.astype(np.float32) * multiplier) + np.float32(out.zero_point)
    return saturate(q, low, high)


def saturate(values: NDArray[Any], low: int = QMIN, high: int = QMAX) -> Int8s:
    """Values cut off at the ends of a grid."""
    return np.asarray(np.clip(values, low, high), np.int8)


def pad(x: NDArray[Any], pads: Pads, value: int) -> NDArray[Any]:
    """A map [N, C, H, W] with rows and columns of a value around it."""
    top, left, bottom, right = pads
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)
