"""Makes the golden .sqz file of format version 2: run this file to write ``v2_small.sqz`` beside it.

The committed file is never written again. Files in users' hands cannot be rewritten either.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent))
from golden_v1 import golden_graph

from edgesqueeze.emit.sqz import MODEL_FILES, emit_model_file, emit_sqz
from edgesqueeze.graph.ranges import merge_ranges
from edgesqueeze.graph.spec import QuantSpec, WeightQuant, activation_quant, spec_from_activations


def golden_spec(graph):
    """Grids written down as in version 1; one layer has scales, integers and biases that do not follow."""
    ranges = {node.name: (-0.25 * place, 0.5 + place) for place, node in enumerate(graph.nodes)}
    merged = merge_ranges(graph, ranges)
    spec = spec_from_activations(graph, {name: activation_quant(*merged[name]) for name in graph.by_name})
    left = spec.weights["left"]
    other = WeightQuant(-left.weight, left.scale * np.float32(0.75), left.bias - np.int32(5))
    return QuantSpec(spec.activations, {**spec.weights, "left": other})


def golden_file() -> bytes:
    """The bytes of the golden file as today's encoder writes them."""
    graph = golden_graph()
    spec = golden_spec(graph)
    return emit_sqz(graph, spec, {name: emit_model_file(name, graph, spec) for name in MODEL_FILES})


if __name__ == "__main__":
    with (Path(__file__).parent / "v2_small.sqz").open("xb") as file:
        file.write(golden_file())
