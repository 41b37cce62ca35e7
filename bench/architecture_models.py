"""torchvision's convolutional architectures, and the smallest input at which each is itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torchvision import models
from torchvision.models import segmentation
from torchvision.ops import StochasticDepth

from bench.subjects import settle

_SETTLING_IMAGES = 4


@dataclass(frozen=True)
class Architecture:
    """A network to build, and the height and width of its input.

    The size leaves more than one place to the last map; where adaptive pooling wants the size that
    torchvision trains with, it is that.
    """

    name: str
    build: Callable[..., nn.Module]
    arguments: dict[str, Any]
    image_size: int

    @property
    def is_segmenter(self) -> bool:
        """Whether it answers with a dictionary."""
        return "weights_backbone" in self.arguments

    def settled(self, x: torch.Tensor) -> nn.Module:
        """The network with random weights whose activations have the scales of a trained one.

        Args:
            x: images [N, 3, image_size, image_size].
        """
        torch.manual_seed(0)
        model = self.build(weights=None, **self.arguments)
        for module in model.modules():
            if isinstance(module, StochasticDepth | nn.Dropout):
                module.p = 0.0  # settling runs in training mode
            if isinstance(getattr(module, "layer_scale", None), nn.Parameter):
                nn.init.uniform_(module.layer_scale, 0.2, 1.0)  # type: ignore[arg-type]  # torch types any
        settle(model, x[:_SETTLING_IMAGES])
        return model.eval()


def _classifiers() -> list[Architecture]:
    sizes = {"alexnet": 224, "vgg11": 224, "vgg16_bn": 224, "inception_v3": 128}
    arguments: dict[str, dict[str, Any]] = {
        "googlenet": {"aux_logits": False, "init_weights": False, "transform_input": True},
        "inception_v3": {"aux_logits": False, "init_weights": False, "transform_input": True},
    }
    names = [
        *("alexnet", "vgg11", "vgg16_bn", "resnet18", "resnet50", "resnext50_32x4d", "wide_resnet50_2"),
        *("densenet121", "squeezenet1_0", "squeezenet1_1", "googlenet", "inception_v3", "mobilenet_v2"),
        *("mobilenet_v3_small", "mobilenet_v3_large", "mnasnet0_5", "mnasnet1_0", "shufflenet_v2_x0_5"),
        *("shufflenet_v2_x1_0", "efficientnet_b0", "efficientnet_v2_s", "regnet_x_400mf", "regnet_y_400mf"),
        "convnext_tiny",
    ]
    return [
        Architecture(name, getattr(models, name), arguments.get(name, {}), sizes.get(name, 64))
        for name in names
    ]


def _segmenters() -> list[Architecture]:
    names = ("lraspp_mobilenet_v3_large", "fcn_resnet50", "deeplabv3_resnet50")
    return [Architecture(name, getattr(segmentation, name), {"weights_backbone": None}, 64) for name in names]


ARCHITECTURES: dict[str, Architecture] = {a.name: a for a in [*_classifiers(), *_segmenters()]}
"""By the name torchvision gives them."""
