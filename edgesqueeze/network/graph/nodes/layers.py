"""Nodes with a weight and a bias."""

from dataclasses import dataclass, field
from math import prod
from typing import ClassVar, Literal

from edgesqueeze.network.graph.nodes.node import FROM_ZERO, Pads, Pair, Parametric, Shape

Activation = Literal["none", "relu", "relu6"]
"""What is fused behind a node: nothing, max(x, 0), or min(max(x, 0), 6)."""


@dataclass(frozen=True, kw_only=True)
class Conv(Parametric):
    """2-D convolution, weight [out, in / groups, kernel height, kernel width], bias [out]."""

    kernel: Pair
    stride: Pair
    pads: Pads = field(metadata=FROM_ZERO)
    dilation: Pair
    groups: int
    activation: Activation
    rank: ClassVar[int | None] = 4
    weight_rank: ClassVar[int] = 4

    def output_shape(self, *sources: Shape) -> Shape:
        """As torch computes it."""
        (source,) = sources
        if source[1] % self.groups or self.shape[1] % self.groups:
            raise self.wrong(f"splits {source[1]} and {self.shape[1]} channels into {self.groups} groups")
        reach = tuple(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))
        top, left, bottom, right = self.pads
        rows = (source[2] + top + bottom - reach[0]) // self.stride[0] + 1
        columns = (source[3] + left + right - reach[1]) // self.stride[1] + 1
        return 1, self.shape[1], rows, columns

    def weight_shape(self, source: Shape) -> Shape:
        """[out, in / groups, kernel height, kernel width]."""
        return (self.shape[1], source[1] // self.groups, *self.kernel)

    def positions(self, source: Shape) -> int:
        """Once per output position; 0 of a scale per channel, whose products are element-wise."""
        is_scale = self.kernel == (1, 1) and self.groups == source[1] == self.shape[1]
        return 0 if is_scale else prod(self.shape[2:])


@dataclass(frozen=True, kw_only=True)
class ConvTranspose(Parametric):
    """Transposed 2-D convolution, weight [out, in, kernel height, kernel width], bias [out].

    Every input value adds its product with the kernel at its place times the stride; ``pads`` are then cut
    off, and ``extra`` rows and columns (each fewer than the stride) are kept behind the last ones.
    """

    kernel: Pair
    stride: Pair
    pads: Pads = field(metadata=FROM_ZERO)
    extra: Pair = field(metadata=FROM_ZERO)
    activation: Activation
    rank: ClassVar[int | None] = 4
    weight_rank: ClassVar[int] = 4

    def output_shape(self, *sources: Shape) -> Shape:
        """As torch computes it."""
        (source,) = sources
        top, left, bottom, right = self.pads
        if self.extra[0] >= self.stride[0] or self.extra[1] >= self.stride[1]:
            raise self.wrong(f"keeps {self.extra} more rows and columns; fewer than the stride are allowed")
        rows = (source[2] - 1) * self.stride[0] + self.kernel[0] - top - bottom + self.extra[0]
        columns = (source[3] - 1) * self.stride[1] + self.kernel[1] - left - right + self.extra[1]
        return 1, self.shape[1], rows, columns

    def weight_shape(self, source: Shape) -> Shape:
        """[out, in, kernel height, kernel width]."""
        return (self.shape[1], source[1], *self.kernel)

    def positions(self, source: Shape) -> int:
        """Once per input position."""
        return prod(source[2:])


@dataclass(frozen=True, kw_only=True)
class Dense(Parametric):
    """Fully connected layer, weight [out, in], bias [out]."""

    activation: Activation
    rank: ClassVar[int | None] = 2
    weight_rank: ClassVar[int] = 2

    def output_shape(self, *sources: Shape) -> Shape:  # noqa: ARG002 (any number of features)
        """[1, out]."""
        return 1, self.shape[1]

    def weight_shape(self, source: Shape) -> Shape:
        """[out, in]."""
        return (self.shape[1], prod(source[1:]))

    def positions(self, source: Shape) -> int:  # noqa: ARG002 (see Parametric)
        """Once."""
        return 1


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Parametric):
    """(x - mean) / sqrt(variance + epsilon) · weight + bias along channels or features, weight and bias [C].

    The variance is that of the C values, not of a sample; ``epsilon`` is a float32 value.
    """

    epsilon: float
    weight_rank: ClassVar[int] = 1
    names_channels: ClassVar[bool] = False

    def output_shape(self, *sources: Shape) -> Shape:
        """Its input's."""
        return sources[0]

    def weight_shape(self, source: Shape) -> Shape:  # noqa: ARG002 (it has its input's channels)
        """[C]."""
        return (self.shape[1],)

    def positions(self, source: Shape) -> int:  # noqa: ARG002 (see Parametric)
        """0: its products are element-wise."""
        return 0


@dataclass(frozen=True, kw_only=True)
class GroupNorm(Parametric):
    """Like a layer norm, but of a map, over height, width and the channels of each group (Wu & He 2018).

    With as many groups as channels it is an instance norm. weight and bias [C].
    """

    groups: int
    epsilon: float
    rank: ClassVar[int | None] = 4
    weight_rank: ClassVar[int] = 1
    names_channels: ClassVar[bool] = False

    def output_shape(self, *sources: Shape) -> Shape:
        """Its input's."""
        (source,) = sources
        if source[1] % self.groups:
            raise self.wrong(f"norms {source[1]} channels in {self.groups} groups")
        return source

    def weight_shape(self, source: Shape) -> Shape:  # noqa: ARG002 (it has its input's channels)
        """[C]."""
        return (self.shape[1],)

    def positions(self, source: Shape) -> int:  # noqa: ARG002 (see Parametric)
        """0: its products are element-wise."""
        return 0


@dataclass(frozen=True, kw_only=True)
class Constant(Parametric):
    """A stored map, such as a position embedding: weight [C, height · width], plus bias [C] everywhere.

    In an int8 network it is a tensor of integers on the grid of its node.
    """

    size: Pair
    arity: ClassVar[int | None] = 0
    weight_rank: ClassVar[int] = 2

    def output_shape(self, *sources: Shape) -> Shape:  # noqa: ARG002 (it has none)
        """[1, C, height, width]."""
        return 1, self.shape[1], *self.size

    def weight_shape(self, source: Shape) -> Shape:  # noqa: ARG002 (it has none)
        """[C, height · width]."""
        return (self.shape[1], prod(self.size))

    def positions(self, source: Shape) -> int:  # noqa: ARG002 (it has none)
        """0: it multiplies nothing."""
        return 0


FloatNode = LayerNorm | GroupNorm | Constant
"""Nodes whose weight and bias are float in an int8 network too."""
WeightedNode = Conv | Dense | ConvTranspose
"""Layers whose weights become integers in an int8 network."""
ParametricNode = WeightedNode | FloatNode
"""Nodes with a weight and a bias."""
