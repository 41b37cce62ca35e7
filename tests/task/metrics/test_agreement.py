"""When two answers are the same, kind by kind."""

import numpy as np

from edgesqueeze.task.metrics import agreement_of


def test_scores_agree_if_they_name_one_class():
    one, other = np.array([[1, 2], [3, 0], [0, 1]]), np.array([[0, 9], [0, 1], [5, 6]])
    assert agreement_of("classification")(one, other).tolist() == [True, False, True]


def test_masks_agree_on_99_pixels_of_100():
    one = np.zeros((3, 2, 10, 10), np.float32)
    one[:, 1] = -1
    other = one.copy()
    other[1, 1, 0, 0] = 2
    other[2, 1, 0, :2] = 2
    assert agreement_of("segmentation")(one, other).tolist() == [True, True, False]


def boxes(scores, distances):
    return {"scores": np.array(scores, np.float32), "boxes": np.array(distances, np.float32)}


def test_detectors_agree_on_what_they_see_and_where():
    square, half, third, tall = [2, 2, 2, 2], [2, 2, 0, 2], [1, 1, 1, 1], [2, 3, 2, 3]
    seen = [[3.0, -1.0], [-5.0, -4.0]]  # the first anchor sees class 0, the second nothing
    one = boxes([seen] * 5, [[square, square]] * 5)
    other = boxes(
        [seen, seen, seen, [[-1.0, 3.0], [-5.0, -4.0]], [[3.0, -1.0], [-4.0, -5.0]]],
        [[tall, third], [half, square], [third, square], [square, square], [square, square]],
    )
    # tall covers 2/3, half 1/2, third 1/4 of the square; then another class; then another class of what is unseen
    assert agreement_of("detection")(one, other).tolist() == [True, True, False, False, True]


def test_the_best_anchor_counts_even_if_it_is_not_sure():
    one = boxes([[[-1.0, -2.0]]], [[[1, 1, 1, 1]]])
    other = boxes([[[-2.0, -1.0]]], [[[1, 1, 1, 1]]])
    assert agreement_of("detection")(one, other).tolist() == [False]
    assert agreement_of("detection")(one, one).tolist() == [True]


def test_a_box_of_no_size_is_like_itself_and_no_other():
    empty, other = (boxes([[[2.0, -2.0]]], [[[size] * 4]]) for size in (0, 1))
    assert agreement_of("detection")(empty, empty).tolist() == [True]
    assert agreement_of("detection")(empty, other).tolist() == [False]


def test_pictures_agree_from_30_db():
    one = np.full((2, 1, 4, 4), 0.5, np.float32)
    other = one + np.array([0.031, 0.032], np.float32).reshape(2, 1, 1, 1)
    assert agreement_of("reconstruction")(one, other).tolist() == [True, False]


def test_numbers_agree_within_a_hundredth_of_their_range():
    one = np.array([[0.0, 0.0], [10.0, 1.0], [5.0, 0.5]])
    other = one + np.array([[0.09, 0.0], [0.0, 0.02], [0.11, 0.0]])
    assert agreement_of("regression")(one, other).tolist() == [True, False, False]
