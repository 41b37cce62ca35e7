"""Two tensors brought onto axes of one meaning, and what every operation reads brought into its order."""

from collections.abc import Mapping
from math import prod

import numpy as np
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import AnyNode, Conv, Resize, ResizeMode, is_spread_over
from edgesqueeze.network.reading.torch.builder import Builder
from edgesqueeze.network.reading.torch.dims.layouts import (
    BY_VALUE,
    CHANNELS,
    OF_TWO,
    along_channels,
    as_torch_has_it,
    dims_of,
    joined_atoms,
    name_of,
    pointwise_conv,
    rearranged,
)
from edgesqueeze.network.reading.torch.dims.views import (
    Atom,
    Atoms,
    Dims,
    Layout,
    in_order,
    laid_out,
    lengths,
    regrouped,
    renamed,
)


def settle(builder: Builder, fx: FxNode, name: str) -> Dims | None:
    """Bring what an operation reads into an order that it can read, and say which dimensions its result has.

    None stands for a result as torch has it.

    Raises:
        UnsupportedLayerError: no node can hold a tensor that it reads.
    """
    read = [value for value in dict.fromkeys(fx.all_input_nodes) if value in builder.made]
    if name in CHANNELS and fx.args[0] in builder.made:
        return along_channels(builder, read[0], CHANNELS[name](fx))
    if name in BY_VALUE or (name in OF_TWO and len(read) == 1):
        return dims_of(builder, read[0])
    if name in OF_TWO:
        return _aligned(builder, fx, read)
    for value in read:
        builder.reading[value] = as_torch_has_it(builder, fx, value).name
    return None


def _aligned(builder: Builder, fx: FxNode, read: list[FxNode]) -> Dims:
    """Two values on axes of one meaning; the smaller one is moved where they differ."""
    small, big = sorted(read, key=lambda value: prod(builder.nodes[builder.made[value]].shape))
    rank = max(len(dims_of(builder, value)) for value in read)
    dims = [_wide(dims_of(builder, value), rank) for value in (small, big)]
    nodes = [builder.nodes[builder.made[value]] for value in (small, big)]
    if not _fit(dims, nodes):
        pairs = enumerate(zip(*dims, strict=True))
        missing = {d: lengths([own])[0] for d, (own, other) in pairs if own and not other}
        if missing:
            nodes[1], dims[1] = spread(builder, fx, (nodes[1], dims[1]), missing)
            builder.reading[big] = nodes[1].name
            if _fit(dims, nodes):
                return tuple(own or other for own, other in zip(dims[1], dims[0], strict=True))
        small_name = name_of(builder, small)
        moved = _like(builder, (nodes[0], dims[0], small_name), (nodes[1], dims[1]))
        if not is_spread_over(moved.shape, nodes[1].shape):  # it lacks a part of an axis
            pairs = enumerate(zip(*dims, strict=True))
            missing = {d: lengths([other])[0] for d, (own, other) in pairs if other and not own}
            nodes[0], dims[0] = spread(builder, fx, (nodes[0], dims[0]), missing)
            moved = _like(builder, (nodes[0], dims[0], small_name), (nodes[1], dims[1]))
        builder.reading[small] = moved.name
        return dims[1]
    return tuple(own or other for own, other in zip(dims[1], dims[0], strict=True))


def spread(
    builder: Builder, fx: FxNode, value: tuple[AnyNode, Dims], missing: Mapping[int, int]
) -> tuple[AnyNode, Dims]:
    """A value repeated along dimensions that it has one place of; ``missing`` says how often, by dimension.

    Along channels by a convolution with weights of one, along height and width by a resize.
    """
    node, dims = value
    if len(node.shape) != 4 or 1 not in node.shape[1:]:
        flat: Layout = (joined_atoms(dims), (), ())
        node = rearranged(builder, node, flat, builder.unused(f"{fx.name}_flat"))
        dims = renamed(dims, laid_out(flat))
    free = [axis for axis in (1, 2, 3) if node.shape[axis] == 1]
    usual = [d for d in missing if len(dims) == 4 and d in free]
    axis = usual[0] if len(missing) == 1 and usual else free[0]
    made = _repeated(builder.unused(f"{fx.name}_spread"), node, axis, prod(missing.values()))
    builder.nodes[made.name] = made
    if isinstance(made, Conv):
        builder.store(
            made, np.ones((made.shape[1], 1, 1, 1), np.float32), np.zeros(made.shape[1], np.float32)
        )
    found, step = list(dims), 1
    for d in sorted(missing, reverse=True):
        found[d] = (Atom(axis, missing[d], step),)
        step *= missing[d]
    return made, tuple(found)


def _repeated(name: str, source: AnyNode, axis: int, times: int) -> AnyNode:
    """A map of length 1 along an axis, as often as asked for."""
    shape = tuple(times if place == axis else n for place, n in enumerate(source.shape))
    if axis > 1:
        size = (shape[2], shape[3])
        mode: ResizeMode = "bilinear" if source.shape[2:] == (1, 1) else "nearest"
        return Resize(name=name, inputs=(source.name,), shape=shape, size=size, mode=mode)
    return pointwise_conv(name, source, times)


def _wide(dims: Dims, rank: int) -> Dims:
    return ((),) * (rank - len(dims)) + dims


def _fit(dims: list[Dims], nodes: list[AnyNode]) -> bool:
    """Whether two values lie on the same axes, or along some of them one is of length 1."""
    if len(nodes[0].shape) != len(nodes[1].shape):
        return False
    alike = all(a == b or not a or not b for a, b in zip(*dims, strict=True))
    # One axis may be two dimensions: the outer product of a vector with itself lies on no common axes.
    for place, lacking in enumerate(nodes):
        pairs = zip(dims[place], dims[1 - place], strict=True)
        alike &= all(lacking.shape[atom.axis] == 1 for own, other in pairs if not own for atom in other)
    lengths_ = list(zip(nodes[0].shape, nodes[1].shape, strict=True))
    return alike and (all(a in (1, b) for a, b in lengths_) or all(b in (1, a) for a, b in lengths_))


def _like(builder: Builder, value: tuple[AnyNode, Dims, str], target: tuple[AnyNode, Dims]) -> AnyNode:
    """A value moved to the axes of another node."""
    (node, small, name), (wanted, big) = value, target
    if any(_split(own, other) is None for own, other in zip(small, big, strict=True)):
        flat = (joined_atoms(list(small)),)  # one atom can be split in every way
        node, small = rearranged(builder, node, flat, name), renamed(small, laid_out(flat))
    parts: dict[Atom, Atoms] = {}
    for own, other in zip(small, big, strict=True):
        split = _split(own, other)
        assert split is not None
        parts.update(zip(other, split, strict=False))
    atoms = in_order(joined_atoms(list(big)))
    layout = tuple(
        joined_atoms([parts.get(atom, ()) for atom in atoms if atom.axis == axis])
        for axis in range(1, len(wanted.shape))
    )
    return rearranged(builder, node, layout, name)


def _split(own: Atoms, other: Atoms) -> Dims | None:
    """A dimension in parts as long as those of another; nothing for one of length 1."""
    return regrouped((own,), [atom.size for atom in other]) if own else ()
