"""Means, sums and maxima over height, width or channels, and norms over groups of channels."""

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import (
    AnyNode,
    AvgPool,
    ChannelMax,
    Conv,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    MaxPool,
    Pair,
)
from edgesqueeze.network.reading.torch.builder import (
    Builder,
    Translation,
    arguments_of,
    aten_name,
    refuse,
    shape_of,
)

_ONE: Pair = (1, 1)


def _reduced_axes(builder: Builder, fx: FxNode) -> tuple[AnyNode, list[int]]:
    """What is reduced, and the axes that are more than 1 long."""
    args = arguments_of(fx, ["input", "dim", "keepdim"])
    source = builder.source(fx)
    dim = args["dim"]
    dims = [dim] if isinstance(dim, int) else list(dim or range(len(source.shape)))
    axes = sorted(int(d) % len(source.shape) for d in dims)
    if len(source.shape) != 4 or 0 in axes:
        raise refuse(fx, f"reduces dimensions {axes} of {source.shape}; channels, height and width of a map")
    return source, axes


def _finish(builder: Builder, fx: FxNode, last: AnyNode) -> None:
    """Flatten what keepdim=False leaves flat."""
    shape = shape_of(fx)
    if len(shape) == 4:
        builder.same(fx, last)
    elif len(shape) == 2 and last.shape[2:] == (1, 1):
        builder.add(fx, Flatten(name=f"{fx.name}_flat", inputs=(last.name,), shape=shape))
    else:
        raise refuse(fx, f"leaves a tensor of shape {shape}; use keepdim=True")


def _mean(builder: Builder, fx: FxNode) -> None:
    source, axes = _reduced_axes(builder, fx)
    if axes == [2, 3]:
        pooled = GlobalAvgPool(name=fx.name, inputs=(source.name,), shape=(*source.shape[:2], 1, 1))
        builder.add(fx, pooled)
        _finish(builder, fx, pooled)
        return
    last = source
    spatial = [axis for axis in axes if axis > 1]
    if spatial:
        kernel = _kernel(last, spatial)
        shape = (*last.shape[:2], last.shape[2] // kernel[0], last.shape[3] // kernel[1])
        name = f"{fx.name}_places" if 1 in axes else fx.name
        made: AnyNode = AvgPool(name=name, inputs=(last.name,), shape=shape, kernel=kernel, stride=kernel)
        if shape[2:] == (1, 1):
            made = GlobalAvgPool(name=name, inputs=(last.name,), shape=shape)
        builder.add(fx, made)
        last = made
    if 1 in axes:
        last = _over_channels(builder, fx, last, 1 / last.shape[1])
    _finish(builder, fx, last)


def _sum(builder: Builder, fx: FxNode) -> None:
    source, axes = _reduced_axes(builder, fx)
    last, spatial = source, [axis for axis in axes if axis > 1]
    if spatial:
        kernel = _kernel(last, spatial)
        channels = last.shape[1]
        shape = (1, channels, last.shape[2] // kernel[0], last.shape[3] // kernel[1])
        node = _conv(f"{fx.name}_places" if 1 in axes else fx.name, last, shape, kernel, channels)
        builder.add_weighted(fx, node, np.ones((channels, 1, *kernel), np.float32), None)
        last = node
    if 1 in axes:
        last = _over_channels(builder, fx, last, 1.0)
    _finish(builder, fx, last)


def _over_channels(builder: Builder, fx: FxNode, source: AnyNode, factor: float) -> Conv:
    """The sum over channels times a factor: a 1 × 1 convolution to one channel."""
    node = _conv(fx.name, source, (1, 1, *source.shape[2:]), _ONE, 1)
    builder.add_weighted(fx, node, np.full((1, source.shape[1], 1, 1), factor, np.float32), None)
    return node


def _conv(name: str, source: AnyNode, shape: tuple[int, ...], kernel: Pair, groups: int) -> Conv:
    return Conv(
        name=name,
        inputs=(source.name,),
        shape=shape,
        kernel=kernel,
        stride=kernel,
        pads=(0, 0, 0, 0),
        dilation=_ONE,
        groups=groups,
        activation="none",
    )


def _kernel(source: AnyNode, axes: list[int]) -> Pair:
    return (source.shape[2] if 2 in axes else 1, source.shape[3] if 3 in axes else 1)


def _largest(builder: Builder, fx: FxNode) -> None:
    source, axes = _reduced_axes(builder, fx)
    last, spatial = source, [axis for axis in axes if axis > 1]
    if spatial:
        kernel = _kernel(last, spatial)
        shape = (*last.shape[:2], last.shape[2] // kernel[0], last.shape[3] // kernel[1])
        name = f"{fx.name}_places" if 1 in axes else fx.name
        pads = (0, 0, 0, 0)
        pooled = MaxPool(name=name, inputs=(last.name,), shape=shape, kernel=kernel, stride=kernel, pads=pads)
        builder.add(fx, pooled)
        last = pooled
    if 1 in axes:
        chosen = ChannelMax(name=fx.name, inputs=(last.name,), shape=(1, 1, *last.shape[2:]))
        builder.add(fx, chosen)
        last = chosen
    _finish(builder, fx, last)


def _group_norm(builder: Builder, fx: FxNode) -> None:
    names = ["input", "groups", "weight", "bias", "epsilon"]
    if aten_name(fx) == "instance_norm":
        names = ["input", "weight", "bias", "mean", "variance", "use_input", "momentum", "epsilon"]
    args = arguments_of(fx, names)
    source = builder.source(fx)
    channels = source.shape[1]
    if len(source.shape) != 4:
        raise refuse(fx, "norms something else than a map")
    if args.get("use_input") is False:
        raise refuse(fx, "is an instance norm with running statistics; use a batch norm instead")
    weight, bias = (builder.constant(fx, args[name]) for name in ("weight", "bias"))
    node = GroupNorm(
        name=builder.layer_name(fx, args["weight"]),
        inputs=(source.name,),
        shape=source.shape,
        groups=int(args.get("groups") or channels),
        epsilon=float(np.float32(1e-5 if args["epsilon"] is None else args["epsilon"])),
    )
    builder.add_weighted(fx, node, np.ones(channels, np.float32) if weight is None else weight, bias)


REDUCTIONS: dict[str, Translation] = {
    "mean": _mean,
    "sum": _sum,
    "amax": _largest,
    "group_norm": _group_norm,
    "instance_norm": _group_norm,
}
"""What torch calls them."""
