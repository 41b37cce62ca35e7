"""The grids of a network while it is trained on them: learned, averaged, or fixed.

A class of this module knows one scale and zero point per share-group of activations, and one scale per output
channel of a weight or one per layer. It applies them in training, and says what they are now.
"""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgesqueeze.compression.quantizing.fake_quant import (
    WEIGHT_MAX,
    Step,
    clip_of,
    quantize_activation,
    quantize_weight,
)
from edgesqueeze.errors import TaskError
from edgesqueeze.network.graph.nodes import Activation, Add, AnyNode, Clamp, Graph, WeightedNode, bias_name
from edgesqueeze.network.integers.align import fixed_groups
from edgesqueeze.network.integers.grid import QMAX, QMIN, ActivationQuant, activation_quant
from edgesqueeze.network.integers.ranges import Range, share_groups
from edgesqueeze.network.integers.spec import QuantSpec, min_max_scales, usable_scale

MOMENTUM = 0.99
"""What a moving average keeps per step."""
Seen = dict[str, Range]
"""The extremes of a batch in each share-group."""
SMALLEST_FACTOR = 1 / 16
"""How far a learned step may shrink: below, a wild gradient would turn it negative."""


class Steps(nn.Module):
    """What decides the grids."""

    def activation(self, node: AnyNode, y: Tensor) -> Tensor:
        """A node's output [N, …], its fused activation not yet applied: activated, and on its grid."""
        raise NotImplementedError

    def weight(self, name: str, weight: Tensor) -> Tensor:
        """A layer's weight on its grids."""
        raise NotImplementedError

    def scales(self, name: str, weight: Tensor) -> Tensor:
        """The scales of a layer's weight, [out], or [1] if the whole tensor has one."""
        raise NotImplementedError

    def grids(self) -> dict[str, ActivationQuant]:
        """The grid of every node, equal within share-groups."""
        raise NotImplementedError

    def after_step(self) -> None:
        """To be called once the parameters have moved."""
        raise NotImplementedError

    def agree(self, gathered: Callable[[Seen], list[Seen]]) -> None:
        """Take in what other processes have seen of the batch; ``gathered`` asks them all."""

    def moving_state(self) -> dict[str, Any]:
        """What moves and is no parameter: plain values and tensors."""
        return {}

    def load_moving_state(self, state: dict[str, Any]) -> None:
        """The inverse of :meth:`moving_state`, for grids of the same network that have not moved yet."""


class FixedSteps(Steps):
    """Grids that no longer change: those that go into the files."""

    def __init__(self, activations: dict[str, ActivationQuant], scales: dict[str, Tensor]) -> None:
        super().__init__()
        self._grids, self._scales = activations, scales

    def activation(self, node: AnyNode, y: Tensor) -> Tensor:
        """See :class:`Steps`."""
        return quantize_activation(y, clip_of(self._grids[node.name], activation_of(node)), None)

    def weight(self, name: str, weight: Tensor) -> Tensor:
        """See :class:`Steps`."""
        return quantize_weight(weight, self.scales(name, weight), None)

    def scales(self, name: str, weight: Tensor) -> Tensor:
        """See :class:`Steps`."""
        return self._scales[name].to(weight.device)

    def grids(self) -> dict[str, ActivationQuant]:
        """See :class:`Steps`."""
        return self._grids

    def after_step(self) -> None:
        """Nothing moves."""

    def moving_state(self) -> dict[str, Any]:
        """See :class:`Steps`; all there is."""
        grids = {name: (grid.scale, grid.zero_point) for name, grid in self._grids.items()}
        return {"grids": grids, "scales": self._scales}

    @classmethod
    def from_moving_state(cls, state: dict[str, Any]) -> "FixedSteps":
        """The grids that the state is of."""
        return cls({name: ActivationQuant(*grid) for name, grid in state["grids"].items()}, state["scales"])


class LearnedSteps(Steps):
    """LSQ: every step size is trained, zero points stay (Esser et al. 2020, arXiv 1902.08153).

    The gradient of a step is scaled by 1 / sqrt(values · largest integer) (section 2.2 of the paper), where
    the values are all weights of the layer, as in the paper, although each channel has a step of its own here
    (with those of the channel alone, steps of small channels run away), or those of one image in all tensors
    of a share-group.
    """

    def __init__(self, graph: Graph, spec: QuantSpec) -> None:
        super().__init__()
        self._groups = share_groups(graph)
        fixed = fixed_groups(graph, spec.activations)
        names = [group for group in dict.fromkeys(self._groups.values()) if group not in fixed]
        self._initial = spec.activations
        self._place = {group: i for i, group in enumerate(names)}
        self.factors = nn.ParameterList([nn.Parameter(torch.ones(())) for _ in names])
        self._steps = [
            self._activation_step(graph, group, self.factors[i]) for group, i in self._place.items()
        ]
        owners = [node.name for node in graph.owners if node.name in spec.weights]
        self._layers = {name: i for i, name in enumerate(owners)}
        self._scales = {name: torch.from_numpy(quant.scale) for name, quant in spec.weights.items()}
        self.weight_factors = nn.ParameterList(
            [nn.Parameter(torch.ones(len(self._scales[name]))) for name in self._layers]
        )

    def _activation_step(self, graph: Graph, group: str, factor: Tensor) -> Step:
        grid = self._initial[group]
        members = [node for node in graph.nodes if self._groups[node.name] == group and not node.copies]
        values = sum(math.prod(node.shape) for node in members)
        largest = max(QMAX - grid.zero_point, grid.zero_point - QMIN)
        return Step(factor, torch.tensor(1 / math.sqrt(values * largest) / grid.scale))

    def activation(self, node: AnyNode, y: Tensor) -> Tensor:
        """See :class:`Steps`."""
        group = self._groups[node.name]
        place = self._place.get(group)
        step = None if place is None else self._steps[place]
        return quantize_activation(y, clip_of(self._grid(group), activation_of(node)), step)

    def weight(self, name: str, weight: Tensor) -> Tensor:
        """See :class:`Steps`."""
        factor = self.weight_factors[self._layers[name]]
        initial = self._scales[name].to(factor.device)
        gradient_scale = 1 / (math.sqrt(weight.numel() * WEIGHT_MAX) * initial)
        return quantize_weight(weight, self.scales(name, weight), Step(factor, gradient_scale))

    def scales(self, name: str, weight: Tensor) -> Tensor:  # noqa: ARG002 (others need it)
        """See :class:`Steps`."""
        factor: Tensor = self.weight_factors[self._layers[name]].detach()
        return self._scales[name].to(factor.device) * factor

    def grids(self) -> dict[str, ActivationQuant]:
        """See :class:`Steps`."""
        return {name: self._grid(group) for name, group in self._groups.items()}

    def _grid(self, group: str) -> ActivationQuant:
        initial, place = self._initial[group], self._place.get(group)
        if place is None:
            return initial
        scale = float(self.factors[place].detach() * initial.scale)
        _require_finite(scale, group)
        return ActivationQuant(scale, initial.zero_point)

    @torch.no_grad()
    def after_step(self) -> None:
        """Keep every step positive."""
        for factor in (*self.factors, *self.weight_factors):
            factor.clamp_(min=SMALLEST_FACTOR)


class MovingAverages(Steps):
    """Min-max weights, and activations in the moving averages of each batch's extremes.

    (Jacob et al. 2018, arXiv 1712.05877, section 3.1.) The averages move in training mode only.
    """

    def __init__(self, graph: Graph, spec: QuantSpec, ranges: dict[str, Range]) -> None:
        super().__init__()
        self._graph, self._groups = graph, share_groups(graph)
        fixed = fixed_groups(graph, spec.activations)
        self._fixed = {name: spec.activations[name] for name, group in self._groups.items() if group in fixed}
        self._ranges = {group: ranges[group] for group in self._groups.values()}
        self._per_channel = spec.per_channel
        self._seen: Seen = {}

    def activation(self, node: AnyNode, y: Tensor) -> Tensor:
        """See :class:`Steps`."""
        if self.training and node.name not in self._fixed:
            self._see(node, y.detach())
        return quantize_activation(y, clip_of(self._grid(node.name), activation_of(node)), None)

    def _see(self, node: AnyNode, y: Tensor) -> None:
        low, high = (float(end) for end in torch.aminmax(y))
        _require_finite(high - low, node.name)
        activation, group = activation_of(node), self._groups[node.name]
        if activation != "none":
            low, high = max(low, 0.0), max(high, 0.0)
        if activation == "relu6":
            low, high = min(low, 6.0), min(high, 6.0)
        known = self._seen.get(group, (low, high))
        self._seen[group] = (min(known[0], low), max(known[1], high))

    def weight(self, name: str, weight: Tensor) -> Tensor:
        """See :class:`Steps`."""
        return quantize_weight(weight, self.scales(name, weight), None)

    def scales(self, name: str, weight: Tensor) -> Tensor:
        """See :class:`Steps`."""
        largest = min_max_scales(weight.detach().cpu().numpy(), per_channel=self._per_channel)
        source = self._graph.by_name[name].inputs[0]
        bias = self._graph.tensors[bias_name(self._graph.by_name[name])]
        return torch.from_numpy(usable_scale(largest, bias, self._grid(source).scale)).to(weight.device)

    def grids(self) -> dict[str, ActivationQuant]:
        """See :class:`Steps`."""
        return {name: self._grid(name) for name in self._groups}

    def _grid(self, name: str) -> ActivationQuant:
        return self._fixed.get(name) or activation_quant(*self._ranges[self._groups[name]])

    def after_step(self) -> None:
        """Take what the batch has shown into the averages."""
        for group, seen in self._seen.items():
            low, high = (
                MOMENTUM * old + (1 - MOMENTUM) * new
                for old, new in zip(self._ranges[group], seen, strict=True)
            )
            self._ranges[group] = (low, high)
        self._seen = {}

    def agree(self, gathered: Callable[[Seen], list[Seen]]) -> None:
        """See :class:`Steps`."""
        widest: Seen = {}
        for seen in gathered(self._seen):
            for group, (low, high) in seen.items():
                known = widest.get(group, (low, high))
                widest[group] = (min(known[0], low), max(known[1], high))
        self._seen = widest

    def moving_state(self) -> dict[str, Any]:
        """See :class:`Steps`."""
        return {"ranges": self._ranges, "seen": self._seen}

    def load_moving_state(self, state: dict[str, Any]) -> None:
        """See :class:`Steps`."""
        self._ranges, self._seen = state["ranges"], state["seen"]


def activation_of(node: AnyNode) -> Activation:
    """What is fused behind a node."""
    return node.activation if isinstance(node, WeightedNode | Add | Clamp) else "none"


def without_activation(node: AnyNode) -> AnyNode:
    """A node that leaves its activation to whatever quantizes its output."""
    return replace(node, activation="none") if isinstance(node, WeightedNode | Add | Clamp) else node


def _require_finite(value: float, where: str) -> None:
    if not np.isfinite(value):
        raise TaskError(f"the values of {where!r} became {value} in training; lower the learning_rate")
