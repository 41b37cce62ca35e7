"""Weights with few distinct values, as indices into a table: the precision ``codebook``."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import ExportError
from edgesqueeze.network.graph.nodes import Floats, Graph

LARGEST_TABLE = 256
SMALL_TABLE = 16
"""Up to this many values an index takes 4 bits, otherwise 8."""


@dataclass(frozen=True, eq=False)
class Codebook:
    """One layer's weight: float32 ``table`` [values], ascending, and uint8 ``indices`` in its shape."""

    table: Floats
    indices: NDArray[np.uint8]

    @property
    def num_bits(self) -> int:
        """Bits that a file spends on an index."""
        return 4 if len(self.table) <= SMALL_TABLE else 8

    @property
    def num_bytes(self) -> int:
        """Bytes of indices and table in a file."""
        return -(-self.indices.size * self.num_bits // 8) + self.table.nbytes


def codebooks(graph: Graph) -> dict[str, Codebook]:
    """Every layer that is smaller so by name; they stand for exactly the float weight.

    A layer of so few weights that float32 takes no more bytes is left out.

    Raises:
        ExportError: a layer has more than 256 distinct weights.
    """
    found = {node.name: _codebook(node.name, graph.weight(node)) for node in graph.weighted}
    return {name: book for name, book in found.items() if book.num_bytes < 4 * book.indices.size}


def _codebook(layer: str, weight: Floats) -> Codebook:
    table = np.unique(weight)
    if len(table) > LARGEST_TABLE:
        raise ExportError(
            f"layer {layer!r} has {len(table)} distinct weights; codebook allows {LARGEST_TABLE} a layer, so "
            "let a 'share' or 'squeeze' stage cover it, or leave codebook out"
        )
    return Codebook(table, np.searchsorted(table, weight).astype(np.uint8))
