"""AlexNet as torchvision defines it (the one-column form of Krizhevsky 2014, arXiv 1404.5997)."""

from torch import nn
from torchvision.models import AlexNet

from edgesqueeze.models.activation import Activation, with_activation


def alexnet(
    num_classes: int = 1000,
    in_channels: int = 3,
    image_size: tuple[int, int] = (224, 224),
    activation: Activation = "relu",
) -> nn.Module:
    """AlexNet of torchvision with random weights, layer names unchanged.

    61,100,840 parameters at 1000 classes and 3 channels; input [N, in_channels, H, W]. The first convolution
    has a stride of 4, as published; images below 63 pixels would leave nothing for the last pool, so it is 2
    there and 1 below 35, with weights of the same shape; H and W are at least 21.
    """
    model: nn.Module = AlexNet(num_classes=num_classes)
    stride = _stride(min(image_size))
    if in_channels != 3:
        replacement = nn.Conv2d(in_channels, 64, kernel_size=11, stride=stride, padding=2)
        model.set_submodule("features.0", replacement)
    else:
        first = model.get_submodule("features.0")
        assert isinstance(first, nn.Conv2d)
        first.stride = (stride, stride)
    return with_activation(model, activation)


def _stride(size: int) -> int:
    # Three pools of 3 with a stride of 2 need 15 places behind the first convolution.
    return next((stride for stride in (4, 2) if (size + 4 - 11) // stride + 1 >= 15), 1)
