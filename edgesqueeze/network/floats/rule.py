"""What a float rule is: see ``network.floats.run``."""

from collections.abc import Callable
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from edgesqueeze.network.graph.nodes import Activation, Pads

Weights = dict[str, tuple[Tensor, Tensor]]
"""Name of a node to its weight and bias. ``run_graph`` adds those of layer norms itself."""
Rule = Callable[[Any, list[Tensor], Weights], Tensor]
"""The output [N, …] of a node of one kind, from its inputs and the weights of all nodes."""


def pad(x: Tensor, pads: Pads, value: float) -> Tensor:
    """A map with rows and columns of a value around it."""
    top, left, bottom, right = pads
    return F.pad(x, (left, right, top, bottom), value=value) if any(pads) else x


def activate(y: Tensor, activation: Activation) -> Tensor:
    """What is fused behind a node."""
    if activation == "relu":
        return F.relu(y)
    return F.relu6(y) if activation == "relu6" else y
