"""Sums and products with constants: a factor and an offset per channel, folded into a layer if possible."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import (
    Add,
    AnyNode,
    Conv,
    Flatten,
    Floats,
    Mul,
    Pointwise,
    WeightedNode,
    bias_name,
    weight_name,
)
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.layouts import (
    constant_node,
    dims_of,
    placed,
    pointwise_conv,
    rearranged,
)
from edgesqueeze.network.reading.torch.dims.views import natural
from edgesqueeze.network.reading.torch.fx import aten_name, refuse

Doubles = NDArray[np.float64]


def or_constant(translate: Translation) -> Translation:
    """The translation of a sum, difference, product or quotient one of whose operands may be a constant."""

    def choose(builder: Builder, fx: FxNode) -> None:
        computed = [place for place, value in enumerate(fx.args[:2]) if builder.computes(value)]
        if len(computed) == 1:
            _with_constant(builder, fx, computed[0])
        else:
            translate(builder, fx)

    return choose


def _with_constant(builder: Builder, fx: FxNode, place: int) -> None:
    source, kind = builder.source(fx, place), aten_name(fx)
    value: Any = fx.args[1 - place]
    number = float(value) if isinstance(value, int | float) else builder.constant(fx, value)
    if fx.kwargs.get("rounding_mode") is not None:
        raise refuse(fx, "has a rounding rule of its own")
    alpha: Any = fx.kwargs.get("alpha", 1)
    constant = np.asarray(number, np.float64) * (float(alpha) if place == 0 else 1.0)
    if alpha != 1 and place == 1:  # it multiplies the right operand
        raise refuse(fx, "adds a multiple of a tensor to a constant; write the product out")
    constant = _as_read(builder, fx, place, constant)
    if (kind, place) == ("div", 1):  # a constant divided by a tensor
        inverse = Pointwise(
            name=f"{fx.name}_inverse", inputs=(source.name,), shape=source.shape, function="reciprocal"
        )
        builder.add(fx, inverse)
        source = inverse
    factor, offset = _factor_and_offset(kind, place, constant)
    if constant.ndim < 2:
        ones, zeros = np.ones(source.shape[1]), np.zeros(source.shape[1])
        affine(builder, fx, source, (factor * ones, offset + zeros), fx.name)
    else:
        _by_place(builder, fx, source, (factor, offset))


def _factor_and_offset(kind: str, place: int, constant: Doubles) -> tuple[Doubles, Doubles]:
    """What a tensor is multiplied by, and what is added then; the tensor is on the left if ``place`` is 0."""
    one, zero = np.ones(()), np.zeros(())
    match kind, place:
        case ("mul", _) | ("div", 1):
            return constant, zero
        case "div", 0:
            return one / constant, zero
        case "add", _:
            return one, constant
        case "sub", 0:
            return one, -constant
        case _:  # sub with the constant on the left, rsub
            return -one, constant


def _as_read(builder: Builder, fx: FxNode, place: int, constant: Doubles) -> Doubles:
    """A constant as one value, as one per channel, or as a map [C, H, W]."""
    if constant.size == 1:
        return constant.reshape(())
    source, value = builder.source(fx, place), fx.args[place]
    assert isinstance(value, FxNode)
    dims = dims_of(builder, value)
    wide = constant.reshape((1,) * (len(dims) - constant.ndim) + constant.shape)
    if wide.ndim > len(dims) or any(n > 1 and not atoms for n, atoms in zip(wide.shape, dims, strict=True)):
        raise refuse(
            fx, f"spreads a tensor over a constant of shape {constant.shape}; expand the tensor first"
        )
    found = placed(wide, dims, len(source.shape))
    return found.reshape(-1) if found.size == len(found) else found


def _by_place(
    builder: Builder, fx: FxNode, source: AnyNode, factor_and_offset: tuple[Doubles, Doubles]
) -> None:
    """A factor or an offset for every place of a map, as a constant node."""
    factor, offset = factor_and_offset
    if factor.size == 1 and float(factor) != 1:  # a constant minus a tensor
        source = scaled(builder, fx, f"{fx.name}_negative", source, np.full(source.shape[1], float(factor)))
    stored = constant_node(
        builder, f"{fx.name}_constant", (factor if factor.size > 1 else offset).astype(np.float32)
    )
    inputs, shape = (source.name, stored.name), source.shape
    if factor.size > 1:
        builder.add(fx, Mul(name=fx.name, inputs=inputs, shape=shape))
    else:
        builder.add(fx, Add(name=fx.name, inputs=inputs, shape=shape, activation="none"))


def affine(
    builder: Builder, fx: FxNode, source: AnyNode, factor_and_offset: tuple[Doubles, Doubles], name: str
) -> None:
    """A factor and an offset per channel of what an operation reads.

    Folded into the layer that only feeds it; elsewhere (as in DenseNet) a depthwise 1 × 1 convolution.
    """
    factor, offset = factor_and_offset
    layer = builder.layer_of(source)
    if isinstance(layer, WeightedNode) and layer.activation == "none" and builder.feeds_only(source, fx):
        weight, bias = builder.tensors[weight_name(layer)], builder.tensors[bias_name(layer)]
        factor, offset = (np.repeat(values, len(bias) // len(values)) for values in (factor, offset))
        folded = weight.astype(np.float64) * factor.reshape(-1, *[1] * (weight.ndim - 1))
        moved = bias.astype(np.float64) * factor + offset
        builder.store(layer, folded.astype(np.float32), moved.astype(np.float32))
        builder.same(fx, source)
        return
    scaled(builder, fx, name, source, factor, offset)


def scaled(
    builder: Builder, fx: FxNode, name: str, source: AnyNode, factor: Doubles, offset: Doubles | None = None
) -> AnyNode:
    """Append a factor and an offset per channel as a depthwise convolution; features become a map for it."""
    flat = len(source.shape) == 2
    if flat:
        source = rearranged(builder, source, (*natural(source.shape)[1:], (), ()), f"{name}_map")
    node, weight = per_channel_scale(f"{name}_scaled" if flat else name, source, factor)
    builder.add_weighted(fx, node, weight, None if offset is None else offset.astype(np.float32))
    if not flat:
        return node
    features = Flatten(name=name, inputs=(node.name,), shape=node.shape[:2])
    builder.add(fx, features)
    return features


def per_channel_scale(name: str, source: AnyNode, factor: Doubles) -> tuple[Conv, Floats]:
    """A depthwise 1 × 1 convolution that multiplies each channel of a map, and its weight."""
    node = pointwise_conv(name, source, source.shape[1], groups=source.shape[1])
    return node, factor.astype(np.float32).reshape(-1, 1, 1, 1)
