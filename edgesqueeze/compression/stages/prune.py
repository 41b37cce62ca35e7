"""Magnitude pruning: the smallest weights become zero and stay zero (Han et al. 2015, arXiv 1506.02626)."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from edgesqueeze.compression.stages.base import Sparsity, Stage
from edgesqueeze.compression.weights.parametrizations import Codebook, Mask
from edgesqueeze.compression.weights.weights import attach, parametrization_of, weight_of
from edgesqueeze.errors import RecipeError
from edgesqueeze.layers import match_layers, weighted_layers
from edgesqueeze.numerics.schedule import cubic_sparsity
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import OwnPart, Session, TrainingSettings, fit

UPDATE_EVERY = 10
"""Steps between two mask updates: finer steps cost time and change nothing measurable."""


class Prune(TrainingSettings, Stage):
    """Prune each layer to its sparsity, gradually along a cubic curve (Zhu & Gupta 2017), then fine-tune.

    With ``epochs: 0`` the weights are cut at once and nothing is trained.
    """

    stage: Literal["prune"] = "prune"
    can_choose: ClassVar[bool] = False
    sparsity: Sparsity | dict[str, Sparsity]
    """Fraction of zeros per layer: one number for all, or globs over layer names; first match wins."""
    ramp: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Fraction of the training during which sparsity still grows; the rest is fine-tuning."""

    def check(self, model: nn.Module) -> None:
        """Every glob must name a layer."""
        match_layers(model, self.sparsity, "prune.sparsity")

    def apply(self, model: nn.Module, task: Task, session: Session) -> nn.Module:
        """Attach masks, grow them while training, and leave them attached."""
        targets = match_layers(model, self.sparsity, "prune.sparsity")
        layers = weighted_layers(model)
        masks = {name: _mask_of(layers[name], name) for name in targets}
        initial = {name: 1 - float(mask.mask.float().mean()) for name, mask in masks.items()}
        for name, target in targets.items():
            if target < initial[name]:
                found = f"{initial[name]:.4f} of layer {name!r} is zero already"
                raise RecipeError(f"prune.sparsity: {found}, {target} would need pruned weights back")

        def grow(step: int, num_steps: int) -> None:
            ramp_steps = int(self.ramp * num_steps)
            if step > ramp_steps or (step % UPDATE_EVERY and step != ramp_steps):
                return
            for name, target in targets.items():
                sparsity = cubic_sparsity(step, ramp_steps, initial[name], target) if ramp_steps else target
                _update(layers[name], masks[name], sparsity)

        fit(model, task, self, session, OwnPart(grow))
        for name, target in targets.items():
            _update(layers[name], masks[name], target)
        return model


def _mask_of(layer: nn.Module, name: str) -> Mask:
    """The layer's mask; a first one keeps everything that is not zero."""
    if parametrization_of(layer, Codebook) is not None:
        raise RecipeError(f"layer {name!r} has shared weights; prune before 'share'")
    known = parametrization_of(layer, Mask)
    if isinstance(known, Mask):
        return known
    mask = Mask(weight_of(layer).detach() != 0)
    attach(layer, mask)
    return mask


@torch.no_grad()
def _update(layer: nn.Module, mask: Mask, sparsity: float) -> None:
    """Keep exactly round((1 - sparsity) × weights) of the largest; what was pruned once stays pruned."""
    magnitude = weight_of(layer).abs().flatten()
    keep = round((1 - sparsity) * magnitude.numel())
    keep = min(keep, int(mask.mask.sum()))
    kept = torch.zeros_like(magnitude, dtype=torch.bool)
    kept[torch.topk(magnitude, keep, sorted=False).indices] = True
    mask.mask.copy_(kept.view_as(mask.mask) & mask.mask)
