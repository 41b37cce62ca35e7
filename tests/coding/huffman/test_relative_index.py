import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesqueeze.coding.huffman.relative_index import (
    decode_gaps,
    encode_gaps,
    gaps_between,
    symbol_frequencies,
)
from edgesqueeze.errors import CorruptFileError

_positions = st.sets(st.integers(0, 20_000), max_size=60).map(lambda s: np.array(sorted(s), np.int64))


@given(_positions, st.integers(2, 12))
def test_positions_come_back_for_every_r(positions, index_bits):
    gaps = gaps_between(positions)
    symbols = encode_gaps(gaps, index_bits)
    np.testing.assert_array_equal(decode_gaps(symbols, index_bits, 20_001), positions)
    escapes = symbols == (1 << index_bits) - 1
    assert (~escapes).sum() == len(positions)
    np.testing.assert_array_equal(
        symbol_frequencies(gaps, np.ones_like(gaps), index_bits),
        np.bincount(symbols, minlength=1 << index_bits),
    )


def test_the_escape_skips_zeros_and_carries_no_weight():
    # r = 3: gaps up to 6 are themselves, 7 is the escape for seven zeros.
    assert encode_gaps(np.array([0, 6, 7, 13, 14, 1]), 3).tolist() == [0, 6, 7, 0, 7, 6, 7, 7, 0, 1]


@pytest.mark.parametrize("symbols", [[5], [0, 0, 0, 0, 0, 0], [3, 3, 3], [1, 3], [3, 2]])
def test_positions_outside_the_tensor_are_refused(symbols):
    with pytest.raises(CorruptFileError):
        decode_gaps(np.array(symbols, np.uint16), 2, 5)


def test_no_weights():
    assert len(encode_gaps(np.zeros(0, np.int64), 4)) == 0
    assert len(decode_gaps(np.zeros(0, np.uint16), 4, 10)) == 0
