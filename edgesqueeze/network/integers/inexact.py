"""Nodes of an int8 network that a runtime computes by a rule the reference does not model.

At such a node a file may differ from the reference by :data:`TOLERANCE` units; everywhere else it must not
differ at all. The parity gate (:mod:`edgesqueeze.measure.proof.parity`) names the node, counts, and lets the
reference continue from what the runtime computed, so that a difference is excused once and nowhere behind.

To allow this for a kind of node, add a case to :func:`why_inexact`. A rule that can be written down belongs
in :mod:`edgesqueeze.network.integers.reference` instead: then the node is exact.
"""

import platform

from edgesqueeze.network.graph.nodes import (
    AnyNode,
    Conv,
    Dense,
    Graph,
    GroupNorm,
    LayerNorm,
    MatMul,
    Resize,
    Softmax,
)
from edgesqueeze.network.integers.lower import lower
from edgesqueeze.network.integers.reference import Sums
from edgesqueeze.network.integers.rules.resizes import exact_bits
from edgesqueeze.network.integers.spec import QuantSpec

TOLERANCE = 1
"""Units by which a runtime may differ at an inexact node."""
_UNFUSED = ("x86_64", "AMD64")
"""Machines for which ONNX Runtime is compiled without fused multiply-add outside of its own kernels."""


def inexact_nodes(
    graph: Graph, spec: QuantSpec, sums: Sums, machine: str = platform.machine()
) -> dict[str, str]:
    """The name of every inexact node of the lowered network, in execution order, and why it is one.

    Args:
        graph: the network, lowered or not.
        spec: its integers.
        sums: the runtime whose file is compared.
        machine: the kind of processor it runs on.
    """
    graph, spec = lower(graph, spec)
    reasons = {node.name: why_inexact(node, graph, spec, sums, machine) for node in graph.nodes}
    return {name: why for name, why in reasons.items() if why is not None}


def why_inexact(node: AnyNode, graph: Graph, spec: QuantSpec, sums: Sums, machine: str) -> str | None:
    """Why a runtime rounds a node of a lowered network in its own way; None if it follows the reference."""
    match node:
        case Conv() | Dense() if node.name not in spec.weights:
            return "layer kept in float32"
        case Resize(mode="bilinear" | "bilinear_corners") if (
            sums == "onnxruntime" and machine not in _UNFUSED and exact_bits(graph, node) is None
        ):
            return "bilinear resize in float32 with fused multiply-add"
        case LayerNorm() | GroupNorm():
            return f"{'layer' if isinstance(node, LayerNorm) else 'group'} norm in float32"
        case MatMul():
            return "product of two tensors in float32"
        case Softmax():
            return "softmax of sums in float32 or fixed point"
        case _:
            return None
