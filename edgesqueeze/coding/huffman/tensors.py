"""One float32 tensor to bytes and back, without loss; the smallest of four encodings is taken.

===============  ============================================================================
raw              the values
sparse           Huffman-coded gaps between non-zeros, then the non-zero values
sparse codebook  Huffman-coded gaps, a codebook of the values, Huffman-coded indices into it
dense codebook   a codebook and one Huffman-coded index per weight
===============  ============================================================================

Zero means the bit pattern of +0.0. Every other pattern (-0.0, infinities, each NaN) is a value and comes
back bit for bit. Weights shared by k-means are found as repeated bit patterns (Han et al. 2016).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint
from edgesqueeze.coding.huffman.codes import MAX_SYMBOLS
from edgesqueeze.coding.huffman.relative_index import (
    MAX_INDEX_BITS,
    MIN_INDEX_BITS,
    decode_gaps,
    encode_gaps,
    gaps_between,
    symbol_frequencies,
)
from edgesqueeze.coding.huffman.symbol_stream import (
    SymbolStream,
    decode_stream,
    encode_stream,
    stream_size_bound,
)
from edgesqueeze.errors import CodecError, CorruptFileError

RAW, SPARSE, SPARSE_CODEBOOK, DENSE_CODEBOOK = range(4)
ENCODINGS = ("raw", "sparse", "sparse codebook", "dense codebook")
Patterns = NDArray[np.uint32]
"""float32 values as their bit patterns."""
_SIGN = np.uint32(1 << 31)
_PREFIX = 1 << 17


@dataclass(frozen=True, eq=False)
class CodedTensor:
    """A payload taken apart; streams and values that its encoding does not use are None."""

    num_weights: int
    encoding: int
    index_bits: int
    gaps: SymbolStream | None
    values: Patterns | None
    codebook: Patterns | None
    indices: SymbolStream | None

    @property
    def num_nonzero(self) -> int:
        """Weights whose bit pattern is not that of +0.0."""
        return int(np.count_nonzero(restore(self)))


def encode_tensor(tensor: NDArray[np.float32], index_bits: int | None = None) -> bytes:
    """The smallest payload of a float32 tensor of any shape, in C order.

    Args:
        tensor: float32, at least one weight.
        index_bits: r of the gaps, 2 to 12; None takes the best r for this tensor.

    Raises:
        CodecError: another dtype, no weights, or r out of range.
    """
    if tensor.dtype != np.float32 or tensor.size == 0:
        raise CodecError(
            f"a tensor of {tensor.size} {tensor.dtype} values; allowed is float32 and at least one"
        )
    if index_bits is not None and not MIN_INDEX_BITS <= index_bits <= MAX_INDEX_BITS:
        raise CodecError(f"index_bits = {index_bits}; allowed are {MIN_INDEX_BITS} to {MAX_INDEX_BITS}")
    best: bytes | None = None
    patterns = np.ascontiguousarray(tensor).reshape(-1).view(np.uint32)
    # No candidate is smaller than its bound, so the first bound that is no better ends the search.
    for bound, build in sorted(_candidates(patterns, index_bits), key=lambda candidate: candidate[0]):
        if best is not None and bound >= len(best):
            break
        payload = build()
        if best is None or len(payload) < len(best):
            best = payload
    if best is None:
        raise AssertionError("raw is always a candidate")
    return best


def decode_tensor(payload: bytes | memoryview, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The tensor of a payload; the caller bounds ``shape``.

    Raises:
        CorruptFileError: the bytes are no payload of a tensor with this shape.
    """
    return restore(parse_tensor(payload, int(np.prod(shape, dtype=np.int64)))).view(np.float32).reshape(shape)


def parse_tensor(payload: bytes | memoryview, num_weights: int) -> CodedTensor:
    """Decode the streams of a payload without putting the tensor together."""
    reader = ByteReader(payload)
    head = reader.take(1)[0]
    encoding, index_bits = head & 15, head >> 4
    is_sparse = encoding in (SPARSE, SPARSE_CODEBOOK)
    allowed = range(MIN_INDEX_BITS, MAX_INDEX_BITS + 1) if is_sparse else (0,)
    if encoding >= len(ENCODINGS) or index_bits not in allowed:
        raise CorruptFileError(f"unknown tensor encoding {encoding} with {index_bits} index bits")
    gaps = _read_gaps(reader, index_bits, num_weights) if is_sparse else None
    count = num_weights if gaps is None else int(np.count_nonzero(gaps.symbols != (1 << index_bits) - 1))
    values = codebook = indices = None
    if encoding in (RAW, SPARSE):
        values = _read_patterns(reader, count)
    elif count:
        num_centroids = reader.varint()
        codebook = _read_patterns(reader, num_centroids)
        indices = decode_stream(reader, num_centroids, count)
    reader.finish("a tensor")
    return CodedTensor(num_weights, encoding, index_bits, gaps, values, codebook, indices)


def restore(coded: CodedTensor) -> Patterns:
    """The bit patterns of all weights, uint32 [num_weights].

    Raises:
        CorruptFileError: the gaps lead outside the tensor.
    """
    values = coded.values
    if coded.codebook is not None and coded.indices is not None:
        values = coded.codebook[coded.indices.symbols]
    if coded.gaps is None:
        return np.zeros(coded.num_weights, np.uint32) if values is None else values
    positions = decode_gaps(coded.gaps.symbols, coded.index_bits, coded.num_weights)
    patterns = np.zeros(coded.num_weights, np.uint32)
    if values is not None:
        patterns[positions] = values
    return patterns


def _candidates(patterns: Patterns, index_bits: int | None) -> Iterator[tuple[int, Callable[[], bytes]]]:
    """Every way to code the weights: a lower bound of its bytes, and the function that makes them."""
    yield 1 + 4 * len(patterns), partial(_raw, patterns)
    positions = np.flatnonzero(patterns)
    values = patterns[positions]
    found = _codebook(values)
    if found is not None:
        codebook, counts = _with_zero(*found, len(patterns) - len(positions))
        bound = 1 + 4 * len(codebook) + stream_size_bound(counts)
        yield bound, partial(_dense, patterns, codebook)
    if len(positions) == len(patterns):
        return
    encoding, coded_values = _code_values(values, found)
    gaps = gaps_between(positions)
    histogram = np.bincount(gaps) if len(gaps) else np.zeros(0, np.int64)
    distinct = np.flatnonzero(histogram)
    for bits in range(MIN_INDEX_BITS, MAX_INDEX_BITS + 1) if index_bits is None else (index_bits,):
        frequencies = symbol_frequencies(distinct, histogram[distinct], bits)
        bound = 2 + len(coded_values) + (1 + stream_size_bound(frequencies) if len(gaps) else 0)
        yield bound, partial(_sparse, bytes([encoding | bits << 4]), gaps, coded_values)


def _raw(patterns: Patterns) -> bytes:
    return bytes([RAW]) + _to_bytes(patterns)


def _dense(patterns: Patterns, codebook: Patterns) -> bytes:
    return bytes([DENSE_CODEBOOK]) + _code_indices(patterns, codebook)


def _sparse(head: bytes, gaps: NDArray[np.int64], coded_values: bytes) -> bytes:
    symbols = encode_gaps(gaps, head[0] >> 4)
    if len(symbols) == 0:
        return head + encode_varint(0)
    alphabet, stream = encode_stream(symbols)
    return head + encode_varint(len(symbols)) + encode_varint(alphabet) + stream + coded_values


def _code_values(values: Patterns, found: tuple[Patterns, NDArray[np.int64]] | None) -> tuple[int, bytes]:
    """The smaller of raw and codebook-coded non-zero values, and which it is."""
    if found is not None and 1 + 4 * len(found[0]) + stream_size_bound(found[1]) < 4 * len(values):
        coded = _code_indices(values, found[0])
        if len(coded) < 4 * len(values):
            return SPARSE_CODEBOOK, coded
    return SPARSE, _to_bytes(values)


def _code_indices(values: Patterns, codebook: Patterns) -> bytes:
    indices = np.searchsorted(_order_keys(codebook), _order_keys(values)).astype(np.uint16)
    return encode_varint(len(codebook)) + _to_bytes(codebook) + encode_stream(indices)[1]


def _order_keys(patterns: Patterns) -> Patterns:
    """Integers that sort as the numbers do: neighbours in the codebook then have similar frequencies."""
    negative = patterns >= _SIGN
    return np.where(negative, ~patterns, patterns | _SIGN)


def _codebook(values: Patterns) -> tuple[Patterns, NDArray[np.int64]] | None:
    """The distinct values in ascending order and their counts; None if there are none or too many."""
    if len(values) == 0 or len(np.unique(values[:_PREFIX])) > MAX_SYMBOLS:
        return None
    keys, counts = np.unique(_order_keys(values), return_counts=True)
    if len(keys) > MAX_SYMBOLS:
        return None
    return np.where(keys >= _SIGN, keys ^ _SIGN, ~keys), counts.astype(np.int64)


def _with_zero(
    codebook: Patterns, counts: NDArray[np.int64], num_zeros: int
) -> tuple[Patterns, NDArray[np.int64]]:
    if num_zeros == 0:
        return codebook, counts
    place = int(np.searchsorted(_order_keys(codebook), _SIGN))  # the key of +0.0
    return np.insert(codebook, place, np.uint32(0)), np.insert(counts, place, num_zeros)


def _read_gaps(reader: ByteReader, index_bits: int, num_weights: int) -> SymbolStream:
    count = reader.varint()
    if count > num_weights:  # every symbol stands for at least one weight
        raise CorruptFileError(f"{count} gaps in a tensor of {num_weights} weights")
    if count == 0:
        return SymbolStream(np.zeros(0, np.uint16), 0, 0, 0, 0)
    alphabet = reader.varint()
    if alphabet > 1 << index_bits:
        raise CorruptFileError(f"{alphabet} gap symbols of {index_bits} bits")
    return decode_stream(reader, alphabet, count)


def _read_patterns(reader: ByteReader, count: int) -> Patterns:
    return np.frombuffer(reader.take(4 * count), "<u4").astype(np.uint32)


def _to_bytes(patterns: Patterns) -> bytes:
    return patterns.astype("<u4", copy=False).tobytes()
