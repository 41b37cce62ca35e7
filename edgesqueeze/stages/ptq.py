"""Post-training int8 quantization: ranges are measured on calibration images, weights are rounded."""

from typing import Literal

from torch import nn

from edgesqueeze.errors import RecipeError
from edgesqueeze.graph.build import build_graph
from edgesqueeze.graph.execute import calibrate_min_max
from edgesqueeze.graph.module import GraphModel
from edgesqueeze.graph.spec import make_spec
from edgesqueeze.stages.base import Stage
from edgesqueeze.task import Task
from edgesqueeze.training import EVALUATION_BATCH, Session
from edgesqueeze.weights import bake


class Ptq(Stage):
    """Put the network on its graph and decide every integer of its int8 form.

    Activation ranges are the lowest and highest value seen on the calibration images, one per share-group;
    weights are symmetric per output channel (Jacob et al. 2018, arXiv 1712.05877).
    """

    stage: Literal["ptq"] = "ptq"
    method: Literal["min_max"] = "min_max"

    def apply(self, model: nn.Module, task: Task, session: Session) -> nn.Module:
        """Return a :class:`GraphModel` that computes with fake quantization where the integers will be."""
        if isinstance(model, GraphModel):
            raise RecipeError("the model is quantized already; one 'ptq' stage is enough")
        graph = build_graph(bake(model), task.example_input)
        session.progress.message(f"calibrating on {len(task.calibration)} images")
        batches = (x for x, _ in task.calibration.batches(min(EVALUATION_BATCH, 64)))
        return GraphModel(graph, make_spec(graph, calibrate_min_max(graph, batches)).activations)
