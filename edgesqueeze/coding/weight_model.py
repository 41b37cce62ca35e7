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
    HALF,
    MAGNITUDE_PACE,
    MAX_INPUTS,
    MODE,
    PEEK,
    SIGN_PACE,
    SIGNIFICANCE_PACE,
    STRETCH,
    Engine,
    code_bit,
    learn,
    new_engine,
)

# Where each kind of counter starts.
EMPTY_ROW, EMPTY_COLUMN = 2, 4
_ALL, _ROW = 0, 1
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
_SIGN_MIXERS, _MAGNITUDE_MIXERS, FLAG_MIXER, _NUM_MIXERS = 1, 9, 72, 73
_FIRST_WEIGHTS = ((0, 1, 7, 14000), (1, 9, 4, 12000), (9, 72, 5, 12000), (72, 73, 1, 65536))
"""Mixers from, to, how many inputs have the weight behind that at first; others, the bias here, have 0."""
_ROW_MAGNITUDE, _LAST, _LAST_BUT_ONE, _AROUND, _BY = 7, 8, 9, 10, 11
_MAX_BITS = 30
"""The largest magnitude is 2³¹ - 1."""


class WeightModel(NamedTuple):
    """The engine and what the contexts remember."""

    engine: Engine
    line: Integers  # the row so far, behind ``pad`` zeros
    near: Integers  # neighbours A to G, the row's magnitude and last symbols, contexts of magnitudes
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
def start_row(model: WeightModel) -> None:
    """Forget the row before; what its density is starts from that of all rows."""
    near, counters = model.near, model.engine.counters
    for j in range(len(model.line)):
        model.line[j] = 0
    near[_ROW_MAGNITUDE] = near[_LAST] = near[_LAST_BUT_ONE] = 0
    counters[_ROW] = counters[_ALL] >> 9 << 9 | 10


@compiled
def start_channel(model: WeightModel, c: int) -> None:
    """The density of a channel starts from that of all weights before it in the first row."""
    counters = model.engine.counters
    counters[_CHANNELS + c] = counters[_ALL] >> 9 << 9 | 20


@compiled
def start_column(model: WeightModel, j: int) -> None:
    """Likewise that of a column."""
    counters = model.engine.counters
    counters[_CHANNELS + model.shape[0] + j] = counters[_ALL] >> 9 << 9 | 6


@compiled
def look_around(model: WeightModel, o: int, k: int) -> None:
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
    closest = abs(near[0]) + abs(near[1])
    near[_AROUND] = _level(2 * closest + abs(near[2]) + abs(near[3]) + abs(near[4]) + abs(near[5]))


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
def code_significance(model: WeightModel, bit: int, c: int, j: int) -> int:
    """Code whether the weight in column j of channel c is not zero."""
    engine, near, tables = model.engine, model.near, model.engine.tables
    counters = engine.counters
    channels = model.shape[0]
    column = tables[STRETCH + (counters[_CHANNELS + channels + j] >> 19)]
    row = tables[STRETCH + (counters[_ROW] >> 19)]
    everywhere = tables[STRETCH + (counters[_ALL] >> 19)]
    pattern = 0
    for n in range(7):
        pattern = 2 * pattern + (near[n] != 0)
    slots = (
        _CHANNELS + channels + j,
        _ROW,
        _CHANNELS + c,
        _DENSITIES + 16 * _density(column) + _density(row),
        _NEIGHBOURS + pattern,
        _LEVELS + 16 * near[_AROUND] + _density(column + row - everywhere),
    )
    bit = code_bit(engine, bit, slots, 0, SIGNIFICANCE_PACE)
    if engine.coder[MODE] != PEEK:
        learn(engine, _ALL, bit, SIGNIFICANCE_PACE)
    return bit


@compiled
def code_nonzero(model: WeightModel, symbol: int, j: int) -> int:
    """Code magnitude and sign of a weight that is not zero."""
    magnitude = _code_magnitude(model, abs(symbol), j)
    return -magnitude if _code_sign(model, 1 if symbol < 0 else 0, j, magnitude) else magnitude


@compiled
def remember(model: WeightModel, symbol: int, j: int) -> None:
    """Note a symbol that is not zero for the contexts of those that follow."""
    near, magnitude = model.near, abs(symbol)
    model.line[model.shape[3] + j] = symbol
    bits = 0
    while magnitude >> bits > 1:
        bits += 1
    exact = bits * 256 + ((magnitude << 8 >> bits) & 255) + 128  # log2 of the magnitude in 1/256, and a half
    before = model.column_magnitudes[j]
    model.column_magnitudes[j] = (before * 3 + exact) >> 2 if before else exact
    before = near[_ROW_MAGNITUDE]
    near[_ROW_MAGNITUDE] = (before * 7 + exact) >> 3 if before else exact
    near[_LAST_BUT_ONE] = near[_LAST]
    near[_LAST] = symbol


@compiled
def _code_sign(model: WeightModel, bit: int, j: int, magnitude: int) -> int:
    """Code whether a weight is negative."""
    near, shape = model.near, model.shape
    pattern = total = 0
    for n in range(6):
        sign = _sign(near[n])
        if n < 4:
            pattern = 3 * pattern + sign
        weight = 4 >> (n >> 1)
        total += weight if sign == 1 else (-weight if sign == 2 else 0)
    slots = (
        _CHANNELS + shape[0] + shape[0] * shape[1] + j,
        _SIGNS + pattern,
        _LAST_SIGNS + 24 * _sign(near[_LAST]) + 8 * _sign(near[_LAST_BUT_ONE]) + min(magnitude, 7),
        _SIGN_SUMS + 16 * (total + 16) + _level(magnitude),
    )
    return code_bit(model.engine, bit, slots, _SIGN_MIXERS + min(abs(total), 7), SIGN_PACE)


@compiled
def _code_magnitude(model: WeightModel, magnitude: int, j: int) -> int:
    """Code a magnitude of at least 1 in Elias's gamma code: its number of bits in unary, then the bits."""
    near = model.near
    by_column = min(model.column_magnitudes[j] >> 6, 31)
    near[_BY] = by_column
    near[_BY + 1] = 16 * min(near[_ROW_MAGNITUDE] >> 7, 15) + (by_column >> 1)
    near[_BY + 2] = _level(abs(near[_LAST]) + abs(near[_LAST_BUT_ONE]))
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
    near, counters = model.near, model.engine.counters
    slots = (
        _NODES + node,
        _BY_COLUMN + 32 * node + near[_BY],
        _BY_BOTH + 256 * node + near[_BY + 1],
        _BY_NEIGHBOURS + 16 * node + near[_AROUND],
        _BY_LAST + 16 * node + near[_BY + 2],
    )
    for k in range(1, 5):
        if counters[slots[k]] == HALF:
            counters[slots[k]] = counters[slots[0]] >> 9 << 9 | 2
    return code_bit(model.engine, bit, slots, _MAGNITUDE_MIXERS + mixer, MAGNITUDE_PACE)
