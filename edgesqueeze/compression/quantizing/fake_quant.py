"""Fake quantization that can be trained through: the numbers of an int8 tensor, the gradient of a float one.

What comes out are exactly the real numbers that ``compression.quantizing.simulation.fake_quantize`` and
``network.integers.spec.quantize_layer`` stand for. The gradient passes rounding unchanged and stops
where a value was clipped (straight-through estimator, Bengio et al. 2013, arXiv 1308.3432). A learned step
size gets the gradient of LSQ (Esser et al. 2020, arXiv 1902.08153, equation 3).

A step size is held as a factor on its initial value. Its gradient is divided by that value, not multiplied as
the chain rule has it: plain gradient descent then moves the step exactly as if it were trained itself, and
Adam, whose steps do not depend on the size of a gradient, moves it relative to its size.

Torch has fused kernels for this (``fake_quantize_per_tensor_affine``), but on a CPU they are not vectorized:
38 ms for 6.3 million values against 2.6 ms for the four operations here. They also round ``x * (1 / scale)``
and not ``x / scale``, which is another integer now and then.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edgesqueeze.network.graph.nodes import Activation
from edgesqueeze.network.integers.grid import QMAX, QMIN, ActivationQuant

WEIGHT_MAX = 127


@dataclass(frozen=True)
class Clip:
    """A grid with the fused activation in front of it.

    ``low`` and ``high`` are the smallest and largest integer that may come out, counted from the zero point;
    the gradient passes between ``pass_low`` and ``pass_high``.
    """

    scale: float
    low: int
    high: int
    pass_low: float
    pass_high: float
    stops_at_six: bool
    """Whether ReLU6 clips before the grid ends: then what is clipped does not depend on the step size."""


def clip_of(grid: ActivationQuant, activation: Activation) -> Clip:
    """ReLU is the clamp at the zero point, ReLU6 also the one at the integer nearest to 6."""
    low, high = QMIN - grid.zero_point, QMAX - grid.zero_point
    pass_low, pass_high = (low - 0.5) * grid.scale, (high + 0.5) * grid.scale
    if activation != "none":
        low, pass_low = max(low, 0), 0.0
    six = int(torch.round(torch.tensor(6.0) / grid.scale)) if activation == "relu6" else high
    stops_at_six = activation == "relu6" and pass_high > 6
    if stops_at_six:
        high, pass_high = min(high, six), 6.0
    return Clip(grid.scale, low, high, pass_low, pass_high, stops_at_six)


@dataclass(frozen=True, eq=False)
class Step:
    """A learned step size: ``factor`` [], [out] or [1] times what it was at first.

    ``gradient_scale`` is what the gradient of the loss by the step is multiplied with to be the factor's:
    LSQ's 1 / sqrt(values · largest integer), divided by the initial step.
    """

    factor: Tensor
    gradient_scale: Tensor


def quantize_activation(x: Tensor, clip: Clip, step: Step | None) -> Tensor:
    """The fused activation and the fake quantization of a tensor [N, …].

    With a ``step``, its current value must be ``clip.scale``.
    """
    factor = None if step is None else step.factor
    y: Tensor = _Activation.apply(x, factor, clip, step)
    return y


def quantize_weight(weight: Tensor, scale: Tensor, step: Step | None) -> Tensor:
    """The real numbers of a weight [out, …], integers in [-127, 127], with scales [out], or [1] for all."""
    factor = None if step is None else step.factor
    y: Tensor = _Weight.apply(weight, factor, scale, step)
    return y


def quantize_bias(bias: Tensor, grid: Tensor) -> Tensor:
    """The real numbers of a bias on a grid [out] or [1], float32, which no bias must leave (int32)."""
    wide = grid.double()
    rounded = (torch.round(bias.detach().double() / wide) * wide).float()
    return rounded + (bias - bias.detach())  # exactly the rounded numbers, with the gradient of the bias


class _Activation(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: Tensor | None, clip: Clip, step: Step | None) -> Tensor:
        y = torch.div(x, clip.scale).round_().clamp_(clip.low, clip.high).mul_(clip.scale)
        ctx.clip, ctx.step = clip, step
        ctx.save_for_backward(x, y if factor is not None else None)
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        x, y = ctx.saved_tensors
        clip, step = ctx.clip, ctx.step
        passed = _between(gradient, x, clip.pass_low, clip.pass_high)
        if step is None:
            return passed, None, None, None
        # Inside, y - x is what a step more changes; where the value was clipped, y itself is.
        total = _dot(gradient, y) - _dot(passed, x)
        if clip.stops_at_six:
            total -= 6 * _between(gradient, x, 6.0, float("inf")).sum()
        return passed, total / clip.scale * step.gradient_scale.to(x.device), None, None


class _Weight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, factor: Tensor | None, scale: Tensor, step: Step | None) -> Tensor:
        channels = scale.view(-1, *[1] * (weight.ndim - 1))
        # In float64, as quantize_layer: a float32 quotient lands on the other side of a half now and then.
        integers = (weight.double() / channels).round_()
        inside = integers.abs() <= WEIGHT_MAX
        y = integers.clamp_(-WEIGHT_MAX, WEIGHT_MAX).float().mul_(channels)
        ctx.step = step
        ctx.save_for_backward(inside, *((y - weight * inside, scale) if factor is not None else ()))
        return y

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        inside, *learned = ctx.saved_tensors
        if ctx.step is None:
            return gradient * inside, None, None, None
        change, scale = learned
        by_step = (gradient * change).reshape(len(scale), -1).sum(1) / scale
        return gradient * inside, by_step * ctx.step.gradient_scale, None, None


def _between(gradient: Tensor, x: Tensor, low: float, high: float) -> Tensor:
    """The gradient where low < x < high, else zero, in one pass over memory."""
    return torch.ops.aten.hardtanh_backward(gradient, x, low, high)  # type: ignore[no-any-return]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return torch.dot(a.reshape(-1), b.reshape(-1))
