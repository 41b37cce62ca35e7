"""Adjusting the integers of one layer after the other, so that its output comes closer to the float layer's.

Both walk through the network once: each layer is given what it really reads in int8, with every layer
before it already adjusted, and the output it should have.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgesqueeze.compression.quantizing.simulation import dequantized_layer, fake_quantize
from edgesqueeze.network.floats.run import compute_node, graph_weights
from edgesqueeze.network.graph.nodes import Graph, Input, WeightedNode, last_readers
from edgesqueeze.network.integers.spec import QuantSpec, WeightQuant
from edgesqueeze.trees import Tree, by_name, joined

Adjust = Callable[[WeightedNode, Tensor, Tensor, WeightQuant], WeightQuant]
"""A layer, its int8 input and its float output before the activation, over all images: better integers."""
Int8s = NDArray[np.int8]
_BIAS_LIMIT = 2**30
_ADAROUND_BATCH = 32
_ADAROUND_RATE = 1e-2
_ADAROUND_LAMBDA = 0.01
_STRETCH_LOW, _STRETCH_HIGH = -0.1, 1.1
_WARM_UP = 0.2


@torch.no_grad()
def adjust_layers(graph: Graph, spec: QuantSpec, batches: Sequence[Tree], adjust: Adjust) -> QuantSpec:
    """The spec with every layer's integers adjusted, in execution order; layers kept in float have none.

    A layer that is used more than once is adjusted for its first use.

    All activations of the calibration batches that a later node reads are in memory at once.
    """
    weights = graph_weights(graph)
    adjusted = dict(spec.weights)
    x = by_name(joined(batches, torch.cat), [node.name for node in graph.inputs])
    exact: dict[str, Tensor] = {}
    quantized: dict[str, Tensor] = {}
    last_reader = last_readers(graph)
    for node in graph.nodes:
        grid = spec.activations[node.name]
        if isinstance(node, Input):
            exact[node.name], quantized[node.name] = x[node.name], fake_quantize(x[node.name], grid)
            continue
        reads, reads_quantized = ([values[n] for n in node.inputs] for values in (exact, quantized))
        layer = weights
        if isinstance(node, WeightedNode) and node.name in adjusted:
            quant = adjusted[node.owner]
            if not node.weights_of:
                target = compute_node(replace(node, activation="none"), reads, weights)
                quant = adjust(node, reads_quantized[0], target, quant)
            adjusted[node.name] = quant
            layer = {node.name: dequantized_layer(quant, spec.activations[node.inputs[0]].scale)}
        exact[node.name] = compute_node(node, reads, weights)
        quantized[node.name] = fake_quantize(compute_node(node, reads_quantized, layer), grid)
        for name in set(node.inputs):
            if last_reader.get(name) == node.name:
                del exact[name], quantized[name]
    return QuantSpec(spec.activations, adjusted)


def correct_biases(graph: Graph, spec: QuantSpec, batches: Sequence[Tree]) -> QuantSpec:
    """Biases moved by the mean error of each output channel before the activation.

    (Nagel et al. 2019, arXiv 1906.04721, section 4.2; the mean is measured as in their appendix D.)
    """

    def adjust(node: WeightedNode, x: Tensor, target: Tensor, quant: WeightQuant) -> WeightQuant:
        return corrected_bias(node, x, target, quant, spec.activations[node.inputs[0]].scale)

    return adjust_layers(graph, spec, batches, adjust)


def corrected_bias(
    node: WeightedNode, x: Tensor, target: Tensor, quant: WeightQuant, input_scale: float
) -> WeightQuant:
    """The integers with a bias that gives the wanted mean [N, out, ...] of every channel for inputs ``x``."""
    real = {node.name: dequantized_layer(quant, input_scale)}
    error = compute_node(replace(node, activation="none"), [x], real) - target
    mean = error.mean(dim=[d for d in range(error.ndim) if d != 1]).double().numpy()
    moved = quant.bias - np.rint(mean / quant.bias_scale(input_scale).astype(np.float64))
    return replace(quant, bias=np.clip(moved, -_BIAS_LIMIT, _BIAS_LIMIT).astype(np.int32))


def round_adaptively(
    graph: Graph, spec: QuantSpec, batches: Sequence[Tree], steps: int, seed: int
) -> QuantSpec:
    """Weights rounded up or down, whichever keeps the layer's output, instead of to the nearest.

    AdaRound (Nagel et al. 2020, "Up or down? Adaptive rounding for post-training quantization",
    arXiv 2004.10568): per layer a soft choice between both neighbours is trained with Adam and pressed to
    one side. Zeros stay zero. A layer whose output does not come closer keeps its nearest integers.
    """
    generator = torch.Generator().manual_seed(seed)

    def adjust(node: WeightedNode, x: Tensor, target: Tensor, quant: WeightQuant) -> WeightQuant:
        bias = dequantized_layer(quant, spec.activations[node.inputs[0]].scale)[1]
        layer = _SoftRounding(node, torch.from_numpy(graph.weight(node)), quant, bias)
        with torch.enable_grad():
            layer.train(x, target, steps, generator)
        found = replace(quant, weight=layer.integers())
        better = layer.error(x, target, found.weight) < layer.error(x, target, quant.weight)
        return found if better else quant

    return adjust_layers(graph, spec, batches, adjust)


class _SoftRounding:
    """One layer whose weights lie between two integers each, at a trained place."""

    def __init__(self, node: WeightedNode, weight: Tensor, quant: WeightQuant, bias: Tensor) -> None:
        self._node, self._bias = node, bias
        self._scale = torch.from_numpy(quant.scale).view(-1, *[1] * (weight.ndim - 1))
        scaled = (weight / self._scale).clamp(-127, 127)
        self._floor = scaled.floor()
        rest = ((scaled - self._floor) - _STRETCH_LOW) / (_STRETCH_HIGH - _STRETCH_LOW)
        self._choice = torch.logit(rest).requires_grad_()  # the rest lies strictly between 0 and 1
        self._movable = weight != 0

    def train(self, x: Tensor, target: Tensor, steps: int, generator: torch.Generator) -> None:
        """Minimize the output's error, and, behind a warm-up, the distance of every choice to 0 or 1."""
        optimizer = torch.optim.Adam([self._choice], _ADAROUND_RATE)
        for step in range(steps):
            chosen = torch.randperm(len(x), generator=generator)[:_ADAROUND_BATCH]
            up = self._up()
            loss = self._loss(x[chosen], target[chosen], self._floor + up)
            progress = (step / steps - _WARM_UP) / (1 - _WARM_UP)
            if progress > 0:
                beta = 20 - 18 * progress
                loss = loss + _ADAROUND_LAMBDA * (1 - (2 * up - 1).abs().pow(beta)).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    def integers(self) -> Int8s:
        """The chosen integers in the weight's shape."""
        rounded = (self._floor + (self._up() >= 0.5)).clamp(-127, 127)
        return np.asarray(torch.where(self._movable, rounded, 0.0).detach().numpy(), np.int8)

    def error(self, x: Tensor, target: Tensor, integers: Int8s) -> float:
        """The squared error of the output with these integers, over all images."""
        return float(self._loss(x, target, torch.from_numpy(integers.astype(np.float32))))

    def _up(self) -> Tensor:
        """The rectified sigmoid (equation 23 of the paper): 0 is down, 1 is up."""
        return (torch.sigmoid(self._choice) * (_STRETCH_HIGH - _STRETCH_LOW) + _STRETCH_LOW).clamp(0, 1)

    def _loss(self, x: Tensor, target: Tensor, integers: Tensor) -> Tensor:
        """Squared error behind the activation, summed over channels, mean over images and places."""
        weight = torch.where(self._movable, integers.clamp(-127, 127), 0.0) * self._scale
        found = compute_node(self._node, [x], {self._node.name: (weight, self._bias)})
        return (found - _activated(self._node, target)).pow(2).sum(1).mean()


def _activated(node: WeightedNode, y: Tensor) -> Tensor:
    low = 0.0 if node.activation != "none" else -torch.inf
    return y.clamp(low, 6.0 if node.activation == "relu6" else torch.inf)
