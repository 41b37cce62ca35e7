"""LeNet-5 as LeCun et al. published it: Gradient-based learning applied to document recognition, 1998.

(Proceedings of the IEEE 86(11), section II.B, figure 2 and table I.) Two things differ. The output layer is
dense, where the paper has ten radial basis functions whose centres were drawn by hand; and a subsampling
unit multiplies the mean of its four inputs by its coefficient, not their sum, which only scales the
coefficient.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TABLE_I = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)
"""Which maps of S2 each of the 16 maps of C3 reads."""


AMPLITUDE, SLOPE = 1.7159, 2 / 3
"""Every layer up to F6 ends in AMPLITUDE · tanh(SLOPE · x), which maps 1 to 1 and -1 to -1 (appendix A).

The next layer multiplies its weights by the amplitude, which is the same, costs nothing and rounds nothing
in an int8 file; so what passes between the modules lies in [-1, 1].
"""


def squashed(x: Tensor) -> Tensor:
    """The squashing function without its amplitude."""
    return torch.tanh(x * SLOPE)


class Subsampling(nn.Module):
    """The mean of 2 × 2 places of squashed maps, times a coefficient, plus a bias; one of each per map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.coefficient = nn.Parameter(torch.ones(channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, C, H/2, W/2]."""
        return F.avg_pool2d(x, 2) * (self.coefficient * AMPLITUDE) + self.bias


class TableConv2d(nn.Conv2d):
    """A 5 × 5 convolution of squashed maps; each map reads only some, all other weights are and stay zero."""

    mask: Tensor

    def __init__(self, in_channels: int, table: tuple[tuple[int, ...], ...]) -> None:
        super().__init__(in_channels, len(table), 5)
        mask = torch.zeros(len(table), in_channels, 1, 1)
        for output, inputs in enumerate(table):
            mask[output, list(inputs)] = 1
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] to [N, len(table), H - 4, W - 4]."""
        return F.conv2d(x, self.weight * (self.mask * AMPLITUDE), self.bias)


class SquashedConv2d(nn.Conv2d):
    """A convolution of squashed maps."""

    def forward(self, x: Tensor) -> Tensor:
        """As of any convolution without padding."""
        return F.conv2d(x, self.weight * AMPLITUDE, self.bias)


class SquashedLinear(nn.Linear):
    """A dense layer of squashed features."""

    def forward(self, x: Tensor) -> Tensor:
        """As of any dense layer."""
        return F.linear(x, self.weight * AMPLITUDE, self.bias)


class LeNet5Of1998(nn.Module):
    """60,850 trainable weights for grey images and 10 classes, of which C3's table leaves 1,516 to C3.

    Images are [N, C, 32, 32]; those of 28 × 28, the paper's digits, get its border of two.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 28) -> None:
        super().__init__()
        self.c1 = nn.Conv2d(in_channels, 6, 5, padding=(32 - image_size) // 2)
        self.s2 = Subsampling(6)
        self.c3 = TableConv2d(6, TABLE_I)
        self.s4 = Subsampling(16)
        self.c5 = SquashedConv2d(16, 120, 5)
        self.f6 = SquashedLinear(120, 84)
        self.output = SquashedLinear(84, num_classes)
        self._start()

    def forward(self, x: Tensor) -> Tensor:
        """Class scores [N, num_classes]."""
        x = squashed(self.s2(squashed(self.c1(x))))
        x = squashed(self.s4(squashed(self.c3(x))))
        x = squashed(self.c5(x)).flatten(1)
        return self.output(squashed(self.f6(x)))  # type: ignore[no-any-return]  # nn.Module.__call__ is untyped

    @torch.no_grad()
    def _start(self) -> None:
        """Weights of variance 1 / inputs, as the squashing function wants them (Efficient BackProp, 1998).

        The paper's own, evenly between ±2.4 / inputs, needs its second-order learning rates.
        """
        for layer in (self.c1, self.c3, self.c5, self.f6, self.output):
            mask = layer.mask if isinstance(layer, TableConv2d) else torch.ones(1)
            inputs = mask.expand_as(layer.weight).flatten(1).sum(1)
            bound = (3 / inputs).sqrt().reshape(-1, *[1] * (layer.weight.ndim - 1))
            layer.weight.copy_((torch.rand_like(layer.weight) * 2 - 1) * bound * mask)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
