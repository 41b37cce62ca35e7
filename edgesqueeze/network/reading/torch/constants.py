"""Sums and products with constants: a factor and an offset per channel, folded into a layer if possible."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import (
    AnyNode,
    Conv,
    Floats,
    Pointwise,
    WeightedNode,
    bias_name,
    weight_name,
)
from edgesqueeze.network.reading.torch.builder import Builder, Translation, aten_name, refuse

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
    constant = _per_channel(builder, fx, place, np.asarray(number, np.float64))
    if fx.kwargs.get("rounding_mode") is not None:
        raise refuse(fx, "has a rounding rule of its own")
    alpha: Any = fx.kwargs.get("alpha", 1)
    if alpha != 1:  # it multiplies the right operand
        if place == 1:
            raise refuse(fx, "adds a multiple of a tensor to a constant; write the product out")
        constant = constant * float(alpha)
    ones, zeros = np.ones(source.shape[1]), np.zeros(source.shape[1])
    # (is the tensor on the left, operation): factor and offset
    match kind, place:
        case "mul", _:
            factor, offset = constant * ones, zeros
        case "div", 0:
            factor, offset = ones / constant, zeros
        case "add", _:
            factor, offset = ones, constant + zeros
        case "sub", 0:
            factor, offset = ones, zeros - constant
        case ("sub", 1) | ("rsub", 0):
            factor, offset = -ones, constant + zeros
        case _:  # a constant divided by a tensor
            inverse = Pointwise(
                name=f"{fx.name}_inverse", inputs=(source.name,), shape=source.shape, function="reciprocal"
            )
            builder.add(fx, inverse)
            source, factor, offset = inverse, constant * ones, zeros
    affine(builder, fx, source, (factor, offset), fx.name)


def _per_channel(builder: Builder, fx: FxNode, place: int, constant: Doubles) -> Doubles:
    """A constant as one value, or as one per channel."""
    if constant.size == 1:
        return constant.reshape(())
    source = builder.source(fx, place)
    channels, rank = source.shape[1], len(source.shape)
    shape = (1,) * (rank - constant.ndim) + constant.shape
    axis = rank - 1 if fx.args[place] in builder.channels_last else 1
    if shape != tuple(channels if i == axis else 1 for i in range(rank)):
        raise refuse(fx, f"has a constant of shape {constant.shape}; one value or one per channel is allowed")
    return constant.reshape(channels)


def affine(
    builder: Builder, fx: FxNode, source: AnyNode, factor_and_offset: tuple[Doubles, Doubles], name: str
) -> None:
    """A factor and an offset per channel of what an operation reads.

    Folded into the layer that only feeds it; elsewhere (as in DenseNet) a depthwise 1 × 1 convolution.
    """
    factor, offset = factor_and_offset
    is_layer = isinstance(source, WeightedNode) and builder.feeds_only(source, fx)
    if isinstance(source, WeightedNode) and is_layer and source.activation == "none":
        weight, bias = builder.tensors[weight_name(source)], builder.tensors[bias_name(source)]
        folded = weight.astype(np.float64) * factor.reshape(-1, *[1] * (weight.ndim - 1))
        moved = bias.astype(np.float64) * factor + offset
        builder.store(source, folded.astype(np.float32), moved.astype(np.float32))
        builder.same(fx, source)
        return
    if len(source.shape) != 4:
        raise refuse(fx, f"scales {prod(source.shape)} features that do not come directly from a layer")
    node, weight = per_channel_scale(name, source, factor)
    builder.add_weighted(fx, node, weight, offset.astype(np.float32))


def per_channel_scale(name: str, source: AnyNode, factor: Doubles) -> tuple[Conv, Floats]:
    """A depthwise 1 × 1 convolution that multiplies each channel of a map, and its weight."""
    node = Conv(
        name=name,
        inputs=(source.name,),
        shape=source.shape,
        kernel=(1, 1),
        stride=(1, 1),
        pads=(0, 0, 0, 0),
        dilation=(1, 1),
        groups=source.shape[1],
        activation="none",
    )
    return node, factor.astype(np.float32).reshape(-1, 1, 1, 1)
