"""A torch module that runs a graph with int8 fake quantization: what the integers will compute, simulated."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor, nn

from edgesqueeze.compression.quantizing.simulation import dequantized_weights, fake_quantize
from edgesqueeze.errors import EdgeSqueezeError, TaskError
from edgesqueeze.network.floats.run import run_graph
from edgesqueeze.network.graph.node_json import graph_from_json, graph_to_json
from edgesqueeze.network.graph.nodes import AnyNode, Graph
from edgesqueeze.network.integers.gates import with_gates
from edgesqueeze.network.integers.spec import ActivationQuant, QuantSpec, WeightQuant, float_layers
from edgesqueeze.trees import Tree

_FLOAT, _INTEGER = "float/", "int8/"
_PARTS = ("weight", "scale", "bias")


class GraphModel(nn.Module):
    """A quantized network. ``graph`` holds the float tensors, ``spec`` every integer."""

    def __init__(self, graph: Graph, spec: QuantSpec) -> None:
        super().__init__()
        self.graph = graph
        self.spec = spec
        self._weights = dequantized_weights(graph, spec)
        self._gated, gates = with_gates(graph)
        self._grids = spec.activations | gates

    def forward(self, *inputs: Tensor, **named: Tensor) -> Tree:
        """The simulated int8 output for a batch [N, C, H, W], or a tree of several."""
        return run_graph(self._gated, named or inputs, self._weights, self._fake_quantize)

    def _fake_quantize(self, node: AnyNode, y: Tensor) -> Tensor:
        return fake_quantize(y, self._grids[node.name])


def serialize_graph_model(model: GraphModel) -> bytes:
    """Float tensors and integers as safetensors, the structure and the activation grids in the header."""
    header = {
        **graph_to_json(model.graph),
        "activations": {n: [q.scale, q.zero_point] for n, q in model.spec.activations.items()},
    }
    kept = float_layers(model.graph, model.spec)
    if kept:
        header["keep_float"] = list(kept)
    owners = {node.name for node in model.graph.owners}
    # safetensors writes memory as it lies, whatever the strides.
    tensors: dict[str, NDArray[Any]] = {
        f"{_FLOAT}{n}": np.ascontiguousarray(t) for n, t in model.graph.tensors.items()
    }
    for name, quant in model.spec.weights.items():
        if name not in owners:
            continue  # a layer that is used again
        for part in _PARTS:
            tensors[f"{_INTEGER}{name}.{part}"] = np.ascontiguousarray(getattr(quant, part))
    return bytes(save(tensors, {"graph": json.dumps(header, sort_keys=True)}))


def holds_graph_model(path: Path) -> bool:
    """Whether a state file is one of :func:`serialize_graph_model`, by its header.

    Raises:
        TaskError: the file is no safetensors file.
    """
    try:
        with safe_open(str(path), framework="np") as file:
            return "graph" in (file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise TaskError(f"{path} is damaged: {str(error).splitlines()[0]}") from error


def load_graph_model(path: Path) -> GraphModel:
    """Read a file written by :func:`serialize_graph_model`; every number comes back as it was.

    Raises:
        TaskError: the file is damaged.
    """
    try:
        with safe_open(str(path), framework="np") as file:
            header = json.loads(file.metadata()["graph"])
            stored = {key: np.asarray(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118 (not a mapping)
        tensors = {k.removeprefix(_FLOAT): t for k, t in stored.items() if k.startswith(_FLOAT)}
        graph = graph_from_json(header, tensors)
        grids = {n: ActivationQuant(float(s), int(z)) for n, (s, z) in header["activations"].items()}
        weights = {
            node.name: WeightQuant(*(stored[f"{_INTEGER}{node.owner}.{part}"] for part in _PARTS))
            for node in graph.weighted
            if node.name not in header.get("keep_float", [])
        }
        return GraphModel(graph, QuantSpec(grids, weights))
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, EdgeSqueezeError) as error:
        raise TaskError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
