"""What reads one dimension as a whole: dense layers, layer norm, softmax; and pixel shuffle."""

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import Conv, Dense, DepthToSpace, LayerNorm, Shuffle, Softmax
from edgesqueeze.network.reading.torch.builder import Builder, Translation, arguments_of, refuse, shape_of


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
    node = Conv(
        name=builder.layer_name(fx),
        inputs=(source.name,),
        shape=(1, len(weight), *source.shape[2:]),
        kernel=(1, 1),
        stride=(1, 1),
        pads=(0, 0, 0, 0),
        dilation=(1, 1),
        groups=1,
        activation="none",
    )
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


CHANNEL_LAYERS: dict[str, Translation] = {
    "linear": linear,
    "softmax": softmax,
    "layer_norm": layer_norm,
    "pixel_shuffle": pixel_shuffle,
}
"""What torch calls them."""
