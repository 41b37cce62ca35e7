"""A task in code: nothing of it is classification, until you say so.

The network finds the middle of a bright spot. The loss is the squared error, the metric the share of spots
that are found to within a pixel.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgesqueeze.task import ArraySplit, Task

SIZE = 16


def build_model() -> nn.Module:
    """Row and column, both in [0, 1], from [N, 1, 16, 16]."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 2),
    )


def spots(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images [N, 1, 16, 16] and the places of their spots [N, 2]."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.rand(count, 2, generator=generator)
    grid = torch.arange(SIZE) / (SIZE - 1)
    rows, columns = ((grid - place[:, axis : axis + 1]).square() for axis in (0, 1))
    images = torch.exp(-80 * (rows[:, :, None] + columns[:, None, :]))
    noise = 0.1 * torch.randn(images.shape, generator=generator)
    return (images + noise)[:, None], place


def found(outputs: NDArray[Any], targets: NDArray[Any]) -> float:
    """The share of places found to within a pixel."""
    distance = np.linalg.norm(outputs - targets, axis=1)
    return float((distance < 1 / (SIZE - 1)).mean())


def build_task() -> Task:
    """What ``task: "task:build_task"`` in the recipe calls."""
    images, places = spots(2000, seed=0)
    tested, answers = spots(600, seed=1)
    return Task(
        name="bright spots",
        build_model=build_model,
        train=ArraySplit(images, places),
        calibration=ArraySplit(images[:64], places[:64]),
        test=ArraySplit(tested, answers),
        example_input=images[:1],
        loss=nn.functional.mse_loss,
        metrics={"found": found},
        fingerprint="spots of seed 0 and 1",
    )
