"""Padding as ONNX states it: explicit, or by a rule over the size at hand."""

from edgesqueeze.importing.onnx.node import OnnxNode

Sides = list[tuple[int, int]]
"""Places added in front and behind, along every axis."""


def sides_of(node: OnnxNode, windows: list[int], strides: list[int]) -> Sides:
    """The padding of a convolution or pooling; ``windows`` are the places they span, dilation included."""
    kind, rank = node.attribute("auto_pad", "NOTSET"), len(windows)
    if kind == "VALID":
        return [(0, 0)] * rank
    if kind == "NOTSET":
        pads = node.attribute("pads", [0] * 2 * rank)
        return list(zip(pads[:rank], pads[rank:], strict=True))
    found = []
    for size, window, stride in zip(node.example().shape[2:], windows, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        low = total // 2
        found.append((total - low, low) if kind == "SAME_LOWER" else (low, total - low))
    return found


def around(sides: Sides) -> tuple[list[int], list[int]]:
    """What a torch layer adds itself, on both sides alike, and what has to be put there before it.

    The second is as ``torch.nn.functional.pad`` wants it, the last axis first; all of it where sides differ.
    """
    if all(before == behind >= 0 for before, behind in sides):
        return [before for before, _ in sides], [0, 0] * len(sides)
    return [0] * len(sides), [n for pair in reversed(sides) for n in pair]
