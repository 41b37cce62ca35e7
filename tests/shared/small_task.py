"""A task so small that an epoch takes milliseconds, with all that moves in training: batch norm, dropout."""

from functools import cache

import torch
from torch import nn
from torch.nn import functional as F

from edgesqueeze.task import ArraySplit, Task, top1_accuracy


def build_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(16, 3)
    )


def small_task(**changes) -> Task:
    """Three classes by the brightest third of noise; 80 images to train on, 40 each for the other splits."""
    x = torch.randn(160, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    y = torch.stack([x[:, 0, 0].sum(1), x[:, 0, 1].sum(1), x[:, 0, 2].sum(1)], 1).argmax(1)
    parts = {
        "name": "rows",
        "build_model": build_model,
        "train": ArraySplit(x[:80], y[:80]),
        "calibration": ArraySplit(x[:16], y[:16]),
        "validation": ArraySplit(x[80:120], y[80:120]),
        "test": ArraySplit(x[120:], y[120:]),
        "example_input": x[:1],
        "loss": F.cross_entropy,
        "metrics": {"accuracy": top1_accuracy},
        "fingerprint": "made from seed 1",
    }
    return Task(**(parts | changes))


@cache
def _trained() -> dict[str, torch.Tensor]:
    task, model = small_task(), build_model()
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    x, y = next(iter(task.train.batches(80)))
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    return model.state_dict()


def build_trained() -> nn.Module:
    """The network that has learned the task."""
    model = build_model()
    model.load_state_dict(_trained())
    return model


def trained_task(**changes) -> Task:
    """The task of a network that has learned it."""
    return small_task(**{"build_model": build_trained, **changes})
