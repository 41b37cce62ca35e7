"""A segmenter on SqueezeNet: a class for every pixel.

Skip connections from every level, as in fully convolutional networks (Long et al. 2015, arXiv 1411.4038) and
U-Net (Ronneberger et al. 2015, arXiv 1505.04597), added as in feature pyramids; the decoder is of Fire
modules, and all resizes are bilinear by 2, for which both runtimes find the same integers.
"""

from torch import Tensor, nn

from edgesqueeze.models.fire import Fire, FireSettings, SqueezeNetFeatures, conv_block, doubled


class SqueezeNetSegmenter(nn.Module):
    """Logits [N, classes, H, W] of images [N, C, H, W]; H and W are multiples of 16."""

    def __init__(self, num_classes: int, in_channels: int, settings: FireSettings) -> None:
        super().__init__()
        self.features = SqueezeNetFeatures(in_channels, settings)
        channels, activation = settings.channels(64), settings.activation
        self.laterals = nn.ModuleList(
            conv_block(c, channels, 1, activation=activation) for c in self.features.channels
        )
        self.decoder = nn.ModuleList(
            Fire(channels, channels // 4, channels // 2, activation=activation)
            for _ in self.features.channels[1:]
        )
        self.scores = nn.Conv2d(channels, num_classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Class scores of every pixel."""
        *finer, coarsest = (
            lateral(level) for lateral, level in zip(self.laterals, self.features(x), strict=True)
        )
        y = coarsest
        for fire, level in zip(self.decoder, reversed(finer), strict=True):
            y = fire(level + doubled(y))
        return doubled(self.scores(y))
