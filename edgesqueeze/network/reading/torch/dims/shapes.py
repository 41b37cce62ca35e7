"""Torch operations that choose, join, reshape and reorder the dimensions of a tensor.

Most of them change a view only, see ``reading.torch.dims.views``; a slice and a concatenation become nodes.
"""

from collections.abc import Callable, Sequence
from typing import Any

from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import AnyNode, Flatten, Slice
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.alignment import spread
from edgesqueeze.network.reading.torch.dims.joins import join_of
from edgesqueeze.network.reading.torch.dims.layouts import (
    OF_TWO,
    dims_of,
    joined_atoms,
    keep_dims,
    name_of,
    only_dense,
    operand,
    rearranged,
)
from edgesqueeze.network.reading.torch.dims.strides import crop, every, every_channel
from edgesqueeze.network.reading.torch.dims.views import (
    Atom,
    Atoms,
    Dims,
    in_order,
    is_outermost,
    laid_out,
    lengths,
    natural,
    regrouped,
    renamed,
)
from edgesqueeze.network.reading.torch.fx import arguments_of, aten_name, refuse, shape_of


def show(builder: Builder, fx: FxNode, node: AnyNode, dims: Dims) -> None:
    """Say that an operation gives a node's values in these dimensions."""
    builder.same(fx, node)
    keep_dims(builder, fx, dims)


def _reshape(builder: Builder, fx: FxNode) -> None:
    """Every operation that keeps the order of values: view, flatten, squeeze, unsqueeze."""
    _reshaped(builder, fx, operand(builder, fx))


def _reshaped(builder: Builder, fx: FxNode, value: FxNode) -> None:
    node, dims, shape = builder.nodes[builder.made[value]], dims_of(builder, value), shape_of(fx)
    found = regrouped(dims, shape)
    if found is None:
        flat = (tuple(atom for atoms in dims for atom in atoms),)
        node = rearranged(builder, node, flat, name_of(builder, value))
        found = regrouped(natural(node.shape), shape)
        assert found is not None  # one atom can be split in every way
    if len(shape) == 2 and len(node.shape) == 4 and not found[0] and _flattens(fx, found[1]):
        builder.add(fx, Flatten(name=fx.name, inputs=(node.name,), shape=shape))
        return
    show(builder, fx, node, found)
    if _is_shuffle(found, node):
        moved = rearranged(builder, node, found[1:], fx.name)
        show(builder, fx, moved, natural(moved.shape))


def _flattens(fx: FxNode, atoms: Atoms) -> bool:
    """Whether a map is flattened as it lies in a file, or for dense layers alone, whose weights follow."""
    one_axis = len({atom.axis for atom in atoms}) < 2
    return list(atoms) == in_order(atoms) and (one_axis or only_dense(fx))


def _is_shuffle(dims: Dims, node: AnyNode) -> bool:
    own = natural(node.shape)
    return len(dims) == 4 == len(own) and dims[2:] == own[2:] and len(dims[1]) == 2 and not dims[0]


def _permute(builder: Builder, fx: FxNode) -> None:
    value = operand(builder, fx)
    dims = dims_of(builder, value)
    order = [int(d) % len(dims) for d in arguments_of(fx, ["input", "dims"])["dims"]]
    show(builder, fx, builder.nodes[builder.made[value]], tuple(dims[d] for d in order))


def _transpose(builder: Builder, fx: FxNode) -> None:
    value = operand(builder, fx)
    dims = list(dims_of(builder, value))
    one, other = (int(d) % len(dims) for d in fx.args[1:3]) if len(fx.args) > 1 else (0, 1)  # type: ignore[arg-type]
    dims[one], dims[other] = dims[other], dims[one]
    show(builder, fx, builder.nodes[builder.made[value]], tuple(dims))


def _expand(builder: Builder, fx: FxNode) -> None:
    """A view for operations that spread it anyway."""
    value = operand(builder, fx)
    dims, shape = dims_of(builder, value), shape_of(fx)
    dims = ((),) * (len(shape) - len(dims)) + dims
    node = builder.nodes[builder.made[value]]
    if lengths(dims) != shape and not all(aten_name(user) in OF_TWO for user in fx.users):
        missing = {d: n for d, (n, atoms) in enumerate(zip(shape, dims, strict=True)) if n > 1 and not atoms}
        node, dims = spread(builder, fx, (node, dims), missing)
    show(builder, fx, node, dims)


def _whole_axis(builder: Builder, value: FxNode, dim: int) -> tuple[AnyNode, Dims]:
    """A value so that a piece of one dimension is a piece of one axis: moved if it is not."""
    node, dims = builder.nodes[builder.made[value]], dims_of(builder, value)
    atoms = dims[dim]
    if not atoms or (len(atoms) == 1 and is_outermost(atoms[0], node.shape)):
        return node, dims
    rest = [part for place, part in enumerate(dims) if place != dim]
    last = len(dims) - 1
    joined = tuple(a for part in (rest if dim == last else rest[:-1]) for a in part)
    layout = (atoms, joined, ()) if dim == last else (rest[-1], joined, atoms)
    moved = rearranged(builder, node, layout, name_of(builder, value))
    return moved, renamed(dims, laid_out(layout))


def taken(
    builder: Builder, fx: FxNode, value: FxNode, part: tuple[int, int, int, int]
) -> tuple[AnyNode, Dims]:
    """A piece of a value: dimension, the first place, how many, step."""
    dim, start, count, step = part
    node, dims = _whole_axis(builder, value, dim)
    if not dims[dim]:
        return node, dims
    if len(node.shape) != 4:
        flat = (joined_atoms(dims), (), ())
        node = rearranged(builder, node, flat, name_of(builder, value))
        dims = renamed(dims, laid_out(flat))
    (atom,) = dims[dim]
    length, inner = node.shape[atom.axis], atom.step
    if step != 1:
        if inner != 1:
            raise refuse(fx, "takes places with a step of a dimension that is one part of an axis")
        piece = _every(builder, fx, node, (atom.axis, start, length - start - (count - 1) * step - 1, step))
    elif atom.axis == 1:
        shape = (1, count * inner, *node.shape[2:])
        begin = start * inner
        piece = Slice(
            name=builder.unused(fx.name), inputs=(node.name,), shape=shape, start=begin, stop=begin + shape[1]
        )
        builder.add(fx, piece)
    else:
        before, behind = start * inner, length - (start + count) * inner
        pads = (before, 0, behind, 0) if atom.axis == 2 else (0, before, 0, behind)
        piece = crop(builder, fx, node, pads, builder.unused(fx.name))
    taken = (Atom(atom.axis, count, inner),) if count > 1 else ()
    return piece, tuple(taken if place == dim else atoms for place, atoms in enumerate(dims))


def _every(builder: Builder, fx: FxNode, source: AnyNode, part: tuple[int, int, int, int]) -> AnyNode:
    """A slice with a step: axis, what is left out in front and behind, step."""
    axis, start, end, step = part
    if axis == 1:
        if end >= step:
            raise refuse(fx, f"takes every {step}th channel up to the {end + 1}th last; take them to the end")
        every_channel(builder, fx, source, (start, step), fx.name)
        return builder.nodes[builder.made[fx]]
    if start or end:
        pads = (start, 0, end, 0) if axis == 2 else (0, start, 0, end)
        source = crop(builder, fx, source, pads, f"{fx.name}_from")
    return every(builder, fx, source, (step, 1) if axis == 2 else (1, step), fx.name)


def _slice(builder: Builder, fx: FxNode) -> None:
    """slice: neighbouring places of a dimension, or every n-th; a slice of everything is nothing."""
    args = arguments_of(fx, ["input", "dim", "start", "end", "step"])
    value, shape = operand(builder, fx), shape_of(fx)
    known = tuple(int(n) for n in value.meta["val"].shape)
    dim, step, start = (args["dim"] or 0) % len(known), args["step"] or 1, args["start"] or 0
    if shape == known:
        show(builder, fx, builder.nodes[builder.made[value]], dims_of(builder, value))
        return
    start = max(start + known[dim], 0) if start < 0 else start
    show(builder, fx, *taken(builder, fx, value, (dim, start, shape[dim], step)))


def _select(builder: Builder, fx: FxNode) -> None:
    value, dim, index = operand(builder, fx), fx.args[1], fx.args[2]
    if not isinstance(dim, int) or not isinstance(index, int):
        raise refuse(fx, "selects a place that is computed")
    known = value.meta["val"].shape
    dim %= len(known)
    node, dims = taken(builder, fx, value, (dim, index % int(known[dim]), 1, 1))
    show(builder, fx, node, dims[:dim] + dims[dim + 1 :])


def _pieces(builder: Builder, fx: FxNode) -> None:
    """split, chunk, unbind: remembered; each piece is made when it is taken."""
    value = operand(builder, fx)
    show(builder, fx, builder.nodes[builder.made[value]], dims_of(builder, value))


_DIM: dict[str, Callable[[dict[str, Any]], int]] = {
    "split": lambda args: args["dim"] or 0,
    "split_with_sizes": lambda args: args["dim"] or 0,
    "chunk": lambda args: args["dim"] or 0,
    "unbind": lambda args: args["sizes"] or 0,
}


def _getitem(builder: Builder, fx: FxNode) -> None:
    """One result of several: a piece of a split, or the first of batch norm."""
    whole, index = operand(builder, fx), fx.args[1]
    name = aten_name(whole)
    if name not in _DIM:
        show(builder, fx, builder.nodes[builder.made[whole]], dims_of(builder, whole))
        return
    assert isinstance(index, int)  # torch.export writes nothing else
    dim = _DIM[name](arguments_of(whole, ["input", "sizes", "dim"])) % len(dims_of(builder, whole))
    pieces = whole.meta["val"]
    index %= len(pieces)
    if name == "unbind":
        node, dims = taken(builder, fx, whole, (dim, index, 1, 1))
        show(builder, fx, node, dims[:dim] + dims[dim + 1 :])
        return
    sizes = [int(piece.shape[dim]) for piece in pieces]
    if sizes[index] == sum(sizes):
        show(builder, fx, builder.nodes[builder.made[whole]], dims_of(builder, whole))
        return
    show(builder, fx, *taken(builder, fx, whole, (dim, sum(sizes[:index]), sizes[index], 1)))


def _roll(builder: Builder, fx: FxNode) -> None:
    """Values that leave a dimension at its end come in again at its beginning."""
    args = arguments_of(fx, ["input", "shifts", "dims"])
    value = operand(builder, fx)
    node, dims = builder.nodes[builder.made[value]], dims_of(builder, value)
    shifts, places = ([n] if isinstance(n, int) else list(n or ()) for n in (args["shifts"], args["dims"]))
    if len(shifts) != len(places):
        raise refuse(fx, "rolls all dimensions as one; name the dimensions")
    for shift, place in zip(shifts, places, strict=True):
        show(builder, fx, node, dims)
        dim = place % len(dims)
        length = lengths(dims)[dim]
        if shift % length:
            node, dims = _rolled(builder, fx, dim, length - shift % length)
    show(builder, fx, node, dims)


def _rolled(builder: Builder, fx: FxNode, dim: int, start: int) -> tuple[AnyNode, Dims]:
    """What an operation has made so far, beginning at a place of a dimension."""
    length = lengths(dims_of(builder, fx))[dim]
    node, dims = _whole_axis(builder, fx, dim)
    parts = []
    for first, count in ((start, length - start), (0, start)):
        show(builder, fx, node, dims)
        parts.append(taken(builder, fx, fx, (dim, first, count, 1))[0])
    whole = join_of(builder, [part.name for part in parts], builder.unused(fx.name), dims[dim][0].axis)
    builder.add(fx, whole)
    return whole, dims


def views(names: Sequence[str], translation: Translation) -> dict[str, Translation]:
    """One translation under several names."""
    return dict.fromkeys(names, translation)


SHAPES: dict[str, Translation] = {
    **views(("view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze"), _reshape),
    **views(("transpose", "t", "mT", "swapaxes"), _transpose),
    **views(("permute", "movedim"), _permute),
    **views(("expand", "expand_as"), _expand),
    **views(("split", "split_with_sizes", "chunk", "unbind"), _pieces),
    "slice": _slice,
    "select": _select,
    "roll": _roll,
    "getitem": _getitem,
}
"""What torch calls them; they read a tensor in any order."""
