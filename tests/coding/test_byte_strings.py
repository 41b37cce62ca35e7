import json
import lzma
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesqueeze.coding.byte_strings import MAX_BYTES, decode_bytes, encode_bytes
from edgesqueeze.errors import CodecError, CorruptFileError


def _structure():
    """Rows of a network's structure as JSON, and the offset tables of a flat buffer behind it."""
    rows = [
        [i % 4, f"features.{i}.expand{k}x{k}", 1, 16 * (1 + i // 3), k, k, 1, 1]
        for i in range(40)
        for k in (1, 3)
    ]
    text = json.dumps(rows, separators=(",", ":")).encode()
    words = []
    for i in range(150):
        words += [2**32 - 24 - 28 * i, 12, 0x01000000, i, 64 + i // 3, 7 * i]
    return text + b"\0" * (-len(text) % 4) + np.array(words, "<u4").tobytes()


@settings(max_examples=40)
@given(st.one_of(st.binary(max_size=600), st.text("abc.01", max_size=600).map(str.encode)))
def test_every_string_comes_back(data):
    assert decode_bytes(encode_bytes(data)) == data


def test_structure_is_much_smaller_than_zlib_and_xz_make_it():
    data = _structure()
    payload = encode_bytes(data)
    assert decode_bytes(payload) == data
    xz = lzma.compress(
        data, format=lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME}]
    )
    assert len(payload) < 0.8 * len(xz)
    assert len(payload) < 0.6 * len(zlib.compress(data, 9))


def test_noise_hardly_grows_and_repetition_vanishes():
    noise = np.random.default_rng(0).bytes(2000)
    assert len(encode_bytes(noise)) < 2080
    assert len(encode_bytes(noise + noise)) < len(encode_bytes(noise)) + 120
    assert len(encode_bytes(bytes(20_000))) < 40


def test_the_empty_string_is_one_byte():
    assert encode_bytes(b"") == b"\0"
    assert decode_bytes(b"\0") == b""


def test_what_is_too_long_is_refused():
    with pytest.raises(CodecError, match="16777217 bytes to code"):
        encode_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(CorruptFileError, match="a string of 500 bytes; allowed are 499"):
        decode_bytes(encode_bytes(bytes(500)), 499)
    with pytest.raises(CorruptFileError, match="allowed are 16777216"):
        decode_bytes(b"\xff\xff\xff\xff\x0f", 1 << 30)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "bytes wanted"),
        (b"\0a", "an empty string is followed by 1"),
        (
            b"\xf4\3\x12\x34" + bytes(range(60)),
            "ends before its string of 500 does|does not end where its last bit does",
        ),
        (encode_bytes(b"features") + b"\0", "does not end where its last bit does"),
    ],
)
def test_corrupt_payloads_are_refused(payload, message):
    with pytest.raises(CorruptFileError, match=message):
        decode_bytes(payload)


def test_mutations_raise_only_corrupt_file_errors():
    payload = encode_bytes(_structure()[:2000])
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(200):
        wrong = bytearray(payload[: rng.integers(1, len(payload) + 1)])
        wrong[rng.integers(len(wrong))] ^= 1 << rng.integers(8)
        try:
            decode_bytes(bytes(wrong), 4000)
        except CorruptFileError:
            refused += 1
    assert refused > 180
