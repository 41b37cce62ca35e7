"""The adaptive binary coder under everything in docs/coder.md: counters, a mixer, and a range coder.

One function, :func:`code_bit`, encodes, decodes or prices one bit, so that encoder and decoder cannot
disagree. It knows integers only: the same bits come out on every machine, compiled or not. The parts are
those of lpaq (Mahoney 2007): adaptive probabilities, mixed in the logistic domain by a weighted sum that
learns from every bit, and a carry-less 32-bit range coder.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from edgesqueeze.coding.compiled import Integers, compiled, filled, from_array, integers
from edgesqueeze.errors import CorruptFileError

Purpose = tuple[int, ...]
DECODE, ENCODE, PRICE = (0,), (0, 0), (0, 0, 0)
"""What :func:`code_bit` does with a bit: read, write, or add up its price. The length tells, which is part of
a tuple's type, so that each purpose has machine code of its own, without a question on the way."""
LOW, HIGH, CODE, POSITION, PEEKS, PRICED, END = range(7)
"""Places in ``Engine.coder``: the interval, the decoder's 32 bits, the next byte, whether pricing leaves all
as it was, the price of all bits so far, the number of bytes."""
HALF = 1 << 30
"""A counter that has seen nothing: probability 1/2, count 0."""
MAX_INPUTS = 12
"""Weights per mixer: up to eleven counters and the bias."""
PRICE_BITS = 12
"""Prices are in units of 2⁻¹² bit."""
_REACH = 2816  # ±11 in units of 1/256: probabilities down to 2⁻¹⁶
STRETCH = 2 * _REACH
PRICES = STRETCH + 4096
SIGNIFICANCE_PACE, SIGN_PACE, MAGNITUDE_PACE, BYTE_PACE = (PRICES + 4096 + 768 * group for group in range(4))
"""Where the rates of each group of bits are: 256 of its mixers by age / 16, 512 of its counters by count."""
COUNTED = PRICES + 4096 + 768 * 4
"""Where it stands by how much a count grows: 1, but for the last of 512."""
_PACES = ((18, 300, 30, 511), (100, 300, 30, 511), (110, 0, 30, 511), (100, 300, 11, 127))
"""What mixers learn at in the end, and more at first; counters at 10 / (10 count + third), up to the last."""
LEVELS = COUNTED + 512
"""Where the levels of numbers up to ``MOST_LEVELLED`` are: 0 to 3, then two a doubling, at most 15."""
MOST_LEVELLED = 255
_STEEPEST = 128
DENSITIES = LEVELS + MOST_LEVELLED + 1 + _STEEPEST
"""Where the sixteen steps of half a nat are that logits / 128 fall into, of zero; from -6 on."""
_MASK = (1 << 32) - 1


class Engine(NamedTuple):
    """All that changes while bits are coded, and the tables that do not. Arrays, or lists without numba."""

    tables: Integers
    counters: Integers
    weights: Integers
    uses: Integers
    coder: Integers
    buffer: Integers
    purpose: Purpose


def _make_tables() -> list[int]:
    """Squash, stretch, prices, and the rates of mixers and counters, from integers alone."""
    decay = [1 << 30]  # e^(-i/256) in 2⁻³⁰
    for _ in range(_REACH):
        decay.append(decay[-1] * 1069555701 >> 30)
    squash = []
    for x in range(-_REACH, _REACH):
        tail = decay[abs(x)]
        share = ((1 << 30) if x >= 0 else tail) * 65536 // ((1 << 30) + tail)
        squash.append(min(max(share, 1), 65535))
    stretch, x = [], 0
    for probability in range(4096):
        while x < 2 * _REACH - 1 and squash[x] < 16 * probability + 8:
            x += 1
        stretch.append(x - _REACH)
    prices = [_minus_log2(2 * index + 1) for index in range(4096)]
    tables = squash + stretch + prices
    for final, extra, first, last in _PACES:
        tables += [final + extra * 8 // (8 + age) for age in range(256)]
        tables += [655360 // (10 * min(count, last) + first) for count in range(512)]
    tables += [1] * 511 + [0]
    tables += [_level(number) for number in range(MOST_LEVELLED + 1)]
    return tables + [min(max(eighth + 12, 0), 15) for eighth in range(-_STEEPEST, _STEEPEST)]


def _level(number: int) -> int:
    halvings = max(number.bit_length() - 2, 0)
    return min(2 * halvings + (number >> halvings), 15)


def _minus_log2(share: int) -> int:
    """-log2(share / 2¹³) in units of 2⁻¹², by squaring; ``share`` is odd and below 2¹³."""
    whole = share.bit_length() - 1
    mantissa, result = share << (30 - whole), 0
    for _ in range(PRICE_BITS):
        mantissa = mantissa * mantissa >> 30
        result <<= 1
        if mantissa >> 31:
            mantissa >>= 1
            result += 1
    return ((13 - whole) << PRICE_BITS) - result


TABLES = integers(_make_tables(), np.int32)


def new_engine(num_counters: int, weights: list[int]) -> Engine:
    """An engine that has coded nothing yet, and prices bits until it is told to encode or decode.

    Args:
        num_counters: how many counters the model uses.
        weights: the first weights of all mixers, MAX_INPUTS for each, in 2⁻¹⁶.
    """
    return Engine(
        tables=TABLES,
        counters=filled(num_counters, HALF, np.int32),
        weights=integers(weights, np.int64),
        uses=filled(len(weights) // MAX_INPUTS, 0, np.int64),
        coder=integers([0, _MASK, 0, 0, 0, 0, 0], np.int64),
        buffer=filled(1, 0, np.uint8),
        purpose=PRICE,
    )


def start_encoding(engine: Engine, capacity: int) -> Engine:
    """The same engine, writing to a new buffer. Bytes beyond ``capacity`` are counted but not kept."""
    engine.coder[END] = capacity
    return engine._replace(buffer=filled(capacity, 0, np.uint8), purpose=ENCODE)


def encoded(engine: Engine) -> bytes | None:
    """What was written, ended with the fewest bytes that the interval needs; None if it did not fit."""
    position = int(engine.coder[POSITION])
    if position > engine.coder[END]:
        return None
    return bytes(engine.buffer[:position]) + _tail(engine)


def start_decoding(engine: Engine, data: bytes | memoryview) -> Engine:
    """The same engine, reading ``data``; behind its end it reads zeros."""
    coder = engine.coder
    coder[END], coder[POSITION] = len(data), 4
    coder[CODE] = int.from_bytes(bytes(data[:4]).ljust(4, b"\0"), "big")
    return engine._replace(buffer=from_array(np.frombuffer(data, np.uint8).copy()), purpose=DECODE)


def finish_decoding(engine: Engine) -> None:
    """Check that the data ended exactly where the encoder ended them.

    Raises:
        CorruptFileError: they are cut, are followed by something, or were no output of the encoder.
    """
    tail = _tail(engine)
    position, end = int(engine.coder[POSITION]) - 4, int(engine.coder[END])
    if position + len(tail) != end or bytes(engine.buffer[position:end]) != tail:
        raise CorruptFileError(f"a coded stream of {end} bytes does not end where its last bit does")


def _tail(engine: Engine) -> bytes:
    """The shortest bytes which, followed by zeros, lie in the interval."""
    low, high = int(engine.coder[LOW]), int(engine.coder[HIGH])
    for num_bytes in range(5):
        rest = (1 << (32 - 8 * num_bytes)) - 1
        value = (low + rest) & ~rest
        if value <= high:
            return value.to_bytes(4, "big")[:num_bytes] if num_bytes else b""
    raise AssertionError("low itself lies in the interval")


@compiled
def is_decoding(engine: Engine) -> bool:
    """Whether bits are read."""
    return len(engine.purpose) == len(DECODE)


@compiled
def stretched(engine: Engine, slot: int) -> int:
    """The logit of a counter's probability, in 1/256."""
    return engine.tables[STRETCH + (engine.counters[slot] >> 19 & 4095)]


@compiled
def level_of(engine: Engine, number: int) -> int:
    """The level of a number that is not negative, 0 to 15."""
    return engine.tables[LEVELS + (min(number, MOST_LEVELLED) & MOST_LEVELLED)]


@compiled
def density_of(engine: Engine, logit: int) -> int:
    """A logit, or a sum of three, in sixteen steps of half a nat, from -6 on."""
    return engine.tables[DENSITIES + (logit >> 7) & 65535]


@compiled
def code_bit(engine: Engine, bit: int, slots: Sequence[int] | Integers, mixer: int, pace: int) -> int:
    """Code one bit with the counters in ``slots``, at most eleven; returns it.

    Args:
        engine: whose counters and weights learn from the bit.
        bit: 0 or 1; what it is does not matter when decoding.
        slots: the places of the counters: a tuple, which compiles to registers, or an array.
        mixer: which weights mix them.
        pace: where in the tables the rates of this group of bits start.
    """
    tables, weights = engine.tables, engine.weights
    first, count = mixer * MAX_INPUTS, len(slots)
    total = 256 * weights[first + count]  # the bias
    for k in range(count):
        total += stretched(engine, slots[k]) * weights[first + k]
    total = min(max(total >> 16, -_REACH), _REACH - 1)
    probability = tables[total + _REACH]
    if len(engine.purpose) == len(PRICE):
        engine.coder[PRICED] += tables[PRICES + ((probability if bit else 65536 - probability) >> 4 & 4095)]
        if engine.coder[PEEKS]:
            return bit
    else:
        bit = _code_with(engine, bit, probability)
    used = engine.uses[mixer]
    error = ((bit << 16) - probability) * tables[pace + (used >> 4 & 255)]
    if used < 4095:
        engine.uses[mixer] = used + 1
    for k in range(count):
        weights[first + k] += (stretched(engine, slots[k]) * error + (1 << 21)) >> 22
        learn(engine, slots[k], bit, pace)
    weights[first + count] += (256 * error + (1 << 21)) >> 22
    return bit


@compiled
def learn(engine: Engine, slot: int, bit: int, pace: int) -> None:
    """Move a counter towards a bit, by less the more it has seen."""
    counter = engine.counters[slot]
    count = counter & 511
    moved = (((bit << 22) - bit - (counter >> 9)) * engine.tables[pace + 256 + count]) >> 16
    engine.counters[slot] = counter + (moved << 9) + engine.tables[COUNTED + count]


@compiled
def _code_with(engine: Engine, bit: int, probability: int) -> int:
    """Encode or decode a bit that is 1 with ``probability`` / 65536."""
    coder = engine.coder
    low, high = coder[LOW], coder[HIGH]
    middle = low + ((high - low) * probability >> 16)
    # Each way has a store of its own, so that it stays a branch: what is learned from the bit then goes on
    # from what the processor predicts of it, and does not wait for the bit.
    if (coder[CODE] <= middle) if is_decoding(engine) else (bit == 1):
        coder[HIGH], bit = middle, 1
    else:
        coder[LOW], bit = middle + 1, 0
    low, high = coder[LOW], coder[HIGH]
    while (low ^ high) >> 24 == 0:
        position = coder[POSITION]
        if is_decoding(engine):
            byte = engine.buffer[position] if position < coder[END] else 0
            coder[CODE] = (coder[CODE] << 8 & _MASK) | byte
        elif position < coder[END]:
            engine.buffer[position] = high >> 24
        coder[POSITION] = position + 1
        low = low << 8 & _MASK
        high = (high << 8 & _MASK) | 255
    coder[LOW], coder[HIGH] = low, high
    return bit


@compiled
def overrun(engine: Engine) -> bool:
    """Whether decoding has used more bytes than an encoder can have left out at the end."""
    return is_decoding(engine) and engine.coder[POSITION] > engine.coder[END] + 4
