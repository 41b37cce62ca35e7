"""Post-training quantization of a graph by a plan, and the search for the best plan."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from typing import Literal

import torch
from torch import Tensor

from edgesqueeze.compression.quantizing.calibrate import RangeMethod, calibrate
from edgesqueeze.compression.quantizing.equalize import equalize
from edgesqueeze.compression.quantizing.gptq import round_by_columns
from edgesqueeze.compression.quantizing.graph_model import GraphModel
from edgesqueeze.compression.quantizing.layerwise import correct_biases, round_adaptively
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import activation_grids, spec_from_activations, usable_scale
from edgesqueeze.numerics.ranges import mse_scales
from edgesqueeze.task.training import call
from edgesqueeze.trees import Tree, joined, leaves, length_of, rows_of

_FEWEST_FITTED = 8
"""Weights are not fitted to fewer calibration images."""
WeightMethod = Literal["min_max", "mse"]
"""How a weight's scale is chosen, per output channel or per tensor."""


@dataclass(frozen=True)
class Plan:
    """Which methods turn a float graph into integers."""

    ranges: RangeMethod = "min_max"
    percentile: float = 99.99
    weights: WeightMethod = "min_max"
    per_channel: bool = True
    equalize: bool = False
    bias_correction: bool = False
    gptq: bool = False
    adaround_steps: int = 0
    seed: int = 0
    keep_float: tuple[str, ...] = ()
    """The layers that get no integers."""

    def __str__(self) -> str:
        extras = [("equalization", self.equalize), ("bias correction", self.bias_correction)]
        extras.append(("GPTQ", self.gptq))
        extras.append(("AdaRound", self.adaround_steps > 0))
        weights = f"{self.weights} weights" if self.per_channel else f"{self.weights} weights per tensor"
        names = [f"{self.ranges} ranges", weights, *(name for name, used in extras if used)]
        return ", ".join(names)


def quantize_graph(
    graph: Graph, batches: Sequence[Tree], plan: Plan, fitted: Sequence[Tree] | None = None
) -> GraphModel:
    """The int8 form of a float graph, decided on calibration batches [N, C, H, W], or trees.

    Equalization comes first, since it changes the float weights and so all that follows; biases are
    corrected last, for the integers the weights really have. ``fitted`` are the batches that ``gptq`` fits
    weights to, if not all.
    """
    if plan.equalize:
        graph = equalize(graph)
    ranges = calibrate(graph, batches, plan.ranges, plan.percentile)
    grids = activation_grids(graph, ranges)
    scales = {}
    if plan.weights == "mse":
        for node in (n for n in graph.weighted if not n.weights_of and n.name not in plan.keep_float):
            input_scale = grids[node.inputs[0]].scale
            weight = graph.weight(node)
            found = mse_scales(weight if plan.per_channel else weight.reshape(1, -1))
            scales[node.name] = usable_scale(found, graph.bias(node), input_scale)
    spec = spec_from_activations(graph, grids, scales, plan.keep_float, per_channel=plan.per_channel)
    if plan.gptq:
        spec = round_by_columns(graph, spec, batches if fitted is None else fitted)
    if plan.adaround_steps:
        spec = round_adaptively(graph, spec, batches, plan.adaround_steps, plan.seed)
    if plan.bias_correction:
        spec = correct_biases(graph, spec, batches)
    return GraphModel(graph, spec)


class PlanSearch:
    """Plans tried on calibration batches; the one whose output is closest to the float network's wins.

    Closeness is the signal-to-quantization-noise ratio of the output (of several, the worst) in decibels: it
    needs no labels, and unlike accuracy it tells plans apart on a few hundred images.
    """

    def __init__(self, graph: Graph, batches: Sequence[Tree]) -> None:
        self._graph, self._batches = graph, batches
        self._expected = _outputs(graph, batches)
        self._tried: dict[Plan, float] = {}
        self._models: dict[Plan, GraphModel] = {}

    @property
    def can_fit(self) -> bool:
        """Whether there are images enough to fit weights to some and to judge them on others."""
        return length_of(self._expected) >= _FEWEST_FITTED

    def consider(self, plan: Plan) -> None:
        """Quantize by a plan and measure it, once; only the best model so far is kept.

        A plan that fits weights is judged on images that it was not fitted to, where there are enough: every
        second one answers for the others, and the others for them; ranges are those of all.
        """
        if plan in self._tried:
            return
        model = quantize_graph(self._graph, self._batches, plan)
        if plan.gptq and self.can_fit:
            self._tried[plan] = self._ratio_on_others(plan)
        else:
            self._tried[plan] = _ratio(self._expected, _answers(model, self._batches))
        self._models = {self.best_plan: self._models.get(self.best_plan, model)}

    def _ratio_on_others(self, plan: Plan) -> float:
        halves = self._half(0), self._half(1)
        found = [
            _answers(quantize_graph(self._graph, self._batches, plan, fitted), judged)
            for judged, fitted in (halves, halves[::-1])
        ]
        expected = [_outputs(self._graph, half) for half in halves]
        return _ratio(joined(expected, torch.cat), joined(found, torch.cat))

    def _half(self, first: int) -> list[Tree]:
        """Every second image, in batches: of each batch, or every second batch of single images."""
        if all(length_of(batch) == 1 for batch in self._batches):
            return list(self._batches[first::2])
        halves = [rows_of(batch, slice(first, None, 2)) for batch in self._batches]
        return [half for half in halves if length_of(half)]

    @property
    def best_plan(self) -> Plan:
        """The plan with the highest ratio; of equals the first one tried."""
        return max(self._tried, key=self._tried.__getitem__)

    def best_plans(self, count: int) -> list[Plan]:
        """The plans with the highest ratios, the best first."""
        return sorted(self._tried, key=self._tried.__getitem__, reverse=True)[:count]

    @property
    def best_sqnr_db(self) -> float:
        """The ratio of the best plan."""
        return self._tried[self.best_plan]

    @property
    def best_model(self) -> GraphModel:
        """What the best plan made."""
        return self._models[self.best_plan]

    def summary(self) -> str:
        """What was kept and why, in one sentence."""
        best, images = self.best_plan, length_of(self._expected)
        fits = self.can_fit and any(plan.gptq for plan in self._tried)
        judged = "; those with GPTQ on images that they were not fitted to" if fits else ""
        others = "; ".join(f"{plan}: {ratio:.2f}" for plan, ratio in self._tried.items() if plan != best)
        return (
            f"auto kept {best}, whose output is closest to the float network's on {images} calibration "
            f"images (SQNR {self._tried[best]:.2f} dB; {others}{judged})"
        )


def sqnr_db(expected: Tensor, found: Tensor) -> float:
    """Signal-to-quantization-noise ratio: 10 log10 of the power of ``expected`` over that of the error."""
    signal = float(expected.double().pow(2).sum())
    noise = float((found - expected).double().pow(2).sum())
    return float("inf") if noise == 0 else 10 * log10(max(signal, 1e-300) / noise)


def _ratio(expected: Tree, found: Tree) -> float:
    """That of the worst output: none may pay for another."""
    return min(sqnr_db(right, y) for right, y in zip(leaves(expected), leaves(found), strict=True))


@torch.no_grad()
def _answers(model: GraphModel, batches: Sequence[Tree]) -> Tree:
    return joined([call(model, x) for x in batches], torch.cat)


@torch.no_grad()
def _outputs(graph: Graph, batches: Sequence[Tree]) -> Tree:
    weights = graph_weights(graph)
    return joined([run_graph(graph, x, weights) for x in batches], torch.cat)
