"""One factor and one offset for all pixels, as Keras's ``Rescaling`` has them, moved into the layers behind.

Left alone they are a depthwise convolution over the largest map of the network. A layer without padding can
take them over exactly: W (a x + b) + c = (a W) x + (b ΣW + c), the sum over what an output channel reads.
Zeros around a map are zeros behind the offset, so that a padded layer takes over a factor alone.
"""

from collections.abc import Collection
from dataclasses import replace

import numpy as np

from edgesqueeze.network.graph.nodes import (
    AnyNode,
    Conv,
    Dense,
    Flatten,
    Graph,
    Input,
    bias_name,
    weight_name,
)


def without_rescaling(graph: Graph, layers: Collection[str]) -> Graph:
    """A graph that computes the same, up to float32 rounding, and reads its inputs as they come.

    Only what directly follows an input is moved: a factor for all channels, and an offset for all, that
    every reader can take over. Elsewhere reading has put them into the layer before.

    Args:
        graph: the network.
        layers: names of the user's own layers, which stay: a 1 × 1 convolution of grey pixels looks the same.
    """
    found = [node for node in graph.nodes if node.name not in layers and isinstance(node, Conv)]
    found = [node for node in found if _is_rescaling(graph, node)]
    for node in found:  # each of another input: no two have readers in common but what none takes over
        readers = _readers(graph, node)
        if readers and all(_takes_over(graph, reader, node) for reader in readers):
            graph = _moved(graph, node, readers)
    return graph


def _is_rescaling(graph: Graph, node: Conv) -> bool:
    """Whether a convolution multiplies every value of an input by one factor and adds one offset."""
    source = graph.source(node)
    channels = node.shape[1]
    same_place = (node.kernel, node.stride, node.pads) == ((1, 1), (1, 1), (0, 0, 0, 0))
    alone = not node.weights_of and not any(other.weights_of == node.name for other in graph.parametric)
    return (
        isinstance(source, Input)
        and same_place
        and alone
        and source.shape[1] == channels == node.groups
        and node.activation == "none"
        and node not in graph.output_nodes.values()
        and all(np.ptp(values) == 0 for values in (graph.weight(node), graph.bias(node)))
        and float(graph.weight(node).flat[0]) != 0
    )


def _readers(graph: Graph, node: AnyNode) -> list[AnyNode]:
    """What reads a tensor, seen through a flattening."""
    found: list[AnyNode] = []
    for user in graph.users(node.name):
        is_output = user in graph.output_nodes.values()
        found += _readers(graph, user) if isinstance(user, Flatten) and not is_output else [user]
    return found


def _takes_over(graph: Graph, node: AnyNode, rescaling: Conv) -> bool:
    if not isinstance(node, Conv | Dense) or len(node.inputs) != 1:
        return False
    alone = not node.weights_of and not any(other.weights_of == node.name for other in graph.parametric)
    padded = isinstance(node, Conv) and any(node.pads)
    return alone and (not padded or float(graph.bias(rescaling)[0]) == 0)


def _moved(graph: Graph, rescaling: Conv, readers: list[AnyNode]) -> Graph:
    factor, offset = float(graph.weight(rescaling).flat[0]), float(graph.bias(rescaling)[0])
    gone = {weight_name(rescaling), bias_name(rescaling)}
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name not in gone}
    for node in readers:
        weight, bias = (tensors[name(node)].astype(np.float64) for name in (weight_name, bias_name))
        sums = weight.sum(axis=tuple(range(1, weight.ndim)))
        tensors[weight_name(node)] = (factor * weight).astype(np.float32)
        tensors[bias_name(node)] = (bias + offset * sums).astype(np.float32)
    before = rescaling.inputs[0]
    nodes = tuple(
        replace(node, inputs=tuple(before if name == rescaling.name else name for name in node.inputs))
        for node in graph.nodes
        if node is not rescaling
    )
    return replace(graph, nodes=nodes, tensors=tensors)
