"""Weights rounded one column after another, each error made up for by the columns that follow."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, sqrt

import numpy as np
from torch import Tensor
from torch.nn import functional

from edgesqueeze.compression.quantizing.layerwise import adjust_layers, corrected_bias
from edgesqueeze.network.floats.rule import pad
from edgesqueeze.network.graph.nodes import Conv, Dense, Graph, WeightedNode
from edgesqueeze.network.integers.spec import QuantSpec, WeightQuant
from edgesqueeze.numerics.second_order.column_rounding import Bits, Layer, round_columns
from edgesqueeze.numerics.second_order.moments import Moments, Reals
from edgesqueeze.trees import Tree

_DAMPING = 0.01
"""Of the mean variance of the inputs: directions that the calibration inputs hardly have move no weight."""
_SCARCE = 12.0
"""More of it where a weight has many columns for the places that were seen: so much, times their ratio."""
_UNFOLDED_VALUES = 1 << 25
"""Of a layer's inputs over all images, at most: of large maps fewer places are looked at."""
_LARGEST = 127


def round_by_columns(graph: Graph, spec: QuantSpec, batches: Sequence[Tree]) -> QuantSpec:
    """The spec with the weights of convolutions and dense layers rounded by their inputs' second moments.

    A layer's weights are first moved to answer the inputs it has in int8 as the float layer answers its own
    (least squares); then GPTQ rounds them (Frantar et al. 2023, "GPTQ: Accurate post-training quantization
    for generative pre-trained transformers", arXiv 2210.17323; the rule is that of Optimal Brain
    Compression, Frantar & Alistarh 2022, arXiv 2208.11580). Means are the bias's part and left out. Zeros
    stay zero. A layer whose output does not come closer keeps the integers it has.
    """

    def adjust(node: WeightedNode, x: Tensor, target: Tensor, quant: WeightQuant) -> WeightQuant:
        if not isinstance(node, Conv | Dense):
            return quant
        input_scale = spec.activations[node.inputs[0]].scale
        weight = graph.weight(node).astype(np.float64)
        found = _rounded(_moments_of(node, x, target), weight, quant, input_scale**2 / 12)
        return corrected_bias(node, x, target, found, input_scale)

    return adjust_layers(graph, spec, batches, adjust)


def _rounded(moments: Moments, weight: Reals, quant: WeightQuant, noise: float) -> WeightQuant:
    """The integers by columns, if they answer closer than those there are.

    ``noise`` is the variance of the rounding of the inputs: what varies less says nothing.
    """
    groups, _, columns = moments.answers.shape
    weight = weight.reshape(groups, -1, columns)
    scale = np.broadcast_to(quant.scale.astype(np.float64), len(quant.weight)).reshape(groups, -1, 1)
    share = max(_DAMPING, _SCARCE * columns / moments.places)
    damped = moments.damped(weight, share, noise)
    # Columns of the most varied inputs first.
    order = np.argsort(-damped.inputs.diagonal(axis1=-2, axis2=-1), axis=-1, kind="stable")
    sideways = order[:, None, :]
    movable = np.take_along_axis(weight != 0, sideways, -1)
    layer = Layer.of(damped.reordered(order), np.ones(weight.shape[:2]), movable)
    free = Bits(np.zeros(weight.shape, np.float32), np.zeros(1, np.float32))
    levels, _ = round_columns(replace(layer, aim=layer.aim / scale), 1.0, 0.0, free, largest=_LARGEST)
    found = np.empty_like(levels)
    np.put_along_axis(found, sideways, levels, -1)
    nearest = quant.weight.reshape(weight.shape)
    if moments.errors(found * scale).sum() >= moments.errors(nearest * scale).sum():
        return quant
    return replace(quant, weight=found.reshape(quant.weight.shape).astype(np.int8))


def _moments_of(node: Conv | Dense, x: Tensor, target: Tensor) -> Moments:
    """The covariances of a layer's inputs, and of what it should answer, [N, out, ...], with them."""
    groups = node.groups if isinstance(node, Conv) else 1
    apart = _apart(node, x)
    answers = target.unsqueeze(-1) if target.ndim == 2 else target[:, :, :: apart[0], :: apart[1]]
    reads, answers = _columns(node, x, apart), _by_group(answers.flatten(2), groups)
    reads, answers = (values - values.mean(-1, keepdim=True) for values in (reads, answers))
    places = reads.shape[-1]
    inputs, wanted = ((values @ reads.mT).double().numpy() / places for values in (reads, answers))
    return Moments(inputs, wanted, places)


def _apart(node: Conv | Dense, x: Tensor) -> tuple[int, int]:
    """How far apart the places lie that are looked at, in rows and columns of the output."""
    if isinstance(node, Dense):
        return 1, 1
    values = node.kernel[0] * node.kernel[1] * x.shape[1] * len(x)
    rows, columns = node.shape[2:]
    apart = max(1, ceil(sqrt(values * rows * columns / _UNFOLDED_VALUES)))
    return min(apart, rows), min(apart, columns)


def _columns(node: Conv | Dense, x: Tensor, apart: tuple[int, int]) -> Tensor:
    """What meets each column of a layer's weight: [groups, columns, images · places]."""
    if isinstance(node, Dense):
        return x.flatten(1).T[None]
    stride = (node.stride[0] * apart[0], node.stride[1] * apart[1])
    padded = pad(x, node.pads, 0.0)
    return _by_group(functional.unfold(padded, node.kernel, node.dilation, 0, stride), node.groups)


def _by_group(values: Tensor, groups: int) -> Tensor:
    """[N, channels, places] as [groups, channels / groups, N · places]."""
    images, channels, places = values.shape
    apart = values.reshape(images, groups, channels // groups, places)
    return apart.permute(1, 2, 0, 3).reshape(groups, channels // groups, images * places)
