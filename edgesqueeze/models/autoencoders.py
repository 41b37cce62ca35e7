"""Three autoencoders: what goes in shall come out, through a narrow place. Images are [N, C, H, W] in [0, 1].

A dense one (Hinton and Salakhutdinov 2006, Science 313), a convolutional one (Masci et al. 2011, ICANN), and
one whose encoder and decoder are Fire modules (Iandola et al. 2016, arXiv 1602.07360).
"""

from math import prod

import torch
from torch import Tensor, nn

from edgesqueeze.models.activation import Activation, activation_layer
from edgesqueeze.models.fire import Fire, conv_block, norm_block

CODE_CHANNELS = 8
"""Of both convolutional codes, which have a quarter of the image's height and width."""


class DenseAutoencoder(nn.Module):
    """784-64-32-64-784 for grey images of 28 × 28; the first and last are as wide as the image has values."""

    def __init__(self, image_shape: tuple[int, int, int], activation: Activation = "relu") -> None:
        super().__init__()
        values = prod(image_shape)
        self.encoder = nn.Sequential(
            *(nn.Linear(values, 64), activation_layer(activation)),
            *(nn.Linear(64, 32), activation_layer(activation)),
        )
        self.decoder = nn.Sequential(
            *(nn.Linear(32, 64), activation_layer(activation)),
            *(nn.Linear(64, values), nn.Sigmoid(), nn.Unflatten(1, image_shape)),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The image as the decoder makes it from 32 values."""
        code: Tensor = self.encoder(x.flatten(1))
        return self.decoder(code)  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped


class ConvAutoencoder(nn.Module):
    """3 × 3 convolutions with a stride of 2, and transposed ones back; 32 and 64 channels."""

    def __init__(self, channels: int, activation: Activation = "relu") -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            *(nn.Conv2d(channels, 32, 3, 2, 1), activation_layer(activation)),
            *(nn.Conv2d(32, 64, 3, 2, 1), activation_layer(activation)),
            *(nn.Conv2d(64, CODE_CHANNELS, 3, 1, 1), activation_layer(activation)),
        )
        self.decoder = nn.Sequential(
            *(nn.Conv2d(CODE_CHANNELS, 64, 3, 1, 1), activation_layer(activation)),
            *(nn.ConvTranspose2d(64, 32, 3, 2, 1, output_padding=1), activation_layer(activation)),
            *(nn.ConvTranspose2d(32, channels, 3, 2, 1, output_padding=1), nn.Sigmoid()),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The image as the decoder makes it from its code [N, 8, H/4, W/4]."""
        return self.decoder(self.encoder(x))  # type: ignore[no-any-return]  # as above


class FireDown(nn.Module):
    """A Fire module that halves a map: a 1 × 1 squeeze, then 2 × 2 and 3 × 3 expansions of stride 2."""

    def __init__(self, in_channels: int, squeeze: int, expand: int, activation: Activation) -> None:
        super().__init__()
        self.squeeze = conv_block(in_channels, squeeze, kernel=1, activation=activation)
        small, large = (
            nn.Conv2d(squeeze, expand, 2, 2, bias=False),
            nn.Conv2d(squeeze, expand, 3, 2, 1, bias=False),
        )
        self.expand2x2, self.expand3x3 = norm_block(small, activation), norm_block(large, activation)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] to [N, 2 · expand, H/2, W/2]."""
        squeezed = self.squeeze(x)
        return torch.cat([self.expand2x2(squeezed), self.expand3x3(squeezed)], 1)


class FireUp(nn.Module):
    """A Fire module that doubles a map: a 1 × 1 squeeze, then transposed 2 × 2 and 4 × 4 expansions.

    Kernels that are multiples of the stride leave no chequered pattern, and no zeros in an int8 file.
    """

    def __init__(self, in_channels: int, squeeze: int, expand: int, activation: Activation) -> None:
        super().__init__()
        self.squeeze = conv_block(in_channels, squeeze, kernel=1, activation=activation)
        small, large = (
            nn.ConvTranspose2d(squeeze, expand, 2, 2, bias=False),
            nn.ConvTranspose2d(squeeze, expand, 4, 2, 1, bias=False),
        )
        self.expand2x2, self.expand4x4 = norm_block(small, activation), norm_block(large, activation)

    def forward(self, x: Tensor) -> Tensor:
        """[N, in_channels, H, W] to [N, 2 · expand, 2H, 2W]."""
        squeezed = self.squeeze(x)
        return torch.cat([self.expand2x2(squeezed), self.expand4x4(squeezed)], 1)


class SqueezeAutoencoder(nn.Module):
    """Encoder and decoder of Fire modules: 24 and 48 channels, squeezed to 8, all times ``width``.

    A quarter of the parameters and of the multiplications of :class:`ConvAutoencoder`, half of them with a
    width of 1.5. The code is of the same size, and here is linear.
    """

    def __init__(self, channels: int, width: float = 1.0, activation: Activation = "relu6") -> None:
        super().__init__()
        squeeze, few, some, many = (round(count * width) for count in (8, 12, 24, 48))
        self.encoder = nn.Sequential(
            conv_block(channels, some, stride=2, activation=activation),
            FireDown(some, squeeze, some, activation),
            Fire(many, squeeze, some, bypass=True, activation=activation),
            nn.Conv2d(many, CODE_CHANNELS, 1),
        )
        self.decoder = nn.Sequential(
            conv_block(CODE_CHANNELS, many, kernel=1, activation=activation),
            Fire(many, squeeze, some, bypass=True, activation=activation),
            FireUp(many, squeeze, few, activation),
            *(nn.ConvTranspose2d(some, channels, 4, 2, 1), nn.Sigmoid()),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The image as the decoder makes it from its code [N, 8, H/4, W/4]."""
        return self.decoder(self.encoder(x))  # type: ignore[no-any-return]  # as above
