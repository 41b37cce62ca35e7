"""The parity gate: do the files compute what the network they came from computes, and if not, from where on?

int8 files must answer with exactly the integers of the reference (``network/integers/reference.py``), float
files with torch's numbers within a tolerance (dynamic ones: ``measure.proof.dynamic_parity``). Where a file
fails, it is cut after every node in turn until the first tensor that differs is found.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from edgesqueeze.errors import ExportError, ParityError
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.facts import FileFacts
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.proof.dynamic_parity import compare_dynamic, compare_int4
from edgesqueeze.measure.proof.fidelity import layer_fidelity, simulate
from edgesqueeze.measure.proof.first_difference import Reference, Walk
from edgesqueeze.measure.proof.float_reference import FLOAT_TOLERANCE, NAMES, FloatReference, float_reference
from edgesqueeze.measure.proof.inner_tensors import (
    LAYER_IMAGES,
    InnerTensors,
    Values,
    batches_of,
    difference,
    differing_images,
    distance,
)
from edgesqueeze.measure.proof.parity_report import Divergence, FileParity, ParityReport
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.graph.nodes import Add, Floats, GlobalAvgPool, Graph, Resize
from edgesqueeze.network.integers.inexact import inexact_nodes
from edgesqueeze.network.integers.reference import (
    Int8s,
    Sums,
    dequantize,
    quantize_by_reciprocal,
    quantize_input,
    run_integer,
)
from edgesqueeze.network.integers.spec import QuantSpec

_SUMS: dict[FileFormat, Sums] = {FileFormat.ONNX: "onnxruntime", FileFormat.TFLITE: "xnnpack"}


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
    simulated = np.concatenate([simulate(graph, spec, part) for part in batches_of(x)])
    # The grid's own integers of numbers that lie on the grid.
    integers = quantize_input(simulated, spec.activations[graph.output.name])
    drift = difference("torch fake-quant", integers, network.integers(spec, "xnnpack"), 0.0)
    compared.append(replace(drift, gated=False))
    return ParityReport(len(x), tuple(compared), layer_fidelity(graph, spec, x[:LAYER_IMAGES]))


@dataclass(frozen=True, eq=False)
class _Network:
    """What the files are compared with, on one set of inputs; each reference is computed once."""

    graph: Graph
    spec: QuantSpec | None
    x: Floats
    known: dict[str, Values] = field(default_factory=dict)

    def integers(self, spec: QuantSpec, sums: Sums) -> Int8s:
        """The integer reference's answers by the rule of a runtime."""
        key = sums if self._has_two_rules else "any"
        if key not in self.known:
            self.known[key] = run_integer(self.graph, spec, self.x, sums)
        return self.known[key]

    def numbers(self, precision: str) -> Floats:
        """The answers of the float network with the weights of a precision."""
        if precision not in self.known:
            reference = self.floats(precision)
            parts = [reference.tensors(part)[self.graph.output.name] for part in batches_of(self.x)]
            self.known[precision] = np.concatenate(parts)
        return self.known[precision]

    def floats(self, precision: str, rule: Sums = "xnnpack") -> FloatReference:
        """The float network with the weights of a precision, by the rule of a runtime."""
        return float_reference(self.graph, self.spec, precision, rule)

    def read_by(self, facts: FileFacts) -> "_Network":
        """The same network with the inputs that an int8 file with its own QUANTIZE, XNNPACK's, works on."""
        if facts.format != "tflite" or facts.inputs[0].dtype != "float32" or self.spec is None:
            return self
        grid = self.spec.activations[self.graph.input.name]
        return replace(self, x=dequantize(quantize_by_reciprocal(self.x, grid), grid), known={})

    @property
    def _has_two_rules(self) -> bool:
        return any(isinstance(node, Add | GlobalAvgPool | Resize) for node in self.graph.nodes)


def _compare(path: Path, network: _Network) -> FileParity:
    predictor, facts = load_model(path), read_model_file(path)
    sums = _SUMS[FileFormat.of_model(path)]
    if facts.precision == "dynamic":
        return compare_dynamic(path, predictor, network.floats("dynamic", sums), network.x)
    if facts.precision == "int4":
        return compare_int4(path, predictor, network.floats("int4"), network.x)
    integers = facts.precision not in NAMES
    if integers and network.spec is None:
        raise ExportError(f"{path.name} is int8, but the network it is compared with is not quantized")
    found: Values = predictor.predict_integers(network.x) if integers else predictor.predict(network.x)
    if found.shape[1:] != network.graph.output.shape[1:]:
        shapes = f"{list(found.shape[1:])}, the network with {list(network.graph.output.shape[1:])}"
        raise ParityError(f"{path.name} answers with shape {shapes}")
    if network.spec is None or not integers:
        return _compare_floats(path, network, found, facts.precision)
    inexact = inexact_nodes(network.graph, network.spec, sums)
    reference = Reference(network.graph, network.spec, sums, inexact)
    return _compare_integers(path, network.read_by(facts), reference, found)


def _compare_floats(path: Path, network: _Network, found: Values, precision: str) -> FileParity:
    expected = network.numbers(precision)
    tolerance = FLOAT_TOLERANCE * _magnitude(expected)
    entry = difference(path.name, found, expected, tolerance)
    entry = replace(entry, reference=NAMES[precision], precision=precision)
    if entry.holds:
        return entry
    chosen = network.x[differing_images(found, expected, tolerance)][:LAYER_IMAGES]
    return replace(entry, first=_first_float_divergence(path, network.floats(precision), chosen))


def _compare_integers(path: Path, network: _Network, reference: Reference, found: Int8s) -> FileParity:
    if reference.inexact:
        walk = reference.follow(path, network.x, reference.around_inexact())
    else:
        walk = Walk(network.integers(reference.spec, reference.sums), np.zeros(len(found), np.bool_), {})
    entry = difference(path.name, found, walk.output, 0.0)
    entry = replace(entry, first=walk.first(), inexact=walk.layers(reference.inexact))
    if entry.holds:
        return entry
    chosen = network.x[walk.wrong | differing_images(found, walk.output, 0.0)][:LAYER_IMAGES]
    return replace(entry, first=reference.follow(path, chosen, reference.everywhere()).first() or entry.first)


def _first_float_divergence(path: Path, reference: FloatReference, x: Floats) -> Divergence | None:
    """Cut the file after every node in turn; None if every cut file agrees and only the whole does not."""
    file, expected = InnerTensors(path, integers=False), reference.tensors(x)
    for name in (name for name in file.names if name in expected):
        apart = distance(file.at(name, x), expected[name])
        tolerance = FLOAT_TOLERANCE * _magnitude(expected[name])
        differing = int(np.count_nonzero(~(apart <= tolerance)))
        if differing:
            return Divergence(name, differing, apart.size, float(apart.max()), tolerance)
    return None


def _magnitude(values: Values) -> float:
    return float(np.abs(values).max()) or 1.0
