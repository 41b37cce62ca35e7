"""What reads or moves a map's channels by their place: permute, layer norm, softmax, pixel shuffle.

A map whose channels were moved last is the same node as before, since nodes say nothing about memory; only
operations that know of it may read it. So no transpose is left in a file.
"""

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.functions import FUNCTIONS
from edgesqueeze.network.graph.nodes import Conv, DepthToSpace, LayerNorm, Shuffle, Slice, Softmax
from edgesqueeze.network.reading.torch.builder import Builder, Translation, arguments_of, refuse, shape_of

_TO_LAST, _TO_FIRST = [0, 2, 3, 1], [0, 3, 1, 2]
ANY_LAYOUT = {
    *("relu", "relu6", "hardtanh"),
    *(reading.operation for function in FUNCTIONS.values() for reading in function.readings),
    *("add", "mul", "sub", "rsub", "div", "linear", "layer_norm", "softmax"),
    *("clone", "dropout", "contiguous", "alias"),
}
"""Operations that give what they were given: channels last if their inputs have them last."""


def permute(builder: Builder, fx: FxNode) -> None:
    """A map with its channels last, or back."""
    args = arguments_of(fx, ["input", "dims"])
    source, last = builder.source(fx), fx.args[0] in builder.channels_last
    dims = [int(d) % len(args["dims"]) for d in args["dims"]]
    if dims == sorted(dims):
        moved = last
    elif len(source.shape) == 4 and dims == (_TO_FIRST if last else _TO_LAST):
        moved = not last
    else:
        raise refuse(fx, "changes the order of dimensions; a map's channels may be moved last and back")
    builder.same(fx, source)
    if moved:
        builder.channels_last.add(fx)


def check_layout(builder: Builder, fx: FxNode, name: str) -> bool:
    """Whether an operation's result has its channels last.

    Raises:
        UnsupportedLayerError: it reads a map with its channels last and is not known to, or one of each kind.
    """
    read = [value for value in fx.all_input_nodes if value in builder.made]
    last = [value for value in read if value in builder.channels_last]
    if not last or name == "permute":
        return False
    if name not in ANY_LAYOUT or len(last) < len(read):
        raise refuse(fx, "reads a map whose channels were moved last; move them back (permute) first")
    return True


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
    """A layer norm over channels that were moved last, or over features."""
    args = arguments_of(fx, ["input", "shape", "weight", "bias", "epsilon"])
    source = builder.source(fx)
    channels = source.shape[1]
    if list(args["shape"]) != [channels] or _channel_axis(builder, fx) != len(source.shape) - 1:
        raise refuse(
            fx, "is a layer norm over other dimensions than the channels (moved last by permute) or features"
        )
    weight, bias = (builder.constant(fx, args[name]) for name in ("weight", "bias"))
    epsilon = float(np.float32(1e-5 if args["epsilon"] is None else args["epsilon"]))
    name = builder.layer_name(fx, args["weight"])
    node = LayerNorm(name=name, inputs=(source.name,), shape=source.shape, epsilon=epsilon)
    builder.add_weighted(fx, node, np.ones(channels, np.float32) if weight is None else weight, bias)


def softmax(builder: Builder, fx: FxNode) -> None:
    """A softmax along the channels of a map, or along features."""
    args = arguments_of(fx, ["input", "dim", "dtype"])
    source = builder.source(fx)
    if args["dim"] % len(source.shape) != _channel_axis(builder, fx):
        raise refuse(fx, "is a softmax along another dimension than the channels or features")
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


def select(builder: Builder, fx: FxNode) -> None:
    """The choice of one channel: remembered until unsqueeze makes it a map again."""
    source, dim, index = builder.source(fx), fx.args[1], fx.args[2]
    if len(source.shape) != 4 or dim not in (1, -3) or not isinstance(index, int):
        raise refuse(fx, "selects from another dimension than the channels of a map")
    builder.selected[fx] = (source.name, index % source.shape[1])


def unsqueeze(builder: Builder, fx: FxNode) -> None:
    """A new dimension behind a select: a slice of one channel."""
    found = builder.selected.get(fx.args[0])  # type: ignore[arg-type]  # a tensor argument is a node
    if found is None or fx.args[1] not in (1, -3):
        raise refuse(fx, "adds a dimension; only that of a selected channel may be added again")
    name, index = found
    shape = (1, 1, *builder.nodes[name].shape[2:])
    builder.add(fx, Slice(name=fx.name, inputs=(name,), shape=shape, start=index, stop=index + 1))


def _channel_axis(builder: Builder, fx: FxNode) -> int:
    rank = len(builder.source(fx).shape)
    return rank - 1 if fx.args[0] in builder.channels_last else 1


LAYOUTS: dict[str, Translation] = {
    "softmax": softmax,
    "layer_norm": layer_norm,
    "permute": permute,
    "pixel_shuffle": pixel_shuffle,
    "select": select,
    "unsqueeze": unsqueeze,
}
"""What torch calls them."""
