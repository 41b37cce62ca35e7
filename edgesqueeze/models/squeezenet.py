"""SqueezeNet 1.0 and 1.1 as torchvision defines them (Iandola et al. 2016, arXiv 1602.07360).

The paper's section 6 and figure 2 add bypasses: simple ones around the Fire modules 3, 5, 7 and 9, whose
input and output have as many channels, and in the complex form 1 × 1 convolutions around the other four too.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models import SqueezeNet
from torchvision.models.squeezenet import Fire

from edgesqueeze.models.activation import Activation, with_activation

Bypass = Literal["none", "simple", "complex"]


class SimpleBypassFire(nn.Module):
    """A Fire module whose input is added to its output; parameters keep torchvision's names."""

    squeeze: nn.Conv2d
    squeeze_activation: nn.Module
    expand1x1: nn.Conv2d
    expand1x1_activation: nn.Module
    expand3x3: nn.Conv2d
    expand3x3_activation: nn.Module

    def __init__(self, fire: Fire) -> None:
        super().__init__()
        for name, layer in fire.named_children():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to the same shape."""
        return x + self._expanded(x)

    def _expanded(self, x: Tensor) -> Tensor:
        x = self.squeeze_activation(self.squeeze(x))
        ways = (self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x)))
        return torch.cat(ways, 1)


class ComplexBypassFire(SimpleBypassFire):
    """A Fire module beside a 1 × 1 convolution, ``bypass``, from its input to as many channels as it has."""

    def __init__(self, fire: Fire) -> None:
        super().__init__(fire)
        self.bypass = _started(nn.Conv2d(fire.inplanes, _channels(fire), kernel_size=1))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, outputs of the Fire module, H, W]."""
        return self.bypass(x) + self._expanded(x)  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


def squeezenet1_0(
    num_classes: int = 1000, in_channels: int = 3, activation: Activation = "relu", bypass: Bypass = "none"
) -> nn.Module:
    """SqueezeNet 1.0 of torchvision with random weights, layer names unchanged.

    1,248,424 parameters at 1000 classes and 3 channels, 341,248 more in the complex form, which adds
    ``bypass`` to the names of four Fire modules; input [N, in_channels, H, W], H and W from 21 up.
    """
    model: nn.Module = SqueezeNet("1_0", num_classes=num_classes)
    if in_channels != 3:
        model.set_submodule("features.0", _started(nn.Conv2d(in_channels, 96, kernel_size=7, stride=2)))
    return with_activation(_with_bypass(model, bypass), activation)


def squeezenet1_1(
    num_classes: int = 1000, in_channels: int = 3, activation: Activation = "relu", bypass: Bypass = "none"
) -> nn.Module:
    """SqueezeNet 1.1 of torchvision with random weights, layer names unchanged.

    1,235,496 parameters at 1000 classes and 3 channels, 337,152 more in the complex form, which adds
    ``bypass`` to the names of four Fire modules; input [N, in_channels, H, W], H and W from 17 up.
    """
    model: nn.Module = SqueezeNet("1_1", num_classes=num_classes)
    if in_channels != 3:
        model.set_submodule("features.0", _started(nn.Conv2d(in_channels, 64, kernel_size=3, stride=2)))
    return with_activation(_with_bypass(model, bypass), activation)


def _with_bypass(model: nn.Module, bypass: Bypass) -> nn.Module:
    for name, fire in [(n, m) for n, m in model.named_modules() if isinstance(m, Fire)]:
        if fire.inplanes == _channels(fire) and bypass != "none":
            model.set_submodule(name, SimpleBypassFire(fire))
        elif bypass == "complex":
            model.set_submodule(name, ComplexBypassFire(fire))
    return model


def _channels(fire: Fire) -> int:
    """Of a Fire module's output."""
    return int(fire.expand1x1.out_channels + fire.expand3x3.out_channels)


def _started(layer: nn.Conv2d) -> nn.Conv2d:
    """Start a convolution from what torchvision starts its own from."""
    nn.init.kaiming_uniform_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
