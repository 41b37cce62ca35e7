"""The one limit that ONNX and TFLite files share."""

from edgesqueeze.errors import ExportError
from edgesqueeze.graph.nodes import Graph
from edgesqueeze.graph.spec import QuantSpec

LARGEST_WEIGHTS = 2**31 - 2**26
"""Bytes of constants that fit in a 2 GB file beside everything else."""


def check_size(graph: Graph, spec: QuantSpec | None) -> None:
    """Refuse a graph whose constants do not fit in one file.

    Raises:
        ExportError: they take more than 2 GB; protobuf and flatbuffers both end there.
    """
    if spec is None:
        size = sum(graph.weight(node).nbytes + graph.bias(node).nbytes for node in graph.parametric)
    else:
        size = sum(layer.weight.nbytes + layer.bias.nbytes for layer in spec.weights.values())
    if size > LARGEST_WEIGHTS:
        raise ExportError(f"the weights take {size} bytes; an ONNX or TFLite file holds less than 2 GB")
