"""What indices cost without context: fixed length, Huffman codes, and the bound of order zero."""

from dataclasses import dataclass
from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.huffman.relative_index import (
    MAX_INDEX_BITS,
    MIN_INDEX_BITS,
    encode_gaps,
    gaps_between,
    symbol_frequencies,
)
from edgesqueeze.coding.huffman.symbol_stream import encode_stream, stream_size_bound

Indices = NDArray[np.int32]


@dataclass(frozen=True)
class IndexSizes:
    """Bytes of indices in three ways; codebooks are not in it."""

    fixed_bytes: int
    huffman_bytes: int
    bound_bytes: float

    def __add__(self, other: "IndexSizes") -> "IndexSizes":
        return IndexSizes(
            self.fixed_bytes + other.fixed_bytes,
            self.huffman_bytes + other.huffman_bytes,
            self.bound_bytes + other.bound_bytes,
        )


def index_sizes(indices: Indices) -> IndexSizes:
    """The sizes of one layer's indices, 0 being a pruned weight."""
    flat = indices.reshape(-1)
    _, ranks, counts = np.unique(flat, return_inverse=True, return_counts=True)
    probabilities = counts / flat.size
    fixed_bits = flat.size * ceil(log2(max(len(counts), 2)))
    huffman = len(encode_stream(ranks)[1])
    if (flat == 0).any() and (flat != 0).any():
        sparse_fixed_bits, sparse_huffman = _sparse_sizes(flat)
        fixed_bits, huffman = min(fixed_bits, sparse_fixed_bits), min(huffman, sparse_huffman)
    bound_bits = -float((counts * np.log2(probabilities)).sum())
    return IndexSizes(ceil(fixed_bits / 8), huffman, bound_bits / 8)


def _sparse_sizes(flat: Indices) -> tuple[int, int]:
    """Bits of fixed-length, bytes of Huffman-coded relative and codebook indices, each with its best r."""
    positions = np.flatnonzero(flat)
    gaps = gaps_between(positions)
    values, counts = np.unique(gaps, return_counts=True)
    by_bits = {
        bits: symbol_frequencies(values, counts, bits) for bits in range(MIN_INDEX_BITS, MAX_INDEX_BITS + 1)
    }
    kinds, ranks = np.unique(flat[positions], return_inverse=True)
    value_bits = len(positions) * ceil(log2(max(len(kinds), 2)))
    fixed_bits = min(bits * int(f.sum()) for bits, f in by_bits.items()) + value_bits
    best = min(by_bits, key=lambda bits: stream_size_bound(by_bits[bits]))
    huffman = len(encode_stream(encode_gaps(gaps, best))[1]) + len(encode_stream(ranks)[1])
    return fixed_bits, huffman
