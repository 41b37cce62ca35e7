"""Quantization-aware training: the network is trained with the rounding that its int8 form will have."""

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

from edgesqueeze.compression.distillation import DistillingSettings, distilled_loss
from edgesqueeze.compression.quantizing.calibrate import RangeMethod, calibrate
from edgesqueeze.compression.quantizing.graph_model import GraphModel
from edgesqueeze.compression.quantizing.qat import QatMethod, QatNetwork, WeightForm, codebook_of
from edgesqueeze.compression.stages.base import Stage
from edgesqueeze.compression.stages.keep_float import KeepFloat, check_keep_float, kept_layers
from edgesqueeze.compression.weights.parametrizations import Grid
from edgesqueeze.compression.weights.weights import bake, parametrization_of, shared_layers
from edgesqueeze.errors import RecipeError
from edgesqueeze.layers import weighted_layers
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import OwnPart, Session, fit

CALIBRATION_BATCH = 64


class Qat(DistillingSettings, Stage):
    """Train the network on its graph, with fake quantization exactly where the integers will be.

    Ranges start from calibration, move while they are learned, and are fixed for the last part of the
    training, which then only moves weights and biases on the very grids that go into the files. Pruned
    weights stay zero and shared weights stay shared. (Jacob et al. 2018, arXiv 1712.05877, section 3.)
    """

    stage: Literal["qat"] = "qat"
    makes_integers: ClassVar[bool] = True
    can_average: ClassVar[bool] = False
    can_choose: ClassVar[bool] = False
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 3
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    method: QatMethod = "lsq"
    """``lsq`` learns the step sizes of weights and activations (Esser et al. 2020, arXiv 1902.08153);
    ``moving_average`` averages the extremes of each batch's activations and takes those of the weights."""
    initial_ranges: RangeMethod = "min_max"
    """How the activation ranges that training starts from are calibrated."""
    freeze_after: Annotated[float, Field(ge=0, le=1)] = 0.7
    """Fraction of the steps after which the grids are fixed."""
    per_channel: bool = True
    """One weight scale per output channel; false: one per layer, for runtimes that take no more."""
    keep_float: KeepFloat = ()
    """Globs over layer names: these layers keep float32 weights and compute in float between int8 tensors."""

    @property
    def needs_labels(self) -> bool:
        """All of the loss may be the float network's answers."""
        return self.distill < 1

    def check(self, model: nn.Module) -> None:
        """Every glob must name a layer."""
        check_keep_float(model, self.keep_float, "qat.keep_float")

    def apply(self, model: nn.Module, task: Task, session: Session) -> nn.Module:
        """Return a :class:`GraphModel` with the trained floats and the integers they were trained for."""
        if isinstance(model, GraphModel):
            raise RecipeError("the model is quantized already; 'qat' must come before 'ptq', or without it")
        graph = replace(build_graph(bake(model), task.example_input), normalization=task.normalization)
        kept = kept_layers(graph, self.keep_float, "qat.keep_float", session)
        loss = distilled_loss(graph, task, self, self.stage) if self.distill else None
        session.progress.message(f"calibrating on {len(task.calibration)} images")
        batches = [x for x, _ in task.calibration.batches(CALIBRATION_BATCH)]
        ranges = calibrate(graph, batches, self.initial_ranges)
        forms = _forms(model, graph)
        network = QatNetwork(graph, ranges, self.method, forms, kept, per_channel=self.per_channel)

        def agree() -> None:
            network.steps.agree(session.place.gathered)

        def settle(step: int, num_steps: int) -> None:
            agree()
            network.after_step()
            if step >= self.freeze_after * num_steps:
                network.settle()

        def state() -> dict[str, Any]:
            agree()
            return network.steps_state()

        fit(network, task, self, session, OwnPart(settle, loss, state, network.load_steps_state))
        agree()
        return network.finished()


def _forms(model: nn.Module, graph: Graph) -> dict[str, WeightForm]:
    """What 'share' and 'squeeze' have made of the weights, on the weights as the graph has them."""
    layers = weighted_layers(model)
    forms: dict[str, WeightForm] = {}
    for name in set(shared_layers(model)) & {node.name for node in graph.weighted}:
        weight = graph.tensors[f"{name}.weight"]
        grid = parametrization_of(layers[name], Grid)
        if isinstance(grid, Grid):
            kept = torch.from_numpy(weight != 0)
            forms[name] = Grid(grid.step.clone(), grid.dead_zone.clone(), kept)
        else:
            forms[name] = codebook_of(weight)
    return forms
