"""Hard swish and SiLU as what they are in int8: products with a (hard) sigmoid on a grid of its own."""

from dataclasses import replace

from edgesqueeze.network.graph.functions import FUNCTIONS
from edgesqueeze.network.graph.nodes import AnyNode, Graph, Mul, Pointwise
from edgesqueeze.network.integers.align import FIXED_GRIDS
from edgesqueeze.network.integers.grid import ActivationQuant


def with_gates(graph: Graph) -> tuple[Graph, dict[str, ActivationQuant]]:
    """The same network with these functions written out, and the grids of the sigmoids that this adds.

    A simulation of int8 runs this graph; ``network.integers.lower`` writes the same into the files.
    """
    nodes: list[AnyNode] = []
    grids: dict[str, ActivationQuant] = {}
    for node in graph.nodes:
        function = FUNCTIONS[node.function].gate if isinstance(node, Pointwise) else None
        if not isinstance(node, Pointwise) or function is None:
            nodes.append(node)
            continue
        gate = replace(node, name=f"{node.name}/gate", function=function)
        grids[gate.name] = FIXED_GRIDS[function]
        product = Mul(name=node.name, inputs=(node.inputs[0], gate.name), shape=node.shape)
        nodes += [gate, product]
    return replace(graph, nodes=tuple(nodes)), grids
