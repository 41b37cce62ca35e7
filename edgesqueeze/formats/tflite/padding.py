"""How much padding a window really needs, and when TFLite's SAME rule gives just that."""

from edgesqueeze.network.graph.nodes import Conv, MaxPool, Pads


def _reach(node: Conv | MaxPool, axis: int) -> int:
    """How many input rows (axis 0) or columns (axis 1) all windows together span."""
    dilation = node.dilation[axis] if isinstance(node, Conv) else 1
    return (node.shape[2 + axis] - 1) * node.stride[axis] + dilation * (node.kernel[axis] - 1) + 1


def needed_pads(node: Conv | MaxPool, shape: tuple[int, ...]) -> Pads:
    """The part of a node's padding that its windows really touch."""
    top, left = node.pads[:2]
    bottom, right = (max(_reach(node, axis) - shape[2 + axis] - node.pads[axis], 0) for axis in (0, 1))
    return top, left, bottom, right


def same_pads(node: Conv | MaxPool, shape: tuple[int, ...]) -> Pads | None:
    """The padding that TFLite's SAME rule gives this node, or None where SAME gives another output size."""
    if any(node.shape[2 + axis] != -(-shape[2 + axis] // node.stride[axis]) for axis in (0, 1)):
        return None
    rows, columns = (max(_reach(node, axis) - shape[2 + axis], 0) for axis in (0, 1))
    return rows // 2, columns // 2, rows - rows // 2, columns - columns // 2
