"""How faithful the integers are, layer by layer: to the float network, and to its simulation in torch."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgesqueeze.compression.quantizing.simulation import dequantized_weights
from edgesqueeze.network.floats.run import graph_weights, run_graph
from edgesqueeze.network.graph.nodes import AnyNode, Floats, Graph
from edgesqueeze.network.integers.gates import with_gates
from edgesqueeze.network.integers.reference import Int8s, dequantize, run_integer_tensors
from edgesqueeze.network.integers.spec import QMAX, QMIN, ActivationQuant, QuantSpec
from edgesqueeze.trees import Tree, map_tree


@dataclass(frozen=True)
class LayerFidelity:
    """One tensor of the int8 network.

    ``sqnr_db`` is the signal-to-quantization-noise ratio of the integer reference against the float network,
    in decibels, with everything before the tensor quantized as well; None where nothing differs.
    ``fake_quant_differing`` integers differ by at most ``fake_quant_max_lsb`` when torch computes this one
    node with fake quantization from the very inputs the reference had.
    """

    name: str
    kind: str
    values: int
    sqnr_db: float | None
    fake_quant_differing: int
    fake_quant_max_lsb: int


def sqnr_db(signal: Floats, approximation: Floats) -> float | None:
    """10 · log10(power of the signal / power of the error); None for no error at all."""
    noise = float(np.square(signal.astype(np.float64) - approximation).sum())
    power = float(np.square(signal.astype(np.float64)).sum())
    if noise == 0.0:
        return None
    return float(10 * np.log10(power / noise)) if power else -np.inf


@torch.no_grad()
def float_tensors(graph: Graph, x: Tree) -> dict[str, Floats]:
    """Node name to its output [N, …] in the float network."""
    kept: dict[str, Floats] = {}

    def keep(node: AnyNode, y: Tensor) -> Tensor:
        kept[node.name] = y.numpy()
        return y

    run_graph(graph, map_tree(torch.from_numpy, x), graph_weights(graph), keep)
    return kept


@torch.no_grad()
def simulate(graph: Graph, spec: QuantSpec, x: Tree) -> Tree:
    """What torch computes with fake quantization, [N, …] or a tree: the int8 row that has no file."""
    gated, gates = with_gates(graph)
    grids = spec.activations | gates

    def fake_quantize(node: AnyNode, y: Tensor) -> Tensor:
        grid = grids[node.name]
        return torch.from_numpy(dequantize(_integers(y, grid), grid))

    found = run_graph(gated, map_tree(torch.from_numpy, x), dequantized_weights(graph, spec), fake_quantize)
    return map_tree(lambda y: np.asarray(y.numpy(), np.float32), found)


@torch.no_grad()
def layer_fidelity(graph: Graph, spec: QuantSpec, x: Tree) -> tuple[LayerFidelity, ...]:
    """Every tensor of the int8 network on a few inputs [N, C, H, W], in execution order.

    Each node of the simulation reads what the reference computed, so that a rounding that falls on the other
    side of a half counts where it happens and nowhere behind.
    """
    reference = run_integer_tensors(graph, spec, x)
    floats = float_tensors(graph, x)
    gated, gates = with_gates(graph)
    found: list[LayerFidelity] = []

    def compare(node: AnyNode, y: Tensor) -> Tensor:
        if node.name in gates:
            return torch.from_numpy(dequantize(_integers(y, gates[node.name]), gates[node.name]))
        grid, expected = spec.activations[node.name], reference[node.name]
        exact = dequantize(expected, grid)
        difference = np.abs(_integers(y, grid).astype(np.int16) - expected)
        found.append(
            LayerFidelity(
                name=node.name,
                kind=type(node).__name__,
                values=expected.size,
                sqnr_db=sqnr_db(floats[node.name], exact),
                fake_quant_differing=int(np.count_nonzero(difference)),
                fake_quant_max_lsb=int(difference.max()),
            )
        )
        return torch.from_numpy(exact)

    run_graph(gated, map_tree(torch.from_numpy, x), dequantized_weights(graph, spec), compare)
    return tuple(found)


def _integers(y: Tensor, grid: ActivationQuant) -> Int8s:
    q = torch.clamp(torch.round(y / grid.scale) + grid.zero_point, QMIN, QMAX)
    return np.asarray(q.numpy(), np.int8)
