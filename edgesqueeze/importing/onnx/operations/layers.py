"""Operators with weights: torch's own layers, filled with the file's numbers."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgesqueeze.importing.onnx.node import Array, OnnxNode
from edgesqueeze.importing.onnx.operations.padding import around, sides_of
from edgesqueeze.importing.onnx.operations.translation import Stored, Translation, Work, with_constants

_CONVS: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d}
_TRANSPOSED: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}
_NORMS: dict[int, Any] = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}
_INSTANCE_NORMS: dict[int, Any] = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d}


def _conv(node: OnnxNode) -> Work:
    weight, bias = _weights(node)
    rank = weight.ndim - 2
    strides = node.attribute("strides", [1] * rank)
    dilations = node.attribute("dilations", [1] * rank)
    windows = [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], dilations, strict=True)]
    groups = node.attribute("group", 1)
    inside, outside = around(sides_of(node, windows, strides))

    def make() -> nn.Module:
        channels = weight.shape[1] * groups
        kernel, has_bias = weight.shape[2:], bias is not None
        made = _kind(node, _CONVS, rank)(
            channels, len(weight), kernel, strides, inside, dilations, groups, has_bias
        )
        return _filled(made, weight, bias)

    layer = node.layer(make, (1, 2), strides, inside, dilations, groups)
    if not any(outside):
        return Work(lambda module, x: module(x), layer)
    return Work(lambda module, x: module(F.pad(x, outside)), layer)


def _conv_transpose(node: OnnxNode) -> Work:
    weight, bias = _weights(node)
    rank, groups = weight.ndim - 2, node.attribute("group", 1)
    strides = node.attribute("strides", [1] * rank)
    dilations = node.attribute("dilations", [1] * rank)
    more = list(node.attribute("output_padding", [0] * rank))
    cut = _cut(node, [(size - 1) * step + 1 for size, step in zip(weight.shape[2:], dilations, strict=True)])
    padding = [min(pair) for pair in cut]
    more_cut = [(before - min(before, behind), behind - min(before, behind)) for before, behind in cut]

    def make() -> nn.Module:
        made = _kind(node, _TRANSPOSED, rank)(
            weight.shape[0],
            weight.shape[1] * groups,
            weight.shape[2:],
            strides,
            padding,
            more,
            groups,
            bias is not None,
            dilations,
        )
        return _filled(made, weight, bias)

    layer = node.layer(make, (1, 2), strides, padding, more, dilations, groups)

    def call(module: nn.Module, x: Tensor) -> Tensor:
        found = module(x)
        for axis, (before, behind) in enumerate(more_cut, start=2):
            kept = found.shape[axis] - before - behind
            found = found.narrow(axis, before, kept) if before or behind else found
        return found  # type: ignore[no-any-return]

    return Work(call, layer)


def _cut(node: OnnxNode, windows: list[int]) -> list[tuple[int, int]]:
    """What is cut off in front and behind along every axis."""
    rank = len(windows)
    strides, more = node.attribute("strides", [1] * rank), node.attribute("output_padding", [0] * rank)
    kind, wanted = node.attribute("auto_pad", "NOTSET"), node.attribute("output_shape")
    if kind in ("NOTSET", "VALID") and wanted is None:
        pads = node.attribute("pads", [0] * 2 * rank)
        return list(zip(pads[:rank], pads[rank:], strict=True))
    found = []
    for axis, size in enumerate(node.example().shape[2:]):
        target = size * strides[axis] if wanted is None else int(list(wanted)[-rank:][axis])
        total = (size - 1) * strides[axis] + windows[axis] + more[axis] - target
        if total < 0:
            raise node.refuse(f"asks for {target} places where its windows give {target + total}")
        low = total // 2
        found.append((low, total - low) if kind == "SAME_UPPER" else (total - low, low))
    return found


def _gemm(node: OnnxNode) -> Work:
    plain = node.attribute("alpha", 1.0) == 1 and node.attribute("beta", 1.0) == 1
    if not node.is_constant(1) or node.attribute("transA", 0) or not plain:
        raise node.refuse("is no dense layer: a constant matrix is needed, alpha and beta 1")
    matrix = node.constant(1)
    weight = matrix if node.attribute("transB", 0) else matrix.T
    bias = np.broadcast_to(node.constant(2), (1, len(weight)))[0] if node.has(2) else None
    layer = node.layer(lambda: _linear(weight, bias), (1, 2), node.attribute("transB", 0))
    return Work(lambda module, x: module(x), layer)


def _matmul(node: OnnxNode) -> Work:
    if node.is_constant(1) and node.constant(1).ndim == 2:
        layer = node.layer(lambda: _linear(node.constant(1).T, None), (1,))
        return Work(lambda module, x: module(x), layer)
    return with_constants(node, torch.matmul)


def _add(node: OnnxNode) -> Work:
    """A sum; of a product with a matrix and a constant vector, the bias of a dense layer."""
    place = next((p for p in (0, 1) if node.is_constant(p)), None)
    if place is not None:
        bias, product = np.asarray(node.constant(place)), node.proto.input[1 - place]
        name = node.values.made_by.get(product, "")
        layer = node.values.layers.get(name)
        alone = node.values.readers[product] == 1 and node.values.readers[node.values.weight_of(name)] == 1
        if (
            isinstance(layer, nn.Linear)
            and layer.bias is None
            and alone
            and bias.shape == (layer.out_features,)
        ):
            layer.bias = nn.Parameter(torch.from_numpy(np.array(bias)))
            return Work(lambda x: x)
    return with_constants(node, lambda x, y: x + y)


def _linear(weight: Array, bias: Array | None) -> nn.Module:
    return _filled(nn.Linear(weight.shape[1], len(weight), bias is not None), weight, bias)


def _batch_norm(node: OnnxNode) -> Work:
    gain, shift, mean, variance = (np.asarray(node.constant(place)) for place in (1, 2, 3, 4))
    epsilon, momentum = node.attribute("epsilon", 1e-5), node.attribute("momentum", 0.9)

    def make() -> nn.Module:
        made = _kind(node, _NORMS, node.example().ndim)(len(mean), epsilon, 1 - momentum)
        with torch.no_grad():
            made.running_mean.copy_(torch.from_numpy(np.array(mean)))
            made.running_var.copy_(torch.from_numpy(np.array(variance)))
        return _filled(made, gain, shift)

    layer = node.layer(make, (1, 2, 3, 4), epsilon, node.example().ndim)
    return Work(lambda module, x: module(x), layer)


def _instance_norm(node: OnnxNode) -> Work:
    weight, bias = _weights(node)
    epsilon = node.attribute("epsilon", 1e-5)

    def make() -> nn.Module:
        made = _kind(node, _INSTANCE_NORMS, node.example().ndim)(len(weight), epsilon, affine=True)
        return _filled(made, weight, bias)

    return Work(lambda module, x: module(x), node.layer(make, (1, 2), epsilon, node.example().ndim))


def _layer_norm(node: OnnxNode) -> Work:
    weight, bias = _weights(node)
    axis, epsilon = node.attribute("axis", -1), node.attribute("epsilon", 1e-5)
    if weight.ndim != 1 or axis not in (-1, node.example().ndim - 1):
        raise node.refuse("is a layer norm over other dimensions than the last one")
    make = lambda: _filled(nn.LayerNorm(len(weight), epsilon), weight, bias)  # noqa: E731
    return Work(lambda module, x: module(x), node.layer(make, (1, 2), epsilon))


def _prelu(node: OnnxNode) -> Work:
    if not node.is_constant(1):
        raise node.refuse("has slopes that are computed")
    slopes = np.asarray(node.constant(1))
    shape = list(node.example().shape)
    per_channel = [1, *shape[1:2], *[1] * len(shape[2:])]
    if slopes.size != 1 and [1] * (len(shape) - slopes.ndim) + list(slopes.shape) != per_channel:
        layer = node.layer(lambda: Stored(slopes), (1,))
        return Work(lambda module, x: F.relu(x) - module.value * F.relu(-x), layer)
    layer = node.layer(lambda: _filled(nn.PReLU(slopes.size), slopes.reshape(-1), None), (1,))
    return Work(lambda module, x: module(x), layer)


def _weights(node: OnnxNode) -> tuple[Array, Array | None]:
    if not node.is_constant(1) or (node.has(2) and not node.is_constant(2)):
        raise node.refuse("has weights that are computed from the input")
    return np.asarray(node.constant(1)), node.constant(2) if node.has(2) else None


def _kind(node: OnnxNode, kinds: dict[int, Any], rank: int) -> Any:
    if rank not in kinds:
        raise node.refuse(f"has {rank} dimensions, allowed: {', '.join(map(str, kinds))}")
    return kinds[rank]


def _filled(made: Any, weight: Array, bias: Array | None) -> nn.Module:
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(np.array(weight)))
        if bias is not None:
            made.bias.copy_(torch.from_numpy(np.array(bias)))
        elif getattr(made, "bias", None) is not None:
            made.bias.zero_()
            made.bias.requires_grad_(requires_grad=False)
    return made  # type: ignore[no-any-return]


LAYERS: dict[str, Translation] = {
    "Add": _add,
    "BatchNormalization": _batch_norm,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Gemm": _gemm,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_norm,
    "MatMul": _matmul,
    "PRelu": _prelu,
}
