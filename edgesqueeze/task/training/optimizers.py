"""Optimizers and the course of the learning rate."""

import math

import torch
from torch import nn
from torch.optim import lr_scheduler

from edgesqueeze.task.training.settings import TrainingSettings


def make_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Of all parameters that are trained."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if settings.optimizer != "sgd":
        kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
        betas = (settings.momentum, 0.999)
        return kind(parameters, settings.learning_rate, betas, weight_decay=settings.weight_decay)
    return torch.optim.SGD(
        parameters,
        settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=settings.momentum > 0,
    )


def make_scheduler(
    optimizer: torch.optim.Optimizer, settings: TrainingSettings, steps: int
) -> lr_scheduler.LRScheduler:
    """The rate of every step; ``steps`` are those of an epoch."""
    total = max(settings.epochs * steps, 1)
    if settings.warmup_epochs:
        return lr_scheduler.LambdaLR(optimizer, _WarmUp(settings.warmup_epochs * steps, total, settings))
    if settings.schedule == "one_cycle":
        return lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=total + 1)
    if settings.schedule == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimizer, total)
    return lr_scheduler.ConstantLR(optimizer, factor=1.0)


class _WarmUp:
    """The part of the highest rate at a step: a line from zero, then what the schedule says."""

    def __init__(self, warm: int, total: int, settings: TrainingSettings) -> None:
        self._warm, self._total, self._falls = warm, total, settings.schedule == "cosine"

    def __call__(self, step: int) -> float:
        if step < self._warm:
            return (step + 1) / (self._warm + 1)
        done = (step - self._warm) / (self._total - self._warm)
        return (1 + math.cos(math.pi * min(done, 1.0))) / 2 if self._falls else 1.0
