"""Biases on a grid of their layer."""

import math

import torch
from torch import nn

from edgesqueeze.numerics.rate_distortion import exact_step


@torch.no_grad()
def round_bias(layer: nn.Module, num_bits: int) -> None:
    """Bring a layer's bias, if it has one, to multiples of a step of which ``num_bits`` reach the largest."""
    bias = layer.bias
    if not isinstance(bias, nn.Parameter) or not bias.any():
        return
    largest = float(bias.abs().max())
    step = exact_step(2.0 ** math.ceil(math.log2(largest)) / 2 ** (num_bits - 1))
    bias.copy_(torch.round(bias / step) * step)
