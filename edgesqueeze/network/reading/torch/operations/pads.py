"""Padding: zeros or another value, around any dimension; the values of the other end; mirrored values."""

from collections.abc import Mapping
from math import inf, isfinite
from typing import Any

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import AnyNode, Pads, Slice
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.joins import join
from edgesqueeze.network.reading.torch.dims.layouts import (
    as_torch_has_it,
    dims_of,
    joined_atoms,
    name_of,
    operand,
    pointwise_conv,
    rearranged,
)
from edgesqueeze.network.reading.torch.dims.shapes import show, taken
from edgesqueeze.network.reading.torch.dims.strides import crop
from edgesqueeze.network.reading.torch.dims.views import (
    Atom,
    Dims,
    Layout,
    is_whole,
    laid_out,
    lengths,
    natural,
    renamed,
)
from edgesqueeze.network.reading.torch.fx import arguments_of, aten_name, refuse, shape_of
from edgesqueeze.network.reading.torch.operations.constants import scaled
from edgesqueeze.network.reading.torch.operations.maps import mirrored, pad

Amounts = Mapping[int, tuple[int, int]]
"""Dimension to what is added before and behind it, or cut off if negative."""


def _pad(builder: Builder, fx: FxNode) -> None:
    args = arguments_of(fx, ["input", "pad", "mode_or_value", "value"])
    value, rank = operand(builder, fx), len(shape_of(fx))
    numbers = [int(n) for n in args["pad"]]
    pairs = enumerate(zip(numbers[::2], numbers[1::2], strict=True))
    amounts = {rank - 1 - place: (before, behind) for place, (before, behind) in pairs if before or behind}
    mode: Any = args["mode_or_value"] if isinstance(args["mode_or_value"], str) else "constant"
    if not amounts:
        show(builder, fx, builder.nodes[builder.made[value]], dims_of(builder, value))
    elif mode == "circular":
        _around(builder, fx, value, amounts)
    elif mode in ("reflect", "replicate"):
        builder.reading[value] = as_torch_has_it(builder, fx, value).name
        source = builder.source(fx)
        if len(source.shape) != 4 or len(args["pad"]) != 4:
            raise refuse(fx, f"mirrors shape {shape_of(value)}; height and width of a map are allowed")
        mirrored(builder, fx, source, mode)
    else:
        given = [n for n in (args["mode_or_value"], args["value"]) if isinstance(n, int | float)]
        _with_constant(builder, fx, value, amounts, float(given[0] if given else 0))


def _with_constant(builder: Builder, fx: FxNode, value: FxNode, amounts: Amounts, number: float) -> None:
    node, dims = builder.nodes[builder.made[value]], dims_of(builder, value)
    plain = len(node.shape) == 4 and dims == natural(node.shape) and set(amounts) <= {2, 3}
    if number == -inf:
        _lowest(builder, fx, value, amounts)
    elif not isfinite(number):
        raise refuse(fx, f"pads with {number}")
    elif plain:
        builder.same(fx, _around_map(builder, fx, node, amounts, number))
    else:
        for dim, ends in amounts.items():
            node, dims = _along(builder, fx, (node, dims, name_of(builder, value)), (dim, ends), number)
        show(builder, fx, node, dims)


def _lowest(builder: Builder, fx: FxNode, value: FxNode, amounts: Amounts) -> None:
    """Minus infinity, which only a max pool can say: as padding of its own."""
    if {aten_name(user) for user in fx.users} != {"max_pool2d"} or not set(amounts) <= {2, 3}:
        raise refuse(fx, "pads with minus infinity; height and width in front of a max pool are allowed")
    if min(n for ends in amounts.values() for n in ends) < 0:
        raise refuse(fx, "pads with minus infinity and cuts off at once")
    builder.same(fx, as_torch_has_it(builder, fx, value))
    builder.lowest[fx] = (amounts.get(2, (0, 0))[0], amounts.get(3, (0, 0))[0])


def _around_map(builder: Builder, fx: FxNode, source: AnyNode, amounts: Amounts, number: float) -> AnyNode:
    """A value around a map: zeros around the map less the value, which is added again behind."""
    (top, bottom), (left, right) = amounts.get(2, (0, 0)), amounts.get(3, (0, 0))
    builder.same(fx, source)
    if max(top, left, bottom, right) > 0:
        source = _moved_by(builder, fx, source, -number)
        grown: Pads = (max(top, 0), max(left, 0), max(bottom, 0), max(right, 0))
        source = _moved_by(builder, fx, pad(builder, fx, grown, source), number)
    if min(top, left, bottom, right) < 0:
        cut: Pads = (max(-top, 0), max(-left, 0), max(-bottom, 0), max(-right, 0))
        source = crop(builder, fx, source, cut, builder.unused(fx.name))
    return source


def _moved_by(builder: Builder, fx: FxNode, source: AnyNode, number: float) -> AnyNode:
    if number == 0:
        return source
    ones = np.ones(source.shape[1])
    return scaled(builder, fx, builder.unused(f"{fx.name}_moved"), source, ones, ones * number)


def _along(
    builder: Builder,
    fx: FxNode,
    value: tuple[AnyNode, Dims, str],
    part: tuple[int, tuple[int, int]],
    number: float,
) -> tuple[AnyNode, Dims]:
    """A value padded along one dimension, which is brought to an axis of its own."""
    (node, dims, name), (dim, (before, behind)) = value, part
    axes = [axis for axis in (1, 2, 3) if len(node.shape) == 4 and is_whole(dims[dim], axis, node.shape)]
    if not axes:
        rest = [atoms for place, atoms in enumerate(dims) if place != dim]
        layout: Layout = (rest[-1], joined_atoms(rest[:-1]), dims[dim])
        node = rearranged(builder, node, layout, name)
        dims, axes = renamed(dims, laid_out(layout)), [3]
    axis = dim if dim in axes and not dims[dim] else axes[0]
    if axis == 1:
        node = _channels(builder, fx, node, (before, behind), number)
    else:
        node = _around_map(builder, fx, node, {axis: (before, behind)}, number)
    length = lengths(dims)[dim] + before + behind
    return node, (*dims[:dim], (Atom(axis, length, 1),) if length > 1 else (), *dims[dim + 1 :])


def _channels(builder: Builder, fx: FxNode, source: AnyNode, ends: tuple[int, int], number: float) -> AnyNode:
    """Channels of a value before and behind a map's own."""
    cut = [max(-n, 0) for n in ends]
    if any(cut):
        shape = (1, source.shape[1] - sum(cut), *source.shape[2:])
        start, name = cut[0], builder.unused(f"{fx.name}_kept")
        piece = Slice(name=name, inputs=(source.name,), shape=shape, start=start, stop=start + shape[1])
        builder.add(fx, piece)
        source = piece
    parts = [_constant_channels(builder, fx, source, n, number) for n in ends]
    parts = [parts[0], source.name, parts[1]]
    return join(builder, fx, [part for part in parts if part is not None], 1, fx.name)


def _constant_channels(
    builder: Builder, fx: FxNode, source: AnyNode, count: int, number: float
) -> str | None:
    """Channels of one value: a convolution of one channel with weights of zero, which takes no room."""
    if count <= 0:
        return None
    first = Slice(
        name=builder.unused(f"{fx.name}_first"),
        inputs=(source.name,),
        shape=(1, 1, *source.shape[2:]),
        start=0,
        stop=1,
    )
    builder.add(fx, first)
    node = pointwise_conv(builder.unused(f"{fx.name}_value"), first, count)
    weight, bias = np.zeros((count, 1, 1, 1), np.float32), np.full(count, number, np.float32)
    builder.add_weighted(fx, node, weight, bias)
    return node.name


def _around(builder: Builder, fx: FxNode, value: FxNode, amounts: Amounts) -> None:
    """What leaves a dimension at one end stands before it at the other."""
    node, dims = builder.nodes[builder.made[value]], dims_of(builder, value)
    for dim, ends in amounts.items():
        show(builder, fx, node, dims)
        if min(ends) < 0:  # what is cut off does not come in again
            kept = lengths(dims)[dim] + sum(min(n, 0) for n in ends)
            node, dims = taken(builder, fx, fx, (dim, max(-ends[0], 0), kept, 1))
        length, (before, behind) = lengths(dims)[dim], (max(n, 0) for n in ends)
        if max(before, behind) > length or not dims[dim]:
            raise refuse(fx, f"pads a dimension of length {length} by {ends} around a circle")
        parts = []
        for first, count in ((length - before, before), (0, length), (0, behind)):
            if count:
                show(builder, fx, node, dims)
                part = (dim, first, count, 1)
                parts.append((node, dims) if count == length else taken(builder, fx, fx, part))
        own = next(found for _, found in parts if lengths(found)[dim] == length)
        axis, inner = own[dim][0].axis, own[dim][-1].step
        if inner != 1 or {found[dim][0].axis for _, found in parts if found[dim]} != {axis}:
            raise refuse(fx, "pads a part of an axis around a circle")
        node = join(builder, fx, [part.name for part, _ in parts], axis, fx.name)
        dims = (*own[:dim], (Atom(axis, length + before + behind, 1),), *own[dim + 1 :])
    show(builder, fx, node, dims)


PADS: dict[str, Translation] = dict.fromkeys(("pad", "constant_pad_nd"), _pad)
"""What torch calls them; they read a tensor in any order."""
