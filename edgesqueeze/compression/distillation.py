"""Distillation: a network learns from the softened answers of another one.

Hinton et al. 2015, "Distilling the knowledge in a neural network", arXiv 1503.02531, section 2.
"""

from typing import Annotated, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor

from edgesqueeze.errors import RecipeError
from edgesqueeze.network.floats.run import graph_weights, run_graph, weights_on
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Loss, TrainingSettings, training_loss
from edgesqueeze.trees import Tree

DEFAULT_TEMPERATURE = 4.0


class DistillingSettings(TrainingSettings):
    """How a stage trains that may ask for the answers of the network as it found it."""

    distill: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Weight of the distillation loss against the float network before this stage; the task's own loss has
    the rest."""
    temperature: Annotated[float, Field(gt=0, le=100)] = DEFAULT_TEMPERATURE
    """Of the distillation."""

    @model_validator(mode="after")
    def _distillation_counts(self) -> Self:
        if self.temperature != DEFAULT_TEMPERATURE and not self.distill:
            raise ValueError("temperature needs distill above 0")
        if self.label_smoothing and self.distill == 1:
            raise ValueError("label_smoothing is of the task's own loss, of which distill: 1 leaves nothing")
        return self


class Teacher:
    """A float network that is asked, and not trained."""

    def __init__(self, graph: Graph, temperature: float) -> None:
        self._graph, self._weights = graph, graph_weights(graph)
        self._temperature = temperature
        self._device = torch.device("cpu")

    def loss(self, x: Tree, outputs: Tensor) -> Tensor:
        """T² times the divergence KL(teacher || student) of the class probabilities at temperature T.

        Classes are on axis 1 of ``outputs``; the mean is taken over images (and places, of a map).
        """
        if outputs.device != self._device:
            self._device = outputs.device
            self._weights = weights_on(self._device, self._weights)
        with torch.no_grad():
            targets = F.log_softmax(run_graph(self._graph, x, self._weights) / self._temperature, 1)
        found = F.log_softmax(outputs / self._temperature, 1)
        divergence = F.kl_div(found, targets, reduction="none", log_target=True).sum(1).mean()
        return divergence * self._temperature**2


def distilled_loss(graph: Graph, task: Task, settings: DistillingSettings, label: str) -> Loss:
    """The loss of a stage that is distilled from the network ``graph``.

    Raises:
        RecipeError: the network does not return one tensor of class scores.
    """
    if len(graph.outputs) > 1 or graph.output.shape[1] < 2:
        shapes = ", ".join(str(list(node.shape)) for node in graph.output_nodes.values())
        raise RecipeError(f"{label}.distill needs class scores, the model returns {shapes}; leave it out")
    teacher, own_loss = Teacher(graph, settings.temperature), training_loss(settings, task)
    share = settings.distill

    def loss(x: Tree, outputs: Tree, targets: Tree) -> Tensor:
        own = torch.zeros(()) if share == 1 else own_loss(outputs, targets)
        return (1 - share) * own + share * teacher.loss(x, outputs)

    return loss
