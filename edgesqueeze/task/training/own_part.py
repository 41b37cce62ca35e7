"""What a stage adds to the training loop."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from edgesqueeze.trees import Tree

BeforeStep = Callable[[int, int], None]
"""Called with the number of the coming step, from 0, and the number of all steps."""
Loss = Callable[[Tree, Tree, Tree], Tensor]
"""(inputs [N, C, H, W], outputs, targets) to a scalar, or trees of them."""


@dataclass(frozen=True)
class OwnPart:
    """What a stage adds to the loop, and what of it moves with the steps beside the model's own state.

    ``loss_of`` takes the place of the task's loss. ``state`` returns tensors and plain values, and
    ``load_state`` takes them back into a stage that has just begun, before the model's state is loaded; both
    are needed where ``before_step`` decides by more than the number of the step and the model.
    """

    before_step: BeforeStep | None = None
    loss_of: Loss | None = None
    state: Callable[[], dict[str, Any]] = dict
    load_state: Callable[[dict[str, Any]], None] = lambda _: None
