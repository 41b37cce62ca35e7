"""What a full-int8 network must answer, bit for bit: the specification in numpy.

ONNX Runtime and LiteRT (XNNPACK) compute the same integers (but for bilinear resizes, and for sums on grids
that lie too far apart, see :data:`Sums`), because both follow one rule:

    q_out = clamp(rint(float32(acc) · m) + zero_point),    m = float32(s_in · s_weight / s_out)

where ``acc`` is the exact int32 sum of products and ``rint`` rounds half to even. This module is that rule
for every kind of node (average pools and loose activations are depthwise convolutions by then, see
``network.integers.lower``; sums and products are on grids that leave nothing to rounding rules, see
``network.integers.align``). Sums are taken in float64, which holds integers up to 2^53 exactly; what
follows a sum is float32, as in the runtimes. (Integer arithmetic: Jacob et al. 2018, arXiv 1712.05877.)
"""

from collections.abc import Iterator

import numpy as np

from edgesqueeze.network.graph.nodes import AnyNode, Floats, Graph, Input, last_readers
from edgesqueeze.network.integers.grid import ActivationQuant
from edgesqueeze.network.integers.lower import lower
from edgesqueeze.network.integers.pixels import pixel_integers
from edgesqueeze.network.integers.rules.layers import LAYERS
from edgesqueeze.network.integers.rules.moves import MOVES
from edgesqueeze.network.integers.rules.pools import POOLS
from edgesqueeze.network.integers.rules.rule import (
    Int8s,
    Rule,
    Setting,
    Sums,
    clamp_limits,
    dequantize,
    quantize_input,
    saturate,
)
from edgesqueeze.network.integers.rules.values import VALUES
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.trees import Tree, by_name, filled, joined, length_of, rows_of

__all__ = [
    "RULES",
    "Int8s",
    "Sums",
    "clamp_limits",
    "dequantize",
    "integer_steps",
    "quantize_by_reciprocal",
    "quantize_input",
    "run_integer",
    "run_integer_outputs",
    "run_integer_tensors",
]
RULES: dict[type[AnyNode], Rule] = {**LAYERS, **MOVES, **POOLS, **VALUES}
"""Every kind of node that a lowered network has, but the input."""
_BATCH = 16


def quantize_by_reciprocal(x: Floats, quant: ActivationQuant) -> Int8s:
    """Like :func:`quantize_input` but rint(x · (1 / scale)), XNNPACK's QUANTIZE: some ties fall otherwise."""
    scaled = x * (np.float32(1) / np.float32(quant.scale))
    return saturate(np.rint(scaled) + np.float32(quant.zero_point))


def run_integer(graph: Graph, spec: QuantSpec, x: Tree, sums: Sums = "xnnpack") -> Tree:
    """The network's output integers.

    Args:
        graph: the network.
        spec: its integers.
        x: float32 [N, C, H, W], N at least 1; of several inputs a tuple, or a dictionary by their names.
        sums: whose rule is followed where two differ.

    Returns:
        int8 [N, …] on the grid of the output node; of several outputs what the module returns, with
        such arrays.
    """
    return filled(graph.returns, run_integer_outputs(graph, spec, x, sums))


def run_integer_outputs(graph: Graph, spec: QuantSpec, x: Tree, sums: Sums = "xnnpack") -> dict[str, Int8s]:
    """Output name to int8 [N, …]: see :func:`run_integer`."""
    parts = []
    for i in range(0, length_of(x), _BATCH):
        for _, values in integer_steps(graph, spec, rows_of(x, slice(i, i + _BATCH)), sums):
            known = values
        parts.append({output.name: known[output.node] for output in graph.outputs})
    found: dict[str, Int8s] = joined(parts, np.concatenate)
    return found


def run_integer_tensors(graph: Graph, spec: QuantSpec, x: Tree, sums: Sums = "xnnpack") -> dict[str, Int8s]:
    """Node name to its output int8 [N, …]: like :func:`run_integer`, in one batch, keeping every tensor."""
    kept = {name: values[name] for name, values in integer_steps(graph, spec, x, sums)}
    return {node.name: kept[node.name] for node in graph.nodes}


def _integers_read(graph: Graph, node: Input, x: Floats, spec: QuantSpec) -> Int8s:
    """An input as a network reads it: on its grid, or the pixels that it comes from."""
    return pixel_integers(graph, x) if graph.takes_pixels else quantize_input(x, spec.activations[node.name])


def integer_steps(
    graph: Graph, spec: QuantSpec, x: Tree, sums: Sums = "xnnpack"
) -> Iterator[tuple[str, dict[str, Int8s]]]:
    """Compute one batch node by node, of the lowered graph, in execution order.

    Yields:
        The name of the node just computed, and the values [N, …] that are still needed, its own among them.
        What the caller puts in their place is what the nodes behind read.
    """
    graph, spec = lower(graph, spec)
    setting = Setting(graph, spec, sums)
    given = by_name(x, [node.name for node in graph.inputs])
    values: dict[str, Int8s] = {}
    last_reader = last_readers(graph)
    for node in graph.nodes:
        if isinstance(node, Input):
            values[node.name] = _integers_read(graph, node, given[node.name], spec)
        else:
            values[node.name] = RULES[type(node)](node, [values[name] for name in node.inputs], setting)
        yield node.name, values
        for name in set(node.inputs):
            if last_reader.get(name) == node.name:
                del values[name]
