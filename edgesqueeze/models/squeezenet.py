"""SqueezeNet 1.0 and 1.1 as torchvision defines them (Iandola et al. 2016, arXiv 1602.07360)."""

from torch import nn
from torchvision.models import SqueezeNet


def squeezenet1_0(num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """SqueezeNet 1.0 of torchvision with random weights, layer names unchanged.

    1,248,424 parameters at 1000 classes and 3 channels; input [N, in_channels, 224, 224].
    """
    model: nn.Module = SqueezeNet("1_0", num_classes=num_classes)
    if in_channels != 3:
        model.set_submodule("features.0", _first_layer(nn.Conv2d(in_channels, 96, kernel_size=7, stride=2)))
    return model


def squeezenet1_1(num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """SqueezeNet 1.1 of torchvision with random weights, layer names unchanged.

    1,235,496 parameters at 1000 classes and 3 channels; input [N, in_channels, 224, 224].
    """
    model: nn.Module = SqueezeNet("1_1", num_classes=num_classes)
    if in_channels != 3:
        model.set_submodule("features.0", _first_layer(nn.Conv2d(in_channels, 64, kernel_size=3, stride=2)))
    return model


def _first_layer(layer: nn.Conv2d) -> nn.Conv2d:
    """Start a convolution from what torchvision starts its own from."""
    nn.init.kaiming_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
