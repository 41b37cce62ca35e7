"""The parity gate: do the files compute what the network they came from computes, and if not, from where on?

int8 files must answer with exactly the integers of the reference (``graph/integer.py``), float files with
torch's numbers within a tolerance (dynamic ones: :mod:`edgesqueeze.measure.dynamic_parity`). Where a file
fails, it is cut after every node in turn until the first tensor that differs is found.
"""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import ExportError, ParityError
from edgesqueeze.graph.integer import (
    Sums,
    dequantize,
    quantize_by_reciprocal,
    quantize_input,
    run_integer,
    run_integer_tensors,
)
from edgesqueeze.graph.nodes import Add, Floats, Graph
from edgesqueeze.graph.spec import QuantSpec
from edgesqueeze.measure.cut import CuttableFile, open_cuttable
from edgesqueeze.measure.dynamic_parity import compare_dynamic
from edgesqueeze.measure.fidelity import layer_fidelity, simulate
from edgesqueeze.measure.float_reference import FLOAT_TOLERANCE, NAMES, float_reference
from edgesqueeze.measure.model_files import FileFacts, read_model_file
from edgesqueeze.measure.parity_report import Divergence, FileParity, ParityReport
from edgesqueeze.measure.runtimes import Predictor, load_onnx, load_tflite

_LAYER_IMAGES = 8
_BATCH = 16
_SUMS: dict[str, Sums] = {".onnx": "onnxruntime", ".tflite": "xnnpack"}
Values = NDArray[Any]


def check_parity(graph: Graph, spec: QuantSpec | None, files: Sequence[Path], x: Floats) -> ParityReport:
    """Compare files with the network they were written from.

    Args:
        graph: the network.
        spec: its integers; needed if a file is int8.
        files: ``.onnx`` and ``.tflite``, of any precision that the exports write.
        x: float32 [N, C, H, W], N at least 1: real inputs, or nothing is proved about real ones.

    Raises:
        ExportError: a file cannot be run, or is int8 and there is no spec.
    """
    network = _Network(graph, spec, x)
    compared = [_compare(path, network) for path in files]
    if spec is None:
        return ParityReport(len(x), tuple(compared))
    simulated = np.concatenate([simulate(graph, spec, part) for part in _batches(x)])
    # The grid's own integers of numbers that lie on the grid.
    integers = quantize_input(simulated, spec.activations[graph.output.name])
    drift = _difference("torch fake-quant", integers, network.outputs("xnnpack", "int8"), 0.0)
    compared.append(replace(drift, gated=False))
    return ParityReport(len(x), tuple(compared), layer_fidelity(graph, spec, x[:_LAYER_IMAGES]))


def compare_files(one: Path, other: Path, x: Floats) -> FileParity:
    """Compare two int8 files with each other when the network they came from is not at hand.

    Args:
        one: an ONNX or TFLite file, int8.
        other: likewise.
        x: float32 [N, C, H, W].

    Raises:
        ExportError: a file cannot be run or is not int8.
    """
    found, expected = (_load(path).predict_integers(x) for path in (one, other))
    entry = replace(_difference(one.name, found, expected, 0.0), reference=other.name)
    if entry.holds:
        return entry
    chosen = _differing_images(found, expected, 0.0, x)
    reference, names = open_cuttable(other), set(open_cuttable(one).names)
    tensors = {
        name: _run_cut(reference, name, other.suffix, chosen, integers=True)
        for name in reference.names
        if name in names
    }
    return replace(entry, first=_first_divergence(one, tensors, chosen, integers=True))


@dataclass(frozen=True, eq=False)
class _Network:
    """What the files are compared with, on one set of inputs; each reference is computed once."""

    graph: Graph
    spec: QuantSpec | None
    x: Floats
    known: dict[str, Values] = field(default_factory=dict)

    def outputs(self, sums: Sums | None, precision: str) -> Values:
        """The integer reference by the rule of a runtime, or a float network's numbers for None."""
        key = precision if sums is None else sums if self._has_sums else "any"
        if key not in self.known:
            if sums is not None and self.spec is not None:
                self.known[key] = run_integer(self.graph, self.spec, self.x, sums)
            else:
                parts = (self.tensors(part, None, precision) for part in _batches(self.x))
                self.known[key] = np.concatenate([part[self.graph.output.name] for part in parts])
        return self.known[key]

    def tensors(self, x: Floats, sums: Sums | None, precision: str) -> dict[str, Values]:
        """Every node's output for a few inputs."""
        if sums is None or self.spec is None:
            return dict(float_reference(self.graph, self.spec, precision, "any").tensors(x))
        return dict(run_integer_tensors(self.graph, self.spec, x, sums))

    def read_by(self, facts: FileFacts) -> "_Network":
        """The same network with the inputs that an int8 file with its own QUANTIZE, XNNPACK's, works on."""
        if facts.format != "tflite" or facts.inputs[0].dtype != "float32" or self.spec is None:
            return self
        grid = self.spec.activations[self.graph.input.name]
        return replace(self, x=dequantize(quantize_by_reciprocal(self.x, grid), grid), known={})

    @property
    def _has_sums(self) -> bool:
        return any(isinstance(node, Add) for node in self.graph.nodes)


def _compare(path: Path, network: _Network) -> FileParity:
    predictor, facts = _load(path), read_model_file(path)
    rule, precision = _SUMS[path.suffix.lower()], facts.precision
    if precision == "dynamic":
        reference = float_reference(network.graph, network.spec, precision, rule)
        return compare_dynamic(path, predictor, reference, network.x)
    sums = None if precision in NAMES else rule
    if sums is not None and network.spec is None:
        raise ExportError(f"{path.name} is int8, but the network it is compared with is not quantized")
    found = predictor.predict(network.x) if sums is None else predictor.predict_integers(network.x)
    network = network if sums is None else network.read_by(facts)
    expected = network.outputs(sums, precision)
    if found.shape != expected.shape:
        shapes = f"{list(found.shape[1:])}, the network with {list(expected.shape[1:])}"
        raise ParityError(f"{path.name} answers with shape {shapes}")
    tolerance = FLOAT_TOLERANCE * _magnitude(expected) if sums is None else 0.0
    entry = _difference(path.name, found, expected, tolerance)
    if sums is None:
        entry = replace(entry, reference=NAMES[precision], precision=precision)
    if entry.holds:
        return entry
    chosen = _differing_images(found, expected, tolerance, network.x)
    tensors = network.tensors(chosen, sums, precision)
    return replace(entry, first=_first_divergence(path, tensors, chosen, integers=sums is not None))


def _difference(name: str, found: Values, expected: Values, tolerance: float) -> FileParity:
    distance = _distance(found, expected)
    return FileParity(
        file=name,
        reference="integer reference" if found.dtype == np.int8 else "torch",
        precision="int8" if found.dtype == np.int8 else "fp32",
        values=distance.size,
        differing=int(np.count_nonzero(~(distance <= tolerance))),
        largest=float(distance.max()),
        tolerance=tolerance,
    )


def _first_divergence(
    path: Path, expected: dict[str, Values], x: Floats, *, integers: bool
) -> Divergence | None:
    """Cut the file after every node in turn; None if every cut file agrees and only the whole does not."""
    file = open_cuttable(path)
    for name in (name for name in file.names if name in expected):
        tensor = expected[name]
        found = _run_cut(file, name, path.suffix, x, integers=integers)
        tolerance = 0.0 if integers else FLOAT_TOLERANCE * _magnitude(tensor)
        distance = _distance(found, tensor)
        differing = int(np.count_nonzero(~(distance <= tolerance)))
        if differing:
            return Divergence(name, differing, distance.size, float(distance.max()))
    return None


def _run_cut(file: CuttableFile, name: str, suffix: str, x: Floats, *, integers: bool) -> Values:
    """A node's output as the cut file computes it, in the graph's order of values."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"cut{suffix}"
        path.write_bytes(file.cut(name))
        predictor = _load(path)
        y: Values = predictor.predict_integers(x) if integers else predictor.predict(x)
    order = file.order(name)
    if order is None:
        return y
    restored = np.empty_like(y)
    restored[:, order] = y
    return restored


def _differing_images(found: Values, expected: Values, tolerance: float, x: Floats) -> Floats:
    """A few of the inputs whose answers differ."""
    wrong = ~(_distance(found, expected) <= tolerance)
    return x[wrong.reshape(len(x), -1).any(axis=1)][:_LAYER_IMAGES]


def _batches(x: Floats) -> Iterator[Floats]:
    return (x[i : i + _BATCH] for i in range(0, len(x), _BATCH))


def _distance(found: Values, expected: Values) -> NDArray[np.float64]:
    return np.asarray(np.abs(found.astype(np.float64) - expected.astype(np.float64)))


def _magnitude(values: Values) -> float:
    return float(np.abs(values).max()) or 1.0


def _load(path: Path) -> Predictor:
    loaders: dict[str, Callable[[Path], Predictor]] = {".onnx": load_onnx, ".tflite": load_tflite}
    if path.suffix.lower() not in loaders:
        raise ExportError(f"{path}: parity is checked on .onnx and .tflite files")
    return loaders[path.suffix.lower()](path)
