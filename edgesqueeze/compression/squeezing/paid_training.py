"""Training with a price on bits: it rises, then zeros are fixed and the rest is fine-tuned."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from edgesqueeze.compression.squeezing.squeezed_layer import SqueezedLayer, float_weight
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Loss, OwnPart, Session, TrainingSettings, call, fit
from edgesqueeze.trees import length_of

UPDATE_EVERY = 50
"""Steps between two looks at what levels cost."""
SENSITIVITY_BATCHES = 16


@dataclass(frozen=True)
class PaidTraining:
    """Training that pays for bits.

    Zeros are fixed at the fraction ``settle_after`` of all steps; in the first ``ramp`` of the time until
    then the price rises from zero.
    """

    squeezed: Sequence[SqueezedLayer]
    settle_after: float
    ramp: float

    def fit(
        self, model: nn.Module, task: Task, settings: TrainingSettings, session: Session, loss: Loss | None
    ) -> None:
        """Train a model whose layers these are. ``loss`` takes the place of the task's, if there is one."""
        for layer in self.squeezed:
            layer.start_paying()
        fit(model, task, settings, session, OwnPart(self._before_step, loss, self._state, self._load_state))

    def _before_step(self, step: int, num_steps: int) -> None:
        if not any(layer.pays for layer in self.squeezed):
            return
        end = self.settle_after * num_steps
        if step >= end:
            for layer in self.squeezed:
                layer.settle()
            return
        part = min(1.0, step / (self.ramp * end)) if self.ramp else 1.0
        for layer in self.squeezed:
            layer.part = part
            if step % UPDATE_EVERY == 0:
                layer.refresh()

    def _state(self) -> dict[str, Any]:
        return {"layers": [layer.state() for layer in self.squeezed]}

    def _load_state(self, state: dict[str, Any]) -> None:
        for layer, kept in zip(self.squeezed, state["layers"], strict=True):
            layer.load_state(kept)


def sensitivities_of(
    model: nn.Module, layers: dict[str, nn.Module], task: Task, batch_size: int, seed: int
) -> dict[str, float]:
    """Loss per squared error of a weight, averaged over each layer.

    Half the diagonal of the empirical Fisher information, from mean gradients of batches (Theis et al. 2018,
    arXiv 1801.05787, section 2).
    """
    totals = dict.fromkeys(layers, 0.0)
    model.eval()
    batches: Iterable[tuple[Tensor, Tensor]] = task.train.batches(
        batch_size, torch.Generator().manual_seed(seed)
    )
    weights = [float_weight(layer) for layer in layers.values()]
    used = 0
    for (x, y), _ in zip(batches, range(SENSITIVITY_BATCHES), strict=False):
        gradients = torch.autograd.grad(task.loss(call(model, x), y), weights)
        for name, gradient in zip(layers, gradients, strict=True):
            totals[name] += float(gradient.double().pow(2).mean()) * length_of(x) / 2
        used += 1
    return {name: total / used for name, total in totals.items()}
