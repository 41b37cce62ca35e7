"""Post-training int8 quantization: ranges are measured on calibration images, weights are rounded."""

from dataclasses import replace
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import nn

from edgesqueeze.compression.quantizing.calibrate import RANGE_METHODS, RangeMethod
from edgesqueeze.compression.quantizing.doubts import few_images, poor_answers
from edgesqueeze.compression.quantizing.graph_model import GraphModel
from edgesqueeze.compression.quantizing.post_training import Plan, PlanSearch, WeightMethod, quantize_graph
from edgesqueeze.compression.stages.base import Stage
from edgesqueeze.compression.stages.keep_float import KeepFloat, check_keep_float, kept_layers
from edgesqueeze.compression.weights.weights import bake, shared_layers
from edgesqueeze.errors import RecipeError
from edgesqueeze.layers import weighted_layers
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.graph.rescaling import without_rescaling
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Session
from edgesqueeze.trees import Tree

CALIBRATION_BATCH = 64
DEFAULT_PERCENTILE = 99.99
DEFAULT_ADAROUND_STEPS = 1000
_TRIED_TOGETHER = 2
"""With so many of the best plans MSE weight scales and bias correction are tried together."""


class Ptq(Stage):
    """Put the network on its graph and decide every integer of its int8 form.

    Activations have one grid per share-group; weights are symmetric, per output channel or per layer (Jacob
    et al. 2018, arXiv 1712.05877). Every choice is made on the calibration images; the test split is never
    looked at.
    """

    stage: Literal["ptq"] = "ptq"
    makes_integers: ClassVar[bool] = True
    method: RangeMethod | Literal["auto"] = "auto"
    """How activation ranges are chosen; ``auto`` tries all of them, and both ways for the settings below
    that are not given, and keeps what serves best."""
    percentile: Annotated[float, Field(ge=90, le=100)] = DEFAULT_PERCENTILE
    """For ``method: percentile``: the percentage of values below the upper and above the lower end."""
    weights: WeightMethod | None = None
    """How weight scales are chosen; if not given ``auto`` tries both, and other methods take min_max."""
    per_channel: bool = True
    """One weight scale per output channel; false: one per layer, for runtimes that take no more."""
    equalize: bool | None = None
    """Cross-layer equalization (Nagel et al. 2019, arXiv 1906.04721); if not given ``auto`` tries it, and
    other methods leave it off."""
    bias_correction: bool | None = None
    """Empirical bias correction (Nagel et al. 2019); likewise."""
    gptq: bool | None = None
    """GPTQ (Frantar et al. 2023, arXiv 2210.17323): weights are fitted to what int8 layers read, and rounded
    so that each makes up for the errors of those before; likewise. Biases are corrected with it."""
    adaround: bool = False
    """AdaRound (Nagel et al. 2020, arXiv 2004.10568). It takes minutes, so ``auto`` does not try it; if it is
    on, it comes on top of what ``auto`` has found."""
    adaround_steps: Annotated[int, Field(ge=1, le=100_000)] = DEFAULT_ADAROUND_STEPS
    """Training steps per layer."""

    keep_float: KeepFloat = ()
    """Globs over layer names: these layers keep float32 weights and compute in float between int8 tensors."""

    @model_validator(mode="after")
    def _every_setting_counts(self) -> Self:
        if self.percentile != DEFAULT_PERCENTILE and self.method not in ("percentile", "auto"):
            raise ValueError(f"percentile is for method percentile or auto, found method {self.method}")
        if self.adaround_steps != DEFAULT_ADAROUND_STEPS and not self.adaround:
            raise ValueError("adaround_steps needs adaround: true")
        return self

    def check(self, model: nn.Module) -> None:
        """Every glob must name a layer."""
        check_keep_float(model, self.keep_float, "ptq.keep_float")

    def apply(self, model: nn.Module, task: Task, session: Session) -> nn.Module:
        """Return a :class:`GraphModel` that computes with fake quantization where the integers will be."""
        if isinstance(model, GraphModel):
            raise RecipeError("the model is quantized already; one 'ptq' stage is enough")
        shared = shared_layers(model)
        given = [name for name in ("equalize", "gptq", "adaround") if getattr(self, name)]
        if shared and given:
            found = given[0]
            raise RecipeError(
                f"ptq.{found} would give the shared values of layer {shared[0]!r} different integers; "
                f"leave {found} or the 'share' stage out"
            )
        read = without_rescaling(build_graph(bake(model), task.example_input), weighted_layers(model))
        graph = replace(read, normalization=task.normalization)
        kept = kept_layers(graph, self.keep_float, "ptq.keep_float", session)
        session.progress.message(f"calibrating on {len(task.calibration)} images")
        batches = [x for x, _ in task.calibration.batches(CALIBRATION_BATCH)]
        for warning in few_images(len(task.calibration)):
            session.note(warning)
        if self.method != "auto":
            return self._finish(graph, batches, self._plan(self.method, kept), session)
        search = PlanSearch(graph, batches)
        self._search(search, kept, may_move=not shared)
        session.note(search.summary())
        if self.adaround:
            return self._finish(graph, batches, search.best_plan, session)
        for warning in poor_answers(search.best_model, batches, search.best_sqnr_db):
            session.note(warning)
        return search.best_model

    def _plan(self, method: RangeMethod, kept: tuple[str, ...]) -> Plan:
        return Plan(
            ranges=method,
            percentile=self.percentile,
            weights=self.weights or "min_max",
            per_channel=self.per_channel,
            equalize=self.equalize or False,
            bias_correction=self.bias_correction or False,
            gptq=self.gptq or False,
            keep_float=kept,
        )

    def _finish(self, graph: Graph, batches: list[Tree], plan: Plan, session: Session) -> GraphModel:
        if self.adaround:
            plan = replace(plan, adaround_steps=self.adaround_steps, seed=session.seed)
        return quantize_graph(graph, batches, plan)

    def _search(self, search: PlanSearch, kept: tuple[str, ...], *, may_move: bool) -> None:
        """One choice after the other, each with the best of those before."""
        for method in RANGE_METHODS:
            search.consider(self._plan(method, kept))
        if self.weights is None:
            search.consider(replace(search.best_plan, weights="mse"))
        if self.equalize is None and may_move:
            search.consider(replace(search.best_plan, equalize=True))
        if self.bias_correction is None:
            search.consider(replace(search.best_plan, bias_correction=True))
        if self.weights is None and self.bias_correction is None:
            # Clipped weights move the mean of a layer's output, so either alone may be worse than neither.
            for plan in search.best_plans(_TRIED_TOGETHER):
                search.consider(replace(plan, weights="mse", bias_correction=True))
        if self.gptq is None and may_move and search.can_fit:
            for plan in search.best_plans(_TRIED_TOGETHER):
                search.consider(replace(plan, gptq=True, bias_correction=self.bias_correction or False))
