"""One float32 tensor to bytes and back, without loss, in the context-adaptive code of docs/coder.md.

=====  ==================  ===================================================================================
kind   tensor              what follows the kind
=====  ==================  ===================================================================================
0      zeros               nothing
1, 2   multiples of a step the step as float16 (1) or float32 (2), the multiples as symbols
3, 4   few distinct values the codebook, of float16 (3) or float32 (4) values, the ranks as symbols
5      anything else       varint length, signs and zeros as symbols; the non-zero patterns as fields
=====  ==================  ===================================================================================
"""

from collections.abc import Callable
from math import prod

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint
from edgesqueeze.coding.float_fields import decode_fields, encode_fields
from edgesqueeze.coding.levels import (
    Patterns,
    decode_codebook,
    distinct_patterns,
    encode_codebook,
    find_step,
    fits_half,
    ranks,
    to_levels,
)
from edgesqueeze.coding.symbols import decode_symbols, encode_symbols
from edgesqueeze.errors import CodecError, CorruptFileError

ZEROS, GRID_HALF, GRID, CODEBOOK_HALF, CODEBOOK, FLOATS = range(6)
KINDS = ("zeros", "grid, float16 step", "grid", "codebook of float16", "codebook", "floats")
_BLOCK = 1 << 15
_MAGNITUDE = np.uint32((1 << 31) - 1)


def encode_weights(tensor: NDArray[np.float32]) -> bytes:
    """The payload of a float32 tensor of any shape; the same tensor always gives the same bytes.

    Raises:
        CodecError: another dtype, or no weights.
    """
    if tensor.dtype != np.float32 or tensor.size == 0:
        raise CodecError(
            f"a tensor of {tensor.size} {tensor.dtype} values; allowed is float32 and at least one"
        )
    patterns = np.ascontiguousarray(tensor).reshape(-1).view(np.uint32)
    distinct = distinct_patterns(patterns)
    if distinct is not None and not len(distinct):
        return bytes([ZEROS])
    if distinct is None:
        return _encode_floats(patterns, tensor.shape)
    grid = find_step(distinct)
    kind = _cheapest(distinct, int(np.count_nonzero(patterns)), None if grid is None else grid[1])
    if kind == FLOATS:
        return _encode_floats(patterns, tensor.shape)
    if kind == GRID and grid is not None:
        step, levels = grid
        is_half = fits_half(np.array([step]).view(np.uint32))
        head = np.float16(step).tobytes() if is_half else np.array(step, "<f4").tobytes()
    else:
        levels, is_half = ranks(distinct), fits_half(distinct)
        head = encode_codebook(distinct, is_half)
    symbols = to_levels(patterns, distinct, levels).reshape(tensor.shape)
    return bytes([kind - is_half]) + head + encode_symbols(symbols)


def decode_weights(payload: bytes | memoryview, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The tensor of a payload; the caller bounds ``shape``.

    Raises:
        CorruptFileError: the bytes are no payload of a tensor with this shape.
    """
    reader = ByteReader(payload)
    kind = reader.take(1)[0]
    if kind >= len(KINDS):
        raise CorruptFileError(f"unknown kind {kind} of a tensor")
    if kind == ZEROS:
        reader.finish("a tensor of zeros")
        return np.zeros(shape, np.float32)
    if kind == FLOATS:
        return _decode_floats(reader, shape)
    if kind in (GRID, GRID_HALF):
        step = _read_step(reader, kind == GRID_HALF)
        return _decode_values(reader, shape, lambda part: _multiples(part, step))
    patterns, zero = decode_codebook(reader, kind == CODEBOOK_HALF)
    return _decode_values(reader, shape, lambda part: _looked_up(part, patterns, zero))


def _decode_values(
    reader: ByteReader,
    shape: tuple[int, ...],
    value_of: Callable[[NDArray[np.int32]], NDArray[np.float32]],
) -> NDArray[np.float32]:
    """The values of the symbols that follow, in the symbols' own memory, each chunk where it is decoded."""

    def put_values(rows: NDArray[np.int32]) -> None:
        places = rows.reshape(-1)
        values = places.view(np.float32)
        for start in range(0, len(places), _BLOCK):  # a part at a time: large tensors fit no cache
            values[start : start + _BLOCK] = value_of(places[start : start + _BLOCK])

    return decode_symbols(reader.take(reader.remaining), shape, put_values).view(np.float32)


def _multiples(levels: NDArray[np.int32], step: np.float32) -> NDArray[np.float32]:
    if np.abs(levels).max() > 1 << 24:
        raise CorruptFileError("a multiple of a step is above 2^24")
    with np.errstate(over="ignore"):
        return step * levels.astype(np.float32)


def _looked_up(symbols: NDArray[np.int32], patterns: Patterns, zero: int) -> NDArray[np.float32]:
    if symbols.min() < -zero or symbols.max() >= len(patterns) - zero:
        raise CorruptFileError(f"a rank lies outside the codebook of {len(patterns) - 1} values")
    return patterns.take(symbols + zero).view(np.float32)


def _cheapest(distinct: Patterns, num_nonzero: int, multiples: NDArray[np.int32] | None) -> int:
    """Which kind is likely the smallest, from bits per symbol and bits of side information."""
    bits = len(distinct).bit_length()
    costs = {CODEBOOK: 20 * len(distinct) + num_nonzero * bits, FLOATS: 28 * num_nonzero}
    if multiples is not None:
        # Multiples with gaps between them cost no more than ranks, until they are far apart.
        costs[GRID] = 32 + num_nonzero * max(int(np.abs(multiples).max()).bit_length() - 1, bits)
    return min(costs, key=lambda kind: costs[kind])


def _encode_floats(patterns: Patterns, shape: tuple[int, ...]) -> bytes:
    signs = np.where(patterns > _MAGNITUDE, -1, (patterns != 0).astype(np.int32)).astype(np.int32)
    symbols = encode_symbols(signs.reshape(shape))
    fields = encode_fields(patterns[patterns != 0] & _MAGNITUDE)
    return bytes([FLOATS]) + encode_varint(len(symbols)) + symbols + fields


def _decode_floats(reader: ByteReader, shape: tuple[int, ...]) -> NDArray[np.float32]:
    signs = decode_symbols(reader.take(reader.varint()), shape).reshape(-1)
    if signs.min() < -1 or signs.max() > 1:
        raise CorruptFileError("a sign is neither -1, 0 nor 1")
    places = np.flatnonzero(signs)
    patterns = np.zeros(prod(shape), np.uint32)
    fields = decode_fields(reader.take(reader.remaining), len(places))
    patterns[places] = fields | (signs[places] < 0).astype(np.uint32) << np.uint32(31)
    if np.count_nonzero(patterns) != len(places):
        raise CorruptFileError("a value that is not zero has the pattern of zero")
    return patterns.view(np.float32).reshape(shape)


def _read_step(reader: ByteReader, is_half: bool) -> np.float32:
    raw = reader.take(2 if is_half else 4)
    step = np.float32(np.frombuffer(raw, "<f2" if is_half else "<f4")[0])
    if not np.isfinite(step) or step <= 0:
        raise CorruptFileError(f"a step of {step}")
    return step
