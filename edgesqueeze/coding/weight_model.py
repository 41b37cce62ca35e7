"""The contexts of weight symbols: signed integers q[rows, channels, height, width], zero most often.

A row holds the weights of one output. Each weight is coded as significance (is it zero), magnitude (Elias
gamma) and sign. What is known of it: the density of its column and its row, its neighbours to the left and
above within the channel's window, the magnitudes last seen in its column and its row. docs/coder.md has the
whole of it as a specification; the order of the mixed counters below is part of it.
"""

from typing import NamedTuple

import numpy as np

from edgesqueeze.coding.compiled import Integers, compiled, filled
from edgesqueeze.coding.engine import (
    DECODE,
    HALF,
    MAGNITUDE_PACE,
    MAX_INPUTS,
    MODE,
    SIGN_PACE,
    SIGNIFICANCE_PACE,
    STRETCH,
    Engine,
    code_bit,
    learn,
    new_engine,
    overrun,
)

ROWS_MARKED, COLUMNS_MARKED = 1, 2
"""Flags of :func:`code_rows`."""
# Where each kind of counter starts.
_ALL, _ROW, _EMPTY_ROW, _EMPTY_COLUMN = 0, 1, 2, 4
_DENSITIES, _NEIGHBOURS, _LEVELS = 8, 264, 392
_SIGNS, _LAST_SIGNS, _SIGN_SUMS = 648, 729, 810
_NODES = 1322
_NUM_NODES = 312
_BY_COLUMN = _NODES + _NUM_NODES
_BY_BOTH = _BY_COLUMN + 32 * _NUM_NODES
_BY_NEIGHBOURS = _BY_BOTH + 256 * _NUM_NODES
_BY_LAST = _BY_NEIGHBOURS + 16 * _NUM_NODES
_CHANNELS = _BY_LAST + 16 * _NUM_NODES
# Mixers: one for significance, eight for signs, one per kind of node for magnitudes, one for row flags.
_SIGN_MIXERS, _MAGNITUDE_MIXERS, _FLAG_MIXER, _NUM_MIXERS = 1, 9, 72, 73
_SIGNIFICANCE_INPUTS, _SIGN_INPUTS, _MAGNITUDE_INPUTS = 6, 4, 5
_FIRST_WEIGHTS = ((0, 1, 7, 14000), (1, 9, 4, 12000), (9, 72, 5, 12000), (72, 73, 1, 65536))
"""Mixers from, to, how many inputs have the weight behind that at first; others, the bias here, have 0."""
_ROW_MAGNITUDE, _LAST, _LAST_BUT_ONE, _CONTEXTS = 7, 8, 9, 10
_MAX_BITS = 30
"""The largest magnitude is 2³¹ - 1."""


class WeightModel(NamedTuple):
    """The engine and what the contexts remember."""

    engine: Engine
    line: Integers  # the row so far, behind ``pad`` zeros
    near: Integers  # neighbours A to G, then the row's magnitude, its last symbols, contexts
    column_magnitudes: Integers
    skip: Integers  # 1 for a column that is empty in all rows
    shape: Integers  # channels, positions per channel, width, pad, 1 while no row was coded


def new_weight_model(channels: int, height: int, width: int) -> WeightModel:
    """A model of rows of channels × height × width symbols that has seen nothing."""
    weights = [0] * (MAX_INPUTS * _NUM_MIXERS)
    for first, end, count, weight in _FIRST_WEIGHTS:
        for mixer in range(first, end):
            weights[MAX_INPUTS * mixer : MAX_INPUTS * mixer + count] = [weight] * count
    positions = height * width
    columns = channels * positions
    pad = positions + 2 * width + 2
    shape = filled(5, 1, np.int64)
    shape[0], shape[1], shape[2], shape[3] = channels, positions, width, pad
    return WeightModel(
        engine=new_engine(_CHANNELS + channels + 2 * columns, weights),
        line=filled(columns + pad, 0, np.int32),
        near=filled(14, 0, np.int64),
        column_magnitudes=filled(columns, 0, np.int32),
        skip=filled(columns, 0, np.uint8),
        shape=shape,
    )


@compiled
def code_rows(model: WeightModel, symbols: Integers, num_rows: int, flags: int) -> bool:
    """Code rows of symbols, in the engine's mode; False if a decoder ran out of data.

    Args:
        model: whose contexts learn.
        symbols: [num_rows × columns], read when encoding, written (over zeros) when decoding.
        num_rows: how many rows.
        flags: ROWS_MARKED if empty rows are marked and then cost nothing, COLUMNS_MARKED likewise.
    """
    columns = len(model.skip)
    if flags & COLUMNS_MARKED:
        _code_columns(model, symbols, num_rows)
    has_symbols = 1
    for row in range(num_rows):
        start = row * columns
        if flags & ROWS_MARKED:
            previous, has_symbols = has_symbols, 0
            if model.engine.coder[MODE] != DECODE:
                for j in range(columns):
                    if symbols[start + j] != 0:
                        has_symbols = 1
                        break
            model.engine.slots[0] = _EMPTY_ROW + previous
            has_symbols = code_bit(model.engine, has_symbols, 1, _FLAG_MIXER, SIGN_PACE)
        if has_symbols:
            _code_row(model, symbols, start)
            model.shape[4] = 0
        if overrun(model.engine):
            return False
    return True


@compiled
def _code_columns(model: WeightModel, symbols: Integers, num_rows: int) -> None:
    """Mark the columns that are empty in all rows; a flag is likely what the one before was."""
    columns = len(model.skip)
    for j in range(columns):
        model.skip[j] = 1
    if model.engine.coder[MODE] != DECODE:
        for row in range(num_rows):
            for j in range(columns):
                if symbols[row * columns + j] != 0:
                    model.skip[j] = 0
    previous = 0
    for j in range(columns):
        model.engine.slots[0] = _EMPTY_COLUMN + previous
        previous = code_bit(model.engine, model.skip[j], 1, _FLAG_MIXER, SIGN_PACE)
        model.skip[j] = previous


@compiled
def _code_row(model: WeightModel, symbols: Integers, start: int) -> None:
    """Code one row that is not marked as empty."""
    engine, line, near, shape = model.engine, model.line, model.near, model.shape
    channels, positions, pad, is_first = shape[0], shape[1], shape[3], shape[4]
    counters = engine.counters
    for j in range(len(line)):
        line[j] = 0
    near[_ROW_MAGNITUDE] = near[_LAST] = near[_LAST_BUT_ONE] = 0
    counters[_ROW] = counters[_ALL] >> 9 << 9 | 10
    for c in range(channels):
        if is_first:
            counters[_CHANNELS + c] = counters[_ALL] >> 9 << 9 | 20
        for k in range(positions):
            j = c * positions + k
            if model.skip[j]:
                continue
            if is_first:
                counters[_CHANNELS + channels + j] = counters[_ALL] >> 9 << 9 | 6
            _look_around(model, pad + j, k)
            symbol = symbols[start + j]
            around = _level(_weighted(near))
            if _code_significance(model, 1 if symbol else 0, c, j, around):
                symbol = _code_nonzero(model, symbol, j, around)
                line[pad + j] = symbol
                symbols[start + j] = symbol


@compiled
def _look_around(model: WeightModel, o: int, k: int) -> None:
    """Set the neighbours of position k of a channel, ``line[o]``: zero where the window ends.

    A left, B above, C above right, D above left, E two to the left, F two above, G one channel before.
    """
    line, near, positions, width = model.line, model.near, model.shape[1], model.shape[2]
    x = k % width
    near[0] = line[o - 1] if x > 0 else 0
    near[4] = line[o - 2] if x > 1 else 0
    near[6] = line[o - positions]
    if k >= width:
        near[1] = line[o - width]
        near[2] = line[o - width + 1] if x < width - 1 else 0
        near[3] = line[o - width - 1] if x > 0 else 0
        near[5] = line[o - 2 * width] if k >= 2 * width else 0
    else:
        near[1] = near[2] = near[3] = near[5] = 0


@compiled
def _weighted(near: Integers) -> int:
    """The magnitudes around, the closest counted twice."""
    return 2 * (abs(near[0]) + abs(near[1])) + abs(near[2]) + abs(near[3]) + abs(near[4]) + abs(near[5])


@compiled
def _level(magnitude: int) -> int:
    """0, 1, 2, 3, then two levels for every doubling; at most 15."""
    level = 0
    while magnitude >= 4:
        magnitude >>= 1
        level += 2
    return min(level + magnitude, 15)


@compiled
def _density(stretched: int) -> int:
    """A stretched probability in sixteen steps of half a nat, from -6 on."""
    return min(max((stretched + 1536) >> 7, 0), 15)


@compiled
def _sign(symbol: int) -> int:
    """0 for zero, 1 for positive, 2 for negative."""
    return 1 if symbol > 0 else (2 if symbol < 0 else 0)


@compiled
def _code_significance(model: WeightModel, bit: int, c: int, j: int, around: int) -> int:
    """Code whether a weight is not zero."""
    engine, near, tables = model.engine, model.near, model.engine.tables
    counters, slots = engine.counters, engine.slots
    channels = model.shape[0]
    column = tables[STRETCH + (counters[_CHANNELS + channels + j] >> 19)]
    row = tables[STRETCH + (counters[_ROW] >> 19)]
    everywhere = tables[STRETCH + (counters[_ALL] >> 19)]
    pattern = 0
    for n in range(7):
        pattern = 2 * pattern + (near[n] != 0)
    slots[0] = _CHANNELS + channels + j
    slots[1] = _ROW
    slots[2] = _CHANNELS + c
    slots[3] = _DENSITIES + 16 * _density(column) + _density(row)
    slots[4] = _NEIGHBOURS + pattern
    slots[5] = _LEVELS + 16 * around + _density(column + row - everywhere)
    bit = code_bit(engine, bit, _SIGNIFICANCE_INPUTS, 0, SIGNIFICANCE_PACE)
    learn(engine, _ALL, bit, SIGNIFICANCE_PACE)
    return bit


@compiled
def _code_nonzero(model: WeightModel, symbol: int, j: int, around: int) -> int:
    """Code magnitude and sign of a weight that is not zero, and remember them."""
    near = model.near
    magnitude = _code_magnitude(model, abs(symbol), j, around)
    negative = _code_sign(model, 1 if symbol < 0 else 0, j, magnitude)
    bits = 0
    while magnitude >> bits > 1:
        bits += 1
    exact = bits * 256 + ((magnitude << 8 >> bits) & 255) + 128  # log2 of the magnitude in 1/256, and a half
    before = model.column_magnitudes[j]
    model.column_magnitudes[j] = (before * 3 + exact) >> 2 if before else exact
    before = near[_ROW_MAGNITUDE]
    near[_ROW_MAGNITUDE] = (before * 7 + exact) >> 3 if before else exact
    near[_LAST_BUT_ONE] = near[_LAST]
    near[_LAST] = -magnitude if negative else magnitude
    return near[_LAST]


@compiled
def _code_sign(model: WeightModel, bit: int, j: int, magnitude: int) -> int:
    """Code whether a weight is negative."""
    near, slots, shape = model.near, model.engine.slots, model.shape
    pattern = total = 0
    for n in range(6):
        sign = _sign(near[n])
        if n < 4:
            pattern = 3 * pattern + sign
        weight = 4 >> (n >> 1)
        total += weight if sign == 1 else (-weight if sign == 2 else 0)
    slots[0] = _CHANNELS + shape[0] + shape[0] * shape[1] + j
    slots[1] = _SIGNS + pattern
    slots[2] = _LAST_SIGNS + 24 * _sign(near[_LAST]) + 8 * _sign(near[_LAST_BUT_ONE]) + min(magnitude, 7)
    slots[3] = _SIGN_SUMS + 16 * (total + 16) + _level(magnitude)
    return code_bit(model.engine, bit, _SIGN_INPUTS, _SIGN_MIXERS + min(abs(total), 7), SIGN_PACE)


@compiled
def _code_magnitude(model: WeightModel, magnitude: int, j: int, around: int) -> int:
    """Code a magnitude of at least 1 in Elias's gamma code: its number of bits in unary, then the bits."""
    near = model.near
    by_column = min(model.column_magnitudes[j] >> 6, 31)
    near[_CONTEXTS] = by_column
    near[_CONTEXTS + 1] = 16 * min(near[_ROW_MAGNITUDE] >> 7, 15) + (by_column >> 1)
    near[_CONTEXTS + 2] = around
    near[_CONTEXTS + 3] = _level(abs(near[_LAST]) + abs(near[_LAST_BUT_ONE]))
    bits = 0
    while bits < _MAX_BITS and _code_node(model, 1 if magnitude >> (bits + 1) else 0, bits, bits):
        bits += 1
    prefix = 1
    for rest in range(bits - 1, -1, -1):
        node = 32 + 8 * bits + prefix if prefix < 8 else 280 + rest
        prefix = 2 * prefix + _code_node(model, magnitude >> rest & 1, node, 32 + bits)
    return prefix


@compiled
def _code_node(model: WeightModel, bit: int, node: int, mixer: int) -> int:
    """Code one bit of a magnitude; a counter that is new starts from what the node has seen everywhere."""
    near, slots, counters = model.near, model.engine.slots, model.engine.counters
    slots[0] = _NODES + node
    slots[1] = _BY_COLUMN + 32 * node + near[_CONTEXTS]
    slots[2] = _BY_BOTH + 256 * node + near[_CONTEXTS + 1]
    slots[3] = _BY_NEIGHBOURS + 16 * node + near[_CONTEXTS + 2]
    slots[4] = _BY_LAST + 16 * node + near[_CONTEXTS + 3]
    for k in range(1, _MAGNITUDE_INPUTS):
        if counters[slots[k]] == HALF:
            counters[slots[k]] = counters[slots[0]] >> 9 << 9 | 2
    return code_bit(model.engine, bit, _MAGNITUDE_INPUTS, _MAGNITUDE_MIXERS + mixer, MAGNITUDE_PACE)
