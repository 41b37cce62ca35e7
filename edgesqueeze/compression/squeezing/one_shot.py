"""One shot: every layer's levels from what it reads, layer by layer, without training and without labels.

A layer is first moved to answer what it reads in the squeezed network as the float layer answers its own
inputs (least squares); then its weights go to levels column by column, each error made up for by the columns
that follow, where loss + price · bits is least.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from edgesqueeze.coding.rounding import Rounded, round_layer
from edgesqueeze.compression.squeezing.importance import importance_of, importance_of_weights
from edgesqueeze.compression.squeezing.observing import Networks
from edgesqueeze.compression.squeezing.reads import as_layer_has_it, by_output, groups_of
from edgesqueeze.compression.squeezing.sums import Observed
from edgesqueeze.compression.weights.biases import MOST_BITS, bits_worth_their_price, round_bias
from edgesqueeze.compression.weights.weights import bake, weight_of
from edgesqueeze.errors import RecipeError
from edgesqueeze.numerics.rate_distortion import Floats
from edgesqueeze.numerics.second_order.column_rounding import Layer
from edgesqueeze.numerics.second_order.moments import best_share
from edgesqueeze.numerics.second_order.parts import Parts
from edgesqueeze.task.task import Task

_LEAST_IMPORTANCE = 0.02
"""Of the mean of a layer: rows that hardly mattered on the calibration images may matter elsewhere."""


@dataclass(frozen=True)
class Shot:
    """What a layer becomes: ``levels`` int32 in its weight's shape, their ``step``, and its ``bias``."""

    step: float
    levels: Tensor
    bias: Tensor | None


@dataclass(frozen=True)
class OneShot:
    """Settings: the loss that a bit is worth, bits of biases, and a seed.

    Biases have as many bits as are worth their price (``auto``), or a number, or are left in float32 (None).
    """

    price: float
    bias_bits: int | Literal["auto"] | None
    seed: int

    def squeeze(
        self, model: nn.Module, names: Sequence[str], task: Task, tell: Callable[[str], None]
    ) -> dict[str, Shot]:
        """What every layer of a model becomes; the model itself stays as it is.

        Args:
            model: whose batch norm is folded.
            names: of its layers with a weight.
            task: its calibration images are all that is looked at.
            tell: is told how far it is.

        Raises:
            RecipeError: the network does not use a layer's weight.
        """
        networks = Networks(*(bake(model).requires_grad_(requires_grad=False) for _ in range(2)))
        found = importance_of(networks.exact, names, task, self.seed)
        generator = torch.Generator().manual_seed(self.seed)
        shots = self._not_called(networks, [name for name in names if name not in found], task, tell)
        units = _with_one_weight(networks.exact, list(found))
        for number, unit in enumerate(units):
            tell(f"squeeze: layer {number + 1} of {len(units)}, {unit[0]}")
            calls = {name: found[name].calls for name in unit}
            rows = torch.stack([found[name].rows for name in unit]).sum(0).numpy()
            split = _Split.of(networks.exact.get_submodule(unit[0]))
            observed = networks.observe(calls, torch.from_numpy(split.weight), task.calibration, generator)
            rounded = _rounded(split, observed, rows, self.price)
            for name in unit:
                bias = _corrected(networks.exact.get_submodule(name).bias, split, observed, rounded)
                layer = networks.rounded.get_submodule(name)
                shots[name] = self._set(layer, rounded, bias, found[name].biases)
        return shots

    def _not_called(
        self, networks: Networks, names: Sequence[str], task: Task, tell: Callable[[str], None]
    ) -> dict[str, Shot]:
        """Layers whose inputs are not seen: their weights go to levels each for itself."""
        found = importance_of_weights(networks.exact, names, task, self.seed) if names else {}
        shots: dict[str, Shot] = {}
        for name in names:
            if name not in found:
                raise RecipeError(f"layer {name!r} has no part in what the model computes; take it out")
            tell(f"squeeze: {name} is used but never called; its weights are rounded each for itself")
            split = _Split.of(networks.exact.get_submodule(name))
            importance = split.parts.of_rows(found[name].numpy())
            apart = np.broadcast_to(
                np.eye(split.weight.shape[2]), (len(split.weight), *[split.weight.shape[2]] * 2)
            )
            layer = Layer(split.weight, apart, importance, split.weight != 0)
            rounded = round_layer(layer, self.price, split.parts)
            shots[name] = self._set(networks.rounded.get_submodule(name), rounded, None, None)
        return shots

    @torch.no_grad()
    def _set(
        self, layer: nn.Module, rounded: Rounded, bias: Tensor | None, importance: Tensor | None
    ) -> Shot:
        """Give a layer of the squeezed network its levels, and a bias in place of its own.

        ``importance`` [out] is what the bias matters, None where nothing is known of it.
        """
        values = torch.from_numpy(rounded.levels * np.float32(rounded.step))
        weight_of(layer).copy_(as_layer_has_it(layer, values))
        if isinstance(layer.bias, Tensor):
            layer.bias.copy_(layer.bias if bias is None else bias)
            if self.bias_bits is not None:
                round_bias(layer, self._bits_of(layer.bias, importance))
            bias = layer.bias.detach().clone()
        levels = as_layer_has_it(layer, torch.from_numpy(rounded.levels))
        return Shot(rounded.step, levels, bias)

    def _bits_of(self, bias: Tensor, importance: Tensor | None) -> int:
        if isinstance(self.bias_bits, int):
            return self.bias_bits
        return MOST_BITS if importance is None else bits_worth_their_price(bias, importance, self.price)


@dataclass(frozen=True)
class _Split:
    """A layer's float weight [parts, rows, columns], and how it is taken apart."""

    parts: Parts
    weight: Floats

    @classmethod
    def of(cls, layer: nn.Module) -> "_Split":
        weight = by_output(layer, weight_of(layer).detach()).numpy()
        parts = Parts.of(weight.shape, groups_of(layer))
        return cls(parts, parts.split(weight))


def _with_one_weight(model: nn.Module, names: Sequence[str]) -> list[list[str]]:
    """Names of layers by the weight that they have together, in order."""
    units: dict[int, list[str]] = {}
    for name in names:
        units.setdefault(id(weight_of(model.get_submodule(name))), []).append(name)
    return list(units.values())


def _corrected(bias: object, split: _Split, observed: Observed, rounded: Rounded) -> Tensor | None:
    """The bias with which a squeezed layer's answers have the float layer's means, if it has one."""
    if not isinstance(bias, Tensor):
        return None
    values = split.parts.split(rounded.levels * np.float32(rounded.step))
    off = observed.answered - np.einsum("prc,pc->pr", values, observed.read)
    return bias + torch.from_numpy(split.parts.by_row(off)).float()


def _rounded(split: _Split, observed: Observed, rows: Floats, price: float) -> Rounded:
    """Step and levels of a weight whose rows' answers are worth ``rows`` [groups · rows]."""
    importance = split.parts.of_rows(np.maximum(rows, _LEAST_IMPORTANCE * rows.mean()))
    share = best_share(observed.halves, split.weight, importance)
    damped = observed.together().damped(split.weight, share)
    layer = Layer.of(damped, importance, split.weight != 0)
    return round_layer(layer, price, split.parts)
