"""The small graph both emitters, the integer reference and the coder read.

A :class:`Graph` is a list of nodes in execution order plus a dictionary of float32 tensors. Batch norm
is already folded, ReLU already fused where it can be, ceil mode already written as explicit padding.
Shapes are NCHW with batch 1; only the last node may have another rank. Nothing here knows torch or a file
format.

A kind of node is a class in one of the files here; :data:`AnyNode` lists them all.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import get_args

import numpy as np

from edgesqueeze.network.graph.nodes.layers import (
    Activation,
    Constant,
    Conv,
    ConvTranspose,
    Dense,
    FloatNode,
    GroupNorm,
    LayerNorm,
    ParametricNode,
    WeightedNode,
)
from edgesqueeze.network.graph.nodes.moves import (
    Concat,
    Crop,
    DepthToSpace,
    Edge,
    Flatten,
    Join,
    MirrorPad,
    Pad,
    Rearrange,
    Resize,
    ResizeMode,
    Shuffle,
    Slice,
)
from edgesqueeze.network.graph.nodes.node import Floats, Input, Node, Pads, Pair, Shape
from edgesqueeze.network.graph.nodes.pools import ArgMax, AvgPool, ChannelMax, GlobalAvgPool, MaxPool
from edgesqueeze.network.graph.nodes.values import (
    Add,
    Clamp,
    Extreme,
    MatMul,
    Mul,
    Pointwise,
    Softmax,
    Which,
    is_spread_over,
)
from edgesqueeze.normalization import Normalization
from edgesqueeze.trees import Tree

__all__ = [
    "NODE_KINDS",
    "Activation",
    "Add",
    "AnyNode",
    "ArgMax",
    "AvgPool",
    "ChannelMax",
    "Clamp",
    "Concat",
    "Constant",
    "Conv",
    "ConvTranspose",
    "Crop",
    "Dense",
    "DepthToSpace",
    "Edge",
    "Extreme",
    "Flatten",
    "FloatNode",
    "Floats",
    "GlobalAvgPool",
    "Graph",
    "GroupNorm",
    "Input",
    "Join",
    "LayerNorm",
    "MatMul",
    "MaxPool",
    "MirrorPad",
    "Mul",
    "Node",
    "Output",
    "Pad",
    "Pads",
    "Pair",
    "ParametricNode",
    "Pointwise",
    "Rearrange",
    "Resize",
    "ResizeMode",
    "Shape",
    "Shuffle",
    "Slice",
    "Softmax",
    "WeightedNode",
    "Which",
    "bias_name",
    "constant_values",
    "is_spread_over",
    "last_readers",
    "weight_name",
    "weight_shape",
]

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
    | Extreme
    | ChannelMax
    | GroupNorm
    | MirrorPad
    | Rearrange
    | Join
    | Constant
    | MatMul
    | ArgMax
)
NODE_KINDS: dict[str, type[AnyNode]] = {kind.__name__: kind for kind in get_args(AnyNode)}
"""By name, in the order that .sqz files number them: new kinds go to the end."""


def weight_name(node: Node) -> str:
    """The key of a node's weight in ``Graph.tensors``."""
    return f"{node.owner}.weight"


def bias_name(node: Node) -> str:
    """The key of a node's bias in ``Graph.tensors``."""
    return f"{node.owner}.bias"


@dataclass(frozen=True)
class Output:
    """A result of a network: what files call it, and the node whose tensor it is."""

    name: str
    node: str


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: nodes in execution order (the inputs first) and its float32 tensors.

    ``outputs`` are its results, by default the last node's tensor, called "output". ``returns`` is what the
    torch module returns, with the names of the outputs in the place of the tensors: a name, or a tuple or
    dictionary of such; by default the one output, or a tuple of all. ``normalization`` is how pixels 0 to 255
    become the one input, if that is known; where it ``takes_pixels``, the network does it by itself, and is a
    network of integers, see :func:`edgesqueeze.network.integers.pixels.with_pixel_input`.
    """

    nodes: tuple[AnyNode, ...]
    tensors: dict[str, Floats]
    outputs: tuple[Output, ...] = ()
    returns: Tree = None
    normalization: Normalization | None = None
    takes_pixels: bool = False

    def __post_init__(self) -> None:
        if not self.outputs:
            object.__setattr__(self, "outputs", (Output("output", self.nodes[-1].name),))
        if self.returns is None:
            names = tuple(output.name for output in self.outputs)
            object.__setattr__(self, "returns", names if len(names) > 1 else names[0])

    @cached_property
    def by_name(self) -> dict[str, AnyNode]:
        """Node name to node."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """The input nodes; their names are those of the network's inputs."""
        return tuple(node for node in self.nodes if isinstance(node, Input))

    @property
    def output(self) -> AnyNode:
        """The node of the first output."""
        return self.by_name[self.outputs[0].node]

    @cached_property
    def output_nodes(self) -> dict[str, AnyNode]:
        """Output name to the node whose tensor it is."""
        return {output.name: self.by_name[output.node] for output in self.outputs}

    @property
    def weighted(self) -> tuple[WeightedNode, ...]:
        """The layers with weights that become integers, in execution order."""
        return tuple(node for node in self.nodes if isinstance(node, WeightedNode))

    @property
    def parametric(self) -> tuple[ParametricNode, ...]:
        """The nodes with a weight and a bias, in execution order."""
        return tuple(node for node in self.nodes if isinstance(node, ParametricNode))

    @property
    def owners(self) -> tuple[ParametricNode, ...]:
        """The nodes with a weight and a bias of their own, in execution order."""
        return tuple(node for node in self.parametric if not node.weights_of)

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


def last_readers(graph: Graph) -> dict[str, str]:
    """Node name to the node that reads its tensor last; outputs, which are needed to the end, have none."""
    results = {output.node for output in graph.outputs}
    return {name: node.name for node in graph.nodes for name in node.inputs if name not in results}


def constant_values(graph: Graph, node: Constant) -> Floats:
    """What a constant node gives, [1, C, height, width]."""
    return np.asarray((graph.weight(node) + graph.bias(node)[:, np.newaxis]).reshape(node.shape))


def weight_shape(graph: Graph, node: ParametricNode) -> Shape:
    """The shape a node's weight must have, from the structure alone."""
    return node.weight_shape(graph.source(node).shape if node.inputs else ())
