"""Whether the nodes of a graph fit together: every output shape computed again from the inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod

from edgesqueeze.errors import CodecError
from edgesqueeze.network.graph.nodes import (
    AnyNode,
    Input,
    Output,
    ParametricNode,
    Rearrange,
    Shape,
    bias_name,
    weight_name,
)

MAX_ELEMENTS = 1 << 28
"""The most values one tensor may hold, and the most weights a graph may have."""
_MAX_NAME = 1000
_MOST_DIMENSIONS = 6
"""Of what a network takes or returns."""


def check_structure(nodes: Sequence[AnyNode], outputs: Sequence[Output] = ()) -> None:
    """Refuse nodes that no emitter could write. Without ``outputs`` the last node is the only one.

    Assumes what ``network.graph.node_json.structure_from_json`` checks: fields of the right type, an
    input node first, inputs made by earlier nodes, unique names.

    Raises:
        CodecError: an output shape that does not follow from the inputs, a tensor that is empty or too
            large, a tensor that nobody reads, a name that cannot be written or clashes with a weight's,
            weights of another node that do not fit, or an output of no node.
    """
    if len(nodes) < 2:
        raise CodecError("the graph has no operation")
    _check_names(nodes)
    by_name: dict[str, AnyNode] = {}
    for node in nodes:
        shape = output_shape(node, [by_name[name].shape for name in node.inputs])
        if shape != node.shape:
            raise node.wrong(f"has shape {node.shape}, its inputs make {shape}")
        if isinstance(node, ParametricNode) and node.weights_of:
            _check_shared(node, by_name)
        by_name[node.name] = node
    _check_outputs(outputs, by_name)
    read = {name for node in nodes for name in node.inputs}
    read |= {output.node for output in outputs} if outputs else {nodes[-1].name}
    unread = [node.name for node in nodes if node.name not in read]
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
    if node.rank is not None and len(sources[0]) != node.rank:
        raise node.wrong(f"reads a tensor of shape {sources[0]}, not one of {node.rank} dimensions")
    if any(len(source) not in (2, 4) for source in sources) and not isinstance(node, Rearrange):
        raise node.wrong(
            f"reads shapes {tuple(sources)}; only what the network takes or returns may have another rank"
        )
    shape = node.output_shape(*sources)
    ranks = range(1, _MOST_DIMENSIONS + 1) if isinstance(node, Rearrange | Input) else (2, 4)
    if len(shape) not in ranks or shape[0] != 1 or min(shape) < 1 or prod(shape) > MAX_ELEMENTS:
        raise node.wrong(f"has output {shape}; allowed is [1, C, H, W] or [1, features] of 1 to 2^28 values")
    return shape


def _check_shared(node: ParametricNode, earlier: Mapping[str, AnyNode]) -> None:
    owner = earlier.get(node.weights_of)
    if not isinstance(owner, type(node)) or owner.weights_of:
        raise node.wrong(
            f"uses the weights of {node.weights_of!r}, which is no earlier {type(node).__name__}"
        )
    shapes = [n.weight_shape(earlier[n.inputs[0]].shape) for n in (owner, node)]
    if shapes[0] != shapes[1]:
        raise node.wrong(f"needs a weight of shape {shapes[1]}; that of {owner.name!r} has {shapes[0]}")


def _check_outputs(outputs: Sequence[Output], by_name: Mapping[str, AnyNode]) -> None:
    if len({output.name for output in outputs}) < len(outputs):
        raise CodecError("two outputs of the graph have one name")
    for output in outputs:
        if output.node not in by_name:
            raise CodecError(f"the output {output.name!r} is that of {output.node!r}, which is no node")
        if not output.name or not output.name.isprintable() or len(output.name) > _MAX_NAME:
            raise CodecError(f"output name {output.name[:60]!r} is empty, unprintable or too long")


def _check_names(nodes: Sequence[AnyNode]) -> None:
    owners = [node for node in nodes if isinstance(node, ParametricNode)]
    taken = {weight_name(node) for node in owners} | {bias_name(node) for node in owners}
    for node in nodes:
        if not node.name.isprintable() or len(node.name) > _MAX_NAME or node.name in taken:
            raise CodecError(f"node name {node.name[:60]!r} is unprintable, too long, or that of a weight")
