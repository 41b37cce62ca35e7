"""Model files on disk: written by our exports, loaded into their runtimes, scored, and timed in turns."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.reporting import note
from bench.subjects import Subject
from bench.timed_files import TimingPlan, timed_files
from edgesqueeze.compression.quantizing.graph_model import GraphModel
from edgesqueeze.compression.stages.ptq import Ptq
from edgesqueeze.exports.onnx import OnnxExport
from edgesqueeze.exports.tflite import TfliteExport
from edgesqueeze.measure.bench.row import BenchRow, time_ratio
from edgesqueeze.measure.runtimes.latency import Latency
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.measure.runtimes.predictor import Predictor
from edgesqueeze.numerics.time_ratios import TimeRatio
from edgesqueeze.progress import SilentProgress
from edgesqueeze.task.training import Session

RUNTIMES = {".onnx": "ONNX Runtime", ".tflite": "LiteRT"}
_INTEGER_KERNELS = {"QLinearConv", "QGemm", "QLinearMatMul", "ConvInteger", "MatMulInteger"}
_FLOAT_KERNELS = {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"}


@dataclass(frozen=True)
class ModelFile:
    """A file to measure. Ratios are taken to the file of the same runtime that ``is_baseline``."""

    label: str
    path: Path
    is_baseline: bool = False


@dataclass(frozen=True)
class Measured:
    """What one file turned out to be.

    ``accuracy`` is None if the subject has no labels. ``time``, ``smaller`` and ``change`` are against
    the float file in the same runtime and run; ``time`` and ``latency`` are None where ``timing`` was worth
    no number. ``integer_kernels`` of ``kernels`` are the convolutions and dense layers that ONNX Runtime
    computes in integers, None for LiteRT.
    """

    label: str
    file: str
    runtime: str
    num_bytes: int
    accuracy: float | None
    timing: BenchRow
    integer_kernels: int | None
    kernels: int | None
    time: TimeRatio | None
    smaller: float
    change: float | None

    @property
    def latency(self) -> Latency | None:
        """Median and quartiles of an inference."""
        return self.timing.latency

    @property
    def speedup(self) -> float | None:
        """How many times as fast as the float file."""
        return None if self.time is None else 1 / self.time.ratio


def quantize(subject: Subject, settings: Ptq) -> tuple[GraphModel, list[str]]:
    """The network after our ``ptq`` stage, and what the stage notes about its choices."""
    session = Session("ptq", 0, SilentProgress())
    model = settings.apply(subject.model, subject.task, session)
    if not isinstance(model, GraphModel):
        raise TypeError("the ptq stage did not return a quantized network")
    return model, session.notes


def write_ours(model: GraphModel, directory: Path, *, with_float: bool) -> list[Path]:
    """The int8 ONNX and TFLite files of a network, and the float ones if asked: ONNX, then TFLite."""
    directory.mkdir(parents=True, exist_ok=True)
    precisions = ("fp32", "int8") if with_float else ("int8",)
    exports = (OnnxExport(precision=precisions, batch=1), TfliteExport(precision=precisions))
    return [a.path for export in exports for a in export.write(model.graph, model.spec, directory)]


def measure(files: Sequence[ModelFile], subject: Subject, plan: TimingPlan) -> list[Measured]:
    """Score every file over the whole test split, and time all of a runtime in turns."""
    predictors = [_load(file.path, plan.threads) for file in files]
    accuracies = [_score(file, p, subject) for file, p in zip(files, predictors, strict=True)]
    runtimes = [predictor.runtime for predictor in predictors]
    del predictors  # their memory is for the processes that are timed
    timings = timed_files([file.path for file in files], plan)
    found = list(zip(files, runtimes, accuracies, timings, strict=True))
    baselines = {f.path.suffix: (f, accuracy, t) for f, _, accuracy, t in found if f.is_baseline}
    rows = []
    for file, runtime, accuracy, timing in found:
        base, base_accuracy, base_timing = baselines[file.path.suffix]
        integer, kernels = _kernels(file.path)
        rows.append(
            Measured(
                label=file.label,
                file=file.path.name,
                runtime=runtime,
                num_bytes=file.path.stat().st_size,
                accuracy=accuracy,
                timing=timing,
                integer_kernels=integer,
                kernels=kernels,
                time=time_ratio(timing, base_timing),
                smaller=base.path.stat().st_size / file.path.stat().st_size,
                change=None if accuracy is None or base_accuracy is None else accuracy - base_accuracy,
            )
        )
    return rows


def accuracy_of(predictor: Predictor, subject: Subject) -> float:
    """The task's first metric over the whole test split, one image at a time."""
    outputs, targets = [], []
    for x, y in subject.task.test.batches(64):
        outputs.append(predictor.predict(x.numpy()))
        targets.append(y.numpy())
    scores = subject.task.score(np.concatenate(outputs), np.concatenate(targets))
    return scores[subject.task.primary_metric]


def _score(file: ModelFile, predictor: Predictor, subject: Subject) -> float | None:
    if not subject.has_labels:
        return None
    accuracy = accuracy_of(predictor, subject)
    note(f"{file.label}: {100 * accuracy:.2f} % in {predictor.runtime}")
    return accuracy


def _load(path: Path, threads: int) -> Predictor:
    return load_onnx(path, threads) if path.suffix == ".onnx" else load_tflite(path, threads)


def _kernels(path: Path) -> tuple[int, int] | tuple[None, None]:
    """How many convolutions and dense layers run in integers, and how many there are."""
    if path.suffix != ".onnx":
        return None, None
    operators = optimized_operators(path)
    integer = sum(operators[kind] for kind in _INTEGER_KERNELS)
    return integer, integer + sum(operators[kind] for kind in _FLOAT_KERNELS)


def optimized_operators(path: Path) -> Counter[str]:
    """What ONNX Runtime makes of a file: how often each operator stands in its optimized graph."""
    import onnx
    import onnxruntime

    options: Any = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # it warns that such a file is for this machine only, which is so
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        graph = onnx.load(options.optimized_model_filepath).graph
    return Counter(node.op_type for node in graph.node)
