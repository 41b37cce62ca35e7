import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgesqueeze.coding import symbols as module
from edgesqueeze.coding.byte_reader import ByteReader
from edgesqueeze.coding.symbols import LARGEST, decode_symbols, encode_symbols, price_candidates
from edgesqueeze.errors import CodecError, CorruptFileError

_shapes = hnp.array_shapes(min_dims=1, max_dims=4, max_side=9)
_LENET = Path(__file__).parent.parent / "golden" / "lenet_300_100.symbols"


def _random(shape, density=0.2, scale=3.0, seed=0):
    rng = np.random.default_rng(seed)
    values = np.rint(rng.laplace(scale=scale, size=shape)).astype(np.int32)
    return values * (rng.random(shape) < density).astype(np.int32)


def _check(symbols):
    payload = encode_symbols(symbols)
    decoded = decode_symbols(payload, symbols.shape)
    assert decoded.dtype == np.int32
    assert np.array_equal(decoded, symbols)
    return payload


def _entropy_bytes(symbols):
    counts = np.unique(symbols, return_counts=True)[1]
    return float((counts * np.log2(counts.sum() / counts)).sum()) / 8


def _window(payload):
    reader = ByteReader(payload)
    return reader.varint(), reader.varint()


@settings(max_examples=40)
@given(hnp.arrays(np.int32, _shapes, elements=st.integers(-LARGEST, LARGEST)))
def test_every_integer_comes_back(symbols):
    _check(symbols)


@settings(max_examples=40)
@given(_shapes, st.floats(0, 1), st.sampled_from([0.5, 3.0, 1e3, 1e8]), st.integers(0, 99))
def test_every_density_comes_back(shape, density, scale, seed):
    _check(_random(shape, density, scale, seed))


@pytest.mark.parametrize("extreme", [LARGEST, -LARGEST, 1, 0])
def test_one_value_everywhere(extreme):
    assert len(_check(np.full((7, 11), extreme, np.int32))) < 60


def test_empty_rows_and_columns_cost_next_to_nothing():
    symbols = np.zeros((1000, 1000), np.int32)
    assert len(_check(symbols)) < 30
    full = _random((60, 70), 0.3)
    symbols[::17, ::15][:, :67] = full[:59, :67]
    assert len(_check(symbols)) < len(_check(full)) + 150


def test_read_only_arrays_and_slices_can_be_encoded():
    symbols = _random((8, 12))
    symbols.setflags(write=False)
    _check(symbols)
    _check(symbols[:, ::2])
    _check(symbols.T)


def test_pixels_of_a_flattened_map_are_found():
    rng = np.random.default_rng(1)
    blobs = rng.random((40, 5, 8, 8)) < 0.08
    blobs |= np.roll(blobs, 1, 2) | np.roll(blobs, 1, 3)
    payload = _check(blobs.reshape(40, -1).astype(np.int32))
    assert _window(payload) == (5, 8)
    assert _window(_check(blobs.astype(np.int32))) == (5, 8)


def test_large_tensors_are_cut_in_independent_chunks(monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 1000)
    symbols = _random((50, 70), 0.1)
    payload = _check(symbols)
    reader = ByteReader(payload)
    assert [reader.varint(), reader.varint(), reader.take(1)[0], reader.varint()][3] == 4


def _lenet():
    reader, layers = ByteReader(_LENET.read_bytes()), []
    for shape in ((300, 784), (100, 300), (10, 100)):
        payload = bytes(reader.take(reader.varint()))
        layers.append((payload, decode_symbols(payload, shape)))
    reader.finish("the layers")
    return layers


def test_a_pruned_lenet_300_100_stays_below_its_entropy_and_below_nncodec():
    """k-means ranks of a network pruned on Fashion-MNIST to 8, 9 and 26 %; nncodec 2.1.3 needs 25,823 bytes."""
    layers = _lenet()
    digest = hashlib.sha256(b"".join(symbols.astype("<i4").tobytes() for _, symbols in layers)).hexdigest()
    assert digest == "47e1ca197b2f9686b9703286537bd5e8b6318cb3df9c76369a15e56d4e57ecb5"
    assert [encode_symbols(symbols) for _, symbols in layers] == [payload for payload, _ in layers]
    total = sum(len(payload) for payload, _ in layers)
    assert total < 0.89 * sum(_entropy_bytes(symbols) for _, symbols in layers)
    assert total < 0.95 * 25823


def test_prices_add_up_to_the_stream():
    symbols = _random((60, 90), 0.15)
    prices = price_candidates(
        symbols, np.stack([symbols, np.zeros_like(symbols), np.abs(symbols) + 5], axis=-1)
    )
    assert prices.shape == (60, 90, 3)
    assert prices.dtype == np.float32
    num_bytes = prices[..., 0].sum() / 8
    assert len(encode_symbols(symbols)) == pytest.approx(num_bytes, rel=0.01, abs=8)
    zeros = symbols == 0
    assert np.array_equal(prices[zeros, 0], prices[zeros, 1])
    assert prices[~zeros, 1].mean() < 0.5 < prices[..., 2].min()


def test_what_cannot_be_coded_is_refused():
    for wrong in (np.zeros((2, 2)), np.zeros((0, 3), np.int32), np.array([-(2**31)], np.int32)):
        with pytest.raises(CodecError, match="allowed is int32, at least one"):
            encode_symbols(wrong)
    with pytest.raises(CodecError, match=r"candidates of shape \(3, 2\) for symbols of shape \(2,\)"):
        price_candidates(np.ones(2, np.int32), np.ones((3, 2), np.int32))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "bytes wanted"),
        (b"\0\1\0\1", "0 channels of 1 lines"),
        (b"\3\1\0\1", "3 channels of 1 lines in rows of 4"),
        (b"\1\1\4\1", "flags 0x4"),
        (b"\1\1\0\0", "0 chunks of 3 rows"),
        (b"\1\1\0\4\0\0\0", "4 chunks of 3 rows"),
        (b"\1\1\0\2\5ab", "5 bytes wanted"),
        (b"\1\1\0\1\xff", "ends before its 12 symbols do|does not end"),
    ],
)
def test_corrupt_payloads_are_refused(payload, message):
    with pytest.raises(CorruptFileError, match=message):
        decode_symbols(payload, (3, 4))


def test_mutations_raise_only_corrupt_file_errors():
    symbols = _random((20, 30), 0.3)
    payload = encode_symbols(symbols)
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(300):
        wrong = bytearray(payload[: rng.integers(1, len(payload) + 1)])
        wrong[rng.integers(len(wrong))] ^= 1 << rng.integers(8)
        try:
            assert decode_symbols(bytes(wrong), symbols.shape).shape == symbols.shape
        except CorruptFileError:
            refused += 1
    assert refused > 290
