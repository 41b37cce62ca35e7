"""What a report should say of a quantization that may not serve: few images, or a noisy output."""

from collections.abc import Sequence

import torch
from torch import Tensor

from edgesqueeze.compression.quantizing.graph_model import GraphModel
from edgesqueeze.compression.quantizing.post_training import sqnr_db
from edgesqueeze.compression.quantizing.simulation import dequantized_layer, fake_quantize
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.graph.nodes import AnyNode
from edgesqueeze.task.metrics.fidelity import POOR_DB
from edgesqueeze.trees import Tree, leaves

FEWEST_IMAGES = 32
"""Ranges of fewer images are those of the images rather than those of the network."""
_NAMED = 3


def few_images(count: int) -> list[str]:
    """A sentence if so many calibration images are few."""
    if count >= FEWEST_IMAGES:
        return []
    return [
        f"calibrated on {count} images only: ranges and choices may not hold for others; "
        f"give {FEWEST_IMAGES} or more"
    ]


def poor_answers(model: GraphModel, batches: Sequence[Tree], ratio: float) -> list[str]:
    """A sentence with the layers that cost most if an output is far from the float network's.

    Args:
        model: the quantized network.
        batches: calibration inputs [N, C, H, W]; layers are judged on the first.
        ratio: the signal-to-noise ratio of its output in decibels.
    """
    if ratio >= POOR_DB:
        return []
    costs = layer_ratios(model, batches[0])
    worst = sorted(costs, key=costs.__getitem__)[:_NAMED]
    named = ", ".join(f"{name!r} ({costs[name]:.1f} dB)" for name in worst)
    return [
        f"the int8 output is poor, {ratio:.1f} dB against the float network's where {POOR_DB:.0f} is usual; "
        f"alone in int8, these layers cost most: {named}; keep_float or a 'qat' stage may help"
    ]


@torch.no_grad()
def layer_ratios(model: GraphModel, x: Tree) -> dict[str, float]:
    """The ratio in decibels of the output when only one layer is in int8, by the layer's name.

    Of several outputs that of the worst counts.

    A layer's weights, bias and output are rounded as in ``model``; everything else is float.

    Args:
        model: the quantized network.
        x: inputs [N, C, H, W].
    """
    graph, spec = model.graph, model.spec
    weights = graph_weights(graph)
    exact = list(leaves(run_graph(graph, x, weights)))
    found = {}
    for layer in (node for node in graph.weighted if node.name in spec.weights):

        def rounded(node: AnyNode, y: Tensor, name: str = layer.name) -> Tensor:
            return fake_quantize(y, spec.activations[name]) if node.name == name else y

        scale = spec.activations[layer.inputs[0]].scale
        alone = {**weights, layer.name: dequantized_layer(spec.weights[layer.name], scale)}
        answers = leaves(run_graph(graph, x, alone, rounded))
        found[layer.name] = min(sqnr_db(right, y) for right, y in zip(exact, answers, strict=True))
    return found
