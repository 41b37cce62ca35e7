"""Bilinear resizes whose halves are rounded up, as XNNPACK's are, by no operator more.

ONNX Runtime resizes in float32 and rounds halves to even. Where the results are exact (twice the size, four
times …), a scale that is a little larger in front of the resize than behind it moves halves, and only halves,
past the middle. The zero point is 0 there, so that all values are moved in one direction; weights sum to 1,
so it does not matter.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.formats.onnx.writing.maps import OnnxWriter, write_map
from edgesqueeze.network.graph.nodes import Graph, Resize
from edgesqueeze.network.integers.rules.resizes import lifted_scale

FROM_ZERO = "/from_zero"
"""How the names of such readings of a grid end."""


def write_lifted(
    writer: OnnxWriter,
    shared: Callable[[str, NDArray[np.generic]], str],
    resize: tuple[Graph, Resize, int],
    scale: float,
    integers: str,
) -> str:
    """Append a resize from uint8 to uint8 of one scale; the name of the result."""
    graph, node, bits = resize
    zero = shared(f"{node.name}.zero", np.array(0, np.uint8))
    lifted = shared(f"{node.name}.lifted_scale", np.array(lifted_scale(scale, bits)))
    value = writer.op("DequantizeLinear", [integers, lifted, zero], f"{node.name}{FROM_ZERO}", {})
    result = write_map(writer, graph, node, value)
    plain = shared(f"{node.name}.scale", np.array(scale, np.float32))
    return writer.op("QuantizeLinear", [result, plain, zero], f"{node.name}/int", {})
