"""The one training loop, and evaluation in torch.

Every stage that trains uses it: masks and codebooks live in the model, so the loop knows of neither.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from edgesqueeze.data.splits import Split
from edgesqueeze.errors import TaskError
from edgesqueeze.progress import Progress
from edgesqueeze.task.task import Task
from edgesqueeze.trees import Tree, arguments, joined, length_of, map_tree

EVALUATION_BATCH = 500
BeforeStep = Callable[[int, int], None]
"""Called with the number of the coming step, from 0, and the number of all steps."""
Loss = Callable[[Tree, Tree, Tree], Tensor]
"""(inputs [N, C, H, W], outputs, targets) to a scalar, or trees of them."""


class TrainingSettings(BaseModel):
    """How a stage trains. Learning rates follow one cycle or a half cosine to zero, or stay constant."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: Annotated[int, Field(ge=0, le=10_000)] = 0
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.01
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 128
    optimizer: Literal["sgd", "adam"] = "sgd"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of SGD; for Adam it is the decay of the first moment, beta 1."""
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 5e-4
    schedule: Literal["one_cycle", "cosine", "constant"] = "cosine"


@dataclass(frozen=True)
class Session:
    """What a stage needs beside its model and task: a label, a seed, and someone to tell.

    ``notes`` collects what the stage decided; it ends up in the stage's row.
    """

    label: str
    seed: int
    progress: Progress
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Tell a decision now, and keep it for the report."""
        self.progress.message(text)
        self.notes.append(text)


def fit(
    model: nn.Module,
    task: Task,
    settings: TrainingSettings,
    session: Session,
    before_step: BeforeStep | None = None,
    loss_of: Loss | None = None,
) -> None:
    """Train a model in place on the task's training split, by its loss or by ``loss_of`` in its place.

    Raises:
        TaskError: the loss stops being a number.
    """
    steps = math.ceil(len(task.train) / settings.batch_size)
    optimizer = _optimizer(model, settings)
    scheduler = _scheduler(optimizer, settings, steps)
    generator = torch.Generator().manual_seed(session.seed)
    session.progress.begin(session.label, settings.epochs, steps)
    done = 0
    for epoch in range(settings.epochs):
        model.train()
        total, count = 0.0, 0
        for x, y in task.train.batches(settings.batch_size, generator):
            if before_step is not None:
                before_step(done, settings.epochs * steps)
            outputs = call(model, x)
            loss = task.loss(outputs, y) if loss_of is None else loss_of(x, outputs, y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            scheduler.step()
            done += 1
            total, count = total + loss.item() * length_of(x), count + length_of(x)
            session.progress.step(loss.item())
        _check_finite(total, session.label, epoch)
        metric = next(iter(evaluate(model, task.test, task).values()))
        session.progress.epoch(epoch + 1, total / count, metric)
    session.progress.end()


def _check_finite(total: float, label: str, epoch: int) -> None:
    if not math.isfinite(total):
        raise TaskError(
            f"the loss of stage {label!r} became {total} in epoch {epoch + 1}; lower its learning_rate"
        )


def call(model: nn.Module, x: Tree) -> Tree:
    """What a module returns for a batch: one tensor, a tuple, or a dictionary by the names of its inputs."""
    args, named = arguments(x)
    return model(*args, **named)


def evaluate(model: nn.Module, split: Split, task: Task) -> dict[str, float]:
    """Every metric of the task over a split, computed by torch: {name: value}."""
    return task.score(*answers(model, split))


@torch.no_grad()
def answers(model: nn.Module, split: Split) -> tuple[Tree, Tree]:
    """What torch computes for a split: outputs [N, ...] and targets [N, ...], or trees of them."""
    model.eval()
    outputs, targets = [], []
    for x, y in split.batches(EVALUATION_BATCH):
        outputs.append(map_tree(Tensor.numpy, call(model, x)))
        targets.append(map_tree(Tensor.numpy, y))
    return joined(outputs, np.concatenate), joined(targets, np.concatenate)


def _optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    parameters = [p for p in model.parameters() if p.requires_grad]
    if settings.optimizer == "adam":
        betas = (settings.momentum, 0.999)
        return torch.optim.Adam(parameters, settings.learning_rate, betas, weight_decay=settings.weight_decay)
    return torch.optim.SGD(
        parameters,
        settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
    )


def _scheduler(
    optimizer: torch.optim.Optimizer, settings: TrainingSettings, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    total = max(settings.epochs * steps, 1)
    if settings.schedule == "one_cycle":
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=total + 1)
    if settings.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, total)
    return torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0)
