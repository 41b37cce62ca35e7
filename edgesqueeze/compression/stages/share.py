"""Weight sharing: every weight of a layer becomes one of a few trained centroids.

Han et al. 2016, arXiv 1510.00149, section 3.
"""

from typing import ClassVar, Literal

import numpy as np
import torch
from torch import nn

from edgesqueeze.compression.stages.base import NumBits, Stage
from edgesqueeze.compression.weights.folding import fold_batch_norm
from edgesqueeze.compression.weights.parametrizations import Codebook
from edgesqueeze.compression.weights.weights import attach, parametrization_of, weight_of
from edgesqueeze.errors import RecipeError
from edgesqueeze.layers import match_layers, weighted_layers
from edgesqueeze.numerics.kmeans import kmeans_1d
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Session, TrainingSettings, fit


class Share(TrainingSettings, Stage):
    """Cluster the non-zero weights of each layer into 2^num_bits centroids and fine-tune the centroids.

    Zeros are not clustered: index 0 is pinned to exact zero, so pruning survives. Batch norm is folded
    first, since a factor per channel would turn one shared value into many.
    """

    stage: Literal["share"] = "share"
    shares_weights: ClassVar[bool] = True
    num_bits: NumBits | dict[str, NumBits]
    """Bits per index: one number for all layers, or globs over layer names; first match wins."""
    learning_rate: float = 1e-3
    weight_decay: float = 0.0

    def check(self, model: nn.Module) -> None:
        """Every glob must name a layer."""
        match_layers(model, self.num_bits, "share.num_bits")

    def apply(self, model: nn.Module, task: Task, session: Session) -> nn.Module:
        """Attach a codebook to each layer, train the centroids, and leave the codebooks attached."""
        if any(isinstance(m, nn.BatchNorm2d) for m in model.modules()):
            fold_batch_norm(model, task.example_input)
        layers = weighted_layers(model)
        for name, num_bits in match_layers(model, self.num_bits, "share.num_bits").items():
            if parametrization_of(layers[name], Codebook) is not None:
                raise RecipeError(f"share.num_bits: the weights of layer {name!r} are shared already")
            attach(layers[name], _cluster(layers[name], num_bits))
        fit(model, task, self, session)
        return model


def _cluster(layer: nn.Module, num_bits: int) -> Codebook:
    weight = weight_of(layer).detach().numpy()
    nonzero = weight != 0
    values = weight[nonzero]
    indices = np.zeros(weight.shape, np.int32)
    if values.size == 0:
        return Codebook(torch.zeros(0), torch.from_numpy(indices))
    centroids, assigned = kmeans_1d(values, 2**num_bits)
    indices[nonzero] = assigned + 1
    return Codebook(torch.from_numpy(centroids), torch.from_numpy(indices))
