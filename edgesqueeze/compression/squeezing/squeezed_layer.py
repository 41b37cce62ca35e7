"""A layer that is squeezed: its grid, what its levels cost, and their price in its weight's gradient."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.hooks import RemovableHandle

from edgesqueeze.compression.squeezing.one_shot import Shot
from edgesqueeze.compression.weights.parametrizations import Grid
from edgesqueeze.compression.weights.weights import attach, weight_of
from edgesqueeze.numerics.grid_kernels import add_rate_slope
from edgesqueeze.numerics.rate_distortion import (
    Floats,
    LevelCosts,
    Levels,
    choose_step,
    exact_step,
    level_costs,
    matrix_view,
    total_bits,
)

DEAD_ZONE = 0.6
MOST_OF_VARIANCE = 0.5
"""Above this price of a bit less than a seventh of Laplacian weights is left, and those that training will
leave are other ones: the step that fits the few says nothing of them."""
FINELY = 8
"""Candidates of a step to the octave."""


@dataclass(eq=False)
class SqueezedLayer:
    """One layer: its grid, the float weights behind it, and what its levels cost now."""

    grid: Grid
    weight: nn.Parameter
    price: float
    costs: LevelCosts
    part: float = 1.0
    """Of the price that is asked now."""
    payment: RemovableHandle | None = None
    """While training: what adds the slope of the bits to the weight's gradient."""

    @classmethod
    def of(
        cls, layer: nn.Module, sensitivity: float, price: float, step_scale: float | None
    ) -> "SqueezedLayer":
        """Choose a step, at a bit for no more than a part of the weights' variance, and attach the grid.

        With a ``step_scale`` the choice is a fine one, and the step so many times as large.
        """
        values = weight_of(layer).detach()
        matrix = _matrix(values)
        step_price = min(price, MOST_OF_VARIANCE * float(matrix.var()) * sensitivity)
        step = 1.0
        if matrix.any():
            per_octave = 2 if step_scale is None else FINELY
            chosen = choose_step(matrix, sensitivity, step_price, per_octave)
            step = chosen if step_scale is None else exact_step(step_scale * chosen)
        return cls.on(layer, Grid(torch.tensor(step), torch.tensor(DEAD_ZONE), values != 0), price)

    @classmethod
    def on(cls, layer: nn.Module, grid: Grid, price: float) -> "SqueezedLayer":
        """Attach a grid."""
        attach(layer, grid)
        weight = float_weight(layer)
        return cls(grid, weight, price, level_costs(_levels(grid, weight)))

    @classmethod
    @torch.no_grad()
    def of_shot(cls, layer: nn.Module, shot: Shot, price: float) -> "SqueezedLayer":
        """Attach the grid of one shot, with its levels and its bias."""
        float_weight(layer).copy_(shot.levels * shot.step)
        if isinstance(layer.bias, Tensor) and shot.bias is not None:
            layer.bias.copy_(shot.bias)
        return cls.on(layer, Grid(torch.tensor(shot.step), torch.tensor(0.5), shot.levels != 0), price)

    def levels(self) -> Levels:
        """The levels as they are, int32 [rows, columns]."""
        return _levels(self.grid, self.weight)

    def refresh(self) -> None:
        """Take the statistics of the levels as they are now."""
        self.costs = level_costs(self.levels())

    def start_paying(self) -> None:
        """From now on every gradient of the weight has price · d bits / d weight in it."""
        self.payment = self.weight.register_post_accumulate_grad_hook(self._pay)  # type: ignore[no-untyped-call]

    def _stop_paying(self) -> None:
        if self.payment is not None:
            self.payment.remove()
            self.payment = None

    @property
    def pays(self) -> bool:
        """Whether the price is part of the gradient."""
        return self.payment is not None

    def _pay(self, weight: Tensor) -> None:
        assert weight.grad is not None
        gradient = weight.grad.cpu().contiguous()
        price, step = self.price * self.part, float(self.grid.step)
        add_rate_slope(_matrix(gradient), _matrix(weight), self.costs, step, price)
        weight.grad = gradient.to(weight.device)

    def state(self) -> dict[str, Any]:
        """What moves in training beside grid and weight: tensors and plain values."""
        odds = [torch.from_numpy(values) for values in vars(self.costs).values()]
        return {"pays": self.pays, "costs": odds}

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`state`, for a layer that has begun to pay."""
        self.costs = LevelCosts(*(values.numpy() for values in state["costs"]))
        if not state["pays"]:
            self._stop_paying()

    @torch.no_grad()
    def settle(self) -> None:
        """Fix which weights are zero as they are now; the others go to the nearest level, free."""
        self._stop_paying()
        self.grid.kept &= self.grid.levels(self.weight) != 0
        self.grid.dead_zone.fill_(0.5)

    @torch.no_grad()
    def write_back(self) -> None:
        """Make the float weights what the grid makes of them."""
        self.weight.copy_(self.grid.in_units(self.weight, float(self.grid.step)))

    def bits(self) -> float:
        """Estimated bits of the levels."""
        return total_bits(self.levels())


def float_weight(layer: nn.Module) -> nn.Parameter:
    """The parameter that is trained, behind whatever parametrizations the weight has."""
    parametrized = parametrize.is_parametrized(layer, "weight")
    return layer.get_parameter("parametrizations.weight.original" if parametrized else "weight")


def _levels(grid: Grid, weight: Tensor) -> Levels:
    return np.asarray(_matrix(grid.levels(weight)), np.int32)


def _matrix(values: Tensor) -> Floats:
    return np.asarray(matrix_view(values.detach().cpu().numpy()), np.float32)
