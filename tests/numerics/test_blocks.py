"""4-bit integers in blocks."""

import numpy as np
import pytest

from edgesqueeze.numerics.blocks import quantize_blocks


def blocks(count, seed=0, width=32):
    return np.random.default_rng(seed).laplace(size=(count, width)).astype(np.float32)


@pytest.mark.parametrize("scale_type", [np.float16, np.float32])
def test_no_scale_that_is_tried_has_a_smaller_error(scale_type):
    rows = blocks(200)
    integers, scales = quantize_blocks(rows, scale_type)
    assert integers.dtype == np.int8 and integers.min() == -8 and integers.max() == 7
    np.testing.assert_array_equal(scales, scales.astype(scale_type))
    errors = ((integers * scales[:, np.newaxis] - rows) ** 2).sum(axis=1)
    for share in (1.0, 0.95, 0.875, 0.8, 0.75):
        tried = (np.abs(rows).max(axis=1) * share / 7).astype(scale_type).astype(np.float64)[:, np.newaxis]
        other = ((np.clip(np.rint(rows / tried), -8, 7) * tried - rows) ** 2).sum(axis=1)
        assert (errors <= other * (1 + 1e-5)).all()


def test_the_search_gains_on_the_largest_magnitude_and_integers_are_the_nearest():
    rows = blocks(500)
    integers, scales = quantize_blocks(rows, np.float32)
    step = scales[:, np.newaxis]
    nearest = np.clip(np.rint(rows.astype(np.float64) / step), -8, 7)
    assert np.abs(integers - nearest).max() <= 1 and (integers != nearest).mean() < 1e-4
    full = np.abs(rows).max(axis=1, keepdims=True) / 7
    error, plain = (((q - rows) ** 2).sum() for q in (integers * step, np.rint(rows / full) * full))
    assert error < 0.85 * plain


def test_zeros_stay_zero_and_scales_positive():
    rows = blocks(4)
    rows[0] = 0
    rows[1, ::2] = 0
    rows[2] *= np.float32(1e-7)  # under float16's smallest number
    integers, scales = quantize_blocks(rows, np.float16)
    assert not integers[0].any() and not integers[1, ::2].any()
    assert (scales > 0).all() and scales[2] == 2.0**-24


def test_more_blocks_than_are_looked_at_at_once():
    rows = blocks(300_000, width=2)
    integers, scales = quantize_blocks(rows, np.float32)
    part, part_scales = quantize_blocks(rows[-5:], np.float32)
    np.testing.assert_array_equal(integers[-5:], part)
    np.testing.assert_array_equal(scales[-5:], part_scales)
