import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgesqueeze.coding.huffman.tensors import (
    DENSE_CODEBOOK,
    RAW,
    SPARSE,
    SPARSE_CODEBOOK,
    decode_tensor,
    encode_tensor,
    parse_tensor,
)
from edgesqueeze.errors import CodecError, CorruptFileError

_any_bits = st.integers(0, (1 << 32) - 1)
_awkward = st.sampled_from([0, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF, 1])
_shapes = hnp.array_shapes(min_dims=1, max_dims=4, max_side=12)


def _sparse(num, density, num_values=None, seed=0):
    rng = np.random.default_rng(seed)
    tensor = np.zeros(num, np.float32)
    kept = rng.random(num) < density
    values = rng.normal(size=num).astype(np.float32)
    if num_values is not None:
        values = values[rng.integers(0, min(num_values, num), num)]
    tensor[kept] = values[kept]
    return tensor


def _check(tensor, index_bits=None):
    payload = encode_tensor(tensor, index_bits)
    decoded = decode_tensor(payload, tensor.shape)
    assert decoded.dtype == np.float32
    assert decoded.shape == tensor.shape
    assert decoded.tobytes() == np.ascontiguousarray(tensor).tobytes()
    assert len(payload) <= 1 + 4 * tensor.size
    return payload


@given(hnp.arrays(np.uint32, _shapes, elements=st.one_of(_any_bits, _awkward, st.just(0))))
def test_every_bit_pattern_comes_back(patterns):
    _check(patterns.view(np.float32))


@given(
    st.integers(1, 3000),
    st.floats(0, 1),
    st.integers(1, 40),
    st.one_of(st.none(), st.integers(2, 12)),
    st.integers(0, 99),
)
def test_every_density_comes_back(num, density, num_values, index_bits, seed):
    _check(_sparse(num, density, num_values, seed), index_bits)


def test_negative_zero_is_a_value_of_its_own():
    tensor = np.zeros(1000, np.float32)
    tensor[[3, 500]] = -0.0
    decoded = decode_tensor(_check(tensor), tensor.shape)
    assert np.signbit(decoded).sum() == 2


@pytest.mark.parametrize(
    ("tensor", "encoding"),
    [
        (_sparse(5000, 1.0), RAW),
        (_sparse(5000, 0.1), SPARSE),
        (_sparse(5000, 0.1, 16), SPARSE_CODEBOOK),
        (_sparse(5000, 1.0, 16), DENSE_CODEBOOK),
        (np.full(5000, 0.25, np.float32), DENSE_CODEBOOK),
        (np.zeros(5000, np.float32), SPARSE),
    ],
)
def test_the_fitting_encoding_is_found(tensor, encoding):
    assert _check(tensor)[0] & 15 == encoding


def test_trivial_tensors_take_a_few_bytes():
    assert len(_check(np.zeros((512, 512), np.float32))) == 2
    assert len(_check(np.full((512, 512), 3.5, np.float32))) == 7


@pytest.mark.parametrize("density", [0.003, 0.02, 0.08, 0.3])
def test_the_best_r_is_the_best_of_all(density):
    tensor = _sparse(60_000, density, 32)
    sizes = {r: len(encode_tensor(tensor, r)) for r in range(2, 13)}
    best = encode_tensor(tensor)
    assert best[0] & 15 == SPARSE_CODEBOOK
    assert len(best) == min(sizes.values()) == sizes[best[0] >> 4]


@pytest.mark.parametrize("index_bits", range(2, 13))
def test_a_given_r_is_used(index_bits):
    payload = _check(_sparse(20_000, 0.05, 16), index_bits)
    assert payload[0] >> 4 == index_bits


def test_more_values_than_codes_need_no_codebook():
    tensor = np.arange(1, 40_001, dtype=np.float32)
    assert _check(tensor)[0] == RAW
    assert _check(np.repeat(tensor[:32_768], 8))[0] == DENSE_CODEBOOK
    assert _check(np.repeat(tensor, 8))[0] == RAW


def test_streams_are_within_a_bit_per_symbol_of_their_entropy():
    tensor = _sparse(100_000, 0.08, 32)
    coded = parse_tensor(encode_tensor(tensor), tensor.size)
    assert coded.num_nonzero == np.count_nonzero(tensor)
    for stream in (coded.gaps, coded.indices):
        assert stream.entropy_bits <= stream.payload_bits <= stream.entropy_bits + len(stream.symbols)


def test_byte_order_and_strides_of_the_array_do_not_matter():
    tensor = _sparse(600, 0.2, 4).reshape(20, 30)
    assert encode_tensor(tensor.T) == encode_tensor(np.ascontiguousarray(tensor.T))


@pytest.mark.parametrize(
    ("tensor", "index_bits"),
    [
        (np.zeros(3), None),
        (np.zeros(0, np.float32), None),
        (np.zeros(3, np.float32), 1),
        (np.zeros(3, np.float32), 13),
    ],
)
def test_bad_requests_are_refused(tensor, index_bits):
    with pytest.raises(CodecError):
        encode_tensor(tensor, index_bits)


@pytest.mark.parametrize("head", [4, 15, 0x10, 0x23, 0x01, 0x11, 0xD2])
def test_unknown_encodings_are_refused(head):
    with pytest.raises(CorruptFileError, match="unknown tensor encoding"):
        parse_tensor(bytes([head]) + bytes(40), 10)


def test_payloads_of_another_size_are_refused():
    for tensor in (_sparse(500, 1.0), _sparse(500, 0.1), _sparse(500, 0.1, 8), _sparse(500, 1.0, 8)):
        payload = encode_tensor(tensor)
        last = int(np.flatnonzero(tensor)[-1])
        for wrong in (payload + b"\x00", payload[:-1], b""):
            with pytest.raises(CorruptFileError):
                decode_tensor(wrong, (500,))
        with pytest.raises(CorruptFileError):
            decode_tensor(payload, (last,))


@settings(max_examples=500)
@given(st.sampled_from([0, 1, 2, 3]), st.integers(2, 12), st.binary(max_size=50), st.integers(1, 200))
def test_arbitrary_payloads_decode_or_are_refused(encoding, index_bits, data, num_weights):
    head = encoding | (index_bits << 4 if encoding in (SPARSE, SPARSE_CODEBOOK) else 0)
    try:
        decoded = decode_tensor(bytes([head]) + data, (num_weights,))
    except CorruptFileError:
        return
    assert decoded.shape == (num_weights,)
