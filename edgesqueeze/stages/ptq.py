"""Post-training int8 quantization: ranges are measured on calibration images, weights are rounded."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn

from edgesqueeze.errors import RecipeError
from edgesqueeze.graph.build import build_graph
from edgesqueeze.graph.calibrate import RANGE_METHODS, RangeMethod
from edgesqueeze.graph.module import GraphModel
from edgesqueeze.graph.nodes import Graph
from edgesqueeze.graph.post_training import Plan, PlanSearch, WeightMethod, quantize_graph
from edgesqueeze.stages.base import Stage
from edgesqueeze.task import Task
from edgesqueeze.training import Session
from edgesqueeze.weights import bake

CALIBRATION_BATCH = 64


class Ptq(Stage):
    """Put the network on its graph and decide every integer of its int8 form.

    Activations have one grid per share-group, weights are symmetric per output channel (Jacob et al. 2018,
    arXiv 1712.05877). Every choice is made on the calibration images; the test split is never looked at.
    """

    stage: Literal["ptq"] = "ptq"
    method: RangeMethod | Literal["auto"] = "min_max"
    """How activation ranges are chosen; ``auto`` tries all of them, and both ways for the settings below
    that are not given, and keeps what serves best."""
    percentile: Annotated[float, Field(ge=90, le=100)] = 99.99
    """For ``method: percentile``: the percentage of values below the upper and above the lower end."""
    weights: WeightMethod | None = None
    """How weight scales are chosen; min_max if not given."""

    def apply(self, model: nn.Module, task: Task, session: Session) -> nn.Module:
        """Return a :class:`GraphModel` that computes with fake quantization where the integers will be."""
        if isinstance(model, GraphModel):
            raise RecipeError("the model is quantized already; one 'ptq' stage is enough")
        graph = build_graph(bake(model), task.example_input)
        session.progress.message(f"calibrating on {len(task.calibration)} images")
        batches = [x for x, _ in task.calibration.batches(CALIBRATION_BATCH)]
        if self.method != "auto":
            return quantize_graph(graph, batches, self._plan(self.method))
        search = self._search(graph, batches)
        session.note(search.summary())
        return search.best_model

    def _plan(self, method: RangeMethod) -> Plan:
        return Plan(ranges=method, percentile=self.percentile, weights=self.weights or "min_max")

    def _search(self, graph: Graph, batches: list[Tensor]) -> PlanSearch:
        """One choice after the other, each with the best of those before."""
        search = PlanSearch(graph, batches)
        for method in RANGE_METHODS:
            search.consider(self._plan(method))
        if self.weights is None:
            search.consider(replace(search.best_plan, weights="mse"))
        return search
