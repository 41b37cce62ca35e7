"""Streams of Huffman-coded symbols that are cut into chunks, so that all chunks are decoded side by side."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint, unzigzag, zigzag
from edgesqueeze.coding.huffman.bits import pack_codes
from edgesqueeze.coding.huffman.codes import (
    MAX_LENGTH,
    CodeLengths,
    canonical_codes,
    code_lengths,
    decode_lengths,
    encode_lengths,
    lookup_table,
)
from edgesqueeze.errors import CorruptFileError

CHUNK_SYMBOLS = 4096
Symbols = NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class SymbolStream:
    """A decoded stream and where its bytes went.

    ``table_bytes`` hold the code lengths, ``chunk_bytes`` the lengths of the chunks, ``payload_bytes`` the
    codes; ``payload_bits`` of the latter are used.
    """

    symbols: Symbols
    table_bytes: int
    chunk_bytes: int
    payload_bytes: int
    payload_bits: int

    @property
    def entropy_bits(self) -> float:
        """The zeroth-order entropy of the stream in bits: what no code word per symbol can undercut."""
        counts = np.bincount(self.symbols)
        counts = counts[counts > 0].astype(np.float64)
        return float((counts * np.log2(counts.sum() / counts)).sum()) if len(counts) else 0.0


def encode_stream(symbols: NDArray[np.integer]) -> tuple[int, bytes]:
    """The size of the code's alphabet (last symbol + 1), and code lengths, chunk lengths and codes as bytes.

    The decoder is told the alphabet's size and the number of symbols, at least one.
    """
    lengths = code_lengths(np.bincount(symbols))
    table = encode_lengths(lengths)
    if not lengths.any():
        return len(lengths), table
    widths = lengths[symbols]
    starts = np.arange(0, len(symbols), CHUNK_SYMBOLS)
    chunk_bits = np.add.reduceat(widths, starts, dtype=np.int64)
    steps = np.diff(chunk_bits, prepend=0)
    chunks = b"".join(encode_varint(zigzag(int(step))) for step in steps)
    return len(lengths), table + chunks + pack_codes(canonical_codes(lengths)[symbols], widths)


def stream_size_bound(frequencies: NDArray[np.int64]) -> int:
    """The fewest bytes :func:`encode_stream` can need for these frequencies: 1 byte per chunk length."""
    lengths = code_lengths(frequencies)
    counts = frequencies[: len(lengths)]
    num_bits = int((counts * lengths).sum())
    chunks = -(-int(counts.sum()) // CHUNK_SYMBOLS) if num_bits else 0
    return len(encode_lengths(lengths)) + chunks + (num_bits + 7) // 8


def decode_stream(reader: ByteReader, alphabet: int, count: int) -> SymbolStream:
    """Read what :func:`encode_stream` wrote.

    Raises:
        CorruptFileError: the bytes are no such stream of ``count`` symbols.
    """
    start = reader.offset
    lengths, table_bytes = decode_lengths(reader.take(reader.remaining), alphabet)
    reader.offset = start + table_bytes
    if not lengths.any():
        return SymbolStream(np.full(count, alphabet - 1, np.uint16), table_bytes, 0, 0, 0)
    if count > 8 * reader.remaining:  # a symbol takes at least one bit
        raise CorruptFileError(f"{count} symbols are claimed in {reader.remaining} bytes")
    chunk_bits = _read_chunk_bits(reader, -(-count // CHUNK_SYMBOLS))
    chunk_bytes = reader.offset - start - table_bytes
    num_bits = int(chunk_bits.sum())
    data = reader.take((num_bits + 7) // 8)
    if num_bits % 8 and data[-1] & ((1 << (-num_bits % 8)) - 1):
        raise CorruptFileError("the padding behind the last code is not zero")
    ends = np.cumsum(chunk_bits)
    symbols, reached = _decode_chunks(data, lengths, ends - chunk_bits, count)
    if not np.array_equal(reached, ends):
        raise CorruptFileError("a chunk of codes does not end where the next one starts")
    return SymbolStream(symbols, table_bytes, chunk_bytes, len(data), num_bits)


def _read_chunk_bits(reader: ByteReader, num_chunks: int) -> NDArray[np.int64]:
    if num_chunks > reader.remaining:  # a chunk's length takes at least one byte
        raise CorruptFileError(f"{num_chunks} chunks are claimed in {reader.remaining} bytes")
    chunk_bits = np.zeros(num_chunks, np.int64)
    current = 0
    for chunk in range(num_chunks):
        current += unzigzag(reader.varint())
        if not 1 <= current <= CHUNK_SYMBOLS * MAX_LENGTH:
            raise CorruptFileError(
                f"a chunk of {current} bits; allowed are 1 to {CHUNK_SYMBOLS * MAX_LENGTH}"
            )
        chunk_bits[chunk] = current
    return chunk_bits


def _decode_chunks(
    data: memoryview, lengths: CodeLengths, starts: NDArray[np.int64], count: int
) -> tuple[Symbols, NDArray[np.int64]]:
    """Decode symbol 0 of every chunk, then symbol 1 of every chunk …; also the bit each chunk ended at.

    A wrong code can run past its chunk but never past the padding appended here; the caller compares ends.
    """
    longest, table = int(lengths.max()), lookup_table(lengths)
    padded = np.zeros(len(data) + CHUNK_SYMBOLS * MAX_LENGTH // 8 + 3, np.int32)
    padded[: len(data)] = np.frombuffer(data, np.uint8)
    windows = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]  # the 24 bits from every byte on
    num_chunks, num_last = len(starts), (count - 1) % CHUNK_SYMBOLS + 1
    symbols = np.zeros((min(count, CHUNK_SYMBOLS), num_chunks), np.uint16)
    position, mask = starts.copy(), (1 << longest) - 1
    active = position  # a view: what is added to it moves ``position``
    for step in range(len(symbols)):
        if step == num_last:
            active = position[:-1]
        window = windows.take(active >> 3) >> (24 - longest - (active & 7))
        entry = table.take(window & mask)
        symbols[step, : len(active)] = entry >> 4
        active += entry & 15
    return symbols.T.reshape(-1)[:count], position
