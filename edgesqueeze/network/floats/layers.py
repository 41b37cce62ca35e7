"""Float meaning of the nodes with weights."""

import torch.nn.functional as F
from torch import Tensor

from edgesqueeze.network.floats.rule import Rule, Weights, activate, pad
from edgesqueeze.network.graph.nodes import (
    AnyNode,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    GroupNorm,
    LayerNorm,
)


def _conv(node: Conv, inputs: list[Tensor], weights: Weights) -> Tensor:
    weight, bias = weights[node.name]
    x = pad(inputs[0], node.pads, 0.0)
    return activate(F.conv2d(x, weight, bias, node.stride, 0, node.dilation, node.groups), node.activation)


def _conv_transpose(node: ConvTranspose, inputs: list[Tensor], weights: Weights) -> Tensor:
    weight, bias = weights[node.name]
    y = F.conv_transpose2d(inputs[0], weight.transpose(0, 1), bias, node.stride, 0, node.extra)
    top, left = node.pads[:2]
    return activate(y[:, :, top : top + node.shape[2], left : left + node.shape[3]], node.activation)


def _dense(node: Dense, inputs: list[Tensor], weights: Weights) -> Tensor:
    return activate(F.linear(inputs[0], *weights[node.name]), node.activation)


def _layer_norm(node: LayerNorm, inputs: list[Tensor], weights: Weights) -> Tensor:
    weight, bias = weights[node.name]
    last = F.layer_norm(inputs[0].movedim(1, -1), weight.shape, weight, bias, node.epsilon)
    return last.movedim(-1, 1)


def _group_norm(node: GroupNorm, inputs: list[Tensor], weights: Weights) -> Tensor:
    return F.group_norm(inputs[0], node.groups, *weights[node.name], node.epsilon)


def _constant(node: Constant, _: list[Tensor], weights: Weights) -> Tensor:
    weight, bias = weights[node.name]
    return (weight + bias[:, None]).reshape(node.shape)


LAYERS: dict[type[AnyNode], Rule] = {
    Conv: _conv,
    ConvTranspose: _conv_transpose,
    Dense: _dense,
    LayerNorm: _layer_norm,
    GroupNorm: _group_norm,
    Constant: _constant,
}
