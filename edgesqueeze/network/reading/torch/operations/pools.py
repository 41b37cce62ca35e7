"""Pools over windows of a map: fixed windows, and windows that follow from the size that is asked for."""

from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import AnyNode, AvgPool, GlobalAvgPool, MaxPool, Mul, Pair
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.joins import join
from edgesqueeze.network.reading.torch.dims.layouts import constant_node
from edgesqueeze.network.reading.torch.dims.strides import crop, every
from edgesqueeze.network.reading.torch.fx import arguments_of, pair_of, refuse, shape_of
from edgesqueeze.network.reading.torch.operations.constants import affine
from edgesqueeze.network.reading.torch.operations.largest import largest_of
from edgesqueeze.network.reading.torch.operations.maps import pad, resize_to

Pool = Callable[[str, AnyNode, tuple[int, ...], Pair, Pair], AnyNode]
"""A node of a name, a source, a shape, windows and strides."""
Run = tuple[int, int, int, int]
"""Windows of one length, evenly apart: where the first begins, their length, their stride, how many."""


def _max_pool(builder: Builder, fx: FxNode) -> None:
    args = arguments_of(fx, ["input", "kernel", "stride", "padding", "dilation", "ceil_mode"])
    source, kernel = builder.source(fx), pair_of(args["kernel"])
    stride, dilation = pair_of(args["stride"] or kernel), pair_of(args["dilation"] or 1)
    around = builder.lowest.get(fx.args[0], (0, 0))  # type: ignore[arg-type]
    top, left = (n + more for n, more in zip(pair_of(args["padding"] or 0), around, strict=True))
    shape = shape_of(fx)
    if dilation != (1, 1):
        windows = zip(kernel, stride, dilation, (top, left), strict=True)
        for axis, window in enumerate(windows, 2):
            source = _dilated(builder, fx, source, (axis, shape[axis]), window)
        builder.same(fx, source)
        return
    # Ceil mode and floor mode differ only in how far the last window reaches past the input.
    bottom = (shape[2] - 1) * stride[0] + kernel[0] - source.shape[2] - top
    right = (shape[3] - 1) * stride[1] + kernel[1] - source.shape[3] - left
    pads = (top, left, max(bottom, 0), max(right, 0))
    builder.add(
        fx,
        MaxPool(name=fx.name, inputs=(source.name,), shape=shape, kernel=kernel, stride=stride, pads=pads),
    )


def _dilated(
    builder: Builder, fx: FxNode, source: AnyNode, along: tuple[int, int], window: tuple[int, int, int, int]
) -> AnyNode:
    """A dilated max pool along an axis: the largest of moved maps, one for every place of the window.

    Windows that reach into the padding at one end have fewer places; they are made apart, and joined.
    ``along`` is the axis and how many windows, ``window`` its kernel, stride, dilation and padding in front.
    """
    (axis, size), (kernel, stride, dilation, before) = along, window
    length = source.shape[axis]
    places = [
        tuple(n * dilation for n in range(kernel) if 0 <= i * stride - before + n * dilation < length)
        for i in range(size)
    ]
    if () in places:
        raise refuse(fx, "has a window that lies in the padding altogether")
    parts, first = [], 0
    for inside, alike in groupby(places):
        count = len(list(alike))
        begins = [first * stride - before + place for place in inside]
        moved = [_moved(builder, fx, source, axis, (begin, count, stride)) for begin in begins]
        parts.append(largest_of(builder, fx, moved).name)
        first += count
    return join(builder, fx, parts, axis, f"{fx.name}_joined")


def _moved(builder: Builder, fx: FxNode, source: AnyNode, axis: int, places: tuple[int, int, int]) -> AnyNode:
    """Places of an axis: the first, how many, how far apart."""
    first, count, stride = places
    behind = source.shape[axis] - first - (count - 1) * stride - 1
    if first or behind:
        pads = (first, 0, behind, 0) if axis == 2 else (0, first, 0, behind)
        source = crop(builder, fx, source, pads, builder.unused(f"{fx.name}_from"))
    if stride > 1 and count > 1:
        steps = (stride, 1) if axis == 2 else (1, stride)
        source = every(builder, fx, source, steps, builder.unused(f"{fx.name}_every"))
    return source


def _avg_pool(builder: Builder, fx: FxNode) -> None:
    args = arguments_of(
        fx, ["input", "kernel", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override"]
    )
    kernel, padding = pair_of(args["kernel"]), pair_of(args["padding"] or 0)
    stride = pair_of(args["stride"] or kernel)
    source, shape = builder.source(fx), shape_of(fx)
    edges = padding if args["count_include_pad"] is not False else (0, 0)
    counts, ends = [], []
    for i in (0, 1):
        length, span = source.shape[2 + i], (shape[2 + i] - 1) * stride[i] + kernel[i]
        first = np.arange(shape[2 + i]) * stride[i] - padding[i]
        counts.append(np.minimum(first + kernel[i], length + edges[i]) - np.maximum(first, -edges[i]))
        ends.append(max(span - length - padding[i], edges[i], 0))
    if any((*padding, *ends)):
        source = pad(builder, fx, (*padding, ends[0], ends[1]))
    builder.add(fx, _averaging(fx.name, source, shape, kernel, stride))
    divisor = args["divisor_override"]
    divisors = np.outer(*counts) if divisor is None else np.full(shape[2:], divisor)
    _times(builder, fx, kernel[0] * kernel[1] / divisors.astype(np.float64))


def _times(builder: Builder, fx: FxNode, factors: NDArray[np.float64]) -> None:
    """Multiply what was pooled by a factor for every place: where a window is cut off, fewer values count."""
    pooled = builder.nodes[builder.made[fx]]
    if (factors == factors.flat[0]).all():
        if factors.flat[0] != 1:
            factor = np.full(pooled.shape[1], float(factors.flat[0]))
            affine(builder, fx, pooled, (factor, np.zeros_like(factor)), f"{fx.name}_divided")
        return
    stored = constant_node(builder, f"{fx.name}_factors", factors[np.newaxis].astype(np.float32))
    name, inputs = builder.unused(f"{fx.name}_divided"), (pooled.name, stored.name)
    builder.add(fx, Mul(name=name, inputs=inputs, shape=pooled.shape))


def _averaging(name: str, source: AnyNode, shape: tuple[int, ...], kernel: Pair, stride: Pair) -> AnyNode:
    if shape[2:] == (1, 1) and kernel == source.shape[2:]:
        return GlobalAvgPool(name=name, inputs=(source.name,), shape=shape)
    return AvgPool(name=name, inputs=(source.name,), shape=shape, kernel=kernel, stride=stride)


def _choosing(name: str, source: AnyNode, shape: tuple[int, ...], kernel: Pair, stride: Pair) -> AnyNode:
    pads = (0, 0, 0, 0)
    return MaxPool(name=name, inputs=(source.name,), shape=shape, kernel=kernel, stride=stride, pads=pads)


def _adaptive_max_pool(builder: Builder, fx: FxNode) -> None:
    """Its first result; the places of the largest values are another."""
    size: Any = arguments_of(fx, ["input", "size"])["size"]
    if any(user.args[1] == 1 and user.users for user in fx.users):
        raise refuse(fx, "gives the places of the largest values; only the values can be had")
    _adaptive(builder, fx, pair_of(size), _choosing)


def _adaptive_avg_pool(builder: Builder, fx: FxNode) -> None:
    source, shape = builder.source(fx), shape_of(fx)
    if source.shape[2:] == shape[2:]:
        builder.same(fx, source)
    elif shape[2] % source.shape[2] == 0 and shape[3] % source.shape[3] == 0:
        resize_to(builder, fx, pair_of(shape[2:]), "nearest")  # every window is a single value
    else:
        _adaptive(builder, fx, pair_of(shape[2:]), _averaging)


def _adaptive(builder: Builder, fx: FxNode, size: Pair, pool: Pool) -> None:
    """A pool to a size: one window length where the size divides, else windows run by run, joined."""
    source = builder.source(fx)
    rows, columns = (_runs(source.shape[2 + axis], size[axis]) for axis in (0, 1))
    single = len(rows) == len(columns) == 1
    lines: dict[Run, str] = {}
    for row in dict.fromkeys(rows):  # equal windows are made once, and joined as often as they stand there
        made = {c: _pooled(builder, fx, (row, c), pool, single=single).name for c in dict.fromkeys(columns)}
        lines[row] = join(builder, fx, [made[c] for c in columns], 3, f"{fx.name}_row").name
    builder.same(fx, join(builder, fx, [lines[row] for row in rows], 2, fx.name))


def _pooled(builder: Builder, fx: FxNode, runs: tuple[Run, Run], pool: Pool, *, single: bool) -> AnyNode:
    """The windows of a run of rows and a run of columns."""
    source = builder.source(fx)
    ends = [first + (count - 1) * stride + length for first, length, stride, count in runs]
    pads = (runs[0][0], runs[1][0], source.shape[2] - ends[0], source.shape[3] - ends[1])
    part = crop(builder, fx, source, pads, builder.unused(f"{fx.name}_part")) if any(pads) else source
    kernel, stride = (runs[0][1], runs[1][1]), (max(runs[0][2], 1), max(runs[1][2], 1))
    if kernel == stride == (1, 1):
        return part
    shape = (*source.shape[:2], runs[0][3], runs[1][3])
    node = pool(fx.name if single else builder.unused(f"{fx.name}_pool"), part, shape, kernel, stride)
    builder.add(fx, node)
    return node


def _runs(length: int, size: int) -> list[Run]:
    """Torch's windows, floor(i · length / size) to ceil((i + 1) · length / size), in few runs."""
    windows = [(i * length // size, -(-(i + 1) * length // size)) for i in range(size)]
    found: list[Run] = []
    for (first, end), (before, _) in zip(windows, [windows[0], *windows], strict=False):
        start, span, stride, count = found[-1] if found else (0, 0, 0, 0)
        step = first - before
        if count and end - first == span and step > 0 and (count == 1 or step == stride):
            found[-1] = (start, span, step, count + 1)
        else:
            found.append((first, end - first, 0, 1))
    return found


POOLS: dict[str, Translation] = {
    "max_pool2d": _max_pool,
    "adaptive_max_pool2d": _adaptive_max_pool,
    "avg_pool2d": _avg_pool,
    "adaptive_avg_pool2d": _adaptive_avg_pool,
}
"""What torch calls them."""
