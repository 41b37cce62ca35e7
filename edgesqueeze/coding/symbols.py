"""Tensors of signed integers to bytes and back: rows in chunks, each a stream of the weight model.

::

    symbols = channels varint  height varint  flags u8  chunks varint  (length varint) × (chunks - 1)  stream…

A tensor [out, in, kh, kw] has rows of ``in`` channels with windows of kh × kw. The columns of a dense layer
often are the pixels of channels too; which window they form is found by pricing a part of the rows.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint
from edgesqueeze.coding.compiled import IS_COMPILED, filled, from_array
from edgesqueeze.coding.engine import (
    PRICE_BITS,
    PRICED,
    encoded,
    finish_decoding,
    start_decoding,
    start_encoding,
)
from edgesqueeze.coding.weight_model import new_weight_model
from edgesqueeze.coding.weight_rows import COLUMNS_MARKED, ROWS_MARKED, code_rows, price_rows
from edgesqueeze.errors import CodecError, CorruptFileError

Symbols = NDArray[np.int32]
_Job = TypeVar("_Job")
_Result = TypeVar("_Result")
Window = tuple[int, int, int]
"""Channels, height and width that a row is made of."""
LARGEST = (1 << 31) - 1
MAX_CHUNKS = 16
_CHUNK = 1 << 22
"""Symbols per chunk from which on a tensor is cut: what one more has to learn anew is then under 0.2 %."""
_OUR_CHUNKS = 4
_SAMPLE = 1 << 17
_SEARCHED = 1 << 12
_LARGEST_SIDE = 32


def encode_symbols(symbols: Symbols) -> bytes:
    """Integers of any shape as bytes; the first axis are the rows.

    Raises:
        CodecError: another dtype than int32, no symbols, or the number -2³¹.
    """
    _check(symbols)
    rows = np.require(symbols, requirements=["C", "W"]).reshape(_num_rows(symbols.shape), -1)
    window = _choose_window(rows, symbols.shape)
    flags = _choose_flags(rows)
    chunks = min(_OUR_CHUNKS, len(rows), -(-rows.size // _CHUNK))
    head = encode_varint(window[0]) + encode_varint(window[1]) + bytes([flags]) + encode_varint(chunks)
    parts = [rows[start:end] for start, end in _bounds(len(rows), chunks)]
    streams = _side_by_side(lambda part: _encode_rows(part, window, flags), parts)
    return head + b"".join(encode_varint(len(stream)) for stream in streams[:-1]) + b"".join(streams)


def decode_symbols(
    payload: bytes | memoryview, shape: tuple[int, ...], use: Callable[[Symbols], None] | None = None
) -> Symbols:
    """The integers of a payload; the caller bounds ``shape``.

    ``use`` is called with the rows of every chunk, on the core that decoded them, and may change them.

    Raises:
        CorruptFileError: the bytes are no payload of symbols with this shape.
    """
    num_rows = _num_rows(shape)
    columns = prod(shape) // num_rows
    reader = ByteReader(payload)
    channels, height, flags, chunks = reader.varint(), reader.varint(), reader.take(1)[0], reader.varint()
    if not channels or not height or columns % (channels * height):
        raise CorruptFileError(f"{channels} channels of {height} lines in rows of {columns} symbols")
    if flags & ~(ROWS_MARKED | COLUMNS_MARKED) or not 1 <= chunks <= min(num_rows, MAX_CHUNKS):
        raise CorruptFileError(f"flags {flags:#x} and {chunks} chunks of {num_rows} rows of symbols")
    window = (channels, height, columns // (channels * height))
    lengths = [reader.varint() for _ in range(chunks - 1)]
    streams = [reader.take(length) for length in lengths] + [reader.take(reader.remaining)]
    rows = np.zeros((num_rows, columns), np.int32)
    parts = [rows[start:end] for start, end in _bounds(num_rows, chunks)]
    jobs = list(zip(parts, streams, strict=True))

    def decode(job: tuple[Symbols, memoryview]) -> None:
        _decode_rows(*job, window, flags)
        if use is not None:
            use(job[0])

    _side_by_side(decode, jobs)
    return rows.reshape(shape)


def price_candidates(symbols: Symbols, candidates: Symbols) -> NDArray[np.float32]:
    """What each of several symbols would cost in the place of every weight, in bits.

    The price is that of the moment: with what the coder knows there, after all symbols before. What a choice
    does to the price of later ones is not in it.

    Args:
        symbols: the symbols as they are now, of any shape.
        candidates: the same shape and one more axis, the choices.

    Returns:
        float32, as candidates.

    Raises:
        CodecError: shapes that do not belong together, or symbols that cannot be coded.
    """
    for array in (symbols, candidates):
        _check(array)
    if candidates.shape[:-1] != symbols.shape:
        raise CodecError(f"candidates of shape {candidates.shape} for symbols of shape {symbols.shape}")
    rows = np.ascontiguousarray(symbols).reshape(_num_rows(symbols.shape), -1)
    model = new_weight_model(*_choose_window(rows, symbols.shape))
    prices = filled(candidates.size, 0, np.int32)
    places = [from_array(np.ascontiguousarray(array).reshape(-1)) for array in (rows, candidates)]
    price_rows(model, places[0], len(rows), places[1], prices)
    bits = np.array(prices, np.float32) / np.float32(1 << PRICE_BITS)
    return bits.reshape(candidates.shape)


def _check(symbols: Symbols) -> None:
    if symbols.dtype != np.int32 or symbols.size == 0 or int(symbols.min()) < -LARGEST:
        raise CodecError(
            f"{symbols.size} symbols of {symbols.dtype}; allowed is int32, at least one, above -2^31"
        )


def _num_rows(shape: tuple[int, ...]) -> int:
    return shape[0] if len(shape) > 1 else 1


def _side_by_side(function: Callable[[_Job], _Result], jobs: Sequence[_Job]) -> list[_Result]:
    """The results for all chunks; compiled functions run on as many cores as there are."""
    if len(jobs) == 1:
        return [function(jobs[0])]
    with ThreadPoolExecutor(min(len(jobs), os.cpu_count() or 1)) as pool:
        return list(pool.map(function, jobs))


def _bounds(num_rows: int, chunks: int) -> Iterator[tuple[int, int]]:
    """First and last row (exclusive) of every chunk."""
    for chunk in range(chunks):
        yield chunk * num_rows // chunks, (chunk + 1) * num_rows // chunks


def _encode_rows(rows: Symbols, window: Window, flags: int) -> bytes:
    capacity = rows.size // 4 + 1024
    stream = None
    while stream is None:
        model = new_weight_model(*window)
        engine = start_encoding(model.engine, capacity)
        code_rows(model._replace(engine=engine), from_array(rows.reshape(-1)), len(rows), flags)
        stream = encoded(engine)
        capacity = int(engine.coder[3])
    return stream


def _decode_rows(rows: Symbols, stream: memoryview, window: Window, flags: int) -> None:
    model = new_weight_model(*window)
    engine = start_decoding(model.engine, stream)
    symbols = from_array(rows.reshape(-1))
    if not code_rows(model._replace(engine=engine), symbols, len(rows), flags):
        raise CorruptFileError(f"a stream of {len(stream)} bytes ends before its {rows.size} symbols do")
    finish_decoding(engine)
    if not IS_COMPILED:
        rows[:] = np.array(symbols, np.int32).reshape(rows.shape)


def _choose_flags(rows: Symbols) -> int:
    """Marks pay from some empty rows and columns on."""
    marks_rows = not rows.any(axis=1).all()
    empty_columns = int((~rows.any(axis=0)).sum())
    return (ROWS_MARKED if marks_rows else 0) | (COLUMNS_MARKED if 16 * empty_columns > rows.shape[1] else 0)


def _choose_window(rows: Symbols, shape: tuple[int, ...]) -> Window:
    """The kernel of a convolution; else the window that makes a sample of the rows cheapest."""
    columns = rows.shape[1]
    positions = prod(shape[2:])
    if len(shape) > 2 and positions > 1:
        return shape[1], positions // shape[-1], shape[-1]
    candidates = [(1, 1, columns)]
    if rows.size >= _SEARCHED:
        sides = [side for side in range(2, _LARGEST_SIDE + 1) if columns % (side * side) == 0]
        candidates += [(columns, 1, 1), *((columns // (side * side), side, side) for side in sides)]
        rows = np.ascontiguousarray(rows[:: max(1, rows.size // _SAMPLE)])
    return min(candidates, key=lambda window: _price(rows, window)) if len(candidates) > 1 else candidates[0]


def _price(rows: Symbols, window: Window) -> int:
    """What the rows cost in this window, in 2⁻¹² bit."""
    model = new_weight_model(*window)
    code_rows(model, from_array(rows.reshape(-1)), len(rows), 0)
    return int(model.engine.coder[PRICED])
