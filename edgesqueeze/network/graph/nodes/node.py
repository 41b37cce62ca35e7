"""What every kind of node has: see ``network.graph.nodes``."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import CodecError

Floats = NDArray[np.float32]
Shape = tuple[int, ...]
"""NCHW with batch 1, or [1, features]."""
Pair = tuple[int, int]
Pads = tuple[int, int, int, int]
"""Padding as (top, left, bottom, right)."""
FROM_ZERO = {"smallest": 0}
"""Metadata of a field whose numbers may be 0; others start at 1."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """One operation. ``name`` also names its output tensor; ``inputs`` name other nodes.

    ``shape`` is the output's, NCHW or [1, features]. What a kind's fields may hold follows from their types
    and metadata (``node_json``), and their order is that of a .sqz file.
    """

    name: str
    inputs: tuple[str, ...]
    shape: Shape
    arity: ClassVar[int | None] = 1
    """How many tensors it reads; None for one or more."""
    rank: ClassVar[int | None] = None
    """The dimensions that its first input must have; None for 2 or 4."""
    shares_grid: ClassVar[bool] = False
    """Whether its output is on its first input's int8 grid: it moves values, or its kernels keep the grid."""

    def output_shape(self, *sources: Shape) -> Shape:
        """The shape its output has, from those of its inputs (and, of weights and inputs, its channels).

        Raises:
            CodecError: it cannot follow such inputs.
        """
        raise NotImplementedError

    joins_grids: ClassVar[bool] = False
    """Whether all its inputs and its output are on one int8 grid."""

    @property
    def copies(self) -> bool:
        """Whether its output holds values of its inputs only, which are on their common grid already."""
        return False

    @property
    def owner(self) -> str:
        """The node whose weight and bias it uses: itself, if it has any."""
        return self.name

    def wrong(self, why: str) -> CodecError:
        """An error that says what is wrong with the node."""
        return CodecError(f"node {self.name!r} ({type(self).__name__}) {why}")


@dataclass(frozen=True, kw_only=True)
class Parametric(Node):
    """A node with a weight and a bias: its own, or those of an earlier node of its kind (``weights_of``)."""

    weights_of: str = ""
    weight_rank: ClassVar[int]
    """The dimensions of its weight."""
    names_channels: ClassVar[bool] = True
    """Whether the channels of its output are those of its weight, not of its input."""

    @property
    def owner(self) -> str:
        """See :class:`Node`."""
        return self.weights_of or self.name

    def weight_shape(self, source: Shape) -> Shape:
        """The shape its weight must have, from the structure alone."""
        raise NotImplementedError

    def positions(self, source: Shape) -> int:
        """How often every weight is multiplied for one image; 0 if that is no multiply-accumulate."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Input(Node):
    """An input of the network."""

    arity: ClassVar[int | None] = 0

    def output_shape(self, *sources: Shape) -> Shape:  # noqa: ARG002 (it has none)
        """Its own."""
        return self.shape
