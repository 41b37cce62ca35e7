"""The small graph both emitters, the integer reference and the coder read.

A :class:`Graph` is a list of nodes in execution order plus a dictionary of float32 tensors. Batch norm
is already folded, ReLU already fused where it can be, ceil mode already written as explicit padding.
Shapes are NCHW with batch 1. Nothing here knows torch or a file format.
"""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
"""Padding as (top, left, bottom, right)."""
Activation = Literal["none", "relu", "relu6"]
"""What is fused behind a node: nothing, max(x, 0), or min(max(x, 0), 6)."""
Function = Literal["sigmoid", "hardsigmoid", "hardswish", "silu", "gelu"]
"""Value by value: 1 / (1 + exp(-x)), clamp(x / 6 + 1/2, 0, 1), x · hardsigmoid(x), x · sigmoid(x), and
x · (1 + erf(x / √2)) / 2."""
ResizeMode = Literal["nearest", "bilinear"]
"""Nearest takes the value at floor(i · in / out); bilinear has half-pixel centres and clamped edges."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operation. ``name`` also names its output tensor; ``inputs`` name other nodes.

    ``shape`` is the output's, NCHW or [1, features].
    """

    name: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Input(Node):
    """The network's one input."""


@dataclass(frozen=True, kw_only=True)
class Conv(Node):
    """2-D convolution, weight [out, in / groups, kernel height, kernel width], bias [out]."""

    kernel: Pair
    stride: Pair
    pads: Pads
    dilation: Pair
    groups: int
    activation: Activation


@dataclass(frozen=True, kw_only=True)
class ConvTranspose(Node):
    """Transposed 2-D convolution, weight [out, in, kernel height, kernel width], bias [out].

    Every input value adds its product with the kernel at its place times the stride; ``pads`` are then cut
    off, and ``extra`` rows and columns (each fewer than the stride) are kept behind the last ones.
    """

    kernel: Pair
    stride: Pair
    pads: Pads
    extra: Pair
    activation: Activation


@dataclass(frozen=True, kw_only=True)
class Dense(Node):
    """Fully connected layer, weight [out, in], bias [out]."""

    activation: Activation


@dataclass(frozen=True, kw_only=True)
class MaxPool(Node):
    """Maximum over windows; padding never wins (it counts as minus infinity)."""

    kernel: Pair
    stride: Pair
    pads: Pads


@dataclass(frozen=True, kw_only=True)
class AvgPool(Node):
    """Mean over windows without padding."""

    kernel: Pair
    stride: Pair


@dataclass(frozen=True, kw_only=True)
class GlobalAvgPool(Node):
    """Mean over height and width, which stay as 1 × 1."""


@dataclass(frozen=True, kw_only=True)
class Flatten(Node):
    """[1, C, H, W] to [1, C·H·W] in C, H, W order."""


@dataclass(frozen=True, kw_only=True)
class Concat(Node):
    """Concatenation along channels."""


@dataclass(frozen=True, kw_only=True)
class Add(Node):
    """Element-wise sum of two tensors of the same shape."""

    activation: Activation


@dataclass(frozen=True, kw_only=True)
class Clamp(Node):
    """A ReLU or ReLU6 that could not be fused behind the node before it."""

    activation: Activation


@dataclass(frozen=True, kw_only=True)
class Mul(Node):
    """Element-wise product of a tensor and one of the same shape, or of shape [1, C, 1, 1]."""


@dataclass(frozen=True, kw_only=True)
class Pointwise(Node):
    """A function of every value on its own."""

    function: Function


@dataclass(frozen=True, kw_only=True)
class Slice(Node):
    """The channels from ``start`` up to but not including ``stop``."""

    start: int
    stop: int


@dataclass(frozen=True, kw_only=True)
class Shuffle(Node):
    """Channel shuffle (Zhang et al. 2018, arXiv 1707.01083): [groups, C / groups] channels transposed."""

    groups: int


@dataclass(frozen=True, kw_only=True)
class Pad(Node):
    """Rows and columns of zeros around a map."""

    pads: Pads


@dataclass(frozen=True, kw_only=True)
class Resize(Node):
    """A map brought to ``size`` (height, width)."""

    size: Pair
    mode: ResizeMode


@dataclass(frozen=True, kw_only=True)
class Crop(Node):
    """A map without its outermost rows and columns."""

    pads: Pads


@dataclass(frozen=True, kw_only=True)
class DepthToSpace(Node):
    """[block height, block width, C] channels become C channels of block height × block width more places."""

    block: Pair


@dataclass(frozen=True, kw_only=True)
class Softmax(Node):
    """exp(x) over its sum, along channels or features."""


@dataclass(frozen=True, kw_only=True)
class LayerNorm(Node):
    """(x - mean) / sqrt(variance + epsilon) · weight + bias along channels or features, weight and bias [C].

    The variance is that of the C values, not of a sample; ``epsilon`` is a float32 value.
    """

    epsilon: float


AnyNode = (
    Input
    | Conv
    | Dense
    | MaxPool
    | AvgPool
    | GlobalAvgPool
    | Flatten
    | Concat
    | Add
    | Clamp
    | Mul
    | Pointwise
    | Slice
    | Shuffle
    | Pad
    | Resize
    | ConvTranspose
    | Crop
    | DepthToSpace
    | Softmax
    | LayerNorm
)
WeightedNode = Conv | Dense | ConvTranspose
"""Layers whose weights become integers in an int8 network."""
ParametricNode = WeightedNode | LayerNorm
"""Nodes with a weight and a bias; those of a layer norm are float in an int8 network too."""
NODE_KINDS: dict[str, type[AnyNode]] = {kind.__name__: kind for kind in get_args(AnyNode)}


def weight_name(node: Node) -> str:
    """The key of a node's weight in ``Graph.tensors``."""
    return f"{node.name}.weight"


def bias_name(node: Node) -> str:
    """The key of a node's bias in ``Graph.tensors``."""
    return f"{node.name}.bias"


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: nodes in execution order (the input first, the output last) and its float32 tensors."""

    nodes: tuple[AnyNode, ...]
    tensors: dict[str, Floats]

    @cached_property
    def by_name(self) -> dict[str, AnyNode]:
        """Node name to node."""
        return {node.name: node for node in self.nodes}

    @property
    def input(self) -> AnyNode:
        """The input node."""
        return self.nodes[0]

    @property
    def output(self) -> AnyNode:
        """The node whose tensor is the network's result."""
        return self.nodes[-1]

    @property
    def weighted(self) -> tuple[WeightedNode, ...]:
        """The layers with weights that become integers, in execution order."""
        return tuple(node for node in self.nodes if isinstance(node, WeightedNode))

    @property
    def parametric(self) -> tuple[ParametricNode, ...]:
        """The nodes that own a weight and a bias, in execution order."""
        return tuple(node for node in self.nodes if isinstance(node, ParametricNode))

    def source(self, node: Node) -> AnyNode:
        """The node that feeds a node's first input."""
        return self.by_name[node.inputs[0]]

    def weight(self, node: ParametricNode) -> Floats:
        """A node's weight."""
        return self.tensors[weight_name(node)]

    def bias(self, node: ParametricNode) -> Floats:
        """A node's bias, one value per output channel."""
        return self.tensors[bias_name(node)]

    def users(self, name: str) -> tuple[AnyNode, ...]:
        """The nodes that read a tensor."""
        return tuple(node for node in self.nodes if name in node.inputs)


def weight_shape(graph: Graph, node: ParametricNode) -> tuple[int, ...]:
    """The shape a node's weight must have, from the structure alone."""
    source = graph.source(node).shape
    if isinstance(node, Conv):
        return (node.shape[1], source[1] // node.groups, *node.kernel)
    if isinstance(node, ConvTranspose):
        return (node.shape[1], source[1], *node.kernel)
    if isinstance(node, LayerNorm):
        return (node.shape[1],)
    return (node.shape[1], prod(source[1:]))
