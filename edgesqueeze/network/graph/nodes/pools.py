"""Nodes that summarize windows of a map."""

from dataclasses import dataclass, field
from typing import ClassVar

from edgesqueeze.network.graph.nodes.node import FROM_ZERO, Node, Pads, Pair, Shape


@dataclass(frozen=True, kw_only=True)
class MaxPool(Node):
    """Maximum over windows; padding never wins (it counts as minus infinity)."""

    kernel: Pair
    stride: Pair
    pads: Pads = field(metadata=FROM_ZERO)
    rank: ClassVar[int | None] = 4
    shares_grid: ClassVar[bool] = True

    def output_shape(self, *sources: Shape) -> Shape:
        """As torch computes it."""
        (source,) = sources
        top, left, bottom, right = self.pads
        rows = self._windows(source[2], (top, bottom), 0)
        return 1, source[1], rows, self._windows(source[3], (left, right), 1)

    def _windows(self, length: int, pads: tuple[int, int], axis: int) -> int:
        """How many windows fit; each must touch the input: padding alone has no maximum."""
        kernel, stride = self.kernel[axis], self.stride[axis]
        if max(pads) >= kernel:
            raise self.wrong(f"has windows of {kernel} that lie in the padding {pads} altogether")
        return (length + sum(pads) - kernel) // stride + 1

    @property
    def copies(self) -> bool:
        """It chooses values."""
        return True


@dataclass(frozen=True, kw_only=True)
class AvgPool(Node):
    """Mean over windows without padding."""

    kernel: Pair
    stride: Pair
    rank: ClassVar[int | None] = 4
    shares_grid: ClassVar[bool] = True

    def output_shape(self, *sources: Shape) -> Shape:
        """As torch computes it."""
        (source,) = sources
        rows = (source[2] - self.kernel[0]) // self.stride[0] + 1
        columns = (source[3] - self.kernel[1]) // self.stride[1] + 1
        return 1, source[1], rows, columns


@dataclass(frozen=True, kw_only=True)
class GlobalAvgPool(Node):
    """Mean over height and width, which stay as 1 × 1."""

    rank: ClassVar[int | None] = 4

    def output_shape(self, *sources: Shape) -> Shape:
        """[1, C, 1, 1]."""
        return 1, sources[0][1], 1, 1


@dataclass(frozen=True, kw_only=True)
class ChannelMax(Node):
    """The largest value over the channels of a map, [1, 1, H, W]."""

    rank: ClassVar[int | None] = 4
    shares_grid: ClassVar[bool] = True

    def output_shape(self, *sources: Shape) -> Shape:
        """One channel."""
        return 1, 1, *sources[0][2:]

    @property
    def copies(self) -> bool:
        """It chooses values."""
        return True


MOST_PLACES = 256
"""So many places the int8 grid of their numbers can tell apart."""


@dataclass(frozen=True, kw_only=True)
class ArgMax(Node):
    """The number of the channel or feature with the largest value, the first of equal ones, as a float.

    [1, C, H, W] becomes [1, 1, H, W], [1, features] becomes [1, 1].
    """

    def output_shape(self, *sources: Shape) -> Shape:
        """One channel or feature."""
        (source,) = sources
        if source[1] > MOST_PLACES:
            raise self.wrong(f"finds the largest of {source[1]}; {MOST_PLACES} are the most")
        return 1, 1, *source[2:]
