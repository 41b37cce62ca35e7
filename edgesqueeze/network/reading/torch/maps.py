"""Torch operations that move values or bring a map to another size."""

from math import prod
from typing import Any

from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import (
    AnyNode,
    Concat,
    Crop,
    Flatten,
    MirrorPad,
    Pad,
    Pads,
    Resize,
    ResizeMode,
    Shuffle,
    Slice,
)
from edgesqueeze.network.reading.torch.builder import (
    Builder,
    GroupView,
    Translation,
    arguments_of,
    aten_name,
    pair_of,
    refuse,
    shape_of,
)
from edgesqueeze.network.reading.torch.strides import every, every_channel

_MOST_PARTS = 5


def reshape(builder: Builder, fx: FxNode) -> None:
    """view: to [1, features], or one of the two views that make a channel shuffle."""
    viewed = builder.views.get(fx.args[0])  # type: ignore[arg-type]  # a tensor argument is a node
    shape = shape_of(fx)
    if viewed is not None:
        _end_shuffle(builder, fx, viewed)
        return
    source = builder.source(fx)
    if shape == source.shape:
        builder.same(fx, source)
    elif shape == (1, prod(source.shape)):
        builder.add(fx, Flatten(name=fx.name, inputs=(source.name,), shape=shape))
    elif len(shape) == 5 and len(source.shape) == 4 and (shape[0], *shape[3:]) == (1, *source.shape[2:]):
        builder.views[fx] = GroupView(source.name, shape[1], swapped=False)
    else:
        raise refuse(fx, f"reshapes {source.shape} to {shape}; only flattening to [N, features] is supported")


def _end_shuffle(builder: Builder, fx: FxNode, viewed: GroupView) -> None:
    source = builder.nodes[viewed.source]
    if shape_of(fx) != source.shape:
        raise refuse(fx, f"makes {shape_of(fx)} of channels in groups; only a channel shuffle is supported")
    if not viewed.swapped:
        builder.same(fx, source)
        return
    node = Shuffle(name=fx.name, inputs=(source.name,), shape=source.shape, groups=viewed.groups)
    builder.add(fx, node)


def transpose(builder: Builder, fx: FxNode) -> None:
    """transpose: only the one between the two views of a channel shuffle."""
    viewed = builder.views.get(fx.args[0])  # type: ignore[arg-type]  # a tensor argument is a node
    dims = sorted(d % 5 for d in fx.args[1:3] if isinstance(d, int))
    if viewed is None or viewed.swapped or dims != [1, 2]:
        raise refuse(fx, "changes the order of dimensions; only a channel shuffle may")
    builder.views[fx] = GroupView(viewed.source, viewed.groups, swapped=True)


def same(builder: Builder, fx: FxNode) -> None:
    """What changes no value: dropout, clone, contiguous."""
    viewed = builder.views.get(fx.args[0])  # type: ignore[arg-type]  # a tensor argument is a node
    if viewed is not None:
        builder.views[fx] = viewed
    else:
        builder.same(fx, builder.source(fx))


def split(builder: Builder, fx: FxNode) -> None:
    """split, chunk: remembered; each piece is made when it is taken."""
    args = arguments_of(fx, ["input", "sizes", "dim"])
    source = builder.source(fx)
    if len(source.shape) != 4 or (args["dim"] or 0) % 4 != 1:
        raise refuse(fx, "splits another dimension than the channels of a map")
    builder.same(fx, source)


def getitem(builder: Builder, fx: FxNode) -> None:
    """One result of several: a piece of a split, or the first of batch norm."""
    whole, index = fx.args[0], fx.args[1]
    if not isinstance(whole, FxNode) or aten_name(whole) not in ("split", "split_with_sizes", "chunk"):
        same(builder, fx)
        return
    assert isinstance(index, int)  # torch.export writes nothing else
    sizes = [int(piece.shape[1]) for piece in whole.meta["val"]]
    index %= len(sizes)
    _slice(builder, fx, sum(sizes[:index]), sum(sizes[: index + 1]))


def channels(builder: Builder, fx: FxNode) -> None:
    """slice: neighbouring channels, rows or columns; a slice of everything is nothing."""
    args = arguments_of(fx, ["input", "dim", "start", "end", "step"])
    source, shape = builder.source(fx), shape_of(fx)
    if shape == source.shape:
        builder.same(fx, source)
        return
    dim, step = (args["dim"] or 0) % len(source.shape), args["step"] or 1
    if len(source.shape) != 4 or dim == 0:
        raise refuse(fx, "is a slice of something else than channels, rows or columns of a map")
    start = args["start"] or 0
    start = max(start + source.shape[dim], 0) if start < 0 else start
    end = source.shape[dim] - start - ((shape[dim] - 1) * step + 1)
    if step != 1:
        _every(builder, fx, (dim, start, end, step))
    elif dim == 1:
        _slice(builder, fx, start, start + shape[1])
    else:
        crop(builder, fx, source, (start, 0, end, 0) if dim == 2 else (0, start, 0, end))


def _every(builder: Builder, fx: FxNode, part: tuple[int, int, int, int]) -> None:
    """A slice with a step: dimension, what is left out in front and behind, step."""
    source, (dim, start, end, step) = builder.source(fx), part
    if dim == 1:
        if start or end >= step:
            raise refuse(fx, f"takes every {step}th channel from {start} on; all from the first are allowed")
        every_channel(builder, fx, source, step, fx.name)
        return
    if start or end:
        pads = (start, 0, end, 0) if dim == 2 else (0, start, 0, end)
        source = crop(builder, fx, source, pads, f"{fx.name}_from")
    every(builder, fx, source, (step, 1) if dim == 2 else (1, step), fx.name)


def _slice(builder: Builder, fx: FxNode, start: int, stop: int) -> None:
    source = builder.source(fx)
    shape = (1, stop - start, *source.shape[2:])
    builder.add(fx, Slice(name=fx.name, inputs=(source.name,), shape=shape, start=start, stop=stop))


def constant_pad(builder: Builder, fx: FxNode) -> None:
    """Zeros around a map: height and width only; negative amounts cut off."""
    args = arguments_of(fx, ["input", "pad", "mode_or_value", "value"])
    source, amounts = builder.source(fx), [int(n) for n in args["pad"]]
    other = [v for v in (args["mode_or_value"], args["value"]) if v not in (None, 0, "constant")]
    if args["mode_or_value"] in ("reflect", "replicate") and len(source.shape) == 4 and len(amounts) == 4:
        _mirrored(builder, fx, source, str(args["mode_or_value"]))
        return
    if len(source.shape) != 4 or len(amounts) > 4 or other:
        raise refuse(fx, "pads other than height and width, or with other than zeros, reflect and replicate")
    left, right, top, bottom = amounts + [0] * (4 - len(amounts))
    builder.same(fx, source)
    if max(amounts) > 0:
        source = pad(builder, fx, (max(top, 0), max(left, 0), max(bottom, 0), max(right, 0)))
    if min(amounts) < 0:
        crop(builder, fx, source, (max(-top, 0), max(-left, 0), max(-bottom, 0), max(-right, 0)))


def _mirrored(builder: Builder, fx: FxNode, source: AnyNode, mode: str) -> None:
    """A reflection, or the outermost values repeated, one at a time: a symmetric edge of one."""
    left, right, top, bottom = (int(n) for n in arguments_of(fx, ["input", "pad"])["pad"])
    if min(left, right, top, bottom) < 0:
        raise refuse(fx, f"mirrors negative amounts {left, right, top, bottom}")
    if mode == "reflect":
        steps = [(top, left, bottom, right)]
    else:
        most = max(left, right, top, bottom)
        steps = [(int(top > n), int(left > n), int(bottom > n), int(right > n)) for n in range(most)]
    last = source
    for place, (above, before, below, behind) in enumerate(steps):
        shape = (*last.shape[:2], last.shape[2] + above + below, last.shape[3] + before + behind)
        node = MirrorPad(
            name=fx.name if place == len(steps) - 1 else f"{fx.name}_{place}",
            inputs=(last.name,),
            shape=shape,
            pads=(above, before, below, behind),
            edge="reflect" if mode == "reflect" else "symmetric",
        )
        builder.add(fx, node)
        last = node


def crop(builder: Builder, fx: FxNode, source: AnyNode, pads: Pads, name: str | None = None) -> Crop:
    """Append a map without its outermost rows and columns."""
    top, left, bottom, right = pads
    shape = (*source.shape[:2], source.shape[2] - top - bottom, source.shape[3] - left - right)
    node = Crop(name=name or fx.name, inputs=(source.name,), shape=shape, pads=pads)
    builder.add(fx, node)
    return node


def pixel_unshuffle(builder: Builder, fx: FxNode) -> None:
    """Blocks of places become channels c · factor² + place."""
    source, factor = builder.source(fx), int(arguments_of(fx, ["input", "factor"])["factor"])
    parts: list[AnyNode] = []
    for place in range(factor**2):
        name, (row, column) = f"{fx.name}_{place}", divmod(place, factor)
        part = crop(builder, fx, source, (row, column, 0, 0), f"{name}_from") if place else source
        parts.append(every(builder, fx, part, (factor, factor), name))
    concat(builder, fx, [part.name for part in parts])
    joined = builder.nodes[builder.made[fx]]
    ordered = Shuffle(name=f"{fx.name}_channels", inputs=(joined.name,), shape=joined.shape, groups=factor**2)
    builder.add(fx, ordered)


def pad(builder: Builder, fx: FxNode, pads: Pads) -> Pad:
    """Append zeros around what an operation reads."""
    source = builder.source(fx)
    top, left, bottom, right = pads
    shape = (*source.shape[:2], source.shape[2] + top + bottom, source.shape[3] + left + right)
    node = Pad(name=f"{fx.name}_pad", inputs=(source.name,), shape=shape, pads=pads)
    builder.add(fx, node)
    return node


def concat(builder: Builder, fx: FxNode, sources: list[str]) -> None:
    """Append a concatenation of at most as many parts as XNNPACK takes; more become parts of parts.

    What an earlier one has joined is read from there: DenseNet joins all layers so far again and again.
    """
    wanted = tuple(sources)
    known = [parts for parts in builder.joined if wanted[: len(parts)] == parts]
    if known:
        longest = max(known, key=len)
        sources = [builder.joined[longest], *wanted[len(longest) :]]
    place = 0
    while len(sources) > _MOST_PARTS:
        part = _joined(builder, sources[:_MOST_PARTS], f"{fx.name}_part{place}")
        builder.add(fx, part)
        sources, place = [part.name, *sources[_MOST_PARTS:]], place + 1
    if len(sources) == 1:
        builder.same(fx, builder.nodes[sources[0]])
    else:
        builder.add(fx, _joined(builder, sources, fx.name))
    builder.joined[wanted] = builder.made[fx]


def _joined(builder: Builder, sources: list[str], name: str) -> Concat:
    shapes = [builder.nodes[source].shape for source in sources]
    shape = (1, sum(s[1] for s in shapes), *shapes[0][2:])
    return Concat(name=name, inputs=tuple(sources), shape=shape)


def resize(builder: Builder, fx: FxNode) -> None:
    """upsample_nearest2d and upsample_bilinear2d, by sizes or whole factors."""
    source, size = builder.source(fx), shape_of(fx)[2:]
    nearest = "nearest" in aten_name(fx)
    if "exact" in aten_name(fx):
        raise refuse(fx, "is a resize by nearest-exact; use nearest")
    corners = not nearest and bool(fx.args[2])
    factors = _given_factors(fx)
    if (
        not corners
        and factors is not None
        and any(f != size[i] / source.shape[2 + i] for i, f in enumerate(factors))
    ):
        raise refuse(fx, f"resizes by {factors}, which are not the ratios of its sizes; give a size instead")
    mode: ResizeMode = "nearest" if nearest else "bilinear_corners" if corners else "bilinear"
    resize_to(builder, fx, pair_of(size), mode)


def _given_factors(fx: FxNode) -> list[float] | None:
    """The scale factors of the call, where torch computes with them instead of the sizes."""
    value: Any = fx.args[-1]
    return [float(f) for f in value] if isinstance(value, list | tuple) and fx.args[1] is None else None


def resize_to(builder: Builder, fx: FxNode, size: tuple[int, int], mode: ResizeMode) -> None:
    """Append a resize; one value becomes a plain by either rule, and bilinear is what XNNPACK runs."""
    source = builder.source(fx)
    if source.shape[2:] == size:
        builder.same(fx, source)
        return
    single = source.shape[2:] == (1, 1)
    node = Resize(
        name=fx.name,
        inputs=(source.name,),
        shape=(*source.shape[:2], *size),
        size=size,
        mode="bilinear" if single else mode,
    )
    builder.add(fx, node)


MAPS: dict[str, Translation] = {
    "pixel_unshuffle": pixel_unshuffle,
    "getitem": getitem,
    "view": reshape,
    "_unsafe_view": reshape,
    "reshape": reshape,
    "flatten": reshape,
    "split": split,
    "split_with_sizes": split,
    "chunk": split,
    "slice": channels,
    "transpose": transpose,
    "pad": constant_pad,
    "constant_pad_nd": constant_pad,
    "upsample_nearest2d": resize,
    "_upsample_nearest_exact2d": resize,
    "upsample_bilinear2d": resize,
    "clone": same,
    "dropout": same,
    "contiguous": same,
    "alias": same,
}
"""What torch calls them."""
