"""An exponential moving average of a network in training."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def average_of(model: nn.Module, decay: float) -> AveragedModel:
    """A second network that starts as the first step left the model and then keeps ``decay`` of itself.

    After step t: average = decay · average + (1 - decay) · weights. Batch norm's statistics are averaged
    likewise. What is no float, masks and the indices of codebooks among it, is the model's own at any time.
    """

    def mean(average: Tensor, value: Tensor, _: Tensor | int) -> Tensor:
        return torch.lerp(average, value, 1 - decay) if average.is_floating_point() else value

    return AveragedModel(model, avg_fn=mean, use_buffers=True)
