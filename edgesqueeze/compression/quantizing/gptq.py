"""Weights rounded one column after another, each error made up for by the columns that follow."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, sqrt

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from edgesqueeze.compression.quantizing.layerwise import adjust_layers, corrected_bias
from edgesqueeze.network.floats.rule import pad
from edgesqueeze.network.graph.nodes import Conv, Dense, Graph, WeightedNode
from edgesqueeze.network.integers.spec import QuantSpec, WeightQuant
from edgesqueeze.trees import Tree

_DAMPING = 0.01
"""Of the mean variance of the inputs: directions that the calibration inputs hardly have move no weight."""
_SCARCE = 12.0
"""More of it where a weight has many columns for the places that were seen: so much, times their ratio."""
_UNFOLDED_VALUES = 1 << 25
"""Of a layer's inputs over all images, at most: of large maps fewer places are looked at."""
_BLOCK = 64
"""Columns whose errors are carried to all later columns at once, which is the same and faster."""


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
        weight = torch.from_numpy(graph.weight(node)).double()
        found = _rounded(_moments_of(node, x, target), weight, quant, input_scale**2 / 12)
        return corrected_bias(node, x, target, found, input_scale)

    return adjust_layers(graph, spec, batches, adjust)


@dataclass(frozen=True)
class _Moments:
    """Sums of centred products over all images and places, by group of channels, in float64.

    ``inputs`` [groups, columns, columns]; ``answers`` [groups, rows, columns] of the wanted output with them;
    ``places`` is how many were seen.
    """

    inputs: Tensor
    answers: Tensor
    places: int

    def error(self, weight: Tensor) -> float:
        """The squared error of the output with weights [groups, rows, columns], up to a constant."""
        return float((weight @ self.inputs * weight).sum() - 2 * (weight * self.answers).sum())


def _rounded(moments: _Moments, weight: Tensor, quant: WeightQuant, noise: float) -> WeightQuant:
    """The integers by columns, if they answer closer than those there are.

    ``noise`` is the variance of the rounding of the inputs: what varies less says nothing.
    """
    groups, _, columns = moments.answers.shape
    weight = weight.reshape(groups, -1, columns)
    scale = torch.from_numpy(quant.scale).double().expand(quant.weight.shape[0]).reshape(groups, -1, 1)
    found = _by_columns(_damped(moments, weight, noise), weight, scale)
    nearest = torch.from_numpy(quant.weight).double().reshape(weight.shape)
    if moments.error(found * scale) >= moments.error(nearest * scale):
        return quant
    return replace(quant, weight=found.reshape(quant.weight.shape).numpy().astype(np.int8))


def _damped(moments: _Moments, weight: Tensor, noise: float) -> _Moments:
    """Moments as if inputs were a little noisy, and the float weights right for the noise."""
    diagonal = moments.inputs.diagonal(dim1=-2, dim2=-1)
    share = max(_DAMPING, _SCARCE * diagonal.shape[-1] / moments.places)
    amount = (share * diagonal.mean(-1)).clamp_min(noise * moments.places)[:, None, None]
    added = amount * torch.eye(diagonal.shape[-1], dtype=torch.float64)
    return _Moments(moments.inputs + added, moments.answers + amount * weight, moments.places)


def _by_columns(moments: _Moments, weight: Tensor, scale: Tensor) -> Tensor:
    """Integers [groups, rows, columns] as float64, columns of the most varied inputs first."""
    order = moments.inputs.diagonal(dim1=-2, dim2=-1).argsort(-1, descending=True)
    inputs = moments.inputs.gather(1, order[:, :, None].expand_as(moments.inputs))
    inputs = inputs.gather(2, order[:, None, :].expand_as(inputs))
    sideways = order[:, None, :].expand_as(weight)
    inverse = torch.linalg.inv(inputs)
    carry = torch.linalg.cholesky(inverse, upper=True)
    rest = (moments.answers.gather(2, sideways) @ inverse) / scale
    movable = weight.gather(2, sideways) != 0
    found = torch.zeros_like(rest)
    for begin in range(0, rest.shape[2], _BLOCK):
        end = min(begin + _BLOCK, rest.shape[2])
        errors = torch.zeros_like(rest[:, :, begin:end])
        for column in range(begin, end):
            wanted = rest[:, :, column]
            nearest = torch.where(movable[:, :, column], wanted.round().clamp(-127, 127), 0.0)
            found[:, :, column] = nearest
            error = (wanted - nearest) / carry[:, None, column, column]
            errors[:, :, column - begin] = error
            rest[:, :, column:end] -= error[:, :, None] * carry[:, None, column, column:end]
        rest[:, :, end:] -= errors @ carry[:, begin:end, end:]
    return torch.zeros_like(found).scatter(2, sideways, found)


def _moments_of(node: Conv | Dense, x: Tensor, target: Tensor) -> _Moments:
    """The covariances of a layer's inputs, and of what it should answer, [N, out, ...], with them."""
    groups = node.groups if isinstance(node, Conv) else 1
    apart = _apart(node, x)
    answers = target.unsqueeze(-1) if target.ndim == 2 else target[:, :, :: apart[0], :: apart[1]]
    reads, answers = _columns(node, x, apart), _by_group(answers.flatten(2), groups)
    reads, answers = (values - values.mean(-1, keepdim=True) for values in (reads, answers))
    return _Moments((reads @ reads.mT).double(), (answers @ reads.mT).double(), reads.shape[-1])


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
