"""Places of largest values in float files: a place is as right as the score that stands there.

Two scores may be equal but for rounding, so that two runtimes name different places. What is compared is
therefore the reference's score at the place that a file names with the reference's largest score.
"""

from collections.abc import Iterator

import numpy as np
import torch

from edgesqueeze.measure.proof.inner_tensors import Values
from edgesqueeze.network.floats.run import compute_node
from edgesqueeze.network.graph.nodes import AnyNode, ArgMax, Floats, Graph


def compared_by(graph: Graph, output: str) -> AnyNode:
    """The node whose tensor an output is judged by: of places the scores that they are the largest of."""
    *_, first = _chain(graph, graph.output_nodes[output])
    return graph.source(first) if isinstance(first, ArgMax) else graph.output_nodes[output]


def scores_at(graph: Graph, output: str, answered: Values, scores: Floats) -> tuple[Values, Values]:
    """The scores of the places that a file names, and the largest scores, both in the shape of the answer.

    Args:
        graph: the network.
        output: one for which :func:`compared_by` is another node.
        answered: what the file answers, [N, …]; what is no place has a score of minus infinity.
        scores: the reference's, [N, C, …].
    """
    *moves, first = _chain(graph, graph.output_nodes[output])
    by_place = scores.reshape(*scores.shape[:2], -1)
    # Which place of the map every value of the answer belongs to: the numbers of the places, moved likewise.
    moved = torch.arange(by_place.shape[2], dtype=torch.float64).reshape(first.shape)
    for node in reversed(moves):
        moved = compute_node(node, [moved], {})
    places = moved.numpy().astype(np.int64).reshape(1, -1)
    named = answered.reshape(len(answered), -1)
    known = np.isin(named, np.arange(by_place.shape[1]))
    rows = np.arange(len(named))[:, np.newaxis]
    found = by_place[rows, np.where(known, named, 0).astype(np.int64), places]
    best = by_place.max(axis=1)[rows, places]
    return tuple(np.reshape(y, answered.shape) for y in (np.where(known, found, -np.inf), best))  # type: ignore[return-value]


def _chain(graph: Graph, node: AnyNode) -> Iterator[AnyNode]:
    """A node and what only moves values before it, back to what computes them."""
    yield node
    while node.copies and len(node.inputs) == 1:
        node = graph.source(node)
        yield node
