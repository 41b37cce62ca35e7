"""Fire modules with batch norm, and the SqueezeNet of them that detectors and segmenters begin with.

Iandola et al. 2016 (arXiv 1602.07360) train without batch norm, on ImageNet and for long. From scratch on
little data it is what makes these networks train at all; files hold none of it, since it is folded into the
convolutions. Channels and order are those of SqueezeNet 1.1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgesqueeze.models.activation import Activation, activation_layer

STRIDES = (2, 4, 8, 16)
"""Of the maps that :class:`SqueezeNetFeatures` returns."""


def conv_block(
    in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, activation: Activation = "relu6"
) -> nn.Sequential:
    """Convolution, batch norm, activation; [N, C, H, W] to [N, out_channels, ceil(H / stride), ...]."""
    layer = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
    return norm_block(layer, activation)


def norm_block(layer: nn.Conv2d | nn.ConvTranspose2d, activation: Activation) -> nn.Sequential:
    """A layer, batch norm, activation."""
    return nn.Sequential(layer, nn.BatchNorm2d(layer.out_channels), activation_layer(activation))


class Fire(nn.Module):
    """A 1 × 1 squeeze, then 1 × 1 and 3 × 3 expansions side by side; ``simple`` adds the input."""

    def __init__(
        self,
        in_channels: int,
        squeeze: int,
        expand: int,
        bypass: bool = False,
        activation: Activation = "relu6",
    ) -> None:
        super().__init__()
        self.squeeze = conv_block(in_channels, squeeze, kernel=1, activation=activation)
        self.expand1x1 = conv_block(squeeze, expand, kernel=1, activation=activation)
        self.expand3x3 = conv_block(squeeze, expand, kernel=3, activation=activation)
        self.bypass = bypass

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] to [N, 2 · expand, H, W]."""
        squeezed = self.squeeze(x)
        expanded = torch.cat([self.expand1x1(squeezed), self.expand3x3(squeezed)], 1)
        return x + expanded if self.bypass else expanded


@dataclass(frozen=True)
class FireSettings:
    """How a network of Fire modules is built: a factor of all channels, activation, bypasses.

    ``bypass`` adds the paper's simple ones around the Fire modules 3, 5, 7 and 9. They learn faster, but sums
    of ReLU6 are beyond 6, which costs an int8 file a few operations.
    """

    width: float = 1.0
    activation: Activation = "relu6"
    bypass: bool = False

    def channels(self, channels: int, step: int = 8) -> int:
        """So many times the channels, in whole steps and at least one."""
        return max(step, round(channels * self.width / step) * step)


class SqueezeNetFeatures(nn.Module):
    """SqueezeNet 1.1 up to its last Fire module; the first layer is padded, so that maps halve exactly."""

    def __init__(self, in_channels: int, settings: FireSettings) -> None:
        super().__init__()
        activation = settings.activation
        stem, *expands = (settings.channels(channels) for channels in (64, 64, 128, 192, 256))
        squeezes = [settings.channels(channels, 4) for channels in (16, 32, 48, 64)]
        self.channels = (stem, *(2 * expands[place] for place in (0, 1, 3)))
        self.stem = conv_block(in_channels, stem, stride=2, activation=activation)
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)
        pairs = []
        before = stem
        for squeeze, expand in zip(squeezes, expands, strict=True):
            first = Fire(before, squeeze, expand, activation=activation)
            second = Fire(2 * expand, squeeze, expand, settings.bypass, activation)
            pairs.append(nn.Sequential(first, second))
            before = 2 * expand
        self.fire23, self.fire45, self.fire67, self.fire89 = pairs

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Maps of :data:`STRIDES` with ``channels`` channels, of images [N, C, H, W]."""
        first = self.stem(x)
        second = self.fire23(self.pool(first))
        third = self.fire45(self.pool(second))
        return first, second, third, self.fire89(self.fire67(self.pool(third)))


def doubled(x: Tensor) -> Tensor:
    """A map [N, C, H, W] at twice its size, bilinear: both runtimes find the same integers for it."""
    return nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
