"""Transposed convolutions: a node of their own, or, grouped or dilated, a convolution and moves.

No runtime has a transposed convolution in groups, and TFLite none with dilation. With a stride of 1 it is a
convolution with the kernel mirrored; else one whose channels are spread over rows and columns, as int8 files
have them all (``network.integers.subpixel``), and a dilated kernel is one with zeros between its weights.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import AnyNode, Conv, ConvTranspose, Floats, Pads, Shuffle
from edgesqueeze.network.integers.subpixel import spread, subpixel
from edgesqueeze.network.reading.torch.builder import Builder
from edgesqueeze.network.reading.torch.dims.strides import crop
from edgesqueeze.network.reading.torch.fx import arguments_of, pair_of, shape_of

_ARGUMENTS = ["input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"]


def conv_transpose(builder: Builder, fx: FxNode) -> None:
    """conv_transpose2d with any stride, padding, dilation and groups."""
    args = arguments_of(fx, _ARGUMENTS)
    weight, bias = builder.weight_and_bias(fx, args)
    groups, dilation = args["groups"] or 1, pair_of(args["dilation"] or 1)
    stride = pair_of(args["stride"] or 1)
    weight = _by_output(weight, groups)
    if stride == (1, 1) and (groups > 1 or dilation != (1, 1)):
        _mirrored(builder, fx, args, weight, bias)
        return
    weight = _with_zeros(weight, dilation)
    rows, columns = pair_of(args["padding"] or 0)
    node = ConvTranspose(
        name=builder.layer_name(fx),
        inputs=(builder.source(fx).name,),
        shape=shape_of(fx),
        kernel=pair_of(weight.shape[2:]),
        stride=stride,
        pads=(rows, columns, rows, columns),
        extra=pair_of(args["output_padding"] or 0),
        activation="none",
    )
    if groups > 1 or node.extra[0] >= stride[0] or node.extra[1] >= stride[1]:
        _spread(builder, fx, (node, groups), weight, bias)
    else:
        builder.add_weighted(fx, node, weight, bias)


def _by_output(weight: Floats, groups: int) -> Floats:
    """A weight [in, out / groups, kernel…] as [out, in / groups, kernel…]."""
    return np.concatenate([part.swapaxes(0, 1) for part in np.split(weight, groups)])


def _with_zeros(weight: Floats, dilation: tuple[int, int]) -> Floats:
    """A kernel with zeros in the places that dilation leaves out."""
    reach = [d * (n - 1) + 1 for d, n in zip(dilation, weight.shape[2:], strict=True)]
    wide = np.zeros((*weight.shape[:2], *reach), weight.dtype)
    wide[:, :, :: dilation[0], :: dilation[1]] = weight
    return wide


def _mirrored(
    builder: Builder, fx: FxNode, args: dict[str, Any], weight: Floats, bias: Floats | None
) -> None:
    """With a stride of 1: a convolution that reads as far around as its kernel reaches, less padding."""
    source, dilation = builder.source(fx), pair_of(args["dilation"] or 1)
    padding, extra = pair_of(args["padding"] or 0), pair_of(args["output_padding"] or 0)
    top, left = (dilation[axis] * (weight.shape[2 + axis] - 1) - padding[axis] for axis in (0, 1))
    pads = (top, left, top + extra[0], left + extra[1])
    if min(pads) < 0:
        source = crop(builder, fx, source, _at_least_zero(pads, -1), builder.unused(f"{fx.name}_input"))
    node = Conv(
        name=builder.layer_name(fx),
        inputs=(source.name,),
        shape=shape_of(fx),
        kernel=pair_of(weight.shape[2:]),
        stride=(1, 1),
        pads=_at_least_zero(pads, 1),
        dilation=dilation,
        groups=args["groups"] or 1,
        activation="none",
    )
    builder.add_weighted(fx, node, weight[:, :, ::-1, ::-1], bias)


def _at_least_zero(pads: Pads, sign: int) -> Pads:
    top, left, bottom, right = (max(sign * n, 0) for n in pads)
    return top, left, bottom, right


def _spread(
    builder: Builder, fx: FxNode, layer: tuple[ConvTranspose, int], weight: Floats, bias: Floats | None
) -> None:
    """A convolution in groups, and the places of its channels: every group has all places of its channels."""
    (node, groups), channels = layer, layer[0].shape[1]
    parts = subpixel(node, builder.source(fx).shape)
    conv = replace(parts.conv, name=node.name, groups=groups)
    places = conv.shape[1] // channels
    by_place = spread(weight, node, parts).reshape(places, channels, *weight.shape[1:2], *conv.kernel)
    by_channel = by_place.swapaxes(0, 1).reshape(-1, *by_place.shape[2:])
    builder.add_weighted(fx, conv, by_channel, None if bias is None else np.repeat(bias, places))
    last: AnyNode = conv
    if channels > 1:
        name = builder.unused(f"{fx.name}_channels")
        last = Shuffle(name=name, inputs=(last.name,), shape=conv.shape, groups=channels)
        builder.add(fx, last)
    for place, move in enumerate(parts.moves):
        name = fx.name if place == len(parts.moves) - 1 else f"{fx.name}_blocks"
        last = replace(move, name=builder.unused(name), inputs=(last.name,))
        builder.add(fx, last)
    builder.spread[last.name] = conv.name
