"""A recipe's task by what the network is asked to do: loss, metrics, checks of what it returns."""

import sys

import pytest
import torch

from edgesqueeze.errors import TaskError
from edgesqueeze.task.detection_loss import DetectionLoss
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.losses import SegmentationLoss
from edgesqueeze.task.task_config import TaskConfig
from edgesqueeze.task.training import answers

SCENES = {"scenes": {"items": "mnist_sample", "image_size": [64, 64], "train": 12, "test": 6}}
KINDS = {
    "squeezenet_detector": ("detection", "mAP@[.5:.95]", DetectionLoss),
    "squeezenet_segmenter": ("segmentation", "mIoU", SegmentationLoss),
    "autoencoder_squeeze": ("reconstruction", "PSNR", None),
}
MODELS = '''
import torch
from torch import nn

class Net(nn.Module):
    """Returns what it is told to, for images of 64 x 64."""

    def __init__(self, returns):
        super().__init__()
        self.conv, self.returns = nn.Conv2d(3, 11, 3, padding=1), returns
        if returns.startswith("boxes"):
            self.strides = (8,)

    def forward(self, x):
        y = self.conv(x)
        small = y[:, :, ::8, ::8].flatten(2).transpose(1, 2)
        return {
            "map": y,
            "small map": y[:, :, :32, :32],
            "features": y.mean((2, 3)),
            "boxes": {"boxes": small[:, :, :4], "scores": small[:, :, :10]},
            "boxes without classes": {"boxes": small[:, :, :4], "scores": small},
            "boxes of another level": {"boxes": small[:, :9, :4], "scores": small[:, :9, :10]},
            "no strides": {"boxes": small[:, :, :4], "scores": small[:, :, :10]},
            "boxes alone": {"boxes": small[:, :, :4]},
        }[self.returns]
'''


@pytest.fixture
def networks(tmp_path, monkeypatch):
    (tmp_path / "fr_networks.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    yield "fr_networks:Net"
    sys.modules.pop("fr_networks", None)


def settings(**changes):
    return TaskConfig.model_validate({"data": SCENES, "calibration_images": 4, **changes})


@pytest.mark.parametrize("model", KINDS)
def test_a_built_in_network_decides_the_kind(model):
    kind, metric, loss = KINDS[model]
    task = load_task(settings(model=model, validation=0.25), 0)
    assert (task.kind, task.primary_metric, len(task.validation)) == (kind, metric, 3)
    assert loss is None or isinstance(task.loss, loss)
    assert (task.decoding is not None) == (kind == "detection")
    model = task.build_model().eval()
    x, y = next(iter(task.train.batches(4)))
    assert torch.isfinite(task.loss(model(x), y))
    outputs, targets = answers(model, task.test)
    assert set(task.score(outputs, targets)) == set(task.metrics)


def test_a_network_of_a_user_is_asked_for_what_the_kind_says(networks):
    task = load_task(settings(model=networks, model_args={"returns": "boxes"}, kind="detection"), 0)
    assert task.decoding.strides == (8,)
    assert task.classes == tuple("0123456789")
    whole = load_task(settings(model=networks, model_args={"returns": "map"}, kind="segmentation"), 0)
    assert whole.classes == ("background", *"0123456789")


@pytest.mark.parametrize(
    ("kind", "returns", "sentence"),
    [
        (
            "segmentation",
            "small map",
            r"returns \[1, 11, 32, 32\]; scores of 11 classes .* \[1, 11, 64, 64\]",
        ),
        ("segmentation", "boxes", "returns dict; one tensor of scores for every pixel is needed"),
        ("reconstruction", "map", r"returns \[1, 11, 64, 64\]; a picture like its input, \[1, 3, 64, 64\]"),
        ("detection", "no strides", "Net is a detector without an attribute strides"),
        ("detection", "boxes without classes", r"scores \[1, 64, 11\]; .* scores \[1, A, 10\] are needed"),
        ("detection", "boxes of another level", r"strides 8 returns boxes \[N, 64, 4\]"),
        ("detection", "boxes alone", "boxes and scores; the model returns keys boxes"),
    ],
)
def test_what_does_not_fit_the_kind_is_refused(kind, returns, sentence, networks):
    with pytest.raises(TaskError, match=sentence):
        load_task(settings(model=networks, model_args={"returns": returns}, kind=kind), 0)
