"""What walks down the list of stages: a float module with its parametrizations, or a quantized graph.

Whoever holds a state need not know which: this file is the one place that does.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from torch import nn

from edgesqueeze.compression.quantizing.graph_model import (
    GraphModel,
    holds_graph_model,
    load_graph_model,
    serialize_graph_model,
)
from edgesqueeze.compression.weights.weights import bake, is_plain, load_model, serialize_model, weight_of
from edgesqueeze.errors import UnsupportedLayerError
from edgesqueeze.layers import weighted_layers
from edgesqueeze.network.graph.counts import Counts, count_graph
from edgesqueeze.network.graph.nodes import Floats, Graph
from edgesqueeze.network.graph.rescaling import without_rescaling
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import answers
from edgesqueeze.trees import Tree


class State(Protocol):
    """A network between two stages. ``module`` is what a stage is given, and what torch computes with."""

    module: nn.Module

    @property
    def deployable(self) -> bool:
        """Whether its file is one that users could deploy: plain weights, which no technique has touched."""
        ...

    def save(self) -> bytes:
        """The bytes of its file, safetensors."""
        ...

    def network(self, example_input: Tree) -> tuple[Graph, QuantSpec | None]:
        """Its graph, and its integers if it is quantized.

        Raises:
            UnsupportedLayerError: it does something the graph has no node for.
        """
        ...

    def layers(self) -> dict[str, Floats] | None:
        """Layer to float32 weight as it computes with it; None once there are integers instead."""
        ...


class FloatState:
    """A torch module, trained or pruned or shared."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    @property
    def deployable(self) -> bool:
        """Whether it has no parametrization."""
        return is_plain(self.module)

    def save(self) -> bytes:
        """Its state dict with a header."""
        return serialize_model(self.module)

    def network(self, example_input: Tree) -> tuple[Graph, QuantSpec | None]:
        """Read from torch, with plain weights."""
        return without_rescaling(
            build_graph(bake(self.module), example_input), weighted_layers(self.module)
        ), None

    def layers(self) -> dict[str, Floats] | None:
        """The weights behind their parametrizations."""
        return {n: weight_of(layer).detach().numpy() for n, layer in weighted_layers(self.module).items()}


class QuantizedState:
    """A graph whose every integer is fixed."""

    deployable = False

    def __init__(self, module: GraphModel) -> None:
        self.module: nn.Module = module
        self._model = module

    def save(self) -> bytes:
        """Floats, integers and structure."""
        return serialize_graph_model(self._model)

    def network(self, example_input: Tree) -> tuple[Graph, QuantSpec | None]:
        """What it holds already."""
        del example_input
        return self._model.graph, self._model.spec

    def layers(self) -> dict[str, Floats] | None:
        """None: its weights are integers."""
        return None


def state_of(module: nn.Module) -> State:
    """The state that a stage's module is."""
    return QuantizedState(module) if isinstance(module, GraphModel) else FloatState(module)


def load_state(path: Path, build_model: Callable[[], nn.Module]) -> State:
    """Read what :meth:`State.save` wrote; every number comes back as it was.

    Raises:
        TaskError: the file is damaged or belongs to another model.
    """
    if holds_graph_model(path):
        return QuantizedState(load_graph_model(path))
    return FloatState(load_model(build_model().eval(), path))


def network_of(state: State, task: Task) -> tuple[Graph, QuantSpec | None]:
    """A state's graph, which knows how pixels become its input, and its integers if it has any."""
    graph, spec = state.network(task.example_input)
    return replace(graph, normalization=task.normalization), spec


def answers_of(state: State, task: Task) -> tuple[Tree, Tree]:
    """What torch computes for the test split, as the task's metrics take it: outputs and targets [N, ...]."""
    return answers(state.module, task.test, task.compact)


def counts_of(state: State, example_input: Tree) -> Counts | None:
    """Parameters and multiply-accumulates; None where the graph cannot be built."""
    try:
        return count_graph(state.network(example_input)[0])
    except UnsupportedLayerError:
        return None
