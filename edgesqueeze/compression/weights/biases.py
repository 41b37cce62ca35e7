"""Biases on a grid of their layer."""

import math

import torch
from torch import Tensor, nn

from edgesqueeze.numerics.rate_distortion import exact_step

FEWEST_BITS, MOST_BITS = 4, 16


@torch.no_grad()
def round_bias(layer: nn.Module, num_bits: int) -> None:
    """Bring a layer's bias, if it has one, to multiples of a step of which ``num_bits`` reach the largest."""
    bias = layer.bias
    if isinstance(bias, nn.Parameter) and bias.any():
        bias.copy_(_on_grid(bias, num_bits))


def bits_worth_their_price(bias: Tensor, importance: Tensor, price: float) -> int:
    """With how many bits loss + price · bits is least.

    Args:
        bias: [out].
        importance: float64 [out], twice the loss that a squared error of each value is worth.
        price: the loss that a bit is worth.
    """

    def cost(num_bits: int) -> float:
        errors = (_on_grid(bias, num_bits) - bias).double()
        return float((importance * errors**2).sum()) / 2 + price * num_bits * len(bias)

    return min(range(FEWEST_BITS, MOST_BITS + 1), key=cost) if bias.any() else FEWEST_BITS


def _on_grid(bias: Tensor, num_bits: int) -> Tensor:
    largest = float(bias.abs().max())
    step = exact_step(2.0 ** math.ceil(math.log2(largest)) / 2 ** (num_bits - 1))
    return torch.round(bias / step) * step
