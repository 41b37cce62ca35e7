"""Answers drawn from what a network holds for likely, and the slope of their loss by its outputs."""

import torch
from torch import Tensor, nn

from edgesqueeze.task.task import Task
from edgesqueeze.trees import Tree, map_tree

_LEAST = 1e-7


def slopes_of_drawn_answers(model: nn.Module, outputs: Tree, task: Task, generator: torch.Generator) -> Tree:
    """The slope of the negative log-likelihood of drawn answers by the outputs, summed over examples.

    Class scores are log-odds of classes (of every pixel, in a segmentation), or probabilities where the model
    says so; a detector's scores are log-odds each. All other outputs are means of normal distributions as
    wide as the output itself varies, so that heads of different units count alike.
    """
    if task.kind == "detection":
        return {
            "boxes": _of_normal(outputs["boxes"], generator),
            "scores": _of_switches(outputs["scores"], generator),
        }
    if _has_classes(outputs, task):
        probabilities = bool(getattr(model, "gives_probabilities", False))
        return _of_probabilities(outputs, generator) if probabilities else _of_scores(outputs, generator)
    return map_tree(lambda part: _of_normal(part, generator), outputs)


def _has_classes(outputs: Tree, task: Task) -> bool:
    if not isinstance(outputs, Tensor) or outputs.ndim < 2 or outputs.shape[1] < 2:
        return False
    return task.kind == "segmentation" or (task.kind == "classification" and outputs.ndim == 2)


@torch.no_grad()
def _of_scores(scores: Tensor, generator: torch.Generator) -> Tensor:
    shares = scores.softmax(1)
    return shares - _drawn(shares, generator)


@torch.no_grad()
def _of_probabilities(shares: Tensor, generator: torch.Generator) -> Tensor:
    return -_drawn(shares.clamp_min(0), generator) / shares.clamp_min(_LEAST)


def _drawn(shares: Tensor, generator: torch.Generator) -> Tensor:
    """One class for each place, as ones and zeros like ``shares`` [N, classes, ...]."""
    flat = shares.movedim(1, -1).reshape(-1, shares.shape[1])
    chosen = torch.multinomial(flat + _LEAST, 1, generator=generator)
    ones = torch.zeros_like(flat).scatter_(1, chosen, 1.0)
    return ones.reshape(shares.movedim(1, -1).shape).movedim(-1, 1)


@torch.no_grad()
def _of_switches(scores: Tensor, generator: torch.Generator) -> Tensor:
    shares = scores.sigmoid()
    return shares - torch.bernoulli(shares, generator=generator)


@torch.no_grad()
def _of_normal(outputs: Tensor, generator: torch.Generator) -> Tensor:
    noise = torch.randn(outputs.shape, generator=generator)
    return noise / outputs.std().clamp_min(_LEAST)
