"""Makes the golden .sqz file of format version 2: run this file to write ``v2_small.sqz`` beside it.

The committed file is never written again. Files in users' hands cannot be rewritten either.
"""

from pathlib import Path

import numpy as np

from edgesqueeze.formats.onnx.writing.emit import emit_onnx_weights
from edgesqueeze.formats.sqz.file import MODEL_FILES, emit_model_file, emit_sqz
from edgesqueeze.network.graph.check import complete_shapes
from edgesqueeze.network.graph.nodes import (
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    Graph,
    Input,
    LayerNorm,
    MaxPool,
    bias_name,
    weight_name,
    weight_shape,
)
from edgesqueeze.network.integers.ranges import merge_ranges
from edgesqueeze.network.integers.spec import QuantSpec, WeightQuant, activation_quant, spec_from_activations
from edgesqueeze.network.integers.weight_only import int8_weights

_CODEBOOK = np.array([-0.75, -0.51, -0.125, 0.0625, 0.23, 0.3, 1.0, 2.5], np.float32)


def golden_graph() -> Graph:
    """Every kind of weight shape, and tensors for every way of coding them."""
    plain = {"stride": (1, 1), "pads": (1, 1, 1, 1), "dilation": (1, 1)}
    nodes = complete_shapes(
        [
            Input(name="input", inputs=(), shape=(1, 3, 12, 11)),
            Conv(name="stem.0", inputs=("input",), shape=(1, 16), kernel=(3, 3), groups=1, activation="relu",
                 **plain),
            Conv(name="depthwise", inputs=("stem.0",), shape=(1, 16), kernel=(3, 3), groups=16,
                 activation="relu6", **plain),
            MaxPool(name="pool", inputs=("depthwise",), shape=(), kernel=(3, 3), stride=(2, 2), pads=(0, 0, 1, 0)),
            ConvTranspose(name="up", inputs=("pool",), shape=(1, 4), kernel=(2, 3), stride=(2, 2),
                          pads=(0, 1, 0, 0), extra=(0, 0), activation="none"),
            LayerNorm(name="norm", inputs=("up",), shape=(), epsilon=float(np.float32(1e-5))),
            Flatten(name="flat", inputs=("norm",), shape=()),
            Dense(name="hidden", inputs=("flat",), shape=(1, 40), activation="relu"),
            Dense(name="größe", inputs=("hidden",), shape=(1, 7), activation="none"),
        ]
    )  # fmt: skip
    graph = Graph(nodes, {})
    tensors = {}
    for place, node in enumerate(graph.parametric):
        numbers = np.arange(np.prod(weight_shape(graph, node)))
        # Multiplicative hashing: scattered, and the same on every machine and in every numpy.
        scattered = (numbers * 2654435761 + 12345 * place) % (1 << 32)
        tensors[weight_name(node)] = _values(node.name, scattered).reshape(weight_shape(graph, node))
        bias = (np.arange(node.shape[1]) % 5 - 2) * 0.01 * (place % 3)
        tensors[bias_name(node)] = bias.astype(np.float32) + np.float32(0)  # no -0.0
    return Graph(nodes, tensors)


def _values(name, scattered):
    kept = scattered % 100 < 12
    match name:
        case "stem.0":  # all different
            values = (scattered - 2.0**31) * 2.0**-32
        case "depthwise":  # multiples of a step that float16 holds
            values = ((scattered >> 13) % 31 - 15.0) * 0.125
        case "up":  # multiples of a step that it does not hold
            values = np.float32(0.1) * ((scattered >> 13) % 15 - 7).astype(np.float32)
        case "norm":  # a codebook of float16 values
            values = _CODEBOOK[[0, 2, 3, 7]]
        case "hidden":
            values = np.where(kept, _CODEBOOK[(scattered >> 13) % 8], 0)
        case _:
            values = np.where(kept, 0.25, 0)
    return values.astype(np.float32)


def golden_spec(graph) -> QuantSpec:
    """Grids written down here; integers that do not follow, one scale for a tensor, a layer kept in float."""
    ranges = {node.name: (-0.25 * place, 0.5 + place) for place, node in enumerate(graph.nodes)}
    merged = merge_ranges(graph, ranges)
    grids = {name: activation_quant(*merged[name]) for name in graph.by_name}
    weights = spec_from_activations(graph, grids).weights
    stem, hidden = weights["stem.0"], weights["hidden"]
    weights["stem.0"] = WeightQuant(-stem.weight, stem.scale * np.float32(0.75), stem.bias - np.int32(5))
    weights["hidden"] = WeightQuant(hidden.weight, np.array([0.02], np.float32), hidden.bias)
    del weights["größe"]
    return QuantSpec(grids, weights)


def golden_file() -> bytes:
    """The bytes of the golden file as today's encoder writes them."""
    graph = golden_graph()
    spec = golden_spec(graph)
    files = {name: emit_model_file(name, graph, None) for name in MODEL_FILES[:2]}
    files["model_fp16.onnx"] = emit_onnx_weights(graph, "fp16", {})
    files["model_dynamic.onnx"] = emit_onnx_weights(graph, "dynamic", int8_weights(graph, spec))
    # What an int8 file holds, in a form of our own: emitters refuse grids as wild as these.
    arrays = [array for q in spec.weights.values() for array in (q.weight, q.scale, q.bias)]
    arrays += [
        q.bias_scale(spec.activations[graph.by_name[n].inputs[0]].scale) for n, q in spec.weights.items()
    ]
    files["integers.bin"] = b"".join(array.tobytes() for array in arrays)
    return emit_sqz(graph, spec, files)


if __name__ == "__main__":
    content = golden_file()
    with (Path(__file__).parent / "v2_small.sqz").open("xb") as file:
        file.write(content)
