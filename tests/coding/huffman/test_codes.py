import heapq
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesqueeze.coding.huffman.codes import (
    MAX_LENGTH,
    canonical_codes,
    code_lengths,
    decode_lengths,
    encode_lengths,
    lookup_table,
)
from edgesqueeze.errors import CodecError, CorruptFileError

_frequencies = st.lists(st.integers(0, 10_000), min_size=1, max_size=300).filter(any)


def _huffman_cost(frequencies):
    """Total bits of an unlimited Huffman code: the sum of all merged weights."""
    heap = [f for f in frequencies if f]
    heapq.heapify(heap)
    cost = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        cost += merged
        heapq.heappush(heap, merged)
    return cost


def _cost(frequencies, lengths):
    return sum(f * int(n) for f, n in zip(frequencies, lengths, strict=False))


@given(_frequencies)
def test_as_good_as_huffman_where_the_limit_does_not_bind(frequencies):
    # Depth d needs a total of at least Fibonacci(d + 2), so 10,000 × 300 cannot force more than 31 levels.
    lengths = code_lengths(np.array(frequencies), limit=31)
    assert _cost(frequencies, lengths) == _huffman_cost(frequencies)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=5), st.integers(3, 4))
def test_optimal_among_all_codes_under_the_limit(frequencies, limit):
    codes = product(range(1, limit + 1), repeat=len(frequencies))
    prefix_codes = (code for code in codes if sum(2.0**-n for n in code) <= 1)
    best = min(_cost(frequencies, code) for code in prefix_codes)
    assert _cost(frequencies, code_lengths(np.array(frequencies), limit)) == best


def test_the_limit_binds_on_fibonacci_frequencies():
    frequencies = [1, 1]
    while len(frequencies) < 30:
        frequencies.append(frequencies[-1] + frequencies[-2])
    lengths = code_lengths(np.array(frequencies))
    assert lengths.max() == MAX_LENGTH
    assert (2.0 ** -lengths.astype(float)).sum() == 1
    assert _cost(frequencies, lengths) > _huffman_cost(frequencies)


@given(_frequencies)
def test_codes_are_complete_and_prefix_free(frequencies):
    lengths = code_lengths(np.array(frequencies))
    used = [i for i, f in enumerate(frequencies) if f]
    assert len(lengths) == used[-1] + 1
    if len(used) == 1:
        assert not lengths.any()
        return
    assert sum(2.0 ** -int(lengths[i]) for i in used) == 1
    assert all(lengths[i] == 0 for i in range(len(lengths)) if not frequencies[i])
    codes = canonical_codes(lengths)
    words = sorted(f"{codes[i]:0{lengths[i]}b}" for i in used)
    assert not any(b.startswith(a) for a, b in pairwise(words))


def test_canonical_order_is_by_length_then_symbol():
    lengths = np.array([3, 1, 0, 3, 2], np.uint8)
    assert canonical_codes(lengths).tolist() == [0b110, 0b0, 0, 0b111, 0b10]
    table = lookup_table(lengths)
    assert (table >> 4).tolist() == [1, 1, 1, 1, 4, 4, 0, 3]
    assert (table & 15).tolist() == [1, 1, 1, 1, 2, 2, 3, 3]


@given(_frequencies)
def test_descriptions_come_back(frequencies):
    lengths = code_lengths(np.array(frequencies))
    data = encode_lengths(lengths)
    decoded, num_bytes = decode_lengths(memoryview(data + b"more"), len(lengths))
    np.testing.assert_array_equal(decoded, lengths)
    assert num_bytes == len(data)


def test_full_alphabets():
    assert set(code_lengths(np.ones(1 << 15, int))) == {15}
    with pytest.raises(CodecError, match="32769 symbols"):
        code_lengths(np.ones((1 << 15) + 1, int))
    with pytest.raises(CodecError, match="0 symbols"):
        code_lengths(np.zeros(4, int))


def test_descriptions_of_smooth_histograms_take_about_two_bits_per_symbol():
    frequencies = (1e6 * 0.97 ** np.arange(256)).astype(int)
    lengths = code_lengths(frequencies)
    assert len(encode_lengths(lengths)) <= 256 * 2 / 8


@settings(max_examples=500)
@given(st.binary(min_size=1, max_size=20), st.integers(1, 60))
def test_arbitrary_descriptions_are_a_complete_code_or_refused(data, count):
    try:
        lengths, _ = decode_lengths(memoryview(data), count)
    except CorruptFileError:
        return
    assert not lengths.any() or sum(2.0 ** -int(n) for n in lengths if n) == 1


@pytest.mark.parametrize("count", [0, (1 << 15) + 1])
def test_alphabets_have_a_size(count):
    with pytest.raises(CorruptFileError, match="symbols"):
        decode_lengths(memoryview(bytes(10_000)), count)
