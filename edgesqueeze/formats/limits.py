"""The limits that ONNX and TFLite files share."""

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import ExportError
from edgesqueeze.network.graph.nodes import Floats, Graph
from edgesqueeze.network.integers.spec import QuantSpec

LARGEST_WEIGHTS = 2**31 - 2**26
"""Bytes of constants that fit in a 2 GB file beside everything else."""

LARGEST_FLOAT16 = 65504.0


def check_size(graph: Graph, spec: QuantSpec | None) -> None:
    """Refuse a graph whose constants do not fit in one file.

    Raises:
        ExportError: they take more than 2 GB; protobuf and flatbuffers both end there.
    """
    quantized = {} if spec is None else spec.weights
    size = 0
    for node in graph.owners:
        layer = quantized.get(node.name)
        held = (graph.weight(node), graph.bias(node)) if layer is None else (layer.weight, layer.bias)
        size += sum(array.nbytes for array in held)
    if size > LARGEST_WEIGHTS:
        raise ExportError(f"the weights take {size} bytes; an ONNX or TFLite file holds less than 2 GB")


def as_float16(layer: str, values: Floats) -> NDArray[np.float16]:
    """The nearest float16 values.

    Raises:
        ExportError: a value is too large for float16.
    """
    largest = float(np.abs(values).max(initial=0.0))
    if largest > LARGEST_FLOAT16:
        raise ExportError(
            f"layer {layer!r} has a weight or bias of magnitude {largest:g}; float16 ends at "
            f"{LARGEST_FLOAT16:g}, so leave fp16 out"
        )
    return values.astype(np.float16)
