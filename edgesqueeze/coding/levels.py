"""The few values of a quantized tensor: which they are, what grid they lie on, and their codebook as bytes.

Values are float32 bit patterns. Their *levels* are signed integers: multiples of a step, or ranks of a sorted
codebook counted from zero. Level 0 is the pattern of +0.0; -0.0 is a value of its own.
"""

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint
from edgesqueeze.coding.compiled import IS_COMPILED, compiled
from edgesqueeze.coding.float_fields import decode_ascending, encode_ascending
from edgesqueeze.errors import CorruptFileError

Patterns = NDArray[np.uint32]
MAX_DISTINCT = 1 << 16
_SIGN = np.uint32(1 << 31)
_SMALLEST_NORMAL = 2.0**-126
_LARGEST_MULTIPLE = 1 << 20
_DIVISORS = 64
_TABLE = 1 << 18
_WORD = (1 << 32) - 1


def distinct_patterns(patterns: Patterns) -> Patterns | None:
    """The distinct patterns but +0.0, in ascending order of their values; None if there are over 65,536."""
    if IS_COMPILED and len(patterns) > MAX_DISTINCT:
        table = np.zeros(_TABLE, np.int64)
        if not _collect(patterns.view(np.int32), table):
            return None
        found = table[table != 0].astype(np.uint32)
    else:
        found = np.unique(patterns)
        found = found[found != 0]
    return found[np.argsort(_order_keys(found))] if len(found) <= MAX_DISTINCT else None


def to_levels(patterns: Patterns, distinct: Patterns, levels: NDArray[np.int32]) -> NDArray[np.int32]:
    """The level of every pattern; ``levels`` are those of ``distinct``."""
    result = np.zeros(len(patterns), np.int32)
    if IS_COMPILED:
        table, values = np.zeros(_TABLE, np.int64), np.zeros(_TABLE, np.int32)
        _fill(distinct.view(np.int32), levels, table, values)
        _assign(patterns.view(np.int32), table, values, result)
        return result
    positions = np.flatnonzero(patterns)
    order = np.argsort(distinct)
    result[positions] = levels[order][np.searchsorted(distinct[order], patterns[positions])]
    return result


def find_step(distinct: Patterns) -> tuple[np.float32, NDArray[np.int32]] | None:
    """The largest step with ``float32(step * multiple)`` equal to every value, and the multiples.

    A step that a float16 holds exactly is preferred among those that give the same multiples. The smallest
    value is tried as 1 to 64 times the step; None if nothing fits.
    """
    if not len(distinct) or not np.isfinite(distinct.view(np.float32)).all():
        return None
    values = distinct.view(np.float32).astype(np.float64)
    sizes = np.abs(values)
    if sizes.min() < _SMALLEST_NORMAL:
        return None
    few = sizes[:: max(1, len(sizes) // 32)]
    for divisor in range(1, _DIVISORS + 1):
        guess = float(sizes.min()) / divisor
        if sizes.max() / guess > _LARGEST_MULTIPLE:
            return None
        for part in (few, sizes):
            ratios = part / guess
            # The smallest value is off by up to 2⁻²⁵ of itself, and so is every ratio to it.
            if (np.abs(ratios - np.rint(ratios)) > ratios * 2.0**-23).any():
                break
        else:
            multiples = np.rint(values / guess)
            step = _fitting_step(distinct, sizes, np.abs(multiples))
            if step is not None:
                return step, multiples.astype(np.int32)
    return None


def _fitting_step(
    distinct: Patterns, sizes: NDArray[np.float64], multiples: NDArray[np.float64]
) -> np.float32 | None:
    """A float32 whose multiples round to the values exactly."""
    half_gap = np.spacing(sizes.astype(np.float32)).astype(np.float64) / 2
    low, high = float(((sizes - half_gap) / multiples).max()), float(((sizes + half_gap) / multiples).min())
    if low > high:
        return None
    middle = (low + high) / 2
    nearest = np.float32(middle)
    for step in (np.float32(np.float16(middle)) if middle < 65504 else nearest, nearest):
        products = step * multiples.astype(np.float32)
        if np.array_equal(products.view(np.uint32), distinct & ~_SIGN):
            return step
    return None


def ranks(distinct: Patterns) -> NDArray[np.int32]:
    """The levels of a codebook: ..., -2, -1 for the patterns with a sign, 1, 2, ... for those without."""
    num_negative = int((distinct >= _SIGN).sum())
    levels = np.arange(len(distinct), dtype=np.int32) - num_negative
    return levels + (levels >= 0).astype(np.int32)


def encode_codebook(distinct: Patterns, is_half: bool) -> bytes:
    """How many values have a sign and how many have none, then both as ascending patterns without it."""
    num_negative = int((distinct >= _SIGN).sum())
    sizes = distinct & ~_SIGN
    if is_half:
        sizes = sizes.view(np.float32).astype(np.float16).view(np.uint16).astype(np.uint32)
    outwards = [sizes[:num_negative][::-1].tolist(), sizes[num_negative:].tolist()]
    stream = encode_ascending(outwards)
    counts = encode_varint(num_negative) + encode_varint(len(distinct) - num_negative)
    return counts + encode_varint(len(stream)) + stream


def decode_codebook(reader: ByteReader, is_half: bool) -> tuple[Patterns, int]:
    """The patterns of all levels from the lowest to the highest, zero included, and the place of zero."""
    num_negative, num_positive = reader.varint(), reader.varint()
    if not 1 <= num_negative + num_positive <= MAX_DISTINCT:
        raise CorruptFileError(f"a codebook of {num_negative} + {num_positive} values")
    stream = reader.take(reader.varint())
    bits = 15 if is_half else 31
    negative, positive = decode_ascending(stream, (num_negative, num_positive), bits)
    patterns = np.array([*negative[::-1], 0, *positive], np.uint32)
    if is_half:
        patterns = patterns.astype(np.uint16).view(np.float16).astype(np.float32).view(np.uint32)
        if not np.isfinite(patterns.view(np.float32)).all():
            raise CorruptFileError("a codebook of float16 values holds one that is not finite")
    patterns[:num_negative] |= _SIGN
    return patterns, num_negative


def fits_half(distinct: Patterns) -> bool:
    """Whether float16 holds every value exactly; infinities and NaN do not count as held."""
    values = distinct.view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        back = values.astype(np.float16).astype(np.float32)
    return bool(np.isfinite(back).all()) and bool((back.view(np.uint32) == distinct).all())


def _order_keys(patterns: Patterns) -> Patterns:
    """Integers that sort as the values do."""
    return np.where(patterns >= _SIGN, ~patterns, patterns | _SIGN)


@compiled
def _collect(patterns: NDArray[np.int32], table: NDArray[np.int64]) -> bool:
    """Put every pattern but 0 in a hash table once; False when a quarter of it is used."""
    used = 0
    for i in range(len(patterns)):
        if patterns[i] != 0:
            pattern = patterns[i] & _WORD
            place = _place(pattern, table)
            if table[place] == 0:
                table[place] = pattern
                used += 1
                if used > MAX_DISTINCT:
                    return False
    return True


@compiled
def _fill(
    distinct: NDArray[np.int32],
    levels: NDArray[np.int32],
    table: NDArray[np.int64],
    values: NDArray[np.int32],
) -> None:
    for i in range(len(distinct)):
        pattern = distinct[i] & _WORD
        place = _place(pattern, table)
        table[place] = pattern
        values[place] = levels[i]


@compiled
def _assign(
    patterns: NDArray[np.int32],
    table: NDArray[np.int64],
    values: NDArray[np.int32],
    result: NDArray[np.int32],
) -> None:
    for i in range(len(patterns)):
        if patterns[i] != 0:
            result[i] = values[_place(patterns[i] & _WORD, table)]


@compiled
def _place(pattern: int, table: NDArray[np.int64]) -> int:
    """Where a pattern is in the hash table, or would be put."""
    place = ((pattern * 40503 >> 9) ^ pattern) & (len(table) - 1)
    while table[place] != 0 and table[place] != pattern:
        place = (place + 1) & (len(table) - 1)
    return place
