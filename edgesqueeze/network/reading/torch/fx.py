"""What a torch program says of one of its operations, and how one is refused."""

import operator
import re
from pathlib import Path
from typing import Any

from torch.fx import Node as FxNode

from edgesqueeze.errors import UnsupportedLayerError
from edgesqueeze.network.graph.nodes import Pair

_WAY_OUT = "replace the layer, or remove the export (or stage) that needs the graph"


_OTHER_NAMES = {
    "absolute": "abs",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "divide": "div",
    "fix": "trunc",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "multiply": "mul",
    "negative": "neg",
    "not_equal": "ne",
    "subtract": "sub",
    "true_divide": "div",
}
"""Names that torch has beside others, as NumPy calls them; a program keeps the one that was called."""


def aten_name(fx: FxNode) -> str:
    """``conv2d`` for torch.ops.aten.conv2d.default."""
    if fx.target is operator.getitem:
        return "getitem"
    name = str(fx.target).removeprefix("aten.").partition(".")[0]
    return _OTHER_NAMES.get(name, name)


def arguments_of(fx: FxNode, names: list[str]) -> dict[str, Any]:
    """Positional and keyword arguments by name; what was left out is None."""
    return {**dict.fromkeys(names), **dict(zip(names, fx.args, strict=False)), **fx.kwargs}


def shape_of(fx: FxNode) -> tuple[int, ...]:
    """The shape of what an operation computes."""
    return tuple(int(n) for n in fx.meta["val"].shape)


def pair_of(value: Any) -> Pair:
    """Torch's one or two numbers as two."""
    if isinstance(value, int):
        return value, value
    items = [int(v) for v in value]
    return (items[0], items[0]) if len(items) == 1 else (items[0], items[1])


def refuse(fx: FxNode, why: str) -> UnsupportedLayerError:
    """An error that names the operation, the layer it stands in, and the way out."""
    layer = module_of(fx) or "(top level)"
    return UnsupportedLayerError(
        f"operation {aten_name(fx)!r} in layer {layer!r}{_place(fx)} {why}; {_WAY_OUT}"
    )


def module_of(fx: FxNode) -> str:
    """The name of the module in whose ``forward`` an operation stands; empty for the whole model's."""
    stack = list((fx.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else ""


def _place(fx: FxNode) -> str:
    """The line of the user's code that an operation comes from, if torch knows it."""
    lines = re.findall(r'File "([^"]+)", line (\d+)', fx.meta.get("stack_trace") or "")
    own = [(path, number) for path, number in lines if "/torch/" not in path]
    return f" ({Path(own[-1][0]).name}, line {own[-1][1]})" if own else ""
