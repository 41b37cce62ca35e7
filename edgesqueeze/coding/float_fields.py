"""float32 patterns that are neither zero nor few, and the ascending patterns of a codebook.

Both are streams of the engine in engine.py, with few contexts: the high bits of a float are worth modelling,
the low ones mostly are noise, or zeros where the value came from a narrower format.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.compiled import Integers, compiled, filled, from_array, integers
from edgesqueeze.coding.engine import (
    MAX_INPUTS,
    SIGN_PACE,
    Engine,
    code_bit,
    encoded,
    finish_decoding,
    new_engine,
    overrun,
    start_decoding,
    start_encoding,
)
from edgesqueeze.errors import CorruptFileError

_MAX_BITS = 31
# Counters of ascending patterns.
_BUCKETS, _HIGHEST, _REST, _NUM_ASCENDING = 0, 32, 64, 96
# Counters of fields: exponents alone and after another, high mantissa bits alone and by exponent, the rest.
_EXPONENT, _NEXT_EXPONENT = 0, 256
_MANTISSA, _MANTISSA_OF = _NEXT_EXPONENT + (1 << 16), _NEXT_EXPONENT + (1 << 16) + 8
_LOW_BITS = _MANTISSA_OF + 2048
_NUM_FIELDS = _LOW_BITS + 20


def _engine(num_counters: int) -> Engine:
    """Mixer 0 for one counter, mixers 1 and 2 for two."""
    weights = [0] * (3 * MAX_INPUTS)
    weights[0] = 65536
    for mixer in (1, 2):
        weights[MAX_INPUTS * mixer] = weights[MAX_INPUTS * mixer + 1] = 32768
    return new_engine(num_counters, weights)


def encode_ascending(lists: Sequence[Sequence[int]]) -> bytes:
    """Lists of ascending integers from 0 to 2³¹ - 1: their differences in Elias's gamma code."""
    num_values = sum(len(values) for values in lists)
    engine = start_encoding(_engine(_NUM_ASCENDING), 16 * num_values + 16)
    for values in lists:
        _code_ascending(engine, integers(values, np.int64), len(values), 1 << 31)
    stream = encoded(engine)
    if stream is None:
        raise AssertionError("62 bits of at most 16 bits each need less than 128 bytes")
    return stream


def decode_ascending(data: memoryview, counts: Sequence[int], bits: int) -> list[list[int]]:
    """The lists that :func:`encode_ascending` wrote; values have at most ``bits`` bits.

    Raises:
        CorruptFileError: the data end early or are no such lists.
    """
    engine = start_decoding(_engine(_NUM_ASCENDING), data)
    lists = []
    for count in counts:
        values = filled(count, 0, np.int64)
        if not _code_ascending(engine, values, count, 1 << bits):
            raise CorruptFileError(
                f"a codebook of {len(data)} bytes does not hold {sum(counts)} ascending values"
            )
        lists.append([int(value) for value in values])
    finish_decoding(engine)
    return lists


@compiled
def _code_ascending(engine: Engine, values: Integers, count: int, end: int) -> bool:
    before = -1
    for i in range(count):
        gap = _code_gap(engine, values[i] - before)
        before += gap
        values[i] = before
        if before >= end or overrun(engine):
            return False
    return True


@compiled
def _code_gap(engine: Engine, gap: int) -> int:
    """Code a number from 1 to 2³² - 1."""
    bits = 0
    while bits < _MAX_BITS and code_bit(
        engine, 1 if gap >> (bits + 1) != 0 else 0, (_BUCKETS + bits,), 0, SIGN_PACE
    ):
        bits += 1
    value = 1
    for rest in range(bits - 1, -1, -1):
        slot = _HIGHEST + bits if value == 1 else _REST + rest
        value = 2 * value + code_bit(engine, gap >> rest & 1, (slot,), 0, SIGN_PACE)
    return value


def encode_fields(patterns: NDArray[np.uint32]) -> bytes:
    """float32 patterns without their sign: exponent, then mantissa."""
    capacity = 4 * len(patterns) + 1024
    stream = None
    while stream is None:
        engine = start_encoding(_engine(_NUM_FIELDS), capacity)
        _code_fields(engine, from_array(patterns.astype(np.int64)), len(patterns))
        stream = encoded(engine)
        capacity = int(engine.coder[3])
    return stream


def decode_fields(data: memoryview, count: int) -> NDArray[np.uint32]:
    """The ``count`` patterns that :func:`encode_fields` wrote.

    Raises:
        CorruptFileError: the data end early or late.
    """
    engine = start_decoding(_engine(_NUM_FIELDS), data)
    patterns = filled(count, 0, np.int64)
    if not _code_fields(engine, patterns, count):
        raise CorruptFileError(f"a stream of {len(data)} bytes ends before its {count} values do")
    finish_decoding(engine)
    return np.array(patterns, np.uint32)


@compiled
def _code_fields(engine: Engine, patterns: Integers, count: int) -> bool:
    exponent = 127
    for i in range(count):
        pattern = patterns[i]
        before, node = exponent, 1
        for rest in range(7, -1, -1):
            slots = (_EXPONENT + node, _NEXT_EXPONENT + 256 * before + node)
            node = 2 * node + code_bit(engine, pattern >> (23 + rest) & 1, slots, 1, SIGN_PACE)
        exponent = node - 256
        node = 1
        for rest in range(2, -1, -1):
            slots = (_MANTISSA + node, _MANTISSA_OF + 8 * exponent + node)
            node = 2 * node + code_bit(engine, pattern >> (20 + rest) & 1, slots, 2, SIGN_PACE)
        value = exponent << 3 | (node - 8)
        for rest in range(19, -1, -1):
            value = 2 * value + code_bit(engine, pattern >> rest & 1, (_LOW_BITS + rest,), 0, SIGN_PACE)
        patterns[i] = value
        if overrun(engine):
            return False
    return True
