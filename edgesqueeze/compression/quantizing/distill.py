"""Distillation: a network learns from the softened answers of another one.

Hinton et al. 2015, "Distilling the knowledge in a neural network", arXiv 1503.02531, section 2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from edgesqueeze.network.floats.run import graph_weights, run_graph, weights_on
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.trees import Tree


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
