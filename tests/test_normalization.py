import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgesqueeze.data.preparation import Preparation
from edgesqueeze.normalization import Normalization, normalization_from, plain

IMAGENET = Normalization((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
ALL = np.stack([np.arange(256, dtype=np.uint8).reshape(16, 16)] * 3)[np.newaxis]
numbers = st.floats(-2, 2, allow_nan=False)


@given(st.lists(st.tuples(numbers, st.floats(0.01, 4)), min_size=3, max_size=3))
def test_floats_are_those_of_batches_and_lead_back_to_every_pixel(pairs):
    normalization = Normalization(*(tuple(values) for values in zip(*pairs, strict=True)))
    found = normalization.floats(ALL)
    batch, _ = Preparation(normalization).apply(torch.from_numpy(ALL.copy()), torch.zeros(1), None)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, batch.numpy())
    np.testing.assert_array_equal(normalization.pixels(found), ALL)
    assert normalization_from(normalization.text()) == normalization


def test_what_is_no_pixel_is_rounded_and_cut_off():
    x = np.array([-0.5, 0.4 / 255, 0.6 / 255, 1.5], np.float32).reshape(1, 1, 4)
    assert plain(1).pixels(x).ravel().tolist() == [0, 0, 1, 255]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "mean",
        "mean 0.5",
        "mean 0.5 std",
        "mean 0.5 std 0.0",
        "mean nan std 1.0",
        "mean 0.5 std 1.0 ",
        "std",
    ],
)
def test_other_texts_say_nothing(text):
    assert normalization_from(text) is None


def test_in_words():
    assert IMAGENET.formula() == "(pixel / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)"
    assert plain(3).formula() == "pixel / 255"
    assert Normalization((0.5,) * 3, (0.5,) * 3).summary() == "mean 0.5 and std 0.5"
    assert Normalization((0.5,), (0.25,)).repeated(3).limits() == (-2.0, 2.0)
