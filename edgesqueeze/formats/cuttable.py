"""Cutting a model file short, so that one of its inner tensors becomes the output.

Runtimes fuse operations and reuse memory, so an inner tensor cannot be read while the whole file runs. The
file itself is cut, not written anew from the network: what is wrong in the file must stay in it.
Tensors go by the name of the graph's node they hold, as our emitters write it.
"""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Order = NDArray[np.intp]
"""For each value of a flattened tensor as a file holds it: its place in C, H, W order."""
Shape = tuple[int, ...]


class CuttableFile(Protocol):
    """A parsed file.

    ``names`` are the nodes at which it can be cut, in execution order; ``results`` maps its outputs to nodes.
    """

    names: tuple[str, ...]
    results: dict[str, str]

    def cut(self, name: str) -> bytes:
        """A file that computes one node and nothing behind it."""
        ...

    def watched(self, names: Sequence[str]) -> bytes:
        """The whole file with the tensors of these nodes as its outputs, in this order."""
        ...

    def order(self, name: str) -> Order | None:
        """How a flattened tensor is ordered in the file, None if as in the graph."""
        ...
