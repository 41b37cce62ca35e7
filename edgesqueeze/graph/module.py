"""A torch module that runs a graph with int8 fake quantization: what the integers will compute, simulated."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor, nn

from edgesqueeze.errors import EdgeSqueezeError, TaskError
from edgesqueeze.graph.execute import Weights, run_graph
from edgesqueeze.graph.nodes import AnyNode, Graph, structure_from_json, structure_to_json
from edgesqueeze.graph.spec import QMAX, QMIN, ActivationQuant, spec_from_activations


class GraphModel(nn.Module):
    """A quantized network. ``graph`` holds the float tensors, ``spec`` every integer."""

    def __init__(self, graph: Graph, activations: dict[str, ActivationQuant]) -> None:
        super().__init__()
        self.graph = graph
        self.spec = spec_from_activations(graph, activations)
        self._weights = self._dequantized_weights()

    def forward(self, x: Tensor) -> Tensor:
        """The simulated int8 output for a batch [N, C, H, W]."""
        return run_graph(self.graph, x, self._weights, self._fake_quantize)

    def _dequantized_weights(self) -> Weights:
        weights: Weights = {}
        for node in self.graph.weighted:
            quant = self.spec.weights[node.name]
            scale = quant.scale.reshape(-1, *[1] * (quant.weight.ndim - 1))
            bias = quant.bias * quant.bias_scale(self.spec.activations[node.inputs[0]].scale).astype(
                np.float64
            )
            weights[node.name] = (
                torch.from_numpy(quant.weight * scale),
                torch.from_numpy(bias.astype(np.float32)),
            )
        return weights

    def _fake_quantize(self, node: AnyNode, y: Tensor) -> Tensor:
        grid = self.spec.activations[node.name]
        integers = torch.clamp(torch.round(y / grid.scale) + grid.zero_point, QMIN, QMAX)
        return (integers - grid.zero_point) * grid.scale


def serialize_graph_model(model: GraphModel) -> bytes:
    """The graph's tensors as safetensors, its structure and activation grids in the header."""
    header = {
        "nodes": structure_to_json(model.graph),
        "activations": {n: [q.scale, q.zero_point] for n, q in model.spec.activations.items()},
    }
    return bytes(save(model.graph.tensors, {"graph": json.dumps(header, sort_keys=True)}))


def load_graph_model(path: Path) -> GraphModel:
    """Read a file written by :func:`serialize_graph_model`.

    Raises:
        TaskError: the file is damaged.
    """
    try:
        with safe_open(str(path), framework="np") as file:
            header = json.loads(file.metadata()["graph"])
            tensors = {key: np.asarray(file.get_tensor(key)) for key in file.keys()}  # noqa: SIM118 (not a mapping)
        graph = Graph(structure_from_json(header["nodes"]), tensors)
        grids = {n: ActivationQuant(float(s), int(z)) for n, (s, z) in header["activations"].items()}
        return GraphModel(graph, grids)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, EdgeSqueezeError) as error:
        raise TaskError(f"{path} is damaged: {str(error).splitlines()[0]}") from error
