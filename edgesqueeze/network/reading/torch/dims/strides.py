"""Pieces of a map: what lies within its outermost rows and columns, every second (third, ...) row or channel.

A max pool of windows of one value chooses rows and columns; a channel shuffle brings every n-th channel
together.
"""

from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import AnyNode, Crop, MaxPool, Pads, Pair, Shuffle, Slice
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.fx import arguments_of, refuse, shape_of


def crop(builder: Builder, fx: FxNode, source: AnyNode, pads: Pads, name: str | None = None) -> Crop:
    """Append a map without its outermost rows and columns."""
    top, left, bottom, right = pads
    shape = (*source.shape[:2], source.shape[2] - top - bottom, source.shape[3] - left - right)
    node = Crop(name=name or fx.name, inputs=(source.name,), shape=shape, pads=pads)
    builder.add(fx, node)
    return node


def every(builder: Builder, fx: FxNode, source: AnyNode, stride: Pair, name: str) -> MaxPool:
    """Append every n-th row and column of a map, the first ones among them."""
    rows, columns = (-(-source.shape[2 + axis] // stride[axis]) for axis in (0, 1))
    node = MaxPool(
        name=name,
        inputs=(source.name,),
        shape=(*source.shape[:2], rows, columns),
        kernel=(1, 1),
        stride=stride,
        pads=(0, 0, 0, 0),
    )
    builder.add(fx, node)
    return node


def every_channel(builder: Builder, fx: FxNode, source: AnyNode, part: tuple[int, int], name: str) -> None:
    """Append every n-th channel of a map from one of the first n on; ``part`` is that one, and n."""
    channels, (first, step) = source.shape[1], part
    if channels % step or first >= step:
        raise refuse(fx, f"takes every {step}th of {channels} channels; a number that divides is allowed")
    ordered = Shuffle(
        name=f"{name}_together", inputs=(source.name,), shape=source.shape, groups=channels // step
    )
    builder.add(fx, ordered)
    count = channels // step
    start, shape = first * count, (1, count, *source.shape[2:])
    builder.add(fx, Slice(name=name, inputs=(ordered.name,), shape=shape, start=start, stop=start + count))


def _channel_shuffle(builder: Builder, fx: FxNode) -> None:
    source, groups = builder.source(fx), int(arguments_of(fx, ["input", "groups"])["groups"])
    if len(source.shape) != 4:
        raise refuse(fx, "shuffles the channels of something else than a map")
    builder.add(fx, Shuffle(name=fx.name, inputs=(source.name,), shape=shape_of(fx), groups=groups))


STRIDES: dict[str, Translation] = {"channel_shuffle": _channel_shuffle}
"""What torch calls them."""
