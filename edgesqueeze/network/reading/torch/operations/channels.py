"""What reads one dimension as a whole: dense layers, layer norm, softmax; and pixel shuffle."""

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import (
    Dense,
    DepthToSpace,
    LayerNorm,
    Shuffle,
    Softmax,
)
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.layouts import along_channels, keep_dims, pointwise_conv
from edgesqueeze.network.reading.torch.dims.views import natural
from edgesqueeze.network.reading.torch.fx import arguments_of, aten_name, refuse, shape_of


def linear(builder: Builder, fx: FxNode) -> None:
    """A dense layer on features, or at every place of a map."""
    args = arguments_of(fx, ["input", "weight", "bias"])
    source = builder.source(fx)
    if len(source.shape) != 2:
        linear_last(builder, fx)
        return
    weight, bias = builder.weight_and_bias(fx, args)
    shape = (1, len(weight))
    node = Dense(name=builder.layer_name(fx), inputs=(source.name,), shape=shape, activation="none")
    builder.add_weighted(fx, node, weight, bias)


def linear_last(builder: Builder, fx: FxNode) -> None:
    """A dense layer on the channels of a map: a 1 × 1 convolution."""
    args = arguments_of(fx, ["input", "weight", "bias"])
    source = builder.source(fx)
    weight, bias = builder.weight_and_bias(fx, args)
    node = pointwise_conv(builder.layer_name(fx), source, len(weight))
    builder.add_weighted(fx, node, weight[:, :, np.newaxis, np.newaxis], bias)


def layer_norm(builder: Builder, fx: FxNode) -> None:
    """A layer norm over the last dimension."""
    args = arguments_of(fx, ["input", "shape", "weight", "bias", "epsilon"])
    source = builder.source(fx)
    channels = source.shape[1]
    if list(args["shape"]) != [channels]:
        raise refuse(fx, "is a layer norm over other dimensions than the last one")
    weight, bias = (builder.constant(fx, args[name]) for name in ("weight", "bias"))
    epsilon = float(np.float32(1e-5 if args["epsilon"] is None else args["epsilon"]))
    name = builder.layer_name(fx, args["weight"])
    node = LayerNorm(name=name, inputs=(source.name,), shape=source.shape, epsilon=epsilon)
    builder.add_weighted(fx, node, np.ones(channels, np.float32) if weight is None else weight, bias)


def softmax(builder: Builder, fx: FxNode) -> None:
    """A softmax along any dimension."""
    source = builder.source(fx)
    builder.add(fx, Softmax(name=fx.name, inputs=(source.name,), shape=source.shape))


def pixel_shuffle(builder: Builder, fx: FxNode) -> None:
    """A pixel shuffle: channels c · factor² + place; depth to space wants them by place first."""
    source, shape = builder.source(fx), shape_of(fx)
    if shape == source.shape:
        builder.same(fx, source)
        return
    factor, channels = shape[2] // source.shape[2], shape[1]
    if channels > 1:
        name = f"{fx.name}_channels"
        ordered = Shuffle(name=name, inputs=(source.name,), shape=source.shape, groups=channels)
        builder.add(fx, ordered)
        source = ordered
    node = DepthToSpace(name=fx.name, inputs=(source.name,), shape=shape, block=(factor, factor))
    builder.add(fx, node)


def channel_windows(builder: Builder, fx: FxNode) -> None:
    """avg_pool3d as local_response_norm has it, over neighbouring channels: a 1 × 1 convolution.

    Its weight is a band [channels, channels] of 1 / size; zeros that were put around the channels for it are
    left out.
    """
    names = ["input", "kernel", "stride", "padding", "ceil_mode", "count_include_pad", "divisor"]
    args = arguments_of(fx, names)
    size, value, shape = int(args["kernel"][0]), fx.args[0], shape_of(fx)
    plain = [size, 1, 1] == list(args["kernel"]) and list(args["stride"] or ()) == [1, 1, 1]
    others = [args[name] for name in ("ceil_mode", "divisor")] + list(np.ravel(args["padding"] or 0))
    before = 0
    if isinstance(value, FxNode) and aten_name(value) in ("pad", "constant_pad_nd"):
        amounts = [*map(int, arguments_of(value, ["input", "amounts"])["amounts"]), 0, 0]
        zeros = set(value.args[2:]) <= {"constant", 0, None} and not value.kwargs
        if zeros and not any(amounts[:4] + amounts[6:]):
            before, value = amounts[4], value.args[0]
    if not plain or any(others) or shape[:2] != (1, 1) or not isinstance(value, FxNode):
        raise refuse(
            fx, "pools volumes; neighbouring channels of a map, as in local_response_norm, are allowed"
        )
    dims = along_channels(builder, value, 2)
    source = builder.nodes[builder.reading[value]]
    places = np.arange(source.shape[1]) - (np.arange(shape[2])[:, np.newaxis] - before)
    band = np.where((places >= 0) & (places < size), np.float32(1 / size), np.float32(0))
    node = pointwise_conv(fx.name, source, shape[2])
    builder.add_weighted(fx, node, band[:, :, np.newaxis, np.newaxis], None)
    keep_dims(builder, fx, (*dims[:2], natural(node.shape)[1], *dims[3:]))


CHANNEL_LAYERS: dict[str, Translation] = {
    "linear": linear,
    "softmax": softmax,
    "layer_norm": layer_norm,
    "pixel_shuffle": pixel_shuffle,
}
"""What torch calls them."""
CHANNEL_WINDOWS: dict[str, Translation] = {"avg_pool3d": channel_windows}
"""What torch calls them; they read a tensor in any order."""
