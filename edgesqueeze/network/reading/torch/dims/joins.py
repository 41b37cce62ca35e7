"""Concatenation along any dimension, and what is one: stack, repeat."""

from collections.abc import Sequence
from math import prod

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import AnyNode, Concat, Join
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.layouts import (
    constant_node,
    dims_of,
    keep_dims,
    name_of,
    operand,
    placed,
    rearranged,
)
from edgesqueeze.network.reading.torch.dims.views import Atom, Dims, Layout, is_whole, laid_out, renamed
from edgesqueeze.network.reading.torch.fx import arguments_of, refuse, shape_of

_MOST_PARTS = 5
Part = tuple[AnyNode, Dims]


def _cat(builder: Builder, fx: FxNode) -> None:
    args = arguments_of(fx, ["tensors", "dim"])
    rank = len(shape_of(fx))
    _joined(builder, fx, args["tensors"], (args["dim"] or 0) % rank)


def _stack(builder: Builder, fx: FxNode) -> None:
    """A concatenation along a dimension that is new."""
    args = arguments_of(fx, ["tensors", "dim"])
    rank = len(shape_of(fx))
    _joined(builder, fx, args["tensors"], (args["dim"] or 0) % rank, new=True)


def _repeat(builder: Builder, fx: FxNode) -> None:
    """Any dimensions repeated, one after the other."""
    times = [int(n) for n in arguments_of(fx, ["input", "times"])["times"]]
    value = operand(builder, fx)
    dims = dims_of(builder, value)
    node, dims = builder.nodes[builder.made[value]], ((),) * (len(times) - len(dims)) + dims
    for dim, n in enumerate(times):
        if n == 1:
            continue
        axis = _axis_of((node, dims), dim)
        if axis is None:
            node, dims = _moved_part(builder, (node, dims), dim, name_of(builder, value))
            axis = 1 if dim == len(dims) - 1 else 3
        whole = (Atom(axis, node.shape[axis] * n, 1),)
        node = join(builder, fx, [node.name] * n, axis, fx.name)
        dims = (*dims[:dim], whole, *dims[dim + 1 :])
    builder.same(fx, node)
    keep_dims(builder, fx, dims)


def _joined_part(builder: Builder, fx: FxNode, sources: Sequence[str], axis: int, name: str) -> str:
    if len(sources) == 1:
        return sources[0]
    joined = join_of(builder, sources, builder.unused(name), axis)
    builder.add(fx, joined)
    return joined.name


def _joined(builder: Builder, fx: FxNode, tensors: Sequence[FxNode], dim: int, *, new: bool = False) -> None:
    tensors = [value for value in tensors if 0 not in shape_of(value)]
    known = {value: _part(builder, value, dim, new=new) for value in tensors if builder.computes(value)}
    if not known:
        raise refuse(fx, "joins nothing that is the output of an earlier layer")
    if len(tensors) == 1:
        ((node, dims),) = known.values()
        builder.same(fx, node)
        keep_dims(builder, fx, dims)
        return
    template = max(known.values(), key=lambda part: sum(map(len, part[1])))
    axis = _axis_of(template, dim)
    if axis is None or not all(_fits(part, template, dim, axis) for part in known.values()):
        known = {value: _moved(builder, value, part, dim) for value, part in known.items()}
        template = max(known.values(), key=lambda part: sum(map(len, part[1])))
        axis = 1 if dim == len(template[1]) - 1 else 3
        if not all(_fits(part, template, dim, axis) for part in known.values()):
            raise refuse(fx, "joins tensors whose dimensions are made of different parts")
    parts = [
        known[value][0]
        if value in known
        else _stored_part(builder, fx, value, (template, dim, axis), new=new)
        for value in tensors
    ]
    concat(builder, fx, [part.name for part in parts], axis)
    length = builder.nodes[builder.made[fx]].shape[axis]
    whole = (Atom(axis, length, 1),) if length > 1 else ()
    keep_dims(builder, fx, tuple(whole if d == dim else atoms for d, atoms in enumerate(template[1])))


def _part(builder: Builder, value: FxNode, dim: int, *, new: bool) -> Part:
    dims = dims_of(builder, value)
    return builder.nodes[builder.made[value]], (*dims[:dim], (), *dims[dim:]) if new else dims


def _axis_of(template: Part, dim: int) -> int | None:
    """The axis that a dimension is: of length 1, one that no other dimension runs over."""
    node, dims = template
    axes = [axis for axis in (1, 3, 2) if axis < len(node.shape)]
    if dims[dim]:
        return next((axis for axis in axes if is_whole(dims[dim], axis, node.shape)), None)
    return next((axis for axis in axes if node.shape[axis] == 1), None)


def _fits(part: Part, template: Part, dim: int, axis: int) -> bool:
    node, dims = part
    others = all(a == b for d, (a, b) in enumerate(zip(dims, template[1], strict=True)) if d != dim)
    return len(node.shape) == len(template[0].shape) and others and is_whole(dims[dim], axis, node.shape)


def _moved(builder: Builder, value: FxNode, part: Part, dim: int) -> Part:
    return _moved_part(builder, part, dim, name_of(builder, value))


def _moved_part(builder: Builder, part: Part, dim: int, name: str) -> Part:
    """A part on axes of its own: the last dimension, the others, and the one to be joined."""
    node, dims = part
    last = len(dims) - 1
    rest = tuple(atom for d, atoms in enumerate(dims) if d not in (dim, last) for atom in atoms)
    layout: Layout = (dims[last], rest, () if dim == last else dims[dim])
    moved = rearranged(builder, node, layout, name)
    return moved, renamed(dims, laid_out(layout))


def _stored_part(
    builder: Builder, fx: FxNode, value: FxNode, place: tuple[Part, int, int], *, new: bool
) -> AnyNode:
    """A part that depends on parameters only, such as a class token."""
    (node, dims), dim, axis = place
    stored = builder.constant(fx, value)
    if stored is None or len(node.shape) != 4:
        raise refuse(fx, f"joins a constant with features {node.shape}")
    stored = np.expand_dims(stored, dim) if new else stored
    own = (Atom(axis, stored.shape[dim], 1),) if stored.shape[dim] > 1 else ()
    along = tuple(own if d == dim else atoms for d, atoms in enumerate(dims))
    shape = [prod(a.size for atoms in along for a in atoms if a.axis == n) for n in (1, 2, 3)]
    full = np.broadcast_to(placed(stored.astype(np.float64), along, 4), shape)
    return constant_node(builder, builder.stored_name(value) or f"{fx.name}_stored", full.astype(np.float32))


def concat(builder: Builder, fx: FxNode, sources: Sequence[str], axis: int = 1) -> None:
    """Append a concatenation of at most as many parts as XNNPACK takes; more become parts of parts.

    What an earlier one has joined is read from there: DenseNet joins all layers so far again and again.
    """
    wanted, left = (str(axis), *sources), list(sources)
    known = [parts for parts in builder.joined if wanted[: len(parts)] == parts]
    if known:
        longest = max(known, key=len)
        left = [builder.joined[longest], *wanted[len(longest) :]]
    place = 0
    while len(left) > _MOST_PARTS:
        part = join_of(builder, left[:_MOST_PARTS], f"{fx.name}_part{place}", axis)
        builder.add(fx, part)
        left, place = [part.name, *left[_MOST_PARTS:]], place + 1
    if len(left) == 1:
        builder.same(fx, builder.nodes[left[0]])
    else:
        builder.add(fx, join_of(builder, left, fx.name, axis))
    builder.joined[wanted] = builder.made[fx]


def join(builder: Builder, fx: FxNode, sources: Sequence[str], axis: int, name: str) -> AnyNode:
    """Nodes joined along an axis, at most so many at once as XNNPACK takes."""
    left = list(sources)
    while len(left) > 1:
        parts = [left[i : i + _MOST_PARTS] for i in range(0, len(left), _MOST_PARTS)]
        left = [_joined_part(builder, fx, part, axis, name) for part in parts]
    return builder.nodes[left[0]]


def join_of(builder: Builder, sources: Sequence[str], name: str, axis: int) -> Concat | Join:
    """A concatenation of nodes along an axis."""
    shapes = [builder.nodes[source].shape for source in sources]
    shape = (*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])
    if axis == 1:
        return Concat(name=name, inputs=tuple(sources), shape=shape)
    return Join(name=name, inputs=tuple(sources), shape=shape, axis=axis)


JOINS: dict[str, Translation] = {"cat": _cat, "stack": _stack, "repeat": _repeat}
"""What torch calls them; they read tensors in any order."""
