import numpy as np

from edgesqueeze.page.histogram import BINS, MOST_VALUES, histogram_of


def test_zeros_of_the_file_are_left_out_and_those_before_are_not():
    weight = np.array([[0, 0, 0.5], [-0.5, 0.25, 0.25]], np.float32)
    trained = np.array([[0, -1, 0.5], [-0.5, 0.2, 1]], np.float32)
    found = histogram_of(weight, trained)
    assert (found.low, found.high) == (-1, 1)
    assert len(found.counts) == len(found.before) == BINS
    assert (sum(found.counts), sum(found.before)) == (4, 6)
    assert found.values == ((-0.5, 1), (0.25, 2), (0.5, 1))


def test_many_values_are_not_told_one_by_one():
    few, many = (np.arange(1, count + 1, dtype=np.float32) for count in (MOST_VALUES, MOST_VALUES + 1))
    assert len(histogram_of(few, None).values) == MOST_VALUES
    assert histogram_of(many, None).values == ()
    assert histogram_of(many, None).before is None


def test_one_value_has_room_around_it_and_none_has_no_histogram():
    found = histogram_of(np.full(3, -2, np.float32), None)
    assert (found.low, found.high, sum(found.counts)) == (-3, -1, 3)
    assert histogram_of(np.zeros(3, np.float32), None) is None
    assert histogram_of(np.array([1, np.nan], np.float32), None) is None
