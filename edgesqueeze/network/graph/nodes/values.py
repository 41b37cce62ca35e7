"""Nodes without weights that compute new values from values at the same place."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from edgesqueeze.network.graph.functions import Call
from edgesqueeze.network.graph.nodes.layers import Activation
from edgesqueeze.network.graph.nodes.node import Node, Shape

Which = Literal["maximum", "minimum"]
SummedAxis = Literal["channels", "width"]


def is_spread_over(small: Shape, large: Shape) -> bool:
    """Whether a tensor can be repeated along axes of length 1 to a shape."""
    return len(small) == len(large) and all(s in (1, n) for s, n in zip(small, large, strict=True))


@dataclass(frozen=True, kw_only=True)
class _Value(Node):
    """A node whose output has its first input's shape."""

    def output_shape(self, *sources: Shape) -> Shape:
        """Its first input's."""
        return sources[0]


@dataclass(frozen=True, kw_only=True)
class Add(_Value):
    """Element-wise sum of a tensor and one of the same shape, or of length 1 along some of its axes."""

    activation: Activation
    arity: ClassVar[int | None] = 2

    def output_shape(self, *sources: Shape) -> Shape:
        """That of the left one."""
        left, right = sources
        if not is_spread_over(right, left):
            raise self.wrong(f"adds shapes {left} and {right}")
        return left


@dataclass(frozen=True, kw_only=True)
class Clamp(_Value):
    """A ReLU or ReLU6 that could not be fused behind the node before it."""

    activation: Activation

    def output_shape(self, *sources: Shape) -> Shape:
        """Its input's."""
        if self.activation == "none":
            raise self.wrong("clamps to nothing")
        return sources[0]


@dataclass(frozen=True, kw_only=True)
class Mul(_Value):
    """Element-wise product of a tensor and one of the same shape, or of length 1 along some of its axes."""

    arity: ClassVar[int | None] = 2

    def output_shape(self, *sources: Shape) -> Shape:
        """That of the left one."""
        left, right = sources
        if not is_spread_over(right, left):
            raise self.wrong(f"multiplies shapes {left} and {right}")
        return left


@dataclass(frozen=True, kw_only=True)
class Pointwise(_Value):
    """A function of every value on its own: one of ``network.graph.functions``, with its parameters."""

    function: str
    parameters: tuple[float, ...] = ()

    @property
    def call(self) -> Call:
        """The function with its parameters."""
        return Call(self.function, self.parameters)


@dataclass(frozen=True, kw_only=True)
class Softmax(_Value):
    """exp(x) over its sum, along channels or features."""


@dataclass(frozen=True, kw_only=True)
class Extreme(_Value):
    """The larger or the smaller of two tensors of the same shape, value by value."""

    which: Which
    arity: ClassVar[int | None] = 2
    joins_grids: ClassVar[bool] = True

    def output_shape(self, *sources: Shape) -> Shape:
        """That of both."""
        left, right = sources
        if left != right:
            raise self.wrong(f"compares shapes {left} and {right}")
        return left

    @property
    def copies(self) -> bool:
        """It chooses values."""
        return True


@dataclass(frozen=True, kw_only=True)
class MatMul(Node):
    """Products of matrices, one pair per row: [1, K, B, M] and [1, K, B, N] make [1, N, B, M], summed over K.

    ``along`` says where the right tensor has K: as its channels, or as its width ([1, N, B, K]).
    """

    along: SummedAxis
    arity: ClassVar[int | None] = 2
    rank: ClassVar[int | None] = 4

    def output_shape(self, *sources: Shape) -> Shape:
        """[1, N, B, M]."""
        left, right = sources
        if len(right) != 4:
            raise self.wrong(f"multiplies shapes {left} and {right}")
        summed, columns = (right[1], right[3]) if self.along == "channels" else (right[3], right[1])
        if left[1] != summed or left[2] != right[2]:
            raise self.wrong(f"multiplies shapes {left} and {right}, summed along {self.along}")
        return 1, columns, left[2], left[3]
