"""Makes golden .sqz files of format version 1: run this file to write ``v1_small.sqz`` beside it.

The committed file is never written again. Files in users' hands cannot be rewritten either.
"""

from pathlib import Path

import numpy as np

from edgesqueeze.formats.sqz.version1 import emit_v1
from edgesqueeze.network.graph.check import complete_shapes
from edgesqueeze.network.graph.nodes import (
    Add,
    AvgPool,
    Clamp,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    Graph,
    Input,
    MaxPool,
    bias_name,
    weight_name,
    weight_shape,
)
from edgesqueeze.network.integers.ranges import merge_ranges
from edgesqueeze.network.integers.spec import activation_quant, spec_from_activations

_CODEBOOK = np.array([-0.75, -0.5, -0.125, 0.0625, 0.25, 0.3, 1.0, 2.5], np.float32)


def golden_graph() -> Graph:
    """Every kind of node, weights that make all four encodings worth while, a stream of several chunks."""
    conv = {"stride": (1, 1), "dilation": (1, 1), "groups": 1}
    nodes = complete_shapes(
        [
            Input(name="input", inputs=(), shape=(1, 3, 12, 11)),
            Conv(name="stem.0", inputs=("input",), shape=(1, 8), kernel=(3, 3), pads=(1, 1, 1, 1),
                 activation="relu", **conv),
            MaxPool(name="pool", inputs=("stem.0",), shape=(), kernel=(3, 3), stride=(2, 2),
                    pads=(0, 0, 1, 0)),
            Conv(name="left", inputs=("pool",), shape=(1, 4), kernel=(1, 1), pads=(0, 0, 0, 0),
                 activation="relu6", **conv),
            Conv(name="right", inputs=("pool",), shape=(1, 4), kernel=(1, 3), pads=(0, 1, 0, 1),
                 activation="none", **conv),
            Concat(name="both", inputs=("left", "right"), shape=()),
            Add(name="sum", inputs=("both", "pool"), shape=(), activation="none"),
            Clamp(name="clamp", inputs=("sum",), shape=(), activation="relu"),
            AvgPool(name="mean", inputs=("clamp",), shape=(), kernel=(2, 2), stride=(1, 1)),
            Flatten(name="flat", inputs=("mean",), shape=()),
            GlobalAvgPool(name="global", inputs=("clamp",), shape=()),
            Flatten(name="flat_global", inputs=("global",), shape=()),
            Concat(name="features", inputs=("flat", "flat_global"), shape=()),
            Dense(name="hidden", inputs=("features",), shape=(1, 260), activation="relu"),
            Dense(name="größe", inputs=("hidden",), shape=(1, 7), activation="none"),
        ]
    )  # fmt: skip
    graph = Graph(nodes, {})
    tensors = {}
    for place, node in enumerate(graph.weighted):
        shape = weight_shape(graph, node)
        numbers = np.arange(np.prod(shape))
        # Multiplicative hashing: scattered, and the same on every machine and in every numpy.
        scattered = (numbers * 2654435761 + 12345 * place) % (1 << 32)
        values = _CODEBOOK[(scattered >> 13) % 8]
        if node.name == "stem.0":
            values = ((scattered - 2.0**31) * 2.0**-32).astype(np.float32)
        if node.name in ("hidden", "right"):
            values = np.where(scattered % 100 < 12, values, np.float32(0))
        tensors[weight_name(node)] = values.astype(np.float32).reshape(shape)
        bias = (numbers[: node.shape[1]] % 5 - 2) * 0.01
        tensors[bias_name(node)] = np.where(numbers[: node.shape[1]] % 3 == 0, bias, 0).astype(np.float32)
    return Graph(nodes, tensors)


def golden_file() -> bytes:
    """The bytes of the golden file as today's encoder writes them.

    The grids are written down here and not chosen by ``make_spec``: how grids are chosen may change, what a file
    of version 1 says may not.
    """
    graph = golden_graph()
    ranges = {node.name: (-0.25 * place, 0.5 + place) for place, node in enumerate(graph.nodes)}
    merged = merge_ranges(graph, ranges)
    grids = {name: activation_quant(*merged[name]) for name in graph.by_name}
    return emit_v1(graph, spec_from_activations(graph, grids))


if __name__ == "__main__":
    with (Path(__file__).parent / "v1_small.sqz").open("xb") as file:
        file.write(golden_file())
