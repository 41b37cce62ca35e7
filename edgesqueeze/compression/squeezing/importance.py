"""What a layer's answers matter: the Fisher information of its outputs, with labels the network draws itself.

True labels are not needed, and those of images that a network has learned by heart would say little: its
gradients vanish there (Kunstner, Balles and Hennig 2019, arXiv 1905.12558, on the empirical Fisher
information).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgesqueeze.compression.squeezing.drawn_answers import slopes_of_drawn_answers
from edgesqueeze.compression.squeezing.reads import by_output
from edgesqueeze.compression.weights.weights import weight_of
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import call
from edgesqueeze.trees import Tree, leaves, map_tree

BATCH = 64


@dataclass
class Importance:
    """What is known of a layer after a pass over the calibration images.

    ``rows`` float64 [out]: the mean over images of the squared slope of the loss by a row's answers, summed
    over places; ``biases`` float64 [out]: of the slope by a row's bias, which is that at all places together
    (of a layer that is called several times, summed over calls as if they had nothing in common);
    ``calls`` is how often the network calls the layer.
    """

    rows: Tensor
    biases: Tensor
    calls: int = 0


def importance_of(model: nn.Module, names: Sequence[str], task: Task, seed: int) -> dict[str, Importance]:
    """The importance of each layer's answers, in the order in which layers are first called.

    Args:
        model: the float network, in evaluation mode.
        names: of layers of it; those that are never called are left out.
        task: its calibration images, and its kind, which says what answers mean.
        seed: of the labels drawn.
    """
    generator = torch.Generator().manual_seed(seed)
    found: dict[str, Importance] = {}
    handles = [model.get_submodule(name).register_forward_hook(_Watch(name, found)) for name in names]
    for x, _ in task.calibration.batches(BATCH):
        for importance in found.values():
            importance.calls = 0
        ys, slopes = _drawn(model, map_tree(_followed, x), task, generator)
        torch.autograd.backward(ys, slopes)
    for handle in handles:
        handle.remove()
    for importance in found.values():
        importance.rows /= len(task.calibration)
        importance.biases /= len(task.calibration)
    return found


def importance_of_weights(model: nn.Module, names: Sequence[str], task: Task, seed: int) -> dict[str, Tensor]:
    """The importance of weights that are used though their layer is never called, as in torch's attention.

    Args:
        model: the float network, in evaluation mode.
        names: of layers of it; those whose weights are not used are left out.
        task: as of :func:`importance_of`.
        seed: of the labels drawn.

    Returns:
        Of each layer float64 [out]: the mean over images and a row's weights of the loss's squared slope.
        Slopes of a batch are summed first, which is the same on average, since its labels are drawn apart.
    """
    generator = torch.Generator().manual_seed(seed)
    layers = [model.get_submodule(name) for name in names]
    weights = [weight_of(layer).requires_grad_() for layer in layers]
    found: dict[str, Tensor] = {}
    for x, _ in task.calibration.batches(BATCH):
        ys, slopes = _drawn(model, x, task, generator)
        gradients = torch.autograd.grad(ys, weights, slopes, allow_unused=True)
        for name, layer, gradient in zip(names, layers, gradients, strict=True):
            if gradient is not None:
                rows = by_output(layer, gradient).double().pow(2).flatten(1).mean(1) / len(task.calibration)
                found[name] = found.get(name, 0) + rows
    for weight in weights:
        weight.requires_grad_(False)
    return found


def _followed(part: Tensor) -> Tensor:
    """Numbers through which slopes come back; a copy, which the network may change in place."""
    return part.detach().requires_grad_(part.is_floating_point()).clone()


def _drawn(
    model: nn.Module, x: Tree, task: Task, generator: torch.Generator
) -> tuple[list[Tensor], list[Tensor]]:
    """The outputs that slopes come back from, and those of drawn answers."""
    outputs = call(model, x)
    slopes = slopes_of_drawn_answers(model, outputs, task, generator)
    pairs = [pair for pair in zip(leaves(outputs), leaves(slopes), strict=True) if pair[0].requires_grad]
    return [y for y, _ in pairs], [slope for _, slope in pairs]


@dataclass(frozen=True)
class _Watch:
    """A forward hook that adds up the squared slopes by a layer's outputs as they come back."""

    name: str
    found: dict[str, Importance]

    def __call__(self, layer: nn.Module, inputs: object, y: Tensor) -> None:
        del inputs
        axis = y.ndim - 1 if isinstance(layer, nn.Linear) else 1
        zeros = torch.zeros(2, y.shape[axis], dtype=torch.float64)
        importance = self.found.setdefault(self.name, Importance(*zeros))
        importance.calls += 1

        def add(slope: Tensor) -> None:
            examples = 1 if slope.ndim == 1 else len(slope)
            by_place = slope.double().movedim(axis, -1).reshape(examples, -1, slope.shape[axis])
            importance.rows += by_place.pow(2).sum((0, 1))
            importance.biases += by_place.sum(1).pow(2).sum(0)

        if y.requires_grad:
            y.register_hook(add)  # type: ignore[no-untyped-call]
