"""Sums, differences, products, quotients, maxima and minima of two tensors."""

from dataclasses import replace
from math import prod

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import (
    Add,
    AnyNode,
    Clamp,
    Extreme,
    Flatten,
    Floats,
    Mul,
    Pointwise,
    Which,
    is_spread_over,
)
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.layouts import rearranged
from edgesqueeze.network.reading.torch.dims.views import natural
from edgesqueeze.network.reading.torch.fx import aten_name, refuse
from edgesqueeze.network.reading.torch.operations.constants import or_constant, per_channel_scale, scaled


def _sum(builder: Builder, fx: FxNode) -> None:
    factor = fx.kwargs.get("alpha", 1)
    _added(builder, fx, 1.0, float(factor) if isinstance(factor, int | float) else 1.0)


def _difference(builder: Builder, fx: FxNode) -> None:
    factor = fx.kwargs.get("alpha", 1)
    _added(builder, fx, 1.0, -float(factor) if isinstance(factor, int | float) else -1.0)


def _reversed_difference(builder: Builder, fx: FxNode) -> None:
    _added(builder, fx, -1.0, 1.0)


def _added(builder: Builder, fx: FxNode, left_factor: float, right_factor: float) -> None:
    left, right = builder.source(fx, 0), builder.source(fx, 1)
    if prod(left.shape) < prod(right.shape):
        left, right, left_factor, right_factor = right, left, right_factor, left_factor
    if not is_spread_over(right.shape, left.shape):
        raise refuse(fx, f"adds shapes {left.shape} and {right.shape}; one must be spread over the other")
    terms = [
        _times(builder, fx, left, left_factor, "left"),
        _times(builder, fx, right, right_factor, "right"),
    ]
    names = (terms[0].name, terms[1].name)
    builder.add(fx, Add(name=fx.name, inputs=names, shape=left.shape, activation="none"))


def _times(builder: Builder, fx: FxNode, source: AnyNode, factor: float, side: str) -> AnyNode:
    """A tensor times a number, as a depthwise convolution; itself if the number is 1."""
    if factor == 1:
        return source
    return scaled(builder, fx, f"{fx.name}_{side}", source, np.full(source.shape[1], factor))


def product(builder: Builder, fx: FxNode) -> None:
    """mul: two tensors, one of which may be of length 1 along some axes."""
    for signs, size in (fx.args[:2], fx.args[1::-1]):
        if _is_sign_of(signs, size):
            builder.same(fx, builder.nodes[builder.made[signs.args[0]]])  # type: ignore[union-attr, index]
            return
    _multiplied(builder, fx, builder.source(fx, 0), builder.source(fx, 1))


def _is_sign_of(signs: object, size: object) -> bool:
    """Whether a product is sign(x) · |x|, which is x: torch's lp_pool2d writes that."""
    while isinstance(size, FxNode) and aten_name(size) == "relu":
        size = size.args[0]
    if not isinstance(signs, FxNode) or not isinstance(size, FxNode):
        return False
    return (aten_name(signs), aten_name(size)) == ("sign", "abs") and signs.args[0] is size.args[0]


def _quotient(builder: Builder, fx: FxNode) -> None:
    left, right = builder.source(fx, 0), builder.source(fx, 1)
    if prod(right.shape) > prod(left.shape):
        raise refuse(fx, f"divides shape {left.shape} by {right.shape}")
    inverse = Pointwise(
        name=f"{fx.name}_inverse", inputs=(right.name,), shape=right.shape, function="reciprocal"
    )
    builder.add(fx, inverse)
    _multiplied(builder, fx, left, inverse)


def _multiplied(builder: Builder, fx: FxNode, left: AnyNode, right: AnyNode) -> None:
    if prod(left.shape) < prod(right.shape):
        left, right = right, left
    if not is_spread_over(right.shape, left.shape):
        raise refuse(
            fx, f"multiplies shapes {left.shape} and {right.shape}; one must be spread over the other"
        )
    builder.add(fx, Mul(name=fx.name, inputs=(left.name, right.name), shape=left.shape))


def _extreme(which: Which) -> Translation:
    def translate(builder: Builder, fx: FxNode) -> None:
        computed = [place for place, value in enumerate(fx.args[:2]) if builder.computes(value)]
        if len(computed) == 1:
            _bounded(builder, fx, computed[0], which)
            return
        left, right = builder.source(fx, 0), builder.source(fx, 1)
        if left.shape != right.shape:
            raise refuse(fx, f"compares tensors of different shapes, {left.shape} and {right.shape}")
        builder.add(fx, Extreme(name=fx.name, inputs=(left.name, right.name), shape=left.shape, which=which))

    return translate


def _bounded(builder: Builder, fx: FxNode, place: int, which: Which) -> None:
    """A tensor and a constant: a clamp."""
    source, bound = builder.source(fx, place), builder.constant(fx, fx.args[1 - place])
    if bound is None or bound.size != 1:
        raise refuse(fx, "compares a tensor with a constant of more than one value")
    if not np.isfinite(bound).all():
        if bound.reshape(()) != (-np.inf if which == "maximum" else np.inf):
            raise refuse(fx, f"compares with {float(bound.reshape(()))}, which no value passes")
        builder.same(fx, source)
        return
    function = "clamp_low" if which == "maximum" else "clamp_high"
    node = Pointwise(
        name=fx.name,
        inputs=(source.name,),
        shape=source.shape,
        function=function,
        parameters=(float(np.float32(bound.reshape(()))),),
    )
    builder.add(fx, node)


def _prelu(builder: Builder, fx: FxNode) -> None:
    """PReLU (He et al. 2015, arXiv 1502.01852): one slope, or one per channel.

    One per channel is the larger of x and slope · x where no slope is above 1, and the smaller where none is
    below; else max(x, 0) - slope · max(-x, 0). Both runtimes compute these alike.
    """
    source, slopes = builder.source(fx), builder.constant(fx, fx.args[1])
    if slopes is None:
        raise refuse(fx, "has no slopes")
    if slopes.size == 1:
        numbers = (float(np.float32(slopes.reshape(()))),)
        node = Pointwise(
            name=fx.name, inputs=(source.name,), shape=source.shape, function="leaky_relu", parameters=numbers
        )
        builder.add(fx, node)
        return
    name = builder.layer_name(fx)
    if name == fx.name:  # slopes of no module
        name = f"{name}_slopes"
    if len(source.shape) == 4:
        builder.add(fx, _two_sided(builder, fx, source, slopes, (name, fx.name)))
        return
    places = rearranged(builder, source, (*natural(source.shape)[1:], (), ()), f"{fx.name}_map")
    summed = _two_sided(builder, fx, places, slopes, (name, f"{fx.name}_sum"))
    builder.add(fx, summed)
    builder.add(fx, Flatten(name=fx.name, inputs=(summed.name,), shape=source.shape))


def _two_sided(
    builder: Builder, fx: FxNode, source: AnyNode, slopes: Floats, names: tuple[str, str]
) -> Add | Extreme:
    """The last node of PReLU on a map [N, C, H, W], not yet appended; names of the layer and of the node."""
    name, last = names
    if np.all(slopes <= 1) or np.all(slopes >= 1):
        scaled, weight = per_channel_scale(name, source, slopes.astype(np.float64))
        builder.add_weighted(fx, scaled, weight, None)
        which: Which = "maximum" if np.all(slopes <= 1) else "minimum"
        return Extreme(name=last, inputs=(source.name, scaled.name), shape=source.shape, which=which)
    positive = Clamp(name=f"{name}.positive", inputs=(source.name,), shape=source.shape, activation="relu")
    builder.add(fx, positive)
    mirrored, minus = per_channel_scale(f"{name}.negative", source, np.full(slopes.size, -1.0))
    negative = replace(mirrored, activation="relu")
    builder.add_weighted(fx, negative, minus, None)
    scaled, weight = per_channel_scale(name, negative, -slopes.astype(np.float64))
    builder.add_weighted(fx, scaled, weight, None)
    return Add(name=last, inputs=(positive.name, scaled.name), shape=source.shape, activation="none")


ARITHMETIC: dict[str, Translation] = {
    "add": or_constant(_sum),
    "sub": or_constant(_difference),
    "rsub": or_constant(_reversed_difference),
    "mul": or_constant(product),
    "div": or_constant(_quotient),
    "prelu": _prelu,
    "maximum": _extreme("maximum"),
    "minimum": _extreme("minimum"),
}
"""What torch calls them."""
