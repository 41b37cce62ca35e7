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
    MOST_LEVELLED,
    PEEKS,
    SIGN_PACE,
    SIGNIFICANCE_PACE,
    Engine,
    code_bit,
    density_of,
    learn,
    level_of,
    new_engine,
    stretched,
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
_ROW_MAGNITUDE, _LAST, _LAST_BUT_ONE, IS_FIRST = range(4)
_A, _B, _C, _D, _E, _F, _G = 64, 32, 16, 8, 4, 2, 1
_PATTERN_BITS, _PATTERN = 7, 127
MOST = (1 << 31) - 1
"""A mask that tells the compiler that a place is not negative: it then spares a check at each use of it."""
_MAX_BITS = 30
"""The largest magnitude is 2³¹ - 1."""


class WeightModel(NamedTuple):
    """The engine and what the contexts remember."""

    engine: Engine
    line: Integers  # the row so far, behind ``pad`` zeros
    around: Integers  # of every place of the row: which of its neighbours are not zero, and their magnitudes
    seen: Integers  # the row's magnitude, its last two symbols, 1 while no row was coded
    column_magnitudes: Integers
    skip: Integers  # 1 for a column that is empty in all rows
    channels: int
    positions: int  # of a channel
    width: int
    pad: int


def new_weight_model(channels: int, height: int, width: int) -> WeightModel:
    """A model of rows of channels × height × width symbols that has seen nothing."""
    weights = [0] * (MAX_INPUTS * _NUM_MIXERS)
    for first, end, count, weight in _FIRST_WEIGHTS:
        for mixer in range(first, end):
            weights[MAX_INPUTS * mixer : MAX_INPUTS * mixer + count] = [weight] * count
    positions = height * width
    columns = channels * positions
    pad = positions + 2 * width + 2
    seen = filled(4, 0, np.int64)
    seen[IS_FIRST] = 1
    return WeightModel(
        engine=new_engine(_CHANNELS + channels + 2 * columns, weights),
        line=filled(columns + pad, 0, np.int32),
        around=filled(columns + pad, 0, np.int32),
        seen=seen,
        column_magnitudes=filled(columns, 0, np.int32),
        skip=filled(columns, 0, np.uint8),
        channels=channels,
        positions=positions,
        width=width,
        pad=pad,
    )


@compiled
def start_row(model: WeightModel) -> None:
    """Forget the row before; what its density is starts from that of all rows."""
    seen, counters = model.seen, model.engine.counters
    for j in range(len(model.line)):
        model.line[j] = 0
        model.around[j] = 0
    seen[_ROW_MAGNITUDE] = seen[_LAST] = seen[_LAST_BUT_ONE] = 0
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
    counters[_CHANNELS + model.channels + j] = counters[_ALL] >> 9 << 9 | 6


@compiled
def _tell_neighbours(model: WeightModel, symbol: int, j: int, k: int) -> None:
    """Add a symbol that is not zero to ``around`` of all whose neighbour it is.

    It is the A of the place to its right, the B of the one below, C below left, D below right, E two to the
    right, F two below, all within the window, and G one channel on. Which of these a place has is in the low
    bits of ``around``; above them are the magnitudes' sums, A's and B's twice. Beyond 255 a magnitude makes
    no difference to their level.
    """
    around, width, positions = model.around, model.width, model.positions
    one = min(abs(symbol), MOST_LEVELLED) << _PATTERN_BITS
    x = k % width
    around[j + positions] += _G
    if x + 1 < width:
        around[j + 1] += 2 * one + _A
        if x + 2 < width:
            around[j + 2] += one + _E
    if k + width < positions:
        around[j + width] += 2 * one + _B
        if x > 0:
            around[j + width - 1] += one + _C
        if x + 1 < width:
            around[j + width + 1] += one + _D
        if k + 2 * width < positions:
            around[j + 2 * width] += one + _F


@compiled
def _sign(symbol: int) -> int:
    """0 for zero, 1 for positive, 2 for negative."""
    return 1 if symbol > 0 else (2 if symbol < 0 else 0)


@compiled
def _way(sign: int) -> int:
    """1 for positive, -1 for negative, of what :func:`_sign` says."""
    return 1 if sign == 1 else (-1 if sign == 2 else 0)


@compiled
def code_significance(model: WeightModel, bit: int, c: int, j: int) -> int:
    """Code whether the weight in column j of channel c is not zero."""
    engine, around = model.engine, model.around[j]
    of_column, of_channel = _CHANNELS + (model.channels + j & MOST), _CHANNELS + (c & MOST)
    column, row, everywhere = stretched(engine, of_column), stretched(engine, _ROW), stretched(engine, _ALL)
    slots = (
        of_column,
        _ROW,
        of_channel,
        _DENSITIES + 16 * density_of(engine, column) + density_of(engine, row),
        _NEIGHBOURS + (around & _PATTERN),
        _LEVELS
        + 16 * (level_of(engine, around >> _PATTERN_BITS) & 15)
        + density_of(engine, column + row - everywhere),
    )
    bit = code_bit(engine, bit, slots, 0, SIGNIFICANCE_PACE)
    if not engine.coder[PEEKS]:
        learn(engine, _ALL, bit, SIGNIFICANCE_PACE)
    return bit


@compiled
def code_nonzero(model: WeightModel, symbol: int, j: int, k: int) -> int:
    """Code magnitude and sign of a weight that is not zero, at position k of its channel."""
    magnitude = _code_magnitude(model, abs(symbol), j)
    return -magnitude if _code_sign(model, 1 if symbol < 0 else 0, j, k, magnitude) else magnitude


@compiled
def remember(model: WeightModel, symbol: int, j: int, k: int) -> None:
    """Note a symbol that is not zero for the contexts of those that follow."""
    seen, magnitude = model.seen, abs(symbol)
    model.line[model.pad + j] = symbol
    _tell_neighbours(model, symbol, j, k)
    bits = 0
    while magnitude >> bits > 1:
        bits += 1
    exact = bits * 256 + ((magnitude << 8 >> bits) & 255) + 128  # log2 of the magnitude in 1/256, and a half
    before = model.column_magnitudes[j]
    model.column_magnitudes[j] = (before * 3 + exact) >> 2 if before else exact
    before = seen[_ROW_MAGNITUDE]
    seen[_ROW_MAGNITUDE] = (before * 7 + exact) >> 3 if before else exact
    seen[_LAST_BUT_ONE] = seen[_LAST]
    seen[_LAST] = symbol


@compiled
def _code_sign(model: WeightModel, bit: int, j: int, k: int, magnitude: int) -> int:
    """Code whether a weight is negative, by the signs of its neighbours; 0 where the window ends."""
    seen, line, width, o = model.seen, model.line, model.width, model.pad + j
    x = k % width
    a = _sign(line[o - 1]) if x > 0 else 0
    e = _sign(line[o - 2]) if x > 1 else 0
    b = c = d = f = 0
    if k >= width:
        b = _sign(line[o - width])
        c = _sign(line[o - width + 1]) if x < width - 1 else 0
        d = _sign(line[o - width - 1]) if x > 0 else 0
        f = _sign(line[o - 2 * width]) if k >= 2 * width else 0
    total = 4 * (_way(a) + _way(b)) + 2 * (_way(c) + _way(d)) + _way(e) + _way(f)
    slots = (
        _CHANNELS + (model.channels * (1 + model.positions) + j & MOST),
        _SIGNS + 27 * a + 9 * b + 3 * c + d,
        _LAST_SIGNS + 24 * _sign(seen[_LAST]) + 8 * _sign(seen[_LAST_BUT_ONE]) + (min(magnitude, 7) & 7),
        _SIGN_SUMS + 16 * (total + 16 & 31) + (level_of(model.engine, magnitude) & 15),
    )
    return code_bit(model.engine, bit, slots, _SIGN_MIXERS + (min(abs(total), 7) & 7), SIGN_PACE)


@compiled
def _code_magnitude(model: WeightModel, magnitude: int, j: int) -> int:
    """Code a magnitude of at least 1 in Elias's gamma code: its number of bits in unary, then the bits."""
    engine, seen = model.engine, model.seen
    by_column = min(model.column_magnitudes[j] >> 6, 31) & 31
    contexts = (
        by_column,
        16 * (min(seen[_ROW_MAGNITUDE] >> 7, 15) & 15) + (by_column >> 1),
        level_of(engine, model.around[j] >> _PATTERN_BITS) & 15,
        level_of(engine, abs(seen[_LAST]) + abs(seen[_LAST_BUT_ONE])) & 15,
    )
    bits = 0
    while bits < _MAX_BITS and _code_node(engine, 1 if magnitude >> (bits + 1) else 0, bits, bits, contexts):
        bits += 1
    prefix = 1
    for rest in range(bits - 1, -1, -1):
        node = 32 + 8 * bits + prefix if prefix < 8 else 280 + rest
        prefix = 2 * prefix + _code_node(engine, magnitude >> rest & 1, node, 32 + bits, contexts)
    return prefix


@compiled
def _code_node(engine: Engine, bit: int, node: int, mixer: int, contexts: tuple[int, int, int, int]) -> int:
    """Code one bit of a magnitude; a counter that is new starts from what the node has seen everywhere."""
    counters = engine.counters
    node &= MOST
    slots = (
        _NODES + node,
        _BY_COLUMN + 32 * node + contexts[0],
        _BY_BOTH + 256 * node + contexts[1],
        _BY_NEIGHBOURS + 16 * node + contexts[2],
        _BY_LAST + 16 * node + contexts[3],
    )
    for k in range(1, 5):
        if counters[slots[k]] == HALF:
            counters[slots[k]] = counters[slots[0]] >> 9 << 9 | 2
    return code_bit(engine, bit, slots, _MAGNITUDE_MIXERS + (mixer & MOST), MAGNITUDE_PACE)
