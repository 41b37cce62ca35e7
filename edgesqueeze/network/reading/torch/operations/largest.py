"""Largest values over any dimensions, and their places."""

from collections.abc import Sequence

from torch.fx import Node as FxNode

from edgesqueeze.network.graph.nodes import AnyNode, ArgMax, ChannelMax, Extreme, MaxPool
from edgesqueeze.network.graph.nodes.pools import MOST_PLACES
from edgesqueeze.network.reading.torch.builder import Builder, Translation
from edgesqueeze.network.reading.torch.dims.layouts import along_channels, dims_of, keep_dims, operand
from edgesqueeze.network.reading.torch.fx import arguments_of, aten_name, refuse
from edgesqueeze.network.reading.torch.operations.reductions import Over, kernel_of, reduced


def _largest_of_axes(builder: Builder, fx: FxNode, source: AnyNode, axes: list[int]) -> AnyNode:
    last, spatial = source, [axis for axis in axes if axis > 1]
    if spatial:
        kernel = kernel_of(last, spatial)
        shape = (*last.shape[:2], last.shape[2] // kernel[0], last.shape[3] // kernel[1])
        name = f"{fx.name}_places" if 1 in axes else fx.name
        pads = (0, 0, 0, 0)
        pooled = MaxPool(name=name, inputs=(last.name,), shape=shape, kernel=kernel, stride=kernel, pads=pads)
        builder.add(fx, pooled)
        last = pooled
    if 1 in axes:
        chosen = ChannelMax(name=fx.name, inputs=(last.name,), shape=(1, 1, *last.shape[2:]))
        builder.add(fx, chosen)
        last = chosen
    return last


_OF_PLACES = {
    *("output", "view", "reshape", "unsqueeze", "squeeze", "permute", "transpose", "flatten"),
    *("_unsafe_view", "clone", "contiguous", "alias", "detach"),
}


def _place_of_largest(builder: Builder, fx: FxNode) -> None:
    """Argmax along a dimension: the last thing that a network does."""
    args = arguments_of(fx, ["input", "dim", "keepdim"])
    readers = list(fx.users)
    for reader in readers:
        name = reader.op if reader.op == "output" else aten_name(reader)
        if name not in _OF_PLACES:
            raise refuse(fx, f"is read by {name!r}; the places of largest values may only be returned")
        readers += reader.users
    value = operand(builder, fx)
    if args["dim"] is None:
        raise refuse(fx, "looks over all dimensions, the batch too; give it one")
    dim = int(args["dim"]) % len(dims_of(builder, value))
    dims = along_channels(builder, value, dim)
    source = builder.source(fx)
    if source.shape[1] > MOST_PLACES:
        raise refuse(fx, f"finds the largest of {source.shape[1]}; {MOST_PLACES} are the most")
    node = ArgMax(name=builder.unused(fx.name), inputs=(source.name,), shape=(1, 1, *source.shape[2:]))
    builder.add(fx, node)
    after = ((),) if args["keepdim"] else ()
    keep_dims(builder, fx, (*dims[:dim], *after, *dims[dim + 1 :]))


def largest_of(builder: Builder, fx: FxNode, pieces: Sequence[AnyNode]) -> AnyNode:
    """Append the largest of several nodes of one shape, value by value."""
    last = pieces[0]
    for piece in pieces[1:]:
        inputs, name = (last.name, piece.name), builder.unused(fx.name)
        last = Extreme(name=name, inputs=inputs, shape=piece.shape, which="maximum")
        builder.add(fx, last)
    return last


def _largest(builder: Builder, fx: FxNode) -> None:
    """amax, and max along a dimension whose places nobody asks for."""
    if aten_name(fx) == "max":
        if len(fx.args) < 2 or not isinstance(fx.args[1], int):
            raise refuse(fx, "takes the largest of everything; use amax, or maximum of two tensors")
        if any(user.args[1] == 1 and user.users for user in fx.users):
            raise refuse(fx, "gives the places of the largest values; only the values can be had")
    reduced(builder, fx, Over(_largest_of_axes, largest_of))


LARGEST: dict[str, Translation] = {"amax": _largest, "max": _largest, "argmax": _place_of_largest}
"""What torch calls them; they read a tensor in any order."""
