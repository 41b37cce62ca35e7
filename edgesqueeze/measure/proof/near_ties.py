"""Places of largest values in float files: where two scores are equal but for rounding, either is right."""

from collections.abc import Mapping

import numpy as np

from edgesqueeze.measure.proof.float_reference import FLOAT_TOLERANCE
from edgesqueeze.measure.proof.inner_tensors import Values
from edgesqueeze.network.graph.nodes import AnyNode, ArgMax, Floats, Graph


def near_ties(graph: Graph, tensors: Mapping[str, Floats]) -> dict[str, int]:
    """How many places of every output that holds places of largest values may fall either way.

    Args:
        graph: the network.
        tensors: node name to what the reference computes, [N, …].
    """
    found = {}
    for name, node in graph.output_nodes.items():
        chosen = _places_behind(graph, node)
        if chosen is not None:
            scores = tensors[chosen.inputs[0]]
            best = np.sort(scores, axis=1)[:, -2:]
            apart = best[:, -1] - best[:, 0] if scores.shape[1] > 1 else np.full(best[:, 0].shape, np.inf)
            found[name] = int((apart <= 2 * FLOAT_TOLERANCE * float(np.abs(scores).max())).sum())
    return found


def settled(found: Values, expected: Values, ties: int) -> Values:
    """What a file answers; with no more differences than ties, what is expected."""
    return expected if 0 < np.count_nonzero(found != expected) <= ties else found


def _places_behind(graph: Graph, node: AnyNode) -> ArgMax | None:
    """The choice of places whose result a node moves."""
    while not isinstance(node, ArgMax):
        if not node.shares_grid or len(node.inputs) != 1:
            return None
        node = graph.source(node)
    return node
