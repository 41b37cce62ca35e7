"""Counts of torchvision's networks: to the digit what it publishes, and what torch itself counts."""

import pytest
import torch
from torchvision import models

from bench.classifier_counts import count_classifier
from bench.classifiers import CLASSIFIERS
from bench.counts_table import report
from edgesqueeze.network.graph.counts import count_graph
from edgesqueeze.network.reading.torch.build import build_graph

SLOW = (
    *("mobilenet_v3_small", "efficientnet_b0", "regnet_y_400mf", "densenet121", "googlenet", "inception_v3"),
    *("vgg11_bn", "resnext50_32x4d", "convnext_tiny", "squeezenet1_1", "alexnet"),
    *("shufflenet_v2_x0_5", "mobilenet_v2"),
)
QUICK = ("resnet18", "mnasnet0_5")


def test_every_classifier_is_there():
    assert list(CLASSIFIERS) == models.list_models(module=models)
    assert (CLASSIFIERS["resnet18"].params, CLASSIFIERS["resnet18"].gmacs) == (11_689_512, 1.814)
    assert CLASSIFIERS["efficientnet_b1"].image_size == 240


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_parameters_and_macs_are_those_published(name):
    found = count_classifier(CLASSIFIERS[name])
    assert found.params_agree
    assert found.gmacs_agree
    assert found.macs == found.flop_counter_macs
    if name not in ("densenet121", "convnext_tiny", "googlenet", "inception_v3", "vgg11_bn"):
        assert found.file_params == found.explained_params
    text = "\n\n".join(report([found.to_json()], [], 320))
    assert "Of 1 networks 1 have the published parameters" in text
    assert "1 of them have the published multiply-accumulates" in text


def test_a_network_of_zeros_that_take_no_memory_has_the_shapes_of_any_other():
    lazy, usual = CLASSIFIERS["resnet18"].build(), models.resnet18()
    assert {k: (v.shape, v.dtype) for k, v in lazy.state_dict().items()} == {
        k: (v.shape, v.dtype) for k, v in usual.state_dict().items()
    }
    large = [p for p in lazy.parameters() if p.numel() >= 1 << 20]
    assert large
    assert not any(bool(p.any()) for p in large)
    assert torch.ones(1 << 20).sum() == 1 << 20  # outside of a build nothing has changed


class Scaled(torch.nn.Module):
    """A convolution between scales per channel: one that can be folded, and one that cannot."""

    def __init__(self):
        super().__init__()
        self.conv, self.before = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.BatchNorm2d(3)

    def forward(self, x):
        return self.conv(torch.relu(self.before(x)))


def test_a_scale_per_channel_has_parameters_and_no_macs():
    counts = count_graph(build_graph(Scaled().eval(), torch.zeros(1, 3, 8, 8)))
    assert [layer.macs for layer in counts.layers] == [0, 3 * 8 * 9 * 64]
    assert [layer.params for layer in counts.layers] == [6, 3 * 8 * 9 + 8]
