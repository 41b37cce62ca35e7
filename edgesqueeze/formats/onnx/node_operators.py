"""The ONNX operators that stand for nodes which need no more than attributes."""

from edgesqueeze.network.graph.nodes import (
    Add,
    AnyNode,
    AvgPool,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Extreme,
    Flatten,
    GlobalAvgPool,
    Join,
    MaxPool,
    Mul,
    Softmax,
)

_PLAIN: dict[type[AnyNode], tuple[str, dict[str, object]]] = {
    GlobalAvgPool: ("GlobalAveragePool", {}),
    Flatten: ("Flatten", {"axis": 1}),
    Concat: ("Concat", {"axis": 1}),
    Add: ("Add", {}),
    Mul: ("Mul", {}),
    Softmax: ("Softmax", {"axis": 1}),
}
"""The operations of nodes that have no fields to write."""


def kind_and_attributes(node: AnyNode) -> tuple[str, dict[str, object]]:
    """The ONNX operator that stands for a node, and its attributes."""
    match node:
        case Conv():
            return "Conv", {
                "kernel_shape": node.kernel,
                "strides": node.stride,
                "pads": node.pads,
                "dilations": node.dilation,
                "group": node.groups,
            }
        case ConvTranspose():
            return "ConvTranspose", {
                "kernel_shape": node.kernel,
                "strides": node.stride,
                "pads": node.pads,
                "output_padding": node.extra,
            }
        case Dense():
            return "Gemm", {"transB": 1}
        case Join():
            return "Concat", {"axis": node.axis}
        case Extreme():
            return ("Max" if node.which == "maximum" else "Min"), {}
        case MaxPool():
            return "MaxPool", {"kernel_shape": node.kernel, "strides": node.stride, "pads": node.pads}
        case AvgPool():
            return "AveragePool", {"kernel_shape": node.kernel, "strides": node.stride}
        case _:
            return _PLAIN[type(node)]
