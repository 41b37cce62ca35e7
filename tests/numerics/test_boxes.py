"""Boxes: overlaps and suppression against torchvision's, decoding by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchvision.ops import batched_nms, box_iou

from edgesqueeze.errors import TaskError
from edgesqueeze.numerics.boxes import BoxDecoding, iou, suppress


def random_boxes(rng, count, size=64.0):
    corners = rng.uniform(0, size, (count, 2, 2))
    return np.sort(corners, axis=1).reshape(count, 4).astype(np.float32)


@given(st.integers(0, 1000), st.integers(0, 12), st.integers(0, 9))
def test_iou_is_torchvisions(seed, count, other):
    rng = np.random.default_rng(seed)
    a, b = random_boxes(rng, count), random_boxes(rng, other)
    expected = box_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    found = iou(a, b)
    assert (found.shape, found.dtype) == ((count, other), np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_boxes_without_area_overlap_nothing():
    empty = np.array([[3, 3, 3, 9], [5, 5, 5, 5]], np.float32)
    assert not iou(empty, np.concatenate([empty, np.array([[0, 0, 9, 9]], np.float32)])).any()


@given(st.integers(0, 1000), st.integers(0, 60), st.sampled_from([0.1, 0.3, 0.6]))
def test_suppression_is_torchvisions(seed, count, threshold):
    rng = np.random.default_rng(seed)
    boxes, labels = random_boxes(rng, count, 20), rng.integers(0, 3, count)
    scores = torch.linspace(1, 0.1, count)
    expected = batched_nms(torch.from_numpy(boxes), scores, torch.from_numpy(labels), threshold)
    assert suppress(boxes, labels, threshold).tolist() == sorted(expected.tolist())


def outputs_of(decoding, classes=3, count=1):
    places = len(decoding.places())
    boxes = np.ones((count, places, 4), np.float32)
    return {"boxes": boxes, "scores": np.full((count, places, classes), -20, np.float32)}


def test_places_go_by_levels_rows_columns():
    places = BoxDecoding((20, 24), (8, 16)).places()
    assert places.shape == (3 * 3 + 2 * 2, 3)
    assert places[:4].tolist() == [[4, 4, 8], [12, 4, 8], [20, 4, 8], [4, 12, 8]]
    assert places[9:].tolist() == [[8, 8, 16], [24, 8, 16], [8, 24, 16], [24, 24, 16]]


def test_decoding_by_hand():
    decoding = BoxDecoding((32, 32), (8, 16), score_threshold=0.1, iou_threshold=0.5, max_detections=3)
    outputs = outputs_of(decoding, count=2)
    boxes, scores = outputs["boxes"], outputs["scores"]
    boxes[0, 5] = [0.5, 1, 1.5, 2]  # row 1, column 1 of the first level: centre 12, 12
    scores[0, 5, 2] = 2
    boxes[0, 6] = [
        1.5,
        1,
        0.5,
        2,
    ]  # the same box from centre 20, 12: suppressed in its class, kept in another
    scores[0, 6, 2], scores[0, 6, 0] = 1, 0.5
    scores[0, 19, 1] = np.log(0.2 / 0.8)  # the last place of the second level, cut off at the image
    scores[0, 0, 1] = np.log(0.09 / 0.91)  # below the threshold
    first, second = decoding.decode(outputs)
    np.testing.assert_allclose(first.boxes, [[8, 4, 24, 28], [8, 4, 24, 28], [8, 8, 32, 32]])
    np.testing.assert_allclose(first.scores, [1 / (1 + np.exp(-2)), 1 / (1 + np.exp(-0.5)), 0.2], rtol=1e-6)
    assert first.labels.tolist() == [2, 0, 1]
    assert [first.boxes.dtype, first.scores.dtype, first.labels.dtype] == [np.float32, np.float32, np.int64]
    assert second.boxes.shape == (0, 4)
    assert len(second.scores) == len(second.labels) == 0


def test_only_the_best_are_left():
    decoding = BoxDecoding((64, 64), (8,), max_detections=5)
    outputs = outputs_of(decoding)
    outputs["boxes"][:] = 0.4
    outputs["scores"][0, :, 0] = np.linspace(-1, 1, 64)
    found = decoding.decode(outputs)[0]
    assert len(found.scores) == 5
    assert (np.diff(found.scores) < 0).all()
    assert found.boxes[0].tolist() == pytest.approx([60 - 3.2, 60 - 3.2, 60 + 3.2, 60 + 3.2])


def test_other_outputs_are_refused():
    decoding = BoxDecoding((32, 32), (8, 16))
    fitting = outputs_of(decoding)
    words = r"strides 8, 16 returns boxes \[N, 20, 4\] and scores \[N, 20, classes\] for 32 × 32, found "
    for wrong in (
        {"boxes": fitting["boxes"]},
        {"boxes": fitting["boxes"][:, 1:], "scores": fitting["scores"]},
        {"boxes": fitting["boxes"], "scores": fitting["scores"][:, :, 0]},
        fitting | {"more": fitting["boxes"]},
    ):
        with pytest.raises(TaskError, match=words):
            decoding.decode(wrong)
