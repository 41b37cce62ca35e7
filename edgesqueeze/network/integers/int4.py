"""4-bit weights beside float32 biases: the integers of the precision ``int4``."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.network.graph.nodes import Floats, Graph
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.numerics.blocks import HIGHEST, quantize_blocks

BLOCK = 32
"""Weights of one output channel that share a scale; the last block of a channel may be shorter."""


@dataclass(frozen=True, eq=False)
class Int4Weight:
    """One layer's weight: int8 in [-8, 7], in the float weight's shape, and a scale for every block.

    ``scale`` is [out, blocks], where the blocks divide everything that one output channel sums over. It is
    float16, or float32 in a layer whose weights are too small or too large for it.
    """

    weight: NDArray[np.int8]
    scale: NDArray[np.floating]

    def dequantized(self) -> Floats:
        """The real numbers that the integers stand for, float32."""
        rows = self.weight.reshape(len(self.weight), -1)
        steps = np.repeat(self.scale.astype(np.float32), BLOCK, axis=1)[:, : rows.shape[1]]
        return (rows * steps).reshape(self.weight.shape)


def int4_weights(graph: Graph, spec: QuantSpec | None) -> dict[str, Int4Weight]:
    """The 4-bit integers of every layer by name, nearest to the float weights.

    A layer that the spec leaves out stays float, as in the other files of integer weights.
    """
    chosen = [node for node in graph.weighted if spec is None or node.name in spec.weights]
    return {node.name: _quantized(graph.weight(node)) for node in chosen}


def _quantized(weight: Floats) -> Int4Weight:
    out, summed = len(weight), prod(weight.shape[1:])
    blocks = -(-summed // BLOCK)
    padded = np.zeros((out, blocks * BLOCK), np.float32)
    padded[:, :summed] = weight.reshape(out, summed)
    scale_type = _scale_type(float(np.abs(weight).max(initial=0.0)))
    integers, scales = quantize_blocks(padded.reshape(-1, BLOCK), scale_type)
    kept = integers.reshape(out, -1)[:, :summed].reshape(weight.shape)
    stored: NDArray[np.floating] = scales.astype(scale_type)
    return Int4Weight(kept, stored.reshape(out, blocks))


def _scale_type(largest: float) -> type[np.float16] | type[np.float32]:
    """float16 where it holds the scale of the largest magnitude to its full 11 bits."""
    limits = np.finfo(np.float16)
    fits = float(limits.smallest_normal) * (HIGHEST + 3) <= largest <= float(limits.max)
    return np.float16 if fits else np.float32
