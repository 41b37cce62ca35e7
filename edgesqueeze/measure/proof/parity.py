"""The parity gate: do the files compute what the network they came from computes, and if not, from where on?

int8 files must answer with exactly the integers of the reference (``network/integers/reference.py``), float
files with torch's numbers within a tolerance (dynamic ones: ``measure.proof.dynamic_parity``). Where a file
fails, it is cut after every node in turn until the first tensor that differs is found.
"""

from collections.abc import Mapping, Sequence
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
from edgesqueeze.measure.proof.places import compared_by, scores_at
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.graph.nodes import Add, GlobalAvgPool, Graph, Resize
from edgesqueeze.network.integers.inexact import inexact_nodes
from edgesqueeze.network.integers.pixels import with_pixel_input
from edgesqueeze.network.integers.reference import (
    Sums,
    dequantize,
    quantize_by_reciprocal,
    quantize_input,
    run_integer_outputs,
)
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.trees import Tree, by_name, joined, leaves, length_of, rows_of

Outputs = dict[str, Values]
"""Output name to values [N, …]."""
_SUMS: dict[FileFormat, Sums] = {FileFormat.ONNX: "onnxruntime", FileFormat.TFLITE: "xnnpack"}


def check_parity(graph: Graph, spec: QuantSpec | None, files: Sequence[Path], x: Tree) -> ParityReport:
    """Compare files with the network they were written from.

    Args:
        graph: the network.
        spec: its integers; needed if a file is int8.
        files: ``.onnx`` and ``.tflite``, of any precision that the exports write.
        x: float32 [N, C, H, W], N at least 1, or a tree of several inputs: real ones, or nothing is proved
            about real ones.

    Raises:
        ExportError: a file cannot be run, or is int8 and there is no spec.
    """
    # In order, without names: those of inner tensors of a file may be others.
    inputs = tuple(by_name(x, [node.name for node in graph.inputs]).values())
    x = inputs if len(inputs) > 1 else inputs[0]
    network = _Network(graph, spec, x)
    compared = [entry for path in files for entry in _compare(path, network)]
    images = length_of(x)
    if spec is None:
        return ParityReport(images, tuple(compared))
    compared += _drift(network, spec)
    fidelity = layer_fidelity(graph, spec, rows_of(x, slice(LAYER_IMAGES)))
    return ParityReport(images, tuple(compared), fidelity)


def _drift(network: "_Network", spec: QuantSpec) -> list[FileParity]:
    """How far torch's simulation is from the integers, for information."""
    graph = network.graph
    parts = [simulate(graph, spec, part) for part in batches_of(network.x)]
    simulated = dict(zip(graph.output_nodes, leaves(joined(parts, np.concatenate)), strict=True))
    # The grid's own integers of numbers that lie on the grid.
    grids = {name: spec.activations[node.name] for name, node in graph.output_nodes.items()}
    found = {name: quantize_input(y, grids[name]) for name, y in simulated.items()}
    entries = _differences("torch fake-quant", found, network.integers(spec, "xnnpack"))
    return [replace(entry, gated=False) for entry in entries]


@dataclass(frozen=True, eq=False)
class _Network:
    """What the files are compared with, on one set of inputs; each reference is computed once."""

    graph: Graph
    spec: QuantSpec | None
    x: Tree
    known: dict[str, Outputs] = field(default_factory=dict)

    def integers(self, spec: QuantSpec, sums: Sums) -> Outputs:
        """The integer reference's answers by the rule of a runtime."""
        key = sums if self._has_two_rules else "any"
        if key not in self.known:
            self.known[key] = run_integer_outputs(self.graph, spec, self.x, sums)
        return self.known[key]

    def numbers(self, precision: str) -> Outputs:
        """The answers of the float network with a precision's weights; of places the scores behind them."""
        if precision not in self.known:
            reference = self.floats(precision)
            nodes = {name: compared_by(self.graph, name) for name in self.graph.output_nodes}
            found = (reference.tensors(part) for part in batches_of(self.x))
            parts = [{name: tensors[node.name] for name, node in nodes.items()} for tensors in found]
            self.known[precision] = joined(parts, np.concatenate)
        return self.known[precision]

    def floats(self, precision: str, rule: Sums = "xnnpack") -> FloatReference:
        """The float network with the weights of a precision, by the rule of a runtime."""
        return float_reference(self.graph, self.spec, precision, rule)

    def read_by(self, facts: FileFacts) -> "_Network":
        """The same network with the inputs that an int8 file works on.

        Of pixels these are what float preprocessing makes of them; its own QUANTIZE is XNNPACK's.
        """
        normalization = self.graph.normalization
        if facts.takes_pixels and normalization is not None:
            (x,) = leaves(self.x)
            return replace(self, x=normalization.floats(normalization.pixels(x)), known={})
        if facts.format != "tflite" or facts.inputs[0].dtype != "float32" or self.spec is None:
            return self
        grids = [self.spec.activations[node.name] for node in self.graph.inputs]
        pairs = zip(leaves(self.x), grids, strict=True)
        read = tuple(dequantize(quantize_by_reciprocal(x, grid), grid) for x, grid in pairs)
        return replace(self, x=read if len(read) > 1 else read[0], known={})

    @property
    def _has_two_rules(self) -> bool:
        return any(isinstance(node, Add | GlobalAvgPool | Resize) for node in self.graph.nodes)


def _compare(path: Path, network: _Network) -> list[FileParity]:
    predictor, facts = load_model(path), read_model_file(path)
    sums = _SUMS[FileFormat.of_model(path)]
    if facts.precision == "dynamic":
        return [compare_dynamic(path, predictor, network.floats("dynamic", sums), network.x)]
    if facts.precision == "int4":
        return [compare_int4(path, predictor, network.floats("int4"), network.x)]
    integers = facts.precision not in NAMES
    if integers and network.spec is None:
        raise ExportError(f"{path.name} is int8, but the network it is compared with is not quantized")
    found: Outputs = predictor.integers_of_all(network.x) if integers else predictor.predict_all(network.x)
    _check_answers(path, network.graph, found)
    if network.spec is None or not integers:
        return _compare_floats(path, network, found, facts.precision)
    graph, spec = network_in_file(facts, network.graph, network.spec)
    reference = Reference(graph, spec, sums, inexact_nodes(graph, spec, sums))
    return _compare_integers(path, network.read_by(facts), reference, found)


def network_in_file(facts: FileFacts, graph: Graph, spec: QuantSpec) -> tuple[Graph, QuantSpec]:
    """The int8 network that a file holds: behind pixels, if it takes them.

    Raises:
        ExportError: this network cannot take pixels.
    """
    return with_pixel_input(graph, spec) if facts.takes_pixels else (graph, spec)


def _check_answers(path: Path, graph: Graph, found: Outputs) -> None:
    """Refuse a file with other outputs, or outputs of another shape, than the network has."""
    if list(found) != list(graph.output_nodes):
        names = ", ".join(found)
        raise ParityError(
            f"{path.name} answers with {names}, the network with {', '.join(graph.output_nodes)}"
        )
    for name, node in graph.output_nodes.items():
        shapes = f"{list(found[name].shape[1:])}, the network with {list(node.shape[1:])}"
        if found[name].shape[1:] != node.shape[1:]:
            raise ParityError(f"{path.name} answers with shape {shapes}")


def _differences(name: str, found: Mapping[str, Values], expected: Mapping[str, Values]) -> list[FileParity]:
    """One comparison of integers for every output."""
    labels = {key: key if len(found) > 1 else "" for key in found}
    return [replace(difference(name, y, expected[key], 0.0), output=labels[key]) for key, y in found.items()]


def _compare_floats(path: Path, network: _Network, found: Outputs, precision: str) -> list[FileParity]:
    expected, entries = network.numbers(precision), []
    wrong = np.zeros(length_of(network.x), np.bool_)
    for name, y in found.items():
        wanted, tolerance = expected[name], FLOAT_TOLERANCE * _magnitude(expected[name])
        if compared_by(network.graph, name) is not network.graph.output_nodes[name]:
            y, wanted = scores_at(network.graph, name, y, wanted)
        entry = difference(path.name, y, wanted, tolerance)
        entry = replace(entry, reference=NAMES[precision], precision=precision)
        entries.append(replace(entry, output=name if len(found) > 1 else ""))
        wrong |= differing_images(y, wanted, tolerance)
    if all(entry.holds for entry in entries):
        return entries
    chosen = rows_of(rows_of(network.x, wrong), slice(LAYER_IMAGES))
    first = _first_float_divergence(path, network.floats(precision), chosen)
    return [entry if entry.holds else replace(entry, first=first) for entry in entries]


def _compare_integers(
    path: Path, network: _Network, reference: Reference, found: Outputs
) -> list[FileParity]:
    if reference.inexact:
        walk = reference.follow(path, network.x, reference.around_inexact())
    else:
        nothing_wrong = np.zeros(length_of(network.x), np.bool_)
        assert network.spec is not None
        # Of a file that takes pixels: the network that takes floats, behind float preprocessing.
        walk = Walk(network.integers(network.spec, reference.sums), nothing_wrong, {})
    entries = _differences(path.name, found, walk.outputs)
    first, wrong = walk.first(), walk.wrong.copy()
    entries[0] = replace(entries[0], first=first, inexact=walk.layers(reference.inexact))
    if all(entry.holds for entry in entries):
        return entries
    for name, y in found.items():
        wrong |= differing_images(y, walk.outputs[name], 0.0)
    chosen = rows_of(rows_of(network.x, wrong), slice(LAYER_IMAGES))
    first = reference.follow(path, chosen, reference.everywhere()).first() or first
    return [entry if entry.holds else replace(entry, first=first) for entry in entries]


def _first_float_divergence(path: Path, reference: FloatReference, x: Tree) -> Divergence | None:
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
