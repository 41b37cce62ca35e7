"""Parameters and multiply-accumulates of a graph."""

from dataclasses import asdict, dataclass
from math import prod

import numpy as np

from edgesqueeze.network.graph.nodes import Graph, MatMul, ParametricNode


@dataclass(frozen=True)
class LayerCounts:
    """What one layer, norm or product of two tensors holds and does, for one image.

    A layer that is used again has its parameters at its first use only.

    ``macs`` are multiply-accumulates, padding included, biases not; ``effective_macs`` those on weights
    that are not zero.
    """

    name: str
    kind: str
    params: int
    nonzero_params: int
    macs: int
    effective_macs: int

    @property
    def flops(self) -> int:
        """Floating-point operations: a multiply-accumulate is two."""
        return 2 * self.macs


@dataclass(frozen=True)
class Counts:
    """Sums over the layers of a network, and the layers themselves in execution order."""

    params: int
    nonzero_params: int
    macs: int
    effective_macs: int
    layers: tuple[LayerCounts, ...]

    @property
    def flops(self) -> int:
        """Floating-point operations: a multiply-accumulate is two."""
        return 2 * self.macs

    def to_json(self) -> dict[str, object]:
        """All counts as plain JSON values."""
        return {
            "params": self.params,
            "nonzero_params": self.nonzero_params,
            "macs": self.macs,
            "effective_macs": self.effective_macs,
            "flops": self.flops,
            "layers": [asdict(layer) for layer in self.layers],
        }


def count_graph(graph: Graph) -> Counts:
    """Count a graph for one image.

    Every layer counts its bias, since every emitter writes one; batch norm counts nothing, since it is
    folded. Pooling, activations, additions and element-wise products have no multiply-accumulates, as is
    usual in the field; a 1 × 1 convolution of each channel alone is such a product: a norm that cannot be
    folded, or a hard swish in int8.
    """
    layers = tuple(
        _count_layer(graph, node) if isinstance(node, ParametricNode) else _count_product(graph, node)
        for node in graph.nodes
        if isinstance(node, ParametricNode | MatMul)
    )
    return Counts(
        params=sum(layer.params for layer in layers),
        nonzero_params=sum(layer.nonzero_params for layer in layers),
        macs=sum(layer.macs for layer in layers),
        effective_macs=sum(layer.effective_macs for layer in layers),
        layers=layers,
    )


def _count_layer(graph: Graph, node: ParametricNode) -> LayerCounts:
    weight, bias = graph.weight(node), graph.bias(node)
    nonzero = int(np.count_nonzero(weight))
    positions = node.positions(graph.source(node).shape if node.inputs else ())
    owns = not node.weights_of
    return LayerCounts(
        name=node.name,
        kind=type(node).__name__,
        params=weight.size + bias.size if owns else 0,
        nonzero_params=nonzero + int(np.count_nonzero(bias)) if owns else 0,
        macs=weight.size * positions,
        effective_macs=nonzero * positions,
    )


def _count_product(graph: Graph, node: MatMul) -> LayerCounts:
    macs = prod(node.shape) * graph.source(node).shape[1]
    return LayerCounts(
        node.name, type(node).__name__, params=0, nonzero_params=0, macs=macs, effective_macs=macs
    )
