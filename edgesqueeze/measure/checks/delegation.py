"""Which operators of a TFLite file XNNPACK does not take, as LiteRT has loaded it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgesqueeze.errors import ExportError
from edgesqueeze.measure.checks.file_facts import PlacedOperator
from edgesqueeze.measure.runtimes.litert import silent_stderr

_DELEGATE = "DELEGATE"
_ONCE = {"DEQUANTIZE", "DENSIFY"}
"""Kernels that keep their result if what they read is constant."""
Operator = dict[str, Any]
"""What LiteRT tells of an operator: ``op_name`` and the tensors it reads and writes."""


def undelegated(path: Path) -> tuple[PlacedOperator, ...] | None:
    """The operators that run in LiteRT's own kernels; None if this LiteRT does not tell.

    Raises:
        ExportError: LiteRT cannot run the file.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        with silent_stderr():
            interpreter = Interpreter(model_path=str(path))
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise ExportError(f"LiteRT cannot run {path}: {' '.join(str(error).split())}") from error
    tell = getattr(interpreter, "_get_ops_details", None)  # experimental: it may be gone one day
    if tell is None:
        return None
    names = {entry["index"]: entry["name"] for entry in interpreter.get_tensor_details()}
    inputs = interpreter.get_input_details()
    pixels = {int(entry["index"]) for entry in inputs if entry["dtype"] == np.uint8}
    return tuple(
        PlacedOperator(operator["op_name"], names.get(int(operator["outputs"][0]), ""))
        for operator in left_over(tell(), {int(entry["index"]) for entry in inputs})
        if not _shifts(operator, pixels)
    )


def _shifts(operator: Operator, pixels: set[int]) -> bool:
    """Whether an operator makes int8 of pixels: no delegate does, LiteRT's kernel flips one bit of each."""
    return operator["op_name"] == "QUANTIZE" and int(operator["inputs"][0]) in pixels


def left_over(operators: Sequence[Operator], inputs: set[int]) -> list[Operator]:
    """The operators that no delegate has taken; conversions of constants, which run once, are none.

    LiteRT lists all operators of the file and, behind them, one for each part that a delegate runs, with
    the tensors that go into the part and come out of it. What lies between those has been taken: going
    back from what comes out, until what goes in.

    Args:
        operators: what LiteRT tells.
        inputs: the input tensors of the network.
    """
    own = [operator for operator in operators if operator["op_name"] != _DELEGATE]
    makers = {int(tensor): operator for operator in own for tensor in operator["outputs"]}
    taken: set[int] = set()
    for part in (operator for operator in operators if operator["op_name"] == _DELEGATE):
        given = {int(tensor) for tensor in part["inputs"]}
        open_tensors = [int(tensor) for tensor in part["outputs"]]
        while open_tensors:
            tensor = open_tensors.pop()
            maker = None if tensor in given else makers.get(tensor)
            if maker is not None and maker["index"] not in taken:
                taken.add(maker["index"])
                open_tensors += [int(i) for i in maker["inputs"]]
    computed = inputs | set(makers)
    once = {o["index"] for o in own if o["op_name"] in _ONCE and int(o["inputs"][0]) not in computed}
    return [operator for operator in own if operator["index"] not in taken | once]
