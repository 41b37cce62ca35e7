"""Networks that are torchvision's as they stand, for other numbers of channels too."""

from typing import Literal

from torch import nn
from torchvision import models

Name = Literal["mobilenet_v2", "mobilenet_v3_small", "resnet18"]
_FIRST = {"mobilenet_v2": "features.0.0", "mobilenet_v3_small": "features.0.0", "resnet18": "conv1"}


def torchvision_network(name: Name, num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """A network of torchvision with random weights, layer names unchanged.

    At 1000 classes and 3 channels it has the parameters that torchvision publishes for it; input
    [N, in_channels, H, W].
    """
    model: nn.Module = getattr(models, name)(weights=None, num_classes=num_classes)
    if in_channels != 3:
        first = model.get_submodule(_FIRST[name])
        assert isinstance(first, nn.Conv2d)
        model.set_submodule(_FIRST[name], _with_channels(first, in_channels))
    return model


def _with_channels(layer: nn.Conv2d, in_channels: int) -> nn.Conv2d:
    """The same convolution of as many channels, started as torchvision starts its own."""
    (size, _), (stride, _) = layer.kernel_size, layer.stride
    started = nn.Conv2d(in_channels, layer.out_channels, size, stride, padding=size // 2, bias=False)
    nn.init.kaiming_normal_(started.weight, mode="fan_out")
    return started
