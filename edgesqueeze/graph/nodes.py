"""The small graph both emitters, the integer reference and the coder read.

A :class:`Graph` is a list of nodes in execution order plus a dictionary of float32 tensors. Batch norm
is already folded, ReLU already fused where it can be, ceil mode already written as explicit padding.
Shapes are NCHW with batch 1. Nothing here knows torch or a file format.
"""

from dataclasses import dataclass, fields
from functools import cached_property
from math import prod
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import CodecError

Floats = NDArray[np.float32]
Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
"""Padding as (top, left, bottom, right)."""
Activation = Literal["none", "relu", "relu6"]
"""What is fused behind a node: nothing, max(x, 0), or min(max(x, 0), 6)."""
Function = Literal["sigmoid", "hardsigmoid", "hardswish", "silu"]
"""Value by value: 1 / (1 + exp(-x)), clamp(x / 6 + 1/2, 0, 1), x · hardsigmoid(x), x · sigmoid(x)."""
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
)
WeightedNode = Conv | Dense
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
        """The nodes that own a weight and a bias, in execution order."""
        return tuple(node for node in self.nodes if isinstance(node, WeightedNode))

    def source(self, node: Node) -> AnyNode:
        """The node that feeds a node's first input."""
        return self.by_name[node.inputs[0]]

    def weight(self, node: WeightedNode) -> Floats:
        """A node's weight."""
        return self.tensors[weight_name(node)]

    def bias(self, node: WeightedNode) -> Floats:
        """A node's bias, one value per output channel."""
        return self.tensors[bias_name(node)]

    def users(self, name: str) -> tuple[AnyNode, ...]:
        """The nodes that read a tensor."""
        return tuple(node for node in self.nodes if name in node.inputs)


def weight_shape(graph: Graph, node: WeightedNode) -> tuple[int, ...]:
    """The shape a node's weight must have, from the structure alone."""
    source = graph.source(node).shape
    if isinstance(node, Conv):
        return (node.shape[1], source[1] // node.groups, *node.kernel)
    return (node.shape[1], prod(source[1:]))


def structure_to_json(graph: Graph) -> list[dict[str, object]]:
    """The nodes as plain JSON values, tensors left out."""
    return [
        {"kind": type(node).__name__, **{f.name: getattr(node, f.name) for f in fields(node)}}
        for node in graph.nodes
    ]


def structure_from_json(items: object) -> tuple[AnyNode, ...]:
    """The inverse of :func:`structure_to_json`; every field is checked before a node is made.

    Raises:
        CodecError: an unknown kind, a missing or unknown field, a value of the wrong type or range, or an
            input that names no earlier node.
    """
    if not isinstance(items, list) or not items:
        raise CodecError("the graph is not a list of nodes")
    nodes: list[AnyNode] = []
    seen: set[str] = set()
    for item in items:
        node = _node_from_json(item)
        _check_wiring(node, seen, first=not nodes)
        seen.add(node.name)
        nodes.append(node)
    return tuple(nodes)


def _node_from_json(item: object) -> AnyNode:
    if not isinstance(item, dict) or item.get("kind") not in NODE_KINDS:
        found = item.get("kind") if isinstance(item, dict) else item
        raise CodecError(f"unknown node kind {found!r}; known: {', '.join(NODE_KINDS)}")
    kind = NODE_KINDS[item["kind"]]
    expected = {f.name for f in fields(kind)}
    if set(item) - {"kind"} != expected:
        raise CodecError(
            f"a {kind.__name__} node has fields {sorted(set(item) - {'kind'})}, not {sorted(expected)}"
        )
    values: dict[str, Any] = {name: _field_from_json(kind, name, item[name]) for name in expected}
    return kind(**values)


_LENGTHS = {"kernel": 2, "stride": 2, "dilation": 2, "size": 2, "pads": 4}
_WORDS = {"activation": get_args(Activation), "function": get_args(Function), "mode": get_args(ResizeMode)}
_SMALLEST_NUMBER = {"groups": 1, "start": 0, "stop": 1}
_LARGEST = 1 << 24


def _field_from_json(kind: type[AnyNode], name: str, value: object) -> object:
    wrong = CodecError(f"a {kind.__name__} node has {name} = {value!r}")
    if name == "name":
        if isinstance(value, str) and value:
            return value
        raise wrong
    if name in _WORDS:
        if value in _WORDS[name]:
            return value
        raise wrong
    if name in _SMALLEST_NUMBER:
        if isinstance(value, int) and _SMALLEST_NUMBER[name] <= value <= _LARGEST:
            return value
        raise wrong
    if not isinstance(value, list):
        raise wrong
    if name == "inputs":
        if all(isinstance(v, str) for v in value):
            return tuple(value)
        raise wrong
    smallest = 0 if name == "pads" else 1
    if not all(isinstance(v, int) and smallest <= v <= _LARGEST for v in value):
        raise wrong
    if len(value) not in ((_LENGTHS[name],) if name in _LENGTHS else (2, 4)):
        raise wrong
    return tuple(value)


def _check_wiring(node: AnyNode, seen: set[str], *, first: bool) -> None:
    if isinstance(node, Input) != first:
        raise CodecError("the first node of a graph, and no other, is its input")
    if node.name in seen:
        raise CodecError(f"two nodes are called {node.name!r}")
    missing = [name for name in node.inputs if name not in seen]
    if missing:
        raise CodecError(f"node {node.name!r} reads {missing[0]!r}, which no earlier node makes")
    wanted = 0 if first else 2 if isinstance(node, Add | Mul) else 1
    enough = len(node.inputs) >= 1 if isinstance(node, Concat) else len(node.inputs) == wanted
    if not enough:
        raise CodecError(f"node {node.name!r} has {len(node.inputs)} inputs")
