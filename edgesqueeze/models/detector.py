"""A single-shot detector on SqueezeNet: fully convolutional and without anchor boxes.

The idea of SqueezeDet (Wu et al. 2017, arXiv 1612.01051), a detector of a few Fire modules whose last
convolution is the detector; its levels and distances are those of FCOS (Tian et al. 2019, arXiv 1904.01355),
with a top-down path as in feature pyramids (Lin et al. 2017, arXiv 1612.03144).
"""

from math import log

import torch
from torch import Tensor, nn

from edgesqueeze.models.activation import Activation
from edgesqueeze.models.fire import Fire, FireSettings, SqueezeNetFeatures, conv_block, doubled

RARE = 0.01
"""The score that every place begins with: nearly all hold nothing (Lin et al. 2017, arXiv 1708.02002)."""
FIRST_DISTANCE = 2.0
"""The distance, in strides, that every side begins with: at zero a ReLU would learn nothing."""


class DetectorHead(nn.Module):
    """Distances and scores of one level, each from a Fire module of its own."""

    def __init__(self, channels: int, num_classes: int, activation: Activation) -> None:
        super().__init__()
        self.box_fire, self.score_fire = (
            Fire(channels, channels // 4, channels // 2, activation=activation) for _ in range(2)
        )
        self.boxes, self.scores = nn.Conv2d(channels, 4, 1), nn.Conv2d(channels, num_classes, 1)
        for layer, bias in ((self.boxes, FIRST_DISTANCE), (self.scores, log(RARE / (1 - RARE)))):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.constant_(layer.bias, bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Distances [N, H · W, 4] and logits [N, H · W, classes] of a map [N, C, H, W]."""
        distances = torch.relu(self.boxes(self.box_fire(x)))
        scores = self.scores(self.score_fire(x))
        return distances.flatten(2).transpose(1, 2), scores.flatten(2).transpose(1, 2)


class SqueezeNetDetector(nn.Module):
    """Distances and scores over two levels (strides 8 and 16), or three (and 32).

    They are separate outputs, so that each has an int8 grid of its own. ``strides`` is what a
    :class:`~edgesqueeze.numerics.boxes.BoxDecoding` has to know. H and W are multiples of 32.
    """

    def __init__(self, num_classes: int, in_channels: int, levels: int, settings: FireSettings) -> None:
        super().__init__()
        activation = settings.activation
        self.strides = (8, 16, 32)[:levels]
        self.features = SqueezeNetFeatures(in_channels, settings)
        channels = list(self.features.channels[2:])
        self.coarse: nn.Module | None = None
        if levels == 3:
            last = channels[-1]
            fire = Fire(last, last // 8, last // 2, activation=activation)
            self.coarse = nn.Sequential(nn.MaxPool2d(3, 2, ceil_mode=True), fire)
            channels.append(last)
        neck = settings.channels(96)
        self.laterals = nn.ModuleList(conv_block(c, neck, 1, activation=activation) for c in channels)
        self.heads = nn.ModuleList(DetectorHead(neck, num_classes, activation) for _ in channels)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """``boxes``, distances to left, top, right and bottom in strides, and ``scores``, logits.

        [N, A, 4] and [N, A, classes] of images [N, C, H, W]; A goes by levels, rows and columns.
        """
        maps = list(self.features(x)[2:])
        if self.coarse is not None:
            maps.append(self.coarse(maps[-1]))
        maps = [lateral(level) for lateral, level in zip(self.laterals, maps, strict=True)]
        for level in range(len(maps) - 2, -1, -1):
            maps[level] = maps[level] + doubled(maps[level + 1])
        found = [head(level) for head, level in zip(self.heads, maps, strict=True)]
        boxes, scores = zip(*found, strict=True)
        return {"boxes": torch.cat(boxes, 1), "scores": torch.cat(scores, 1)}
