"""The loss of a detector: places assigned by hand, what does not count, and a box that is found."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torchvision.ops import box_iou, sigmoid_focal_loss

from edgesqueeze.models import built_in_model
from edgesqueeze.numerics.boxes import BoxDecoding, iou
from edgesqueeze.task.detection_loss import DetectionLoss, assign, boxes_at, focal_loss, pairwise_iou

DECODING = BoxDecoding((32, 32), (8, 16))
PLACES = torch.from_numpy(DECODING.places())  # 16 of stride 8, row by row, then 4 of stride 16


def targets_of(*objects, rows=4):
    """One image's: (x1, y1, x2, y2, label) each, and "crowd" behind the label of what does not count."""
    targets = {
        "boxes": torch.zeros(1, rows, 4),
        "labels": torch.full((1, rows), -1),
        "crowd": torch.zeros(1, rows, dtype=torch.bool),
    }
    for row, (*box, label) in enumerate(objects):
        targets["boxes"][0, row] = torch.tensor(box)
        targets["crowd"][0, row] = label == "crowd"
        targets["labels"][0, row] = 0 if label == "crowd" else label
    return targets


def answers(boxes=(), classes=3, score=-3.0):
    """Distances of a tenth of a stride everywhere, but boxes for some places: {place: (box, class, logit)}."""
    outputs = {"boxes": torch.full((1, 20, 4), 0.1), "scores": torch.full((1, 20, classes), score)}
    for place, (box, label, logit) in dict(boxes).items():
        x, y, stride = PLACES[place]
        left, top, right, bottom = box
        outputs["boxes"][0, place] = torch.tensor([x - left, y - top, right - x, bottom - y]) / stride
        outputs["scores"][0, place, label] = logit
    return outputs


def assigned(outputs, targets):
    return assign(boxes_at(outputs["boxes"], PLACES), outputs["scores"].sigmoid(), targets, PLACES)


def test_places_in_an_object_answer_for_it_as_well_as_they_fit():
    box = (4.0, 4.0, 20.0, 20.0)  # the centres 12, 12 and 12, 4 or 4, 12 on its edge; 8, 8 of stride 16
    half = (4.0, 4.0, 12.0, 20.0)
    outputs = answers({5: (box, 1, 0.0), 16: (half, 1, 0.0)})
    found = assigned(outputs, targets_of((*box, 1)))
    taken = (found.objects[0] >= 0).nonzero().flatten().tolist()
    assert taken == [5, 16]
    # The best gets its overlap, 1, the other (0.5 * 0.5 ** 6) / (0.5 * 1) of that.
    assert found.quality[0, 5].item() == pytest.approx(1)
    assert found.quality[0, 16].item() == pytest.approx(0.5**6)
    assert not found.ignored.any()


def test_a_place_answers_for_the_object_that_it_overlaps_most():
    small, large = (8.0, 8.0, 16.0, 16.0), (0.0, 0.0, 32.0, 32.0)
    outputs = answers({5: (small, 0, 2.0), 17: (large, 2, 2.0)})
    found = assigned(outputs, targets_of((*large, 2), (*small, 0)))
    assert found.objects[0, 5] == 1
    assert found.objects[0, 17] == 0
    assert found.quality[0, 5].item() == pytest.approx(1)
    assert found.quality[0, 17].item() == pytest.approx(1)
    assert (found.objects[0] == 1).nonzero().flatten().tolist() == [5, 16]  # the only ones in the small one


def test_something_smaller_than_a_stride_has_a_place():
    found = assigned(answers(), targets_of((1.0, 1.0, 3.0, 3.0, 1)))
    assert (found.objects[0] >= 0).nonzero().flatten().tolist() == [0, 16]


def test_no_more_places_than_ten_answer():
    found = assigned(answers(), targets_of((0.0, 0.0, 32.0, 32.0, 1)))
    assert (found.objects[0] >= 0).sum() == 10


def test_what_does_not_count_is_neither_found_nor_missed():
    crowd, other = (0.0, 0.0, 16.0, 16.0, "crowd"), (0.0, 0.0, 10.0, 10.0, 2)
    found = assigned(answers(), targets_of(crowd, other))
    assert found.ignored[0].nonzero().flatten().tolist() == [1, 4, 5]
    assert (found.objects[0] >= 0).nonzero().flatten().tolist() == [0, 16]
    loss = DetectionLoss(DECODING)
    quiet, loud = answers(), answers({5: ((0.0, 0.0, 16.0, 16.0), 1, 5.0)})
    assert loss(quiet, targets_of(crowd)) == loss(loud, targets_of(crowd))
    assert loss(quiet, targets_of()) < loss(loud, targets_of())


def test_images_without_objects_have_a_loss_with_gradients():
    outputs = {name: value.requires_grad_() for name, value in answers().items()}
    loss = DetectionLoss(DECODING)(outputs, targets_of())
    expected = 60 * F.softplus(torch.tensor(-3.0)) * torch.tensor(-3.0).sigmoid() ** 2
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert outputs["scores"].grad.abs().min() > 0
    assert torch.isfinite(outputs["boxes"].grad).all()


def test_the_loss_is_least_for_the_right_answer():
    box, targets = (4.0, 4.0, 20.0, 20.0), targets_of((4.0, 4.0, 20.0, 20.0, 1))
    loss = DetectionLoss(DECODING)
    right = loss(answers({5: (box, 1, 6.0)}, score=-6.0), targets)
    assert right < 0.01
    for wrong in (
        answers({5: (box, 0, 6.0)}, score=-6.0),
        answers({5: ((4.0, 4.0, 20.0, 28.0), 1, 6.0)}, score=-6.0),
        answers({5: (box, 1, 6.0), 15: (box, 1, 6.0)}, score=-6.0),
    ):
        assert loss(wrong, targets) > 10 * right


@given(st.integers(0, 1000))
def test_focal_loss_is_lins_for_whole_targets(seed):
    rng = torch.Generator().manual_seed(seed)
    logits, targets = torch.randn(5, generator=rng) * 4, torch.randint(0, 2, (5,), generator=rng).float()
    torch.testing.assert_close(focal_loss(logits, targets), sigmoid_focal_loss(logits, targets, alpha=-1))


def test_overlaps_are_those_of_the_decoding():
    rng = np.random.default_rng(0)
    one, other = (
        torch.from_numpy(np.sort(rng.uniform(0, 9, (2, n, 2, 2)), 2).reshape(2, n, 4)).float() for n in (4, 7)
    )
    found = pairwise_iou(one, other)
    for image in range(2):
        torch.testing.assert_close(found[image], box_iou(one[image], other[image]))
        np.testing.assert_allclose(found[image], iou(one[image].numpy(), other[image].numpy()), atol=1e-6)


def test_a_detector_learns_to_find_a_bright_square():
    """Three squares of two brightnesses, and an image without any."""
    torch.manual_seed(0)
    x, decoding = torch.rand(4, 1, 64, 64) * 0.1, BoxDecoding((64, 64), (8, 16))
    squares = [(6.0, 8.0, 34.0, 36.0, 0), (24.0, 10.0, 54.0, 40.0, 1), (12.0, 28.0, 36.0, 52.0, 0)]
    each = [targets_of(*objects, rows=1) for objects in ([square] for square in squares)]
    targets = {name: torch.cat([*(t[name] for t in each), targets_of(rows=1)[name]]) for name in each[0]}
    for image, (left, top, right, bottom, label) in zip(x, squares, strict=False):
        image[0, int(top) : int(bottom), int(left) : int(right)] += 1.0 if label else 0.4
    options = {"width": 0.25, "bypass": "simple"}
    model = built_in_model("squeezenet_detector").build(2, 1, (64, 64), options)
    loss, optimizer = DetectionLoss(decoding), torch.optim.AdamW(model.parameters(), 1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)
    losses = []
    for _ in range(100):
        losses.append(loss(model(x), targets))
        optimizer.zero_grad()
        losses[-1].backward()
        optimizer.step()
        schedule.step()
    assert losses[-1] < 0.3 * losses[0]
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
            module.reset_running_stats()
    with torch.no_grad():
        model(x)
        found = decoding.decode({name: value.numpy() for name, value in model.eval()(x).items()})
    for square, best in zip(squares, found, strict=False):
        assert best.labels[0] == square[4]
        assert iou(best.boxes[:1], np.array([square[:4]], np.float32))[0, 0] > 0.5
    assert not (found[3].scores > 0.3).any()
