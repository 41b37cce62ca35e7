import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgesqueeze.coding.huffman.tensors import encode_tensor
from edgesqueeze.coding.levels import (
    MAX_DISTINCT,
    distinct_patterns,
    encode_codebook,
    find_step,
    to_levels,
)
from edgesqueeze.coding.symbols import encode_symbols
from edgesqueeze.coding.weight_tensor import (
    CODEBOOK,
    CODEBOOK_HALF,
    FLOATS,
    GRID,
    GRID_HALF,
    ZEROS,
    decode_weights,
    encode_weights,
)
from edgesqueeze.errors import CodecError, CorruptFileError

_any_bits = st.integers(0, (1 << 32) - 1)
_awkward = st.sampled_from([0, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF, 1])
_shapes = hnp.array_shapes(min_dims=1, max_dims=4, max_side=8)


def _levels(shape=(60, 50), seed=0):
    rng = np.random.default_rng(seed)
    return np.rint(rng.laplace(scale=2, size=shape)).astype(np.int32)


def _shared(values, seed=0, shape=(60, 50)):
    rng = np.random.default_rng(seed)
    picked = values[rng.integers(0, len(values), shape)]
    return np.where(rng.random(shape) < 0.3, picked, np.float32(0))


def _check(tensor):
    payload = encode_weights(tensor)
    decoded = decode_weights(payload, tensor.shape)
    assert decoded.dtype == np.float32
    assert decoded.shape == tensor.shape
    assert decoded.tobytes() == np.ascontiguousarray(tensor).tobytes()
    return payload


@settings(max_examples=40)
@given(hnp.arrays(np.uint32, _shapes, elements=st.one_of(_any_bits, _awkward, st.just(0))))
def test_every_bit_pattern_comes_back(patterns):
    _check(patterns.view(np.float32))


@settings(max_examples=40)
@given(_shapes, st.floats(2.0**-100, 2.0**60, width=32), st.integers(0, 99))
def test_every_grid_comes_back(shape, step, seed):
    _check(np.float32(step) * _levels(shape, seed).astype(np.float32) + np.float32(0))


@settings(max_examples=40)
@given(hnp.arrays(np.float16, st.integers(1, 40)), st.integers(0, 99))
def test_every_codebook_comes_back(values, seed):
    _check(_shared(values.astype(np.float32), seed, (9, 7)))


@pytest.mark.parametrize(
    ("tensor", "kind"),
    [
        (np.zeros((3, 4), np.float32), ZEROS),
        (np.float32(np.float16(0.0123)) * _levels().astype(np.float32) + np.float32(0), GRID_HALF),
        (np.float32(0.0123) * _levels().astype(np.float32) + np.float32(0), GRID),
        (np.float32(0.0123) * _levels().astype(np.float32) * np.float32(3) + np.float32(0), GRID),
        (
            _shared(np.random.default_rng(1).normal(size=31).astype(np.float16).astype(np.float32)),
            CODEBOOK_HALF,
        ),
        (_shared(np.random.default_rng(1).normal(size=31).astype(np.float32)), CODEBOOK),
        (np.random.default_rng(1).normal(size=(40, 30)).astype(np.float32), FLOATS),
    ],
)
def test_the_fitting_kind_is_found_and_no_larger_than_huffman(tensor, kind):
    payload = _check(tensor)
    assert payload[0] == kind
    assert len(payload) < 1.05 * len(encode_tensor(tensor))  # few symbols of even frequency: nothing to learn


def test_negative_zero_is_a_value_of_its_own():
    tensor = np.zeros(1000, np.float32)
    tensor[[3, 500]] = -0.0
    assert np.signbit(decode_weights(_check(tensor), tensor.shape)).sum() == 2


@pytest.mark.parametrize("num_values", [3, 5000, MAX_DISTINCT + 1])
def test_large_tensors_are_searched_like_small_ones(num_values):
    patterns = np.arange(2 * MAX_DISTINCT, dtype=np.uint32) % (num_values + 1) * np.uint32(0x9E3779B1)
    distinct = distinct_patterns(patterns)
    if num_values > MAX_DISTINCT:
        assert distinct is None
        return
    found = np.unique(patterns)[1:]
    assert np.array_equal(np.sort(distinct), found)
    levels = np.arange(1, len(distinct) + 1, dtype=np.int32)
    back = np.concatenate(([0], distinct)).astype(np.uint32)[to_levels(patterns, distinct, levels)]
    assert np.array_equal(back, patterns)


@pytest.mark.parametrize("first", [1, 2, 7, 64])
def test_the_step_is_found_though_the_smallest_value_is_a_multiple(first):
    step = np.float32(0.00731)
    multiples = np.array([-first - 6, -first - 3, first, first + 1, first + 7], np.float32)
    found = find_step((step * multiples).view(np.uint32))
    assert found is not None
    assert np.array_equal(
        (found[0] * found[1].astype(np.float32)).view(np.uint32), (step * multiples).view(np.uint32)
    )
    assert np.array_equal(found[1], multiples)


def test_values_that_lie_on_no_grid_have_no_step():
    values = np.sort(np.random.default_rng(0).normal(size=40).astype(np.float32))
    assert find_step(values.view(np.uint32)) is None
    assert find_step(np.float32([1e-40, 1]).view(np.uint32)) is None
    assert find_step(np.float32([1, np.inf]).view(np.uint32)) is None


def test_what_cannot_be_coded_is_refused():
    for wrong in (np.zeros(3), np.zeros(0, np.float32)):
        with pytest.raises(CodecError, match="allowed is float32 and at least one"):
            encode_weights(wrong)


_SYMBOLS = encode_weights(np.float32([[0, 1, 0], [2, 0, -1]]))[3:]


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "bytes wanted"),
        (b"\6", "unknown kind 6"),
        (b"\0\0", "tensor of zeros is followed by 1"),
        (b"\1\0\0" + _SYMBOLS, "a step of 0.0"),
        (b"\1\0\x7c" + _SYMBOLS, "a step of inf"),
        (b"\2\0\0\x80\xbf" + _SYMBOLS, "a step of -1.0"),
        (b"\3\0\0\0", r"codebook of 0 \+ 0 values"),
        (b"\3\xff\xff\3\2\0", r"codebook of 65535 \+ 2 values"),
        (b"\4\1\1\2\xff\xff" + _SYMBOLS, "does not hold 2 ascending values|does not end"),
    ],
)
def test_corrupt_payloads_are_refused(payload, message):
    with pytest.raises(CorruptFileError, match=message):
        decode_weights(payload, (2, 3))


def test_ranks_outside_the_codebook_and_false_signs_are_refused():
    codebook = bytes([CODEBOOK]) + encode_codebook(
        np.float32([-3.3, 1e-3, 0.7]).view(np.uint32), is_half=False
    )
    symbols = encode_symbols(np.array([[0, 3, 0], [2, 0, -1]], np.int32))
    with pytest.raises(CorruptFileError, match="rank lies outside the codebook"):
        decode_weights(codebook + symbols, (2, 3))
    with pytest.raises(CorruptFileError, match="neither -1, 0 nor 1"):
        decode_weights(bytes([FLOATS, len(symbols)]) + symbols, (2, 3))


@pytest.mark.parametrize("kind", [GRID_HALF, CODEBOOK_HALF, CODEBOOK, FLOATS])
def test_mutations_raise_only_corrupt_file_errors(kind):
    tensor = {
        GRID_HALF: np.float32(0.5) * _levels((12, 9)).astype(np.float32) + np.float32(0),
        CODEBOOK_HALF: _shared(
            np.float32([0.5, 0.7, -3.5, 2e-3]).astype(np.float16).astype(np.float32), 0, (12, 9)
        ),
        CODEBOOK: _shared(np.float32([0.5, 0.7, -3.3, 2e-3]), 0, (12, 9)),
        FLOATS: np.random.default_rng(1).normal(size=(24, 18)).astype(np.float32),
    }[kind]
    payload = encode_weights(tensor)
    assert payload[0] == kind
    rng = np.random.default_rng(5)
    refused = 0
    for _ in range(150):
        wrong = bytearray(payload[: rng.integers(1, len(payload) + 1)])
        wrong[rng.integers(len(wrong))] ^= 1 << rng.integers(8)
        try:
            decode_weights(bytes(wrong), tensor.shape)
        except CorruptFileError:
            refused += 1
    assert refused > 120
