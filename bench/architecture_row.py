"""One architecture measured: its files, what they answer, what is in them."""

import copy
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.architecture_models import Architecture
from bench.subjects import noise_images
from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.checks.delegation import undelegated
from edgesqueeze.measure.checks.file_facts import PlacedOperator
from edgesqueeze.measure.checks.float_operators import float_operators
from edgesqueeze.measure.proof.equal_integers import prove_equal
from edgesqueeze.measure.proof.parity import check_parity
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.graph.nodes import Floats, Graph
from edgesqueeze.network.integers.reference import Sums, run_integer
from edgesqueeze.network.integers.spec import QuantSpec, make_spec
from edgesqueeze.network.reading.torch.build import build_graph

Made = TypeVar("Made")
IMAGES = 4
FILES = ("fp32.onnx", "fp32.tflite", "int8.onnx", "int8.tflite")
_RULES: dict[str, Sums] = {"int8.onnx": "onnxruntime", "int8.tflite": "xnnpack"}


@dataclass(frozen=True)
class Differing:
    """Two sets of int8 answers: how many values differ, by how much at most, of how many."""

    one: str
    other: str
    differing: int
    largest: int
    values: int


@dataclass(frozen=True)
class Excused:
    """The nodes of a file at which a runtime rounds in its own way: how many values differ there by one."""

    file: str
    nodes: int
    differing: int
    values: int


@dataclass(frozen=True)
class FileRow:
    """What a file holds. ``seconds`` are those of a processor core for writing it.

    ``float_operators`` (of int8 files) compute in float; ``undelegated`` (of TFLite files) are not XNNPACK's.
    """

    num_bytes: int
    seconds: float
    operators: dict[str, int]
    float_operators: dict[str, int] | None
    undelegated: dict[str, int] | None


@dataclass(frozen=True)
class ArchitectureRow:
    """An architecture's row.

    ``float_error`` maps a fp32 file to its largest difference to torch in float64 as a fraction of the
    largest answer, and "torch" to what torch's own float32 is off. ``gate`` says what the parity gate says:
    "exact", "exact but for" the excused nodes, or the failure. ``stored_equal`` counts the integers,
    scales and biases that both int8 files store alike, None if some differ. ``graph_seconds`` are those of a
    core for tracing, folding and fusing, ``spec_seconds`` for calibration and integers.
    """

    model: str
    image_size: int
    params: int
    images: int
    float_error: dict[str, float]
    integers: tuple[Differing, ...]
    gate: str
    excused: tuple[Excused, ...]
    stored_equal: int | None
    graph_seconds: float
    spec_seconds: float
    files: dict[str, FileRow]


def measure_architecture(architecture: Architecture, images: int) -> ArchitectureRow:
    """Write the four files of an architecture and measure them on ``images`` pictures of 1/f noise."""
    size = architecture.image_size
    x = noise_images(max(images, 4), (3, size, size))
    model = architecture.settled(x)
    x = x[:images]
    graph, graph_seconds = _timed(lambda: build_graph(model, x[:1]))
    spec, spec_seconds = _timed(lambda: make_spec(graph, calibrate_min_max(graph, x.split(4))))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in FILES]
        seconds = [_write(path, graph, spec if "int8" in path.name else None) for path in paths]
        gate, excused = _gate(graph, spec, paths[2:], x.numpy())
        proofs = prove_equal(paths[2:], graph, spec)
        return ArchitectureRow(
            model=architecture.name,
            image_size=size,
            params=sum(p.numel() for p in model.parameters()),
            images=images,
            float_error=_float_errors(model, paths[:2], x),
            integers=_integers(graph, spec, paths[2:], x.numpy()),
            gate=gate,
            excused=excused,
            stored_equal=None if any(p.differences for p in proofs) else proofs[-1].compared,
            graph_seconds=graph_seconds,
            spec_seconds=spec_seconds,
            files={p.name: _file_row(p, s) for p, s in zip(paths, seconds, strict=True)},
        )


def _timed(work: Callable[[], Made]) -> tuple[Made, float]:
    began = time.process_time()
    return work(), round(time.process_time() - began, 2)


def _write(path: Path, graph: Graph, spec: QuantSpec | None) -> float:
    emit = emit_onnx if path.suffix == ".onnx" else emit_tflite
    content, seconds = _timed(lambda: emit(graph, spec))
    path.write_bytes(content)
    return seconds


def _float_errors(model: nn.Module, paths: Sequence[Path], x: torch.Tensor) -> dict[str, float]:
    with torch.no_grad():
        answers = {"torch": _answer(model, x)}
        exact = _answer(copy.deepcopy(model).double(), x.double())
    answers |= {path.name: _predict(path, x.numpy()) for path in paths}
    largest = float(np.abs(exact).max())
    return {name: float(np.abs(y - exact).max()) / largest for name, y in answers.items()}


def _answer(model: nn.Module, x: torch.Tensor) -> NDArray[np.float64]:
    y = model(x)
    return np.asarray((y["out"] if isinstance(y, dict) else y).numpy(), np.float64)


def _predict(path: Path, x: Floats) -> Floats:
    return (load_onnx if path.suffix == ".onnx" else load_tflite)(path).predict(x)


def _integers(graph: Graph, spec: QuantSpec, paths: Sequence[Path], x: Floats) -> tuple[Differing, ...]:
    found = {
        path.name: (load_onnx if path.suffix == ".onnx" else load_tflite)(path).predict_integers(x)
        for path in paths
    }
    pairs = [(*FILES[2:], found[FILES[2]], found[FILES[3]])]
    pairs += [(name, "reference", q, run_integer(graph, spec, x, _RULES[name])) for name, q in found.items()]
    rows = []
    for one, other, a, b in pairs:
        apart = np.abs(a.astype(np.int16) - b.astype(np.int16))
        rows.append(Differing(one, other, int(np.count_nonzero(apart)), int(apart.max()), apart.size))
    return tuple(rows)


def _gate(graph: Graph, spec: QuantSpec, paths: Sequence[Path], x: Floats) -> tuple[str, tuple[Excused, ...]]:
    parity = check_parity(graph, spec, paths, x)
    excused = tuple(
        Excused(
            entry.file,
            len(entry.inexact),
            sum(node.differing for node in entry.inexact),
            sum(node.values for node in entry.inexact),
        )
        for entry in parity.files
        if entry.inexact
    )
    failures = parity.failures()
    if failures:
        return failures[0], excused
    return "exact but for excused nodes" if excused else "exact", excused


def _file_row(path: Path, seconds: float) -> FileRow:
    facts = read_model_file(path)
    left_over = undelegated(path) if path.suffix == ".tflite" else None
    return FileRow(
        num_bytes=facts.num_bytes,
        seconds=seconds,
        operators=facts.operators,
        float_operators=_counted(float_operators(path)) if "int8" in path.name else None,
        undelegated=None if left_over is None else _counted(left_over),
    )


def _counted(operators: Sequence[PlacedOperator]) -> dict[str, int]:
    return dict(Counter(placed.operator for placed in operators))
