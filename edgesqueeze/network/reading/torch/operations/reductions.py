"""Means, sums and maxima over any dimensions, and norms over groups of channels."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import (
    Add,
    AnyNode,
    AvgPool,
    Conv,
    Flatten,
    GlobalAvgPool,
    GroupNorm,
    Pair,
    Pointwise,
    Slice,
)
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.layouts import (
    dims_of,
    keep_dims,
    name_of,
    operand,
    rearranged,
)
from edgesqueeze.network.reading.torch.dims.views import (
    Atom,
    Dims,
    Layout,
    is_outermost,
    laid_out,
    natural,
    renamed,
)
from edgesqueeze.network.reading.torch.fx import arguments_of, aten_name, refuse
from edgesqueeze.network.reading.torch.operations.constants import scaled

_ONE: Pair = (1, 1)
_FEW_PIECES = 4
"""So many pieces of the channels are cut out and added one by one; more are moved to an axis of their own."""


@dataclass(frozen=True)
class Over:
    """A reduction over whole axes of a node, and of a few nodes of one shape to one."""

    axes: Callable[[Builder, FxNode, AnyNode, list[int]], AnyNode]
    pieces: Callable[[Builder, FxNode, list[AnyNode]], AnyNode]


def reduced(builder: Builder, fx: FxNode, over: Over) -> None:
    """Reduce any dimensions of any tensor.

    Where they are whole axes of the node, or a few pieces of its channels, it is read as it lies; else what
    is reduced moves to one axis.
    """
    args = arguments_of(fx, ["input", "dim", "keepdim"])
    value = operand(builder, fx)
    source = builder.nodes[builder.made[value]], dims_of(builder, value), name_of(builder, value)
    _show(builder, fx, source, (args["dim"], bool(args["keepdim"])), over)


def _show(
    builder: Builder,
    fx: FxNode,
    source: tuple[AnyNode, Dims, str],
    chosen: tuple[int | Sequence[int] | None, bool],
    over: Over,
    behind: str | None = None,
) -> None:
    """Reduce a value; ``chosen`` are dimensions and whether they stay, ``behind`` a function of it."""
    (node, dims, _), (given, stay) = source, chosen
    listed = [given] if isinstance(given, int) else list(given or range(len(dims)))
    places = {int(d) % len(dims) for d in listed}
    if 0 in places and not dims[0]:
        raise refuse(fx, "reduces the batch too; every sample has an answer of its own here")
    atoms = [atom for place in sorted(places) for atom in dims[place]]
    node, dims = _over_atoms(builder, fx, source, (places, atoms), over)
    if behind is not None:
        name = builder.unused(f"{fx.name}_{behind}")
        node = Pointwise(name=name, inputs=(node.name,), shape=node.shape, function=behind)
        builder.add(fx, node)
    kept = tuple(() if d in places else part for d, part in enumerate(dims))
    left = kept if stay else tuple(part for d, part in enumerate(kept) if d not in places)
    if len(left) == 2 and len(node.shape) == 4 and left == natural(node.shape)[:2] and node.shape[2:] == _ONE:
        builder.add(fx, Flatten(name=f"{fx.name}_flat", inputs=(node.name,), shape=node.shape[:2]))
        return
    builder.same(fx, node)
    keep_dims(builder, fx, left)


def _vector_norm(builder: Builder, fx: FxNode) -> None:
    """The sum of magnitudes, or the root of the sum of squares, along any dimensions."""
    args = arguments_of(fx, ["input", "order", "dim", "keepdim"])
    order = 2.0 if args["order"] is None else float(args["order"])
    if order not in (1.0, 2.0):
        raise refuse(fx, f"is a norm of order {order}; 1 and 2 are allowed")
    value = operand(builder, fx)
    node, inner = builder.nodes[builder.made[value]], "square" if order == 2 else "abs"
    size = Pointwise(
        name=builder.unused(f"{fx.name}_{inner}"), inputs=(node.name,), shape=node.shape, function=inner
    )
    builder.add(fx, size)
    source = size, dims_of(builder, value), size.name
    over = Over(_sum_of_axes, _sum_of_pieces)
    _show(builder, fx, source, (args["dim"], bool(args["keepdim"])), over, "sqrt" if order == 2 else None)


def _over_atoms(
    builder: Builder,
    fx: FxNode,
    source: tuple[AnyNode, Dims, str],
    reduced: tuple[set[int], list[Atom]],
    over: Over,
) -> tuple[AnyNode, Dims]:
    """The reduced node, and the dimensions; those that were reduced say nothing any more."""
    node, dims, name = source
    places, atoms = reduced
    sizes = {a.axis: prod(b.size for b in atoms if b.axis == a.axis) for a in atoms}
    if not atoms:
        return node, dims
    if len(node.shape) == 4 and all(size == node.shape[axis] for axis, size in sizes.items()):
        return over.axes(builder, fx, node, sorted(sizes)), dims
    if len(atoms) == 1 and atoms[0].axis == 1 and _is_few(atoms[0], node):
        return over.pieces(builder, fx, _pieces(builder, fx, node, atoms[0])), dims
    kept = [part for d, part in enumerate(dims) if d not in places and part]
    kept.sort(key=lambda part: part[0].axis == 1)  # what are channels stays channels
    channels = kept.pop() if kept else ()
    layout: Layout = (channels, tuple(a for part in kept for a in part), tuple(atoms))
    moved = rearranged(builder, node, layout, name)
    return over.axes(builder, fx, moved, [3]), renamed(dims, laid_out(layout))


def _is_few(atom: Atom, node: AnyNode) -> bool:
    return atom.size <= _FEW_PIECES and is_outermost(atom, node.shape)


def _pieces(builder: Builder, fx: FxNode, source: AnyNode, atom: Atom) -> list[AnyNode]:
    """The outermost parts of the channels."""
    shape = (1, atom.step, *source.shape[2:])
    found: list[AnyNode] = []
    for place in range(atom.size):
        start = place * atom.step
        piece = Slice(
            name=builder.unused(f"{fx.name}_{place}"),
            inputs=(source.name,),
            shape=shape,
            start=start,
            stop=start + atom.step,
        )
        builder.add(fx, piece)
        found.append(piece)
    return found


def _mean_of_axes(builder: Builder, fx: FxNode, source: AnyNode, axes: list[int]) -> AnyNode:
    last = source
    spatial = [axis for axis in axes if axis > 1]
    if spatial:
        kernel = kernel_of(last, spatial)
        shape = (*last.shape[:2], last.shape[2] // kernel[0], last.shape[3] // kernel[1])
        name = f"{fx.name}_places" if 1 in axes else fx.name
        made: AnyNode = AvgPool(name=name, inputs=(last.name,), shape=shape, kernel=kernel, stride=kernel)
        if shape[2:] == (1, 1):
            made = GlobalAvgPool(name=name, inputs=(last.name,), shape=shape)
        builder.add(fx, made)
        last = made
    return _over_channels(builder, fx, last, 1 / last.shape[1]) if 1 in axes else last


def _sum_of_axes(builder: Builder, fx: FxNode, source: AnyNode, axes: list[int]) -> AnyNode:
    last, spatial = source, [axis for axis in axes if axis > 1]
    if spatial:
        kernel = kernel_of(last, spatial)
        channels = last.shape[1]
        shape = (1, channels, last.shape[2] // kernel[0], last.shape[3] // kernel[1])
        node = _conv(f"{fx.name}_places" if 1 in axes else fx.name, last, shape, kernel, channels)
        builder.add_weighted(fx, node, np.ones((channels, 1, *kernel), np.float32), None)
        last = node
    return _over_channels(builder, fx, last, 1.0) if 1 in axes else last


def _sum_of_pieces(builder: Builder, fx: FxNode, pieces: list[AnyNode]) -> AnyNode:
    last = pieces[0]
    for place, piece in enumerate(pieces[1:], 2):
        name = builder.unused(fx.name if place == len(pieces) else f"{fx.name}_sum{place}")
        inputs = (last.name, piece.name)
        last = Add(name=name, inputs=inputs, shape=piece.shape, activation="none")
        builder.add(fx, last)
    return last


def _mean_of_pieces(builder: Builder, fx: FxNode, pieces: list[AnyNode]) -> AnyNode:
    total = _sum_of_pieces(builder, fx, pieces)
    factor = np.full(total.shape[1], 1 / len(pieces))
    return scaled(builder, fx, builder.unused(f"{fx.name}_mean"), total, factor)


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


def kernel_of(source: AnyNode, axes: list[int]) -> Pair:
    """Whole rows, whole columns, or both."""
    return (source.shape[2] if 2 in axes else 1, source.shape[3] if 3 in axes else 1)


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
    "mean": lambda builder, fx: reduced(builder, fx, Over(_mean_of_axes, _mean_of_pieces)),
    "sum": lambda builder, fx: reduced(builder, fx, Over(_sum_of_axes, _sum_of_pieces)),
    "linalg_vector_norm": _vector_norm,
}
"""What torch calls them; they read a tensor in any order."""
GROUP_NORMS: dict[str, Translation] = {"group_norm": _group_norm, "instance_norm": _group_norm}
"""What torch calls them."""
