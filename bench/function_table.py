"""Every function of single values: how many of the 256 integers each runtime gets right, and float files.

    python -m bench.function_table --output bench/results/functions

The calls are those of the tests. What is right is the integer reference's answer to each of the 256 integers
of an input grid; float files are compared with torch.
"""

import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.reporting import Result, table
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.floats.run import run_graph
from edgesqueeze.network.graph.functions import Call
from edgesqueeze.network.graph.nodes import Graph, Input, Pointwise
from edgesqueeze.network.integers.ranges import merge_ranges
from edgesqueeze.network.integers.reference import dequantize, run_integer
from edgesqueeze.network.integers.spec import QuantSpec, make_spec

_SHAPE = (1, 4, 8, 8)
_INTEGERS = np.arange(-128, 128, dtype=np.int8).reshape(_SHAPE)
_FORMATS: dict[str, tuple[Callable[..., bytes], Callable[..., Any]]] = {
    "onnx": (emit_onnx, load_onnx),
    "tflite": (emit_tflite, load_tflite),
}


@dataclass(frozen=True)
class FunctionRow:
    """One call; ``equal`` of 256 integers and ``float_error``, the largest difference to torch, by format."""

    call: str
    low: float
    high: float
    equal: dict[str, int]
    float_error: dict[str, float]


def main() -> None:
    """Write and run the files of every call, and the result."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    arguments = parser.parse_args()
    result = Result(arguments.output)
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "shared"))
    calls = import_module("function_calls")
    rows = [measure_call(call, calls.range_of(call), calls.call_id(call)) for call in calls.CALLS]
    result.write({"rows": [asdict(row) for row in rows]}, report(rows))


def measure_call(call: Call, ends: tuple[float, float], name: str) -> FunctionRow:
    """One function between two ends, in every file."""
    source = Input(name="input", inputs=(), shape=_SHAPE)
    node = Pointwise(
        name="f", inputs=("input",), shape=_SHAPE, function=call.function, parameters=call.parameters
    )
    graph = Graph((source, node), {})
    floats = torch.linspace(*ends, 4 * _INTEGERS.size).reshape(4, *_SHAPE[1:])
    exact = run_graph(graph, floats, {})
    seen = {"input": ends, "f": (float(exact.min()), float(exact.max()))}
    spec = make_spec(graph, merge_ranges(graph, seen))
    x = dequantize(_INTEGERS, spec.activations["input"])
    expected = run_integer(graph, spec, x)
    equal, errors = {}, {}
    for kind in _FORMATS:
        with tempfile.TemporaryDirectory() as folder:
            found = _loaded(kind, Path(folder), graph, spec).predict_integers(x)
            answers = _loaded(kind, Path(folder), graph, None).predict(floats.numpy())
        equal[kind] = int(np.count_nonzero(found == expected))
        errors[kind] = float(np.abs(answers - exact.numpy()).max())
    return FunctionRow(name, *ends, equal, errors)


def _loaded(kind: str, folder: Path, graph: Graph, spec: QuantSpec | None) -> Any:
    emit, load = _FORMATS[kind]
    path = folder / f"model.{kind}"
    path.write_bytes(emit(graph, spec))
    return load(path)


def report(rows: list[FunctionRow]) -> list[str]:
    """The parts of the Markdown report."""
    header = ["function", "from", "to", "ONNX Runtime int8", "LiteRT int8", "ONNX fp32", "TFLite fp32"]
    body = [
        [
            row.call,
            f"{row.low:g}",
            f"{row.high:g}",
            *(f"{row.equal[kind]} of 256" for kind in _FORMATS),
            *(f"{row.float_error[kind]:.1e}" for kind in _FORMATS),
        ]
        for row in rows
    ]
    right = sum(set(row.equal.values()) == {256} for row in rows)
    return [
        "# Functions of single values",
        f"Of {len(rows)} calls {right} have all 256 integers right in both runtimes. int8: integers that are "
        "the reference's. fp32: the largest difference to torch between the two ends.",
        table(header, body),
    ]


if __name__ == "__main__":
    main()
