"""Entropy-constrained quantization: every weight on a uniform grid, with a price on bits in the loss.

It takes the place of ``share`` with the coder in mind: k-means minimizes the error of a fixed number of
values, but once an arithmetic coder follows, a uniform grid whose levels are chosen by their real cost needs
fewer bits at the same error (Choi et al. 2017, arXiv 1612.01543; Wiedemann et al. 2019, arXiv 1905.08318;
with the entropy in the loss while training: Oktay et al. 2020, arXiv 1906.06624).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils.hooks import RemovableHandle

from edgesqueeze.compression.distillation import DistillingSettings, distilled_loss
from edgesqueeze.compression.squeezing.one_shot import OneShot, Shot
from edgesqueeze.compression.stages.base import Stage
from edgesqueeze.compression.weights.biases import round_bias
from edgesqueeze.compression.weights.folding import fold_batch_norm
from edgesqueeze.compression.weights.parametrizations import Codebook, Grid
from edgesqueeze.compression.weights.weights import attach, bake, parametrization_of, weight_of
from edgesqueeze.errors import NoWeightLeftError, RecipeError
from edgesqueeze.layers import weighted_layers
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.numerics.grid_kernels import add_rate_slope
from edgesqueeze.numerics.rate_distortion import (
    Floats,
    LevelCosts,
    Levels,
    choose_step,
    level_costs,
    matrix_view,
    total_bits,
)
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import (
    Loss,
    OwnPart,
    Session,
    call,
    fit,
)
from edgesqueeze.trees import length_of

UPDATE_EVERY = 50
"""Steps between two looks at what levels cost."""
SENSITIVITY_BATCHES = 16
DEAD_ZONE = 0.6
MOST_OF_VARIANCE = 0.5
"""Above this price of a bit less than a seventh of Laplacian weights is left, and those that training will
leave are other ones: the step that fits the few says nothing of them."""
SETTLE_AFTER, RAMP = 0.6, 0.7


def _named_price(value: object) -> object:
    """Say what names there are before numbers are asked for."""
    if isinstance(value, str) and value != "auto" and not value.replace(".", "", 1).isdecimal():
        raise ValueError("allowed: a number above 0 and at most 100, or auto")
    return value


class Squeeze(DistillingSettings, Stage):
    """Bring every weight to level × step, one step per layer, where loss + price · bits is least.

    With ``epochs: 0`` the levels are chosen once, layer by layer, by what each layer reads of the calibration
    images; labels are not looked at. Otherwise the price of the bits is part of the loss while training,
    until ``settle_after``; then every layer's zeros are fixed, and the rest is fine-tuning. A price that
    rises slowly lets the network move what it needs out of the way of it. Batch norm is folded first, since
    a factor per channel would undo the grid.

    A run looks for the price itself where it is ``auto``: see ``run.price_search``.
    """

    stage: Literal["squeeze"] = "squeeze"
    shares_weights: ClassVar[bool] = True
    can_average: ClassVar[bool] = False
    can_choose: ClassVar[bool] = False
    price: Annotated[Annotated[float, Field(gt=0, le=100)] | Literal["auto"], BeforeValidator(_named_price)]
    """Loss that one bit per weight, averaged over the network, is worth; ``auto``: the highest that loses no
    more than ``max_drop``."""
    max_drop: Annotated[float, Field(gt=0, le=1e6)] | None = None
    """With ``price: auto``, what the file may lose of the primary metric on the validation split: points of a
    share, else the metric's own unit."""
    settle_after: Annotated[float, Field(gt=0, lt=1)] = SETTLE_AFTER
    """Fraction of the training after which zeros are fixed."""
    ramp: Annotated[float, Field(ge=0, le=1)] = RAMP
    """Fraction of the time until then in which the price rises from zero; 0 asks all of it at once."""
    bias_bits: Annotated[int, Field(ge=4, le=16, strict=True)] | None = 8
    """Bits of a bias, on a grid of its layer; null leaves biases in float32."""

    @model_validator(mode="after")
    def _every_setting_counts(self) -> Self:
        if not self.epochs and (self.settle_after, self.ramp) != (SETTLE_AFTER, RAMP):
            raise ValueError("settle_after and ramp are about training; they need epochs above 0")
        if not self.epochs and self.distill:
            raise ValueError("distill is about training; it needs epochs above 0")
        return self

    @model_validator(mode="after")
    def _a_drop_goes_with_a_search(self) -> Self:
        if self.price == "auto" and self.max_drop is None:
            raise ValueError("price: auto needs max_drop, what the file may lose, as in max_drop: 0.5")
        if self.price != "auto" and self.max_drop is not None:
            raise ValueError(f"max_drop is for price: auto, found price {self.price}; leave one of them out")
        return self

    @property
    def searches(self) -> bool:
        """Whether a run is to look for the price."""
        return self.price == "auto"

    def at(self, price: float) -> "Squeeze":
        """The same stage at a price."""
        return self.model_copy(update={"price": price, "max_drop": None})

    def apply(self, model: nn.Module, task: Task, session: Session) -> nn.Module:
        """Attach a grid to every layer, train, and leave the grids attached, the weights on them."""
        if self.price == "auto":
            raise RecipeError("squeeze.price auto is looked for by a run; a stage alone needs a number")
        if any(isinstance(m, nn.BatchNorm2d) for m in model.modules()):
            fold_batch_norm(model, task.example_input)
        layers = weighted_layers(model)
        for name, layer in layers.items():
            if parametrization_of(layer, Codebook) is not None:
                raise RecipeError(f"layer {name!r} has shared weights; 'squeeze' takes the place of 'share'")
        price = self.price / sum(weight_of(layer).numel() for layer in layers.values())
        if self.epochs:
            squeezed = self._trained(model, layers, task, session, price)
        else:
            squeezed = self._once(model, layers, task, session, price)
        for name, matrix in zip(layers, squeezed, strict=True):
            if not matrix.levels().any():
                raise NoWeightLeftError(
                    f"squeeze.price {self.price} leaves no weight in layer {name!r}; lower it"
                )
        bits = sum(matrix.bits() for matrix in squeezed)
        kept = sum(int(np.count_nonzero(matrix.levels())) for matrix in squeezed)
        session.note(f"squeeze: {kept} weights left of about {bits / 8:.0f} bytes before coding")
        return model

    def _trained(
        self, model: nn.Module, layers: dict[str, nn.Module], task: Task, session: Session, price: float
    ) -> "list[_Squeezed]":
        loss = None
        if self.distill:
            loss = distilled_loss(build_graph(bake(model), task.example_input), task, self, self.stage)
        sensitivities = _sensitivities(model, layers, task, self.batch_size, session.seed)
        squeezed = [_Squeezed.of(layer, sensitivities[name], price) for name, layer in layers.items()]
        _train(model, task, self, session, squeezed, loss)
        for matrix in squeezed:
            matrix.settle()
            matrix.write_back()
        if self.bias_bits is not None:
            for layer in layers.values():
                round_bias(layer, self.bias_bits)
        return squeezed

    def _once(
        self, model: nn.Module, layers: dict[str, nn.Module], task: Task, session: Session, price: float
    ) -> "list[_Squeezed]":
        shots = OneShot(price, self.bias_bits, session.seed).squeeze(
            model, list(layers), task, session.progress.message
        )
        return [_Squeezed.of_shot(layer, shots[name], price) for name, layer in layers.items()]


def _train(
    model: nn.Module,
    task: Task,
    settings: Squeeze,
    session: Session,
    squeezed: "list[_Squeezed]",
    loss: Loss | None,
) -> None:
    for layer in squeezed:
        layer.start_paying()

    def before_step(step: int, num_steps: int) -> None:
        if not any(layer.pays for layer in squeezed):
            return
        end = settings.settle_after * num_steps
        if step >= end:
            for layer in squeezed:
                layer.settle()
            return
        part = min(1.0, step / (settings.ramp * end)) if settings.ramp else 1.0
        for layer in squeezed:
            layer.part = part
            if step % UPDATE_EVERY == 0:
                layer.refresh()

    def state() -> dict[str, Any]:
        return {"layers": [layer.state() for layer in squeezed]}

    def load_state(state: dict[str, Any]) -> None:
        for layer, kept in zip(squeezed, state["layers"], strict=True):
            layer.load_state(kept)

    fit(model, task, settings, session, OwnPart(before_step, loss, state, load_state))


@dataclass(eq=False)
class _Squeezed:
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
    def of(cls, layer: nn.Module, sensitivity: float, price: float) -> "_Squeezed":
        """Choose a step, at a bit for no more than a part of the weights' variance, and attach the grid."""
        values = weight_of(layer).detach()
        matrix = _matrix(values)
        step_price = min(price, MOST_OF_VARIANCE * float(matrix.var()) * sensitivity)
        step = choose_step(matrix, sensitivity, step_price) if matrix.any() else 1.0
        return cls.on(layer, Grid(torch.tensor(step), torch.tensor(DEAD_ZONE), values != 0), price)

    @classmethod
    def on(cls, layer: nn.Module, grid: Grid, price: float) -> "_Squeezed":
        """Attach a grid."""
        attach(layer, grid)
        weight = _float_weight(layer)
        return cls(grid, weight, price, level_costs(_levels(grid, weight)))

    @classmethod
    @torch.no_grad()
    def of_shot(cls, layer: nn.Module, shot: Shot, price: float) -> "_Squeezed":
        """Attach the grid of one shot, with its levels and its bias."""
        _float_weight(layer).copy_(shot.levels * shot.step)
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


def _float_weight(layer: nn.Module) -> nn.Parameter:
    """The parameter that is trained, behind whatever parametrizations the weight has."""
    parametrized = parametrize.is_parametrized(layer, "weight")
    return layer.get_parameter("parametrizations.weight.original" if parametrized else "weight")


def _levels(grid: Grid, weight: Tensor) -> Levels:
    return np.asarray(_matrix(grid.levels(weight)), np.int32)


def _matrix(values: Tensor) -> Floats:
    return np.asarray(matrix_view(values.detach().cpu().numpy()), np.float32)


def _sensitivities(
    model: nn.Module, layers: dict[str, nn.Module], task: Task, batch_size: int, seed: int
) -> dict[str, float]:
    """Loss per squared error of a weight, averaged over each layer.

    Half the diagonal of the empirical Fisher information, from mean gradients of batches (Theis et al. 2018,
    arXiv 1801.05787, section 2).
    """
    totals = dict.fromkeys(layers, 0.0)
    model.eval()
    batches: Iterable[tuple[Tensor, Tensor]] = task.train.batches(
        batch_size, torch.Generator().manual_seed(seed)
    )
    weights = [_float_weight(layer) for layer in layers.values()]
    used = 0
    for (x, y), _ in zip(batches, range(SENSITIVITY_BATCHES), strict=False):
        gradients = torch.autograd.grad(task.loss(call(model, x), y), weights)
        for name, gradient in zip(layers, gradients, strict=True):
            totals[name] += float(gradient.double().pow(2).mean()) * length_of(x) / 2
        used += 1
    return {name: total / used for name, total in totals.items()}
