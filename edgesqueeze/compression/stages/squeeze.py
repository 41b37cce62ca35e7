"""Entropy-constrained quantization: every weight on a uniform grid, with a price on bits in the loss.

It takes the place of ``share`` with the coder in mind: k-means minimizes the error of a fixed number of
values, but once an arithmetic coder follows, a uniform grid whose levels are chosen by their real cost needs
fewer bits at the same error (Choi et al. 2017, arXiv 1612.01543; Wiedemann et al. 2019, arXiv 1905.08318;
with the entropy in the loss while training: Oktay et al. 2020, arXiv 1906.06624).
"""

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator
from torch import nn

from edgesqueeze.compression.distillation import DistillingSettings, distilled_loss
from edgesqueeze.compression.squeezing.one_shot import OneShot
from edgesqueeze.compression.squeezing.paid_training import PaidTraining, sensitivities_of
from edgesqueeze.compression.squeezing.squeezed_layer import SqueezedLayer
from edgesqueeze.compression.stages.base import Stage
from edgesqueeze.compression.weights.biases import FEWEST_BITS, MOST_BITS, round_bias
from edgesqueeze.compression.weights.folding import fold_batch_norm
from edgesqueeze.compression.weights.parametrizations import Codebook
from edgesqueeze.compression.weights.weights import bake, parametrization_of, weight_of
from edgesqueeze.errors import NoWeightLeftError, RecipeError
from edgesqueeze.layers import weighted_layers
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Session

SETTLE_AFTER, RAMP = 0.6, 0.7


BITS_IN_TRAINING = 8
_BiasBits = Annotated[int, Field(ge=FEWEST_BITS, le=MOST_BITS, strict=True)]


def _named_bits(value: object) -> object:
    """Say what names there are before numbers are asked for."""
    if isinstance(value, str) and value != "auto":
        raise ValueError(f"allowed: a whole number from {FEWEST_BITS} to {MOST_BITS}, auto, or null")
    return value


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
    bias_bits: Annotated[_BiasBits | Literal["auto"], BeforeValidator(_named_bits)] | None = "auto"
    """Bits of a bias, on a grid of its layer; ``auto``: in one shot as many in each layer as are worth their
    price, in a training 8. Null leaves biases in float32."""
    step_scale: Annotated[float, Field(ge=0.25, le=4)] | None = None
    """Steps of a training against those that fit the weights before it. What is left has grown by its end, so
    that a larger step wastes fewer bits. None takes the best of a coarse ladder as it is."""

    @model_validator(mode="after")
    def _every_setting_counts(self) -> Self:
        if not self.epochs and (self.settle_after, self.ramp) != (SETTLE_AFTER, RAMP):
            raise ValueError("settle_after and ramp are about training; they need epochs above 0")
        for name in ("distill", "step_scale"):
            if not self.epochs and getattr(self, name):
                raise ValueError(f"{name} is about training; it needs epochs above 0")
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
    ) -> list[SqueezedLayer]:
        loss = None
        if self.distill:
            loss = distilled_loss(build_graph(bake(model), task.example_input), task, self, self.stage)
        sensitivities = sensitivities_of(model, layers, task, self.batch_size, session.seed)
        squeezed = [
            SqueezedLayer.of(layer, sensitivities[name], price, self.step_scale)
            for name, layer in layers.items()
        ]
        PaidTraining(squeezed, self.settle_after, self.ramp).fit(model, task, self, session, loss)
        for matrix in squeezed:
            matrix.settle()
            matrix.write_back()
        if self.bias_bits is not None:
            for layer in layers.values():
                round_bias(layer, BITS_IN_TRAINING if self.bias_bits == "auto" else self.bias_bits)
        return squeezed

    def _once(
        self, model: nn.Module, layers: dict[str, nn.Module], task: Task, session: Session, price: float
    ) -> list[SqueezedLayer]:
        shots = OneShot(price, self.bias_bits, session.seed).squeeze(
            model, list(layers), task, session.progress.message
        )
        return [SqueezedLayer.of_shot(layer, shots[name], price) for name, layer in layers.items()]
