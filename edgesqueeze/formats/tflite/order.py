"""The order of flattened values: TFLite flattens a map in H, W, C order, the graph in C, H, W order."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import ExportError
from edgesqueeze.network.graph.nodes import (
    Add,
    AnyNode,
    ArgMax,
    Clamp,
    Concat,
    Conv,
    Extreme,
    Flatten,
    Graph,
    LayerNorm,
    Mul,
    Pointwise,
    Rearrange,
    Softmax,
)

IN_PLACE = ".in_place"
"""Ends the name of a reshape's constant where the graph wants a map's values in the file's own order."""


def file_orders(graph: Graph) -> dict[str, NDArray[np.intp]]:
    """For every tensor that a file holds in another order: the place of each of its values in the graph.

    Raises:
        ExportError: such a tensor reaches something for which the order of its values matters.
    """
    orders: dict[str, NDArray[np.intp]] = {}
    for node in graph.nodes:
        known = [orders.get(name) for name in node.inputs]
        ordered = any(order is not None for order in known)
        if isinstance(node, Rearrange) and ordered:
            raise _order_matters(node)
        if isinstance(node, Flatten) and not ordered:
            channels, *area = graph.source(node).shape[1:]
            if channels > 1 and prod(area) > 1:
                places = np.arange(channels * prod(area)).reshape(channels, *area)
                orders[node.name] = places.transpose(1, 2, 0).ravel()
        elif isinstance(node, Clamp | Conv | Flatten | Pointwise) and known[0] is not None:
            orders[node.name] = known[0]  # value by value; such a Conv is a lowered Clamp
        elif isinstance(node, ArgMax | Concat | Add | Extreme | Mul | Softmax | LayerNorm) and ordered:
            raise _order_matters(node)
    for node in graph.output_nodes.values():
        if node.name in orders:
            raise _order_matters(node)
    return orders


def _order_matters(node: AnyNode) -> ExportError:
    return ExportError(
        f"{node.name!r} holds a flattened map whose values TFLite keeps in another order (H, W, C); "
        "only a dense layer can read it"
    )
