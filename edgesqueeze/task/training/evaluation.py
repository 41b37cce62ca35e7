"""What torch answers over a split, and how good that is."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from edgesqueeze.data.splits import Split
from edgesqueeze.task.task import Task
from edgesqueeze.trees import Tree, arguments, joined, map_tree

EVALUATION_BATCH = 500


def call(model: nn.Module, x: Tree) -> Tree:
    """What a module returns for a batch: one tensor, a tuple, or a dictionary by the names of its inputs."""
    args, named = arguments(x)
    return model(*args, **named)


def evaluate(model: nn.Module, split: Split, task: Task) -> dict[str, float]:
    """Every metric of the task over a split, computed by torch: {name: value}."""
    return task.score(*answers(model, split, task.compact))


def evaluate_primary(model: nn.Module, split: Split, task: Task) -> float:
    """The primary metric alone, which is all that an epoch is judged by."""
    return float(task.primary(*answers(model, split, task.compact)))


@torch.no_grad()
def answers(
    model: nn.Module, split: Split, compact: Callable[[Tree], Tree] | None = None
) -> tuple[Tree, Tree]:
    """What torch computes for a split: outputs [N, ...] and targets [N, ...], or trees of them.

    ``compact`` says what is kept of the outputs of a batch, if not all. It is computed where the model is.
    """
    model.eval()
    device = next((weight.device for weight in model.parameters()), torch.device("cpu"))
    outputs, targets = [], []
    for x, y in split.batches(EVALUATION_BATCH):
        found = call(model, map_tree(lambda part: part.to(device), x))
        found = map_tree(lambda part: part.cpu().numpy(), found)
        outputs.append(found if compact is None else compact(found))
        targets.append(map_tree(Tensor.numpy, y))
    return joined(outputs, np.concatenate), joined(targets, np.concatenate)
