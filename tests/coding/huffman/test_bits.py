import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesqueeze.coding.byte_reader import ByteReader, encode_varint, unzigzag, zigzag
from edgesqueeze.coding.huffman.bits import _BLOCK, BitReader, pack_codes
from edgesqueeze.errors import CorruptFileError

_codes = st.integers(0, 16).flatmap(lambda n: st.tuples(st.integers(0, (1 << n) - 1), st.just(n)))


@given(st.lists(_codes, max_size=200))
def test_packed_codes_are_their_binary_digits(pairs):
    digits = "".join(f"{code:0{n}b}" for code, n in pairs if n)
    digits += "0" * (-len(digits) % 8)
    codes = np.array([code for code, _ in pairs], np.uint16)
    packed = pack_codes(codes, np.array([n for _, n in pairs], np.uint8))
    assert packed == bytes(int(digits[i : i + 8], 2) for i in range(0, len(digits), 8))


@given(st.lists(_codes, max_size=100))
def test_reading_gives_the_codes_back(pairs):
    packed = pack_codes(np.array([c for c, _ in pairs], np.uint16), np.array([n for _, n in pairs], np.uint8))
    reader = BitReader(packed)
    assert [reader.take(n) for _, n in pairs] == [code for code, _ in pairs]
    assert reader.finish() == len(packed)


def test_blocks_join_without_a_seam():
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 5, _BLOCK + 1000).astype(np.uint8)
    codes = rng.integers(0, 1 << 16, len(lengths)) & ((1 << lengths.astype(np.int64)) - 1)
    packed = np.unpackbits(np.frombuffer(pack_codes(codes, lengths), np.uint8))
    digits = (codes[:, None] >> np.arange(3, -1, -1)) & 1
    expected = digits[np.arange(3, -1, -1) < lengths[:, None]]
    np.testing.assert_array_equal(packed[: len(expected)], expected)
    assert not packed[len(expected) :].any()


def test_reading_past_the_end_is_refused():
    reader = BitReader(b"\xff")
    assert reader.take(5) == 31
    with pytest.raises(CorruptFileError, match="end before"):
        reader.take(4)
    with pytest.raises(CorruptFileError, match="padding"):
        reader.finish()


@given(st.integers(0, (1 << 32) - 1))
def test_varints_come_back(value):
    reader = ByteReader(encode_varint(value) + b"rest")
    assert reader.varint() == value
    assert bytes(reader.take(4)) == b"rest"


@pytest.mark.parametrize(
    "data", [b"", b"\x80", b"\x80\x00", b"\xff\xff\xff\xff\x1f", b"\x80\x80\x80\x80\x80\x01", b"\xff" * 9]
)
def test_long_or_cut_varints_are_refused(data):
    with pytest.raises(CorruptFileError):
        ByteReader(data).varint()


@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_varints_have_a_range(value):
    with pytest.raises(ValueError, match="varint"):
        encode_varint(value)


@given(st.integers(-(1 << 30), 1 << 30))
def test_zigzag_comes_back(value):
    assert zigzag(value) >= 0
    assert unzigzag(zigzag(value)) == value


def test_left_over_bytes_are_refused():
    reader = ByteReader(b"abc")
    reader.take(1)
    with pytest.raises(CorruptFileError, match="2 unexpected bytes"):
        reader.finish("the letter")
    with pytest.raises(CorruptFileError, match="3 bytes wanted"):
        reader.take(3)
