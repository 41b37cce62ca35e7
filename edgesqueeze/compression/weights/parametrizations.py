"""What may be chained on a layer's ``weight``: masks, codebooks and grids."""

from typing import Any

import torch
from torch import Tensor, nn

from edgesqueeze.numerics.grid_kernels import on_grid


class Mask(nn.Module):
    """Holds pruned weights at exact zero: ``mask`` is bool in the weight's shape, False is pruned."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight with +0.0 where it is pruned; the gradient is zero there too."""
        return torch.where(self.mask, weight, 0.0)


class Codebook(nn.Module):
    """Every weight is one of a few trained centroids (Han et al. 2016, section 3).

    ``indices`` is int32 in the weight's shape; 0 stands for exact zero, i for ``centroids[i - 1]``. The
    gradient of a centroid is the sum of the gradients of its weights (Han et al. 2016, equation 3).
    """

    indices: Tensor

    def __init__(self, centroids: Tensor, indices: Tensor) -> None:
        super().__init__()
        self.centroids = nn.Parameter(centroids)
        self.register_buffer("indices", indices)

    def forward(self, weight: Tensor) -> Tensor:
        """The looked-up weights; what comes in only says which shape is wanted."""
        table = torch.cat([self.centroids.new_zeros(1), self.centroids])
        return table.index_select(0, self.indices.flatten()).view_as(weight)


class Grid(nn.Module):
    """Every weight is a whole number of steps: level × ``step``, or zero where ``kept`` (bool) is False.

    Values nearer to zero than ``dead_zone`` steps become zero. The gradient passes straight through the
    rounding (Bengio et al. 2013, arXiv 1308.3432).
    """

    step: Tensor
    dead_zone: Tensor
    kept: Tensor

    def __init__(self, step: Tensor, dead_zone: Tensor, kept: Tensor) -> None:
        super().__init__()
        self.register_buffer("step", step)
        self.register_buffer("dead_zone", dead_zone)
        self.register_buffer("kept", kept)

    def forward(self, weight: Tensor) -> Tensor:
        """The weight on its grid."""
        on_its_grid: Tensor = _StraightThrough.apply(weight, self)
        return on_its_grid

    def levels(self, weight: Tensor) -> Tensor:
        """The whole numbers of steps, as floats in the weight's shape."""
        return self.in_units(weight, 1.0)

    def in_units(self, weight: Tensor, unit: float) -> Tensor:
        """The levels times ``unit``."""
        values, kept = weight.detach().cpu().contiguous().numpy(), self.kept.cpu().contiguous().numpy()
        on_its_grid = on_grid(values, kept, float(self.step), float(self.dead_zone), unit)
        return torch.from_numpy(on_its_grid).to(weight.device)


class _StraightThrough(torch.autograd.Function):
    """A weight on its grid; the gradient comes back unchanged."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, grid: Grid) -> Tensor:  # noqa: ARG004
        return grid.in_units(weight, float(grid.step))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return gradients[0], None
