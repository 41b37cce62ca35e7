"""Layers with coarse integers, and how far each one's answers are from the float layer's."""

from dataclasses import replace

import numpy as np

from edgesqueeze.compression.quantizing.layerwise import adjust_layers
from edgesqueeze.compression.quantizing.post_training import Plan, quantize_graph
from edgesqueeze.compression.quantizing.simulation import dequantized_layer
from edgesqueeze.network.floats.run import compute_node
from edgesqueeze.network.integers.spec import spec_from_activations


def layer_errors(graph, spec, batches):
    """Layer name to the error of its output before the activation, for what it really reads in int8."""
    errors = {}

    def observe(node, x, target, quant):
        real = {node.name: dequantized_layer(quant, spec.activations[node.inputs[0]].scale)}
        errors[node.name] = compute_node(replace(node, activation="none"), [x], real) - target
        return quant

    adjust_layers(graph, spec, batches, observe)
    return errors


def coarse(graph, batches):
    """A spec with weights of 3 bits, where rounding hurts."""
    model = quantize_graph(graph, batches, Plan())
    scales = {name: (layer.scale * np.float32(42)) for name, layer in model.spec.weights.items()}
    return spec_from_activations(graph, model.spec.activations, scales)
