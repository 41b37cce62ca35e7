"""AlexNet as torchvision defines it (the one-column form of Krizhevsky 2014, arXiv 1404.5997)."""

from torch import nn
from torchvision.models import AlexNet


def alexnet(num_classes: int = 1000, in_channels: int = 3) -> nn.Module:
    """AlexNet of torchvision with random weights, layer names unchanged.

    61,100,840 parameters at 1000 classes and 3 channels; input [N, in_channels, 224, 224].
    """
    model: nn.Module = AlexNet(num_classes=num_classes)
    if in_channels != 3:
        replacement = nn.Conv2d(in_channels, 64, kernel_size=11, stride=4, padding=2)
        model.set_submodule("features.0", replacement)
    return model
