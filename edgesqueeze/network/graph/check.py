"""Whether the nodes of a graph fit together: every output shape computed again from the inputs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from edgesqueeze.errors import CodecError
from edgesqueeze.network.graph.nodes import (
    Add,
    AnyNode,
    AvgPool,
    Clamp,
    Concat,
    Conv,
    ConvTranspose,
    Crop,
    Dense,
    DepthToSpace,
    Flatten,
    GlobalAvgPool,
    Input,
    LayerNorm,
    MaxPool,
    Mul,
    Pad,
    ParametricNode,
    Pointwise,
    Resize,
    Shuffle,
    Slice,
    Softmax,
    bias_name,
    weight_name,
)

Shape = tuple[int, ...]
MAX_ELEMENTS = 1 << 28
"""The most values one tensor may hold, and the most weights a graph may have."""
_MAX_NAME = 1000


def check_structure(nodes: Sequence[AnyNode]) -> None:
    """Refuse nodes that no emitter could write.

    Assumes what ``network.graph.node_json.structure_from_json`` checks: fields of the right type, one
    input node first, inputs made by earlier nodes, unique names.

    Raises:
        CodecError: an output shape that does not follow from the inputs, a tensor that is empty or too
            large, an output nobody reads, a name that cannot be written or clashes with a weight's.
    """
    if len(nodes) < 2:
        raise CodecError("the graph has no operation")
    _check_names(nodes)
    by_name: dict[str, AnyNode] = {}
    for node in nodes:
        shape = output_shape(node, [by_name[name].shape for name in node.inputs])
        if shape != node.shape:
            raise _wrong(node, f"has shape {node.shape}, its inputs make {shape}")
        by_name[node.name] = node
    read = {name for node in nodes for name in node.inputs}
    unread = [node.name for node in nodes[:-1] if node.name not in read]
    if unread:
        raise CodecError(f"nothing reads the output of node {unread[0]!r}")


def complete_shapes(nodes: Sequence[AnyNode]) -> tuple[AnyNode, ...]:
    """The nodes with every shape computed; of the given ones only the input's and channels [1] count.

    Raises:
        CodecError: a node that cannot follow its inputs.
    """
    made: dict[str, AnyNode] = {}
    for node in nodes:
        shape = output_shape(node, [made[name].shape for name in node.inputs])
        made[node.name] = replace(node, shape=shape)
    return tuple(made.values())


def output_shape(node: AnyNode, sources: Sequence[Shape]) -> Shape:
    """The shape a node's output has, from those of its inputs (and, for weights and inputs, its channels).

    Raises:
        CodecError: the node cannot follow such inputs.
    """
    rank = _RANKS.get(type(node))
    if rank is not None and len(sources[0]) != rank:
        raise _wrong(node, f"reads a tensor of shape {sources[0]}, not one of {rank} dimensions")
    shape = _RULES[type(node)](node, *sources)
    if len(shape) not in (2, 4) or shape[0] != 1 or min(shape) < 1 or prod(shape) > MAX_ELEMENTS:
        raise _wrong(
            node, f"has output {shape}; allowed is [1, C, H, W] or [1, features] of 1 to 2^28 values"
        )
    return shape


def _conv(node: Conv, source: Shape) -> Shape:
    if source[1] % node.groups or node.shape[1] % node.groups:
        raise _wrong(node, f"splits {source[1]} and {node.shape[1]} channels into {node.groups} groups")
    reach = tuple(d * (k - 1) + 1 for d, k in zip(node.dilation, node.kernel, strict=True))
    top, left, bottom, right = node.pads
    rows = (source[2] + top + bottom - reach[0]) // node.stride[0] + 1
    columns = (source[3] + left + right - reach[1]) // node.stride[1] + 1
    return 1, node.shape[1], rows, columns


def _max_pool(node: MaxPool, source: Shape) -> Shape:
    top, left, bottom, right = node.pads
    rows = _windows(node, source[2], (top, bottom), 0)
    columns = _windows(node, source[3], (left, right), 1)
    return 1, source[1], rows, columns


def _windows(node: MaxPool, length: int, pads: tuple[int, int], axis: int) -> int:
    """How many windows fit; each must touch the input, since the maximum of padding alone is no number."""
    kernel, stride = node.kernel[axis], node.stride[axis]
    count = (length + sum(pads) - kernel) // stride + 1
    if max(pads) >= kernel:
        raise _wrong(node, f"has windows of {kernel} that lie in the padding {pads} altogether")
    return count


def _avg_pool(node: AvgPool, source: Shape) -> Shape:
    rows = (source[2] - node.kernel[0]) // node.stride[0] + 1
    columns = (source[3] - node.kernel[1]) // node.stride[1] + 1
    return 1, source[1], rows, columns


def _concat(node: Concat, *sources: Shape) -> Shape:
    first = sources[0]
    if any(len(s) != len(first) or s[2:] != first[2:] for s in sources):
        raise _wrong(node, f"joins shapes {sources} that differ beyond their channels")
    return 1, sum(s[1] for s in sources), *first[2:]


def _add(node: Add, left: Shape, right: Shape) -> Shape:
    if left != right:
        raise _wrong(node, f"adds shapes {left} and {right}")
    return left


def _clamp(node: Clamp, source: Shape) -> Shape:
    if node.activation == "none":
        raise _wrong(node, "clamps to nothing")
    return source


def _mul(node: Mul, left: Shape, right: Shape) -> Shape:
    if right not in (left, (*left[:2], *[1] * (len(left) - 2))):
        raise _wrong(node, f"multiplies shapes {left} and {right}")
    return left


def _slice(node: Slice, source: Shape) -> Shape:
    if not node.start < node.stop <= source[1]:
        raise _wrong(node, f"takes channels {node.start} to {node.stop} of {source[1]}")
    return 1, node.stop - node.start, *source[2:]


def _shuffle(node: Shuffle, source: Shape) -> Shape:
    if source[1] % node.groups:
        raise _wrong(node, f"shuffles {source[1]} channels in {node.groups} groups")
    return source


def _pad(node: Pad, source: Shape) -> Shape:
    top, left, bottom, right = node.pads
    return 1, source[1], source[2] + top + bottom, source[3] + left + right


def _conv_transpose(node: ConvTranspose, source: Shape) -> Shape:
    top, left, bottom, right = node.pads
    if node.extra[0] >= node.stride[0] or node.extra[1] >= node.stride[1]:
        raise _wrong(node, f"keeps {node.extra} more rows and columns; fewer than the stride are allowed")
    rows = (source[2] - 1) * node.stride[0] + node.kernel[0] - top - bottom + node.extra[0]
    columns = (source[3] - 1) * node.stride[1] + node.kernel[1] - left - right + node.extra[1]
    return 1, node.shape[1], rows, columns


def _crop(node: Crop, source: Shape) -> Shape:
    top, left, bottom, right = node.pads
    return 1, source[1], source[2] - top - bottom, source[3] - left - right


def _depth_to_space(node: DepthToSpace, source: Shape) -> Shape:
    if source[1] % prod(node.block):
        raise _wrong(node, f"spreads {source[1]} channels over blocks of {node.block}")
    return 1, source[1] // prod(node.block), source[2] * node.block[0], source[3] * node.block[1]


_RULES: dict[type[AnyNode], Callable[..., Shape]] = {
    Input: lambda node: node.shape,
    Conv: _conv,
    Dense: lambda node, _: (1, node.shape[1]),
    MaxPool: _max_pool,
    AvgPool: _avg_pool,
    GlobalAvgPool: lambda _, source: (1, source[1], 1, 1),
    Flatten: lambda _, source: (1, prod(source)),
    Concat: _concat,
    Add: _add,
    Clamp: _clamp,
    Mul: _mul,
    Pointwise: lambda _, source: source,
    Slice: _slice,
    Shuffle: _shuffle,
    Pad: _pad,
    Resize: lambda node, source: (1, source[1], *node.size),
    ConvTranspose: _conv_transpose,
    Crop: _crop,
    DepthToSpace: _depth_to_space,
    Softmax: lambda _, source: source,
    LayerNorm: lambda _, source: source,
}
_RANKS: dict[type[Any], int] = {
    Conv: 4,
    MaxPool: 4,
    AvgPool: 4,
    GlobalAvgPool: 4,
    Flatten: 4,
    Dense: 2,
    Slice: 4,
    Shuffle: 4,
    Pad: 4,
    Resize: 4,
    ConvTranspose: 4,
    Crop: 4,
    DepthToSpace: 4,
}


def _check_names(nodes: Sequence[AnyNode]) -> None:
    owners = [node for node in nodes if isinstance(node, ParametricNode)]
    taken = {weight_name(node) for node in owners} | {bias_name(node) for node in owners}
    for node in nodes:
        if not node.name.isprintable() or len(node.name) > _MAX_NAME or node.name in taken:
            raise CodecError(f"node name {node.name[:60]!r} is unprintable, too long, or that of a weight")


def _wrong(node: AnyNode, why: str) -> CodecError:
    return CodecError(f"node {node.name!r} ({type(node).__name__}) {why}")
