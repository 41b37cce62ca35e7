"""Hard swish and SiLU as what they are in int8: products with a (hard) sigmoid on a grid of its own."""

from dataclasses import replace

from edgesqueeze.network.graph.nodes import AnyNode, Graph, Mul, Pointwise
from edgesqueeze.network.integers.align import HARD_SIGMOID_GRID, SIGMOID_GRID
from edgesqueeze.network.integers.grid import ActivationQuant


def with_gates(graph: Graph) -> tuple[Graph, dict[str, ActivationQuant]]:
    """The same network with these functions written out, and the grids of the sigmoids that this adds.

    A simulation of int8 runs this graph; ``network.integers.lower`` writes the same into the files.
    """
    nodes: list[AnyNode] = []
    grids: dict[str, ActivationQuant] = {}
    for node in graph.nodes:
        if not isinstance(node, Pointwise) or node.function not in ("hardswish", "silu"):
            nodes.append(node)
            continue
        hard = node.function == "hardswish"
        gate = replace(node, name=f"{node.name}/gate", function="hardsigmoid" if hard else "sigmoid")
        grids[gate.name] = HARD_SIGMOID_GRID if hard else SIGMOID_GRID
        product = Mul(name=node.name, inputs=(node.inputs[0], gate.name), shape=node.shape)
        nodes += [gate, product]
    return Graph(tuple(nodes), graph.tensors), grids
