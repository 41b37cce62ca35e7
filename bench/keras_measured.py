"""The files of one Keras network loaded back, scored over the test images and timed in turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np

from bench.keras_files import COMPARED_IMAGES, answers_of, inputs_of
from bench.reporting import note
from edgesqueeze.exports import Artifact, SqueezedExport
from edgesqueeze.files import sha256_of
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.checks.image_answers import AnyPairedTest
from edgesqueeze.measure.runtimes.latency import Run
from edgesqueeze.measure.runtimes.predictor import Predictor
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.numerics.proportions import Interval
from edgesqueeze.run.rows import Scored, scored
from edgesqueeze.task.task import Task

MOST_TIME = 1.05
"""So many times the converter's time ours may take."""
SIGNIFICANT = 0.05
_BATCH = 64
_PASS_S = 0.01
_WARMUP_RUNS = 20


@dataclass(frozen=True)
class ConverterFile:
    """A file to measure: who made it, and the label of the other side's file that it is held against."""

    label: str
    who: str
    path: Path
    against: str | None = None


@dataclass(frozen=True)
class Measured:
    """What a file turned out to be; ``passes`` are seconds of an inference in each pass over all files."""

    file: ConverterFile
    runtime: str
    num_bytes: int
    value: float
    interval: Interval | None
    passes: tuple[float, ...]


@dataclass(frozen=True)
class Pair:
    """Our file beside the converter's.

    ``change`` is our metric less theirs, ``test`` what the same images say of it; ``bytes`` and ``time`` are
    ours in shares of theirs, ``time`` with its lower and upper quartile over the passes.
    """

    ours: str
    theirs: str
    change: float
    test: AnyPairedTest | None
    bytes: float
    time: tuple[float, float, float]

    @property
    def no_worse(self) -> bool:
        """Not less accurate, unless by what the test images cannot tell from nothing."""
        return self.change >= 0 or (self.test is not None and self.test.p_value >= SIGNIFICANT)

    @property
    def meets_the_bar(self) -> bool:
        """No less accurate, no larger, and at most 1.05 times the time."""
        return self.no_worse and self.bytes <= 1 and self.time[0] <= MOST_TIME


def measure(
    files: Sequence[ConverterFile], task: Task, kept: Path, passes: int
) -> tuple[list[Measured], list[Pair]]:
    """Score every file and time all in turns.

    Args:
        files: of one network.
        task: whose test split.
        kept: a folder of answers, by the SHA-256 of the file that gave them; a file is scored once.
        passes: over all files, for their times.
    """
    predictors = {file.label: loaded(file.path, 1) for file in files}
    worth = {file.label: _scored(file, predictors[file.label], task, kept) for file in files}
    times = timed(predictors, task.example_input.numpy(), passes)
    metric = task.primary_metric
    rows = [
        Measured(
            file=file,
            runtime=predictors[file.label].runtime,
            num_bytes=file.path.stat().st_size,
            value=worth[file.label].columns["metrics"][metric],
            interval=worth[file.label].columns["interval"],
            passes=times[file.label],
        )
        for file in files
    ]
    known = {row.file.label: row for row in rows}
    pairs = [
        pair_of(row, known[row.file.against], worth, task) for row in rows if row.file.against is not None
    ]
    return rows, pairs


def pair_of(ours: Measured, theirs: Measured, worth: Mapping[str, Scored], task: Task) -> Pair:
    """Two files compared, image by image and pass by pass."""
    change = ours.value - theirs.value
    before, after = worth[theirs.file.label].answers, worth[ours.file.label].answers
    low, middle, high = np.quantile(np.divide(ours.passes, theirs.passes), (0.25, 0.5, 0.75))
    return Pair(
        ours=ours.file.label,
        theirs=theirs.file.label,
        change=change,
        test=after.against(before, task.primary, change),
        bytes=ours.num_bytes / theirs.num_bytes,
        time=(float(middle), float(low), float(high)),
    )


def loaded(path: Path, threads: int) -> Predictor:
    """A file in the runtime of its suffix; a squeezed one as the ONNX file that comes out of it."""
    if FileFormat.known(path) is not FileFormat.SQZ:
        return load_model(path, threads)
    artifact = Artifact(FileFormat.SQZ, "fp32", path, path.stat().st_size, sha256_of(path))
    return SqueezedExport().load(artifact, threads)


def timed(predictors: Mapping[str, Predictor], x: Floats, passes: int) -> dict[str, tuple[float, ...]]:
    """Seconds of one inference of every file in each pass, the files in turns.

    It is the processor's time of the one thread that computes: on an idle machine the latency, and not
    stretched by other work.
    """
    runs = {label: predictor.prepare(x) for label, predictor in predictors.items()}
    counts = {label: max(1, round(_PASS_S / _seconds(run, _WARMUP_RUNS))) for label, run in runs.items()}
    found: dict[str, list[float]] = {label: [] for label in runs}
    labels = list(runs)
    for turn in range(passes):
        first = turn % len(labels)
        for label in labels[first:] + labels[:first]:
            runs[label]()  # nobody pays for the caches that the one before emptied
            found[label].append(_seconds(runs[label], counts[label]))
    return {label: tuple(seconds) for label, seconds in found.items()}


def _seconds(run: Run, count: int) -> float:
    start = thread_time()
    for _ in range(count):
        run()
    return max(thread_time() - start, 1e-9) / count


def differences(files: Sequence[ConverterFile], task: Task, exact: Floats, threads: int) -> dict[str, float]:
    """The largest difference to Keras's own answers in shares of their range.

    Args:
        files: of which the float ones are compared, and the network as it was read.
        task: whose first test images were answered.
        exact: Keras's answers [COMPARED_IMAGES, ...], maps with their channels last.
        threads: of a runtime.
    """
    exact = exact.transpose(0, 3, 1, 2) if exact.ndim == 4 else exact
    span = float(exact.max() - exact.min())
    found = {"read": answers_of(task, COMPARED_IMAGES)}
    x = inputs_of(task, COMPARED_IMAGES)
    for file in files:
        found[file.label] = loaded(file.path, threads).predict(x)
    return {label: float(np.abs(answers - exact).max()) / span for label, answers in found.items()}


def _scored(file: ConverterFile, predictor: Predictor, task: Task, kept: Path) -> Scored:
    kept.mkdir(parents=True, exist_ok=True)
    path = kept / f"{sha256_of(file.path)}_{len(task.test)}.npy"
    if not path.is_file():
        note(f"{file.label}: {len(task.test)} images")
        np.save(path, np.concatenate([predictor.predict(x.numpy()) for x, _ in task.test.batches(_BATCH)]))
    targets: list[Any] = [y.numpy() for _, y in task.test.batches(_BATCH)]
    return scored(task, np.load(path), np.concatenate(targets))
