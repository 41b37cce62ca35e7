"""Mean average precision: by hand, against COCO's own evaluator, and from its parts."""

import contextlib
import io
from dataclasses import dataclass

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from edgesqueeze.errors import TaskError
from edgesqueeze.task.metrics import compacted, metrics_of, score_all

RNG = np.random.default_rng(0)
CLASSES = ("cup", "plate", "spoon", "fork")
METRICS = metrics_of("detection", CLASSES)
MAP, MAP_50 = METRICS


@dataclass(frozen=True)
class Found:
    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


def found(*rows):
    """Detections of (x1, y1, x2, y2, score, label)."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Found(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def wanted(*images, most=6):
    """Targets of images, each a list of (x1, y1, x2, y2, label, crowd)."""
    boxes = np.zeros((len(images), most, 4), np.float32)
    labels, crowd = np.full((len(images), most), -1), np.zeros((len(images), most), bool)
    for i, rows in enumerate(images):
        for k, (*box, label, is_crowd) in enumerate(rows):
            boxes[i, k], labels[i, k], crowd[i, k] = box, label, is_crowd
    return {"boxes": boxes, "labels": labels, "crowd": crowd}


def random_scene(count):
    """Boxes on a grid of whole pixels, so that overlaps hit thresholds; noisy detections, several a box."""
    images, answers = [], []
    for _ in range(count):
        size = RNG.integers(0, 7)
        corner, extent = RNG.integers(0, 60, (size, 2)), RNG.integers(4, 30, (size, 2))
        boxes = np.concatenate([corner, corner + extent], 1)
        labels = RNG.integers(0, 3, size)  # nobody wants a fork
        images.append([(*b, label, RNG.random() < 0.15) for b, label in zip(boxes, labels, strict=True)])
        near = np.repeat(boxes, 3, 0) + RNG.integers(-2, 3, (3 * size, 4))
        noise = RNG.integers(0, 40, (5, 2))
        near = np.concatenate([near, np.concatenate([noise, noise + RNG.integers(4, 20, (5, 2))], 1)])
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        names = np.concatenate([np.repeat(labels, 3), RNG.integers(0, 4, 5)])
        scores = RNG.permutation(len(near)) / 100 + RNG.random()
        order = np.argsort(-scores)
        answers.append(Found(near[order].astype(np.float32), scores[order].astype(np.float32), names[order]))
    return answers, wanted(*images)


def by_coco(answers, targets):
    """Both means by pycocotools alone."""
    truth, results = COCO(), []
    number = range(len(answers))
    annotations = []
    for i in number:
        for box, label, crowd in zip(*(targets[k][i] for k in ("boxes", "labels", "crowd")), strict=True):
            if label >= 0:
                x1, y1, x2, y2 = map(float, box)
                sized = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
                one = {"id": len(annotations) + 1, "image_id": i, "category_id": int(label)}
                annotations.append({**sized, **one, "iscrowd": int(crowd)})
        for box, score, label in zip(answers[i].boxes, answers[i].scores, answers[i].labels, strict=True):
            x1, y1, x2, y2 = map(float, box)
            one = {"image_id": i, "category_id": int(label), "score": float(score)}
            results.append({**one, "bbox": [x1, y1, x2 - x1, y2 - y1]})
    categories = [{"id": c, "name": name} for c, name in enumerate(CLASSES)]
    truth.dataset = {
        "images": [{"id": i} for i in number],
        "annotations": annotations,
        "categories": categories,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluator = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator.stats[0], evaluator.stats[1]


def test_three_detections_by_hand():
    targets = wanted([(0, 0, 10, 10, 0, False), (20, 20, 30, 30, 0, False)], [(0, 0, 10, 10, 1, False)])
    answers = [
        found((0, 0, 10, 10, 0.9, 0), (50, 50, 60, 60, 0.8, 0), (20, 20, 30, 28, 0.7, 0)),
        found((0, 0, 10, 10, 0.6, 2)),
    ]
    # Of cups, the first is right, the second wrong, the third right up to an overlap of 0.8:
    # precision 1 up to a recall of 1/2 (51 of 101), then 2/3 (50 of 101), at seven of ten thresholds.
    both, one = (51 + 50 * 2 / 3) / 101, 51 / 101
    cup = (7 * both + 3 * one) / 10
    scores = score_all(METRICS, answers, targets)
    assert dict(scores.values) == {MAP: pytest.approx(cup / 2), MAP_50: pytest.approx(both / 2)}
    per_class = scores.details["per_class"]
    assert per_class[MAP] == [pytest.approx(cup, abs=1e-5), 0.0, None, None]
    assert per_class[MAP_50] == [pytest.approx(both, abs=1e-5), 0.0, None, None]


def test_crowds_are_neither_wanted_nor_wrong():
    targets = wanted([(0, 0, 10, 10, 0, False), (20, 20, 60, 60, 0, True)])
    inside = [(22, 22, 30, 30, 0.9, 0), (31, 31, 40, 40, 0.8, 0)]  # both within the crowd
    for rows in ([(0, 0, 10, 10, 0.5, 0)], [*inside, (0, 0, 10, 10, 0.5, 0)]):
        answers = [found(*rows)]
        assert METRICS[MAP](answers, targets) == 1.0
        assert METRICS[MAP].value(METRICS[MAP].parts(answers, targets), np.ones(1, np.int64)) == 1.0


def test_they_are_the_evaluators_own():
    answers, targets = random_scene(60)
    expected = by_coco(answers, targets)
    scores = score_all(METRICS, answers, targets)
    assert (scores.values[MAP], scores.values[MAP_50]) == pytest.approx(expected, abs=1e-6)
    assert 0.1 < expected[0] < expected[1] < 1
    once = np.ones(60, np.int64)
    found = [measure.value(scores.parts(), once) for measure in METRICS.values()]
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_from_parts_they_are_those_of_the_images_drawn(seed):
    answers, targets = random_scene(25)
    weights = np.random.default_rng(seed).multinomial(25, np.full(25, 1 / 25))
    rows = np.repeat(np.arange(25), weights)
    drawn = [answers[i] for i in rows], {name: part[rows] for name, part in targets.items()}
    for measure in METRICS.values():
        parts = measure.parts(answers, targets)
        assert measure.value(parts, weights) == pytest.approx(measure(*drawn), abs=1e-6)


def test_nothing_found_is_zero_and_classes_that_are_not_drawn_are_left_out():
    targets = wanted([(0, 0, 10, 10, 0, False)], [(0, 0, 10, 10, 3, False)], [])
    nothing = [found()] * 3
    assert dict(score_all(METRICS, nothing, targets).values) == {MAP: 0.0, MAP_50: 0.0}
    right = [found((0, 0, 10, 10, 0.9, 0)), found(), found((0, 0, 5, 5, 0.9, 3))]
    measure = METRICS[MAP]
    parts = measure.parts(right, targets)
    assert measure.value(parts, np.array([1, 1, 1])) == measure(right, targets) == 0.5
    assert measure.value(parts, np.array([3, 0, 0])) == 1.0
    assert measure.value(parts, np.array([0, 2, 1])) == 0.0
    assert np.isnan(measure.value(parts, np.array([0, 0, 3])))


def test_raw_outputs_are_decoded_once_for_all_metrics():
    calls = []

    class Decoding:
        max_detections = 3

        def decode(self, outputs):
            calls.append(len(outputs["scores"]))
            return [found((*box[0], score[0, 0], 0)) for box, score in zip(*outputs.values(), strict=True)]

    raw = {"boxes": np.array([[[0, 0, 10, 10]]] * 2), "scores": np.array([[[0.9]]] * 2)}
    targets = wanted([(0, 0, 10, 10, 0, False)], [(0, 0, 10, 10, 0, False)])
    metrics = metrics_of("detection", CLASSES, Decoding())
    scores = score_all(metrics, raw, targets)
    assert dict(scores.values) == {MAP: 1.0, MAP_50: 1.0}
    assert len(scores.parts()["box_image"]) == 2
    assert calls == [2]
    compact = compacted(metrics, raw)
    assert {name: part.shape for name, part in compact.items()} == {
        "boxes": (2, 3, 4),
        "scores": (2, 3),
        "labels": (2, 3),
    }
    assert score_all(metrics, compact, targets).values == scores.values
    assert calls == [2, 2]


def test_what_does_not_fit_is_refused():
    one = [found()]
    with pytest.raises(TaskError, match="a list of detections or a way to decode them, found dict"):
        METRICS[MAP]({"boxes": 0}, wanted([]))
    with pytest.raises(TaskError, match="crowd not found"):
        METRICS[MAP](one, {"boxes": 0, "labels": 0})
    with pytest.raises(
        TaskError, match=r"mAP of 1 images needs targets .* found \[2, 6, 4\], \[2, 6\], \[2, 6\]"
    ):
        METRICS[MAP](one, wanted([], []))
    with pytest.raises(TaskError, match="the targets have no box that counts"):
        METRICS[MAP](one, wanted([(0, 0, 1, 1, 0, True)]))
    with pytest.raises(TaskError, match="labels run from -1 to 4; allowed are the 4 classes 0 to 3, and -1"):
        METRICS[MAP](one, wanted([(0, 0, 1, 1, 4, False)]))
