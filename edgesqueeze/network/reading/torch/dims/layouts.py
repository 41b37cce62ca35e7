"""In which order an operation reads its tensors: where a view is as good, and where values have to move.

What is computed value by value reads any view; a dense layer, a norm or a softmax wants one dimension as the
channels of a node and does not care about the others; everything else reads its tensors as torch has them.
"""

from collections.abc import Callable, Iterable
from math import prod

import numpy as np
from numpy.typing import NDArray
from torch.fx import Node as FxNode

from edgesqueeze.network.graph.functions import FUNCTIONS
from edgesqueeze.network.graph.nodes import (
    AnyNode,
    Constant,
    Conv,
    Flatten,
    Floats,
    Rearrange,
    Shuffle,
)
from edgesqueeze.network.reading.torch.builder import Builder
from edgesqueeze.network.reading.torch.dims.views import (
    Atoms,
    Dims,
    Layout,
    in_order,
    is_whole,
    laid_out,
    lengths,
    natural,
    renamed,
)
from edgesqueeze.network.reading.torch.fx import aten_name, refuse

BY_VALUE = {
    *("relu", "relu6", "hardtanh", "clamp", "clamp_min"),
    *(reading.operation for function in FUNCTIONS.values() for reading in function.readings),
    *("clone", "dropout", "contiguous", "alias", "type_as", "_to_copy"),
}
"""Operations of one tensor that give every value's own."""
OF_TWO = {"add", "mul", "sub", "rsub", "div", "maximum", "minimum"}
"""Operations on values at the same place of two tensors, or of a tensor and a constant."""
CHANNELS: dict[str, Callable[[FxNode], int]] = {
    "linear": lambda _: -1,
    "layer_norm": lambda _: -1,
    "_native_batch_norm_legit_no_training": lambda _: 1,
    "softmax": lambda fx: int(fx.args[1]),  # type: ignore[arg-type]
}
"""Operations along one dimension, and which it is."""


def dims_of(builder: Builder, value: FxNode) -> Dims:
    """The dimensions of a value."""
    return builder.views.get(value) or natural(builder.nodes[builder.made[value]].shape)


def operand(builder: Builder, fx: FxNode) -> FxNode:
    """What an operation reads, which must be computed."""
    value = fx.args[0]
    if not isinstance(value, FxNode) or not builder.computes(value):
        raise refuse(fx, f"reads {value}, which is not the output of an earlier layer")
    return value


def keep_dims(builder: Builder, fx: FxNode, dims: Dims) -> None:
    """Say which dimensions the result of an operation has."""
    builder.views.pop(fx, None)
    if dims != natural(builder.nodes[builder.made[fx]].shape):
        builder.views[fx] = dims
        builder.origins.setdefault((builder.made[fx], dims), fx.name)


def as_torch_has_it(builder: Builder, fx: FxNode, value: FxNode) -> AnyNode:
    """A node [1, C, H, W] or [1, features] with the values of a view, in the order of its dimensions."""
    if value not in builder.views:
        return builder.nodes[builder.made[value]]
    dims = builder.views[value]
    if dims[0] or len(dims) not in (2, 4):
        raise refuse(
            fx, f"reads a tensor of shape {lengths(dims)}; [1, C, H, W] or [1, features] are read here"
        )
    return rearranged(builder, builder.nodes[builder.made[value]], dims[1:], name_of(builder, value))


def along_channels(builder: Builder, value: FxNode, dim: int) -> Dims:
    """Read a value with one of its dimensions as the channels of a node; the dimensions then."""
    dims, node = dims_of(builder, value), builder.nodes[builder.made[value]]
    dim %= len(dims)
    if is_whole(dims[dim], 1, node.shape):
        builder.reading[value] = node.name
        return dims
    rest = [atoms for place, atoms in enumerate(dims) if place != dim]
    layout: Layout = (dims[dim], joined_atoms(rest[:-1]), rest[-1])
    if not any(rest) and len(dims) == 2:
        layout = (dims[dim],)
    builder.reading[value] = rearranged(builder, node, layout, name_of(builder, value)).name
    return renamed(dims, laid_out(layout))


def rearranged(builder: Builder, source: AnyNode, layout: Layout, name: str) -> AnyNode:
    """A node whose axes are those of a layout: the source itself, one made before, or a new one."""
    if natural(source.shape)[1:] == layout:
        return source
    key = (source.name, layout)
    if key not in builder.moved:
        node = _move(builder.unused(name), source, layout)
        builder.nodes[node.name] = node
        builder.moved[key] = node.name
    return builder.nodes[builder.moved[key]]


def name_of(builder: Builder, value: FxNode) -> str:
    """What a moved value is called: by the operation that has put its dimensions in their order."""
    return builder.origins.get((builder.made[value], dims_of(builder, value)), value.name)


def _move(name: str, source: AnyNode, layout: Layout) -> AnyNode:
    """A channel shuffle or a flattening where it is one."""
    shape = (1, *(prod(atom.size for atom in atoms) for atoms in layout))
    axes, own = {atom.axis for atoms in layout for atom in atoms}, natural(source.shape)[1:]
    if len(layout) == 3 and len(layout[0]) == 2 and layout[1:] == own[1:] and shape == source.shape:
        return Shuffle(name=name, inputs=(source.name,), shape=shape, groups=layout[0][1].size)
    if len(layout) == 1 and len(axes) < 2 and list(layout[0]) == in_order(layout[0]):
        return Flatten(name=name, inputs=(source.name,), shape=shape)
    atoms = [atom for part in layout for atom in part]
    ordered = in_order(atoms)
    return Rearrange(
        name=name,
        inputs=(source.name,),
        shape=shape,
        sizes=tuple(atom.size for atom in ordered),
        order=tuple(ordered.index(atom) for atom in atoms),
        groups=tuple(len(part) for part in layout),
    )


def joined_atoms(parts: Iterable[Atoms]) -> Atoms:
    """All atoms of some dimensions as one dimension."""
    return tuple(atom for atoms in parts for atom in atoms)


def pointwise_conv(name: str, source: AnyNode, channels: int, groups: int = 1) -> Conv:
    """A 1 × 1 convolution of a map to so many channels; its weight and bias are the caller's."""
    return Conv(
        name=name,
        inputs=(source.name,),
        shape=(1, channels, *source.shape[2:]),
        kernel=(1, 1),
        stride=(1, 1),
        pads=(0, 0, 0, 0),
        dilation=(1, 1),
        groups=groups,
        activation="none",
    )


def constant_node(builder: Builder, name: str, values: Floats) -> Constant:
    """A stored map [C, height, width] as a node."""
    node = Constant(
        name=builder.unused(name),
        inputs=(),
        shape=(1, *values.shape),
        size=(values.shape[1], values.shape[2]),
    )
    builder.nodes[node.name] = node
    builder.store(node, values.reshape(len(values), -1).astype(np.float32), np.zeros(len(values), np.float32))
    return node


def placed(values: NDArray[np.float64], dims: Dims, rank: int) -> NDArray[np.float64]:
    """A stored tensor, spread over a value of these dimensions, as the value's node has it: [C, H, W] or [C].

    Axes along which it does not change have length 1.
    """
    values = values.reshape((1,) * (len(dims) - values.ndim) + values.shape)
    changing = [atom for atoms, n in zip(dims, values.shape, strict=True) if n > 1 for atom in atoms]
    axes = {atom.axis for atom in changing}
    kept = [tuple(a for a in atoms if a.axis in axes) for atoms in dims]
    full = [prod(a.size for a in atoms) for atoms in kept]
    values = np.broadcast_to(values, [max(n, m) for n, m in zip(values.shape, full, strict=True)])
    atoms = joined_atoms(kept)
    split = values.reshape([atom.size for atom in atoms])
    ordered = in_order(atoms)
    moved = split.transpose([atoms.index(atom) for atom in ordered])
    shape = [prod(a.size for a in ordered if a.axis == axis) for axis in range(1, rank)]
    return moved.reshape(shape)


def only_dense(fx: FxNode) -> bool:
    """Whether dense layers alone read a value, maybe value by value changed."""
    return bool(fx.users) and all(
        (aten_name(user) == "linear" and user.args[0] is fx)
        or (aten_name(user) in BY_VALUE and only_dense(user))
        for user in fx.users
    )
