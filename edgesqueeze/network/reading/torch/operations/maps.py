"""Torch operations that move values or bring a map to another size."""

from typing import Any

from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import (
    AnyNode,
    MirrorPad,
    Pad,
    Pads,
    Resize,
    ResizeMode,
    Shuffle,
)
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.joins import concat
from edgesqueeze.network.reading.torch.dims.strides import crop, every
from edgesqueeze.network.reading.torch.fx import arguments_of, aten_name, pair_of, refuse, shape_of


def same(builder: Builder, fx: FxNode) -> None:
    """What changes no value: dropout, clone, contiguous."""
    builder.same(fx, builder.source(fx))


def mirrored(builder: Builder, fx: FxNode, source: AnyNode, mode: str) -> None:
    """A reflection, or the outermost values repeated, one at a time: a symmetric edge of one.

    Negative amounts are cut off behind, so that the other end is mirrored as torch does it.
    """
    given = [int(n) for n in arguments_of(fx, ["input", "pad"])["pad"]]
    left, right, top, bottom = (max(n, 0) for n in given)
    if mode == "reflect":
        steps = [(top, left, bottom, right)] if top or left or bottom or right else []
    else:
        most = max(left, right, top, bottom)
        steps = [(int(top > n), int(left > n), int(bottom > n), int(right > n)) for n in range(most)]
    last, cut = source, [max(-n, 0) for n in given]
    for place, (above, before, below, behind) in enumerate(steps):
        shape = (*last.shape[:2], last.shape[2] + above + below, last.shape[3] + before + behind)
        node = MirrorPad(
            name=fx.name if place == len(steps) - 1 and not any(cut) else f"{fx.name}_{place}",
            inputs=(last.name,),
            shape=shape,
            pads=(above, before, below, behind),
            edge="reflect" if mode == "reflect" else "symmetric",
        )
        builder.add(fx, node)
        last = node
    if any(cut):
        crop(builder, fx, last, (cut[2], cut[0], cut[3], cut[1]))


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


def pad(builder: Builder, fx: FxNode, pads: Pads, source: AnyNode | None = None) -> Pad:
    """Append zeros around a map, by default what an operation reads."""
    source = builder.source(fx) if source is None else source
    top, left, bottom, right = pads
    shape = (*source.shape[:2], source.shape[2] + top + bottom, source.shape[3] + left + right)
    node = Pad(name=builder.unused(f"{fx.name}_pad"), inputs=(source.name,), shape=shape, pads=pads)
    builder.add(fx, node)
    return node


def resize(builder: Builder, fx: FxNode) -> None:
    """upsample_nearest2d and upsample_bilinear2d, by sizes or whole factors."""
    source, size = builder.source(fx), shape_of(fx)[2:]
    nearest = "nearest" in aten_name(fx)
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
    "upsample_nearest2d": resize,
    "upsample_bilinear2d": resize,
    "clone": same,
    "dropout": same,
    "contiguous": same,
    "alias": same,
    "type_as": same,
    "_to_copy": same,
}
"""What torch calls them."""
