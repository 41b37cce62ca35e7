import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesqueeze.coding.engine import (
    MAX_INPUTS,
    POSITION,
    PRICE_BITS,
    PRICES,
    SIGN_PACE,
    STRETCH,
    TABLES,
    code_bit,
    encoded,
    finish_decoding,
    new_engine,
    overrun,
    start_decoding,
    start_encoding,
)
from edgesqueeze.errors import CorruptFileError


def _new():
    return new_engine(4, [30000] * 2 + [0] * (MAX_INPUTS - 2))


def _code(engine, bits):
    coded = []
    for i, bit in enumerate(bits):
        coded.append(code_bit(engine, bit, (i % 2, 2 + (i // 3) % 2), 0, SIGN_PACE))
    return coded


def _encode(bits):
    engine = start_encoding(_new(), 16 * len(bits) + 16)
    _code(engine, bits)
    return encoded(engine)


def test_squash_is_the_logistic_function():
    x = np.arange(-2816, 2816)
    exact = 65536 / (1 + np.exp(-x / 256))
    assert np.abs(np.array(TABLES[:STRETCH]) - exact).max() < 1.01


def test_stretch_is_the_inverse_of_squash():
    probabilities = (np.arange(4096) + 0.5) / 4096
    exact = 256 * np.log(probabilities / (1 - probabilities))
    assert np.abs(np.array(TABLES[STRETCH : STRETCH + 4096]) - exact)[8:-8].max() < 1.5


def test_prices_are_logarithms():
    exact = [-math.log2((i + 0.5) / 4096) * (1 << PRICE_BITS) for i in range(4096)]
    assert np.abs(np.array(TABLES[PRICES : PRICES + 4096]) - exact).max() <= 1.01


@given(st.lists(st.integers(0, 1), max_size=400))
def test_bits_come_back(bits):
    stream = _encode(bits)
    engine = start_decoding(_new(), stream)
    assert _code(engine, [0] * len(bits)) == bits
    assert not overrun(engine)
    finish_decoding(engine)


@pytest.mark.parametrize("ones", [0.003, 0.1, 0.5, 0.97])
def test_a_stream_is_as_long_as_its_entropy(ones):
    bits = (np.random.default_rng(3).random(20000) < ones).astype(int).tolist()
    share = sum(bits) / len(bits)
    entropy = -share * math.log2(share) - (1 - share) * math.log2(1 - share)
    num_bits = 8 * len(_encode(bits))
    assert entropy * len(bits) * 0.98 < num_bits < entropy * len(bits) * 1.02 + 200


def test_what_does_not_end_as_written_is_refused():
    bits = np.random.default_rng(0).integers(0, 2, 300).tolist()
    stream = _encode(bits)
    for wrong in (stream + b"\0", stream[:-5]):
        engine = start_decoding(_new(), wrong)
        _code(engine, [0] * len(bits))
        with pytest.raises(CorruptFileError, match="does not end where its last bit does"):
            finish_decoding(engine)


def test_running_past_the_end_is_noticed():
    engine = start_decoding(_new(), b"\x12\x34")
    _code(engine, [0] * 200)
    assert overrun(engine)


def test_a_full_buffer_is_reported_and_the_need_counted():
    bits = np.random.default_rng(0).integers(0, 2, 300).tolist()
    engine = start_encoding(_new(), 5)
    _code(engine, bits)
    assert encoded(engine) is None
    assert len(_encode(bits)) - 4 <= engine.coder[POSITION] <= len(_encode(bits))
