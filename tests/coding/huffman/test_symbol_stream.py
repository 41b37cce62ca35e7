import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesqueeze.coding.byte_reader import ByteReader
from edgesqueeze.coding.huffman.symbol_stream import (
    CHUNK_SYMBOLS,
    decode_stream,
    encode_stream,
    stream_size_bound,
)
from edgesqueeze.errors import CorruptFileError


def _round_trip(symbols):
    alphabet, data = encode_stream(symbols)
    reader = ByteReader(data + b"tail")
    stream = decode_stream(reader, alphabet, len(symbols))
    np.testing.assert_array_equal(stream.symbols, symbols)
    assert reader.remaining == 4
    assert stream.table_bytes + stream.chunk_bytes + stream.payload_bytes == len(data)
    assert stream_size_bound(np.bincount(symbols)) <= len(data)
    return stream, data


@given(st.lists(st.integers(0, 60), min_size=1, max_size=300))
def test_short_streams_come_back(symbols):
    _round_trip(np.array(symbols))


@pytest.mark.parametrize("count", [1, 2, CHUNK_SYMBOLS - 1, CHUNK_SYMBOLS, CHUNK_SYMBOLS + 1, 50_000])
@pytest.mark.parametrize("alphabet", [1, 2, 3, 40, 4096, 32768])
def test_any_length_and_alphabet(count, alphabet):
    rng = np.random.default_rng(count + alphabet)
    skewed = rng.exponential(alphabet / 6, count).astype(int)
    stream, _ = _round_trip(np.minimum(skewed, alphabet - 1))
    assert stream.payload_bits >= stream.entropy_bits - 1e-6
    assert stream.payload_bits < stream.entropy_bits + count


def test_one_symbol_takes_no_bits():
    stream, data = _round_trip(np.full(100_000, 7))
    assert data == b"\x00"
    assert stream.entropy_bits == 0


def test_two_symbols_take_one_bit_each():
    stream, _ = _round_trip(np.array([3, 900] * 500))
    assert stream.payload_bits == 1000


def test_a_geometric_source_is_within_a_tenth_of_a_bit():
    symbols = np.random.default_rng(0).geometric(0.08, 200_000) - 1
    stream, data = _round_trip(symbols)
    assert stream.payload_bits < stream.entropy_bits + 0.1 * len(symbols)
    assert stream.chunk_bytes < 0.002 * len(data)


def test_claims_beyond_the_data_are_refused_before_anything_is_allocated():
    alphabet, data = encode_stream(np.array([0, 1, 1, 2] * 10))
    for count in (1000, 1 << 28):
        with pytest.raises(CorruptFileError, match="claimed"):
            decode_stream(ByteReader(data), alphabet, count)


def test_chunks_must_meet():
    symbols = np.random.default_rng(1).integers(0, 5, 3 * CHUNK_SYMBOLS)
    alphabet, data = encode_stream(symbols)
    for count in (len(symbols) - 1, len(symbols) - CHUNK_SYMBOLS):
        with pytest.raises(CorruptFileError):
            decode_stream(ByteReader(data), alphabet, count)


@settings(max_examples=300)
@given(st.binary(max_size=60), st.integers(0, 40), st.integers(1, 300))
def test_arbitrary_bytes_decode_or_are_refused(data, alphabet, count):
    try:
        stream = decode_stream(ByteReader(data), alphabet, count)
    except CorruptFileError:
        return
    assert len(stream.symbols) == count
    assert stream.symbols.max() < alphabet


def test_padding_that_is_not_zero_is_refused():
    alphabet, data = encode_stream(np.array([0, 1, 1, 2, 1]))  # 7 bits of codes
    with pytest.raises(CorruptFileError, match="padding"):
        decode_stream(ByteReader(data[:-1] + bytes([data[-1] | 1])), alphabet, 5)
