"""Nodes without weights that compute new values from values at the same place."""

from dataclasses import dataclass
from typing import ClassVar

from edgesqueeze.network.graph.functions import Call
from edgesqueeze.network.graph.nodes.layers import Activation
from edgesqueeze.network.graph.nodes.node import Node, Shape


@dataclass(frozen=True, kw_only=True)
class _Value(Node):
    """A node whose output has its first input's shape."""

    def output_shape(self, *sources: Shape) -> Shape:
        """Its first input's."""
        return sources[0]


@dataclass(frozen=True, kw_only=True)
class Add(_Value):
    """Element-wise sum of two tensors of the same shape."""

    activation: Activation
    arity: ClassVar[int | None] = 2

    def output_shape(self, *sources: Shape) -> Shape:
        """That of both."""
        left, right = sources
        if left != right:
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
    """Element-wise product of a tensor and one of the same shape, or of shape [1, C, 1, 1]."""

    arity: ClassVar[int | None] = 2

    def output_shape(self, *sources: Shape) -> Shape:
        """That of the left one."""
        left, right = sources
        if right not in (left, (*left[:2], *[1] * (len(left) - 2))):
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
