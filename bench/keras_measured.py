"""The files of one Keras network loaded back, scored over the test images and timed in turns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.keras_files import COMPARED_IMAGES, answers_of, inputs_of
from bench.reporting import note
from bench.timed_files import TimingPlan, timed_files
from edgesqueeze.exports import Artifact, SqueezedExport
from edgesqueeze.files import sha256_of
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.bench.row import BenchRow, time_ratio
from edgesqueeze.measure.checks.image_answers import AnyPairedTest
from edgesqueeze.measure.runtimes.predictor import Predictor
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.numerics.proportions import Interval
from edgesqueeze.numerics.time_ratios import TimeRatio
from edgesqueeze.run.rows import Scored, scored
from edgesqueeze.task.task import Task

MOST_TIME = 1.05
"""So many times the converter's time ours may take."""
SIGNIFICANT = 0.05
_BATCH = 64


@dataclass(frozen=True)
class ConverterFile:
    """A file to measure: who made it, and the label of the other side's file that it is held against."""

    label: str
    who: str
    path: Path
    against: str | None = None


@dataclass(frozen=True)
class Measured:
    """What a file turned out to be; a squeezed one, which runs as what it decodes to, has no ``timing``."""

    file: ConverterFile
    runtime: str
    num_bytes: int
    value: float
    interval: Interval | None
    timing: BenchRow | None


@dataclass(frozen=True)
class Pair:
    """Our file beside the converter's.

    ``change`` is our metric less theirs, ``test`` what the same images say of it; ``bytes`` and ``time`` are
    ours in shares of theirs; ``time`` is None where it was worth no number.
    """

    ours: str
    theirs: str
    change: float
    test: AnyPairedTest | None
    bytes: float
    time: TimeRatio | None

    @property
    def no_worse(self) -> bool:
        """Not less accurate, unless by what the test images cannot tell from nothing."""
        return self.change >= 0 or (self.test is not None and self.test.p_value >= SIGNIFICANT)

    @property
    def meets_the_bar(self) -> bool:
        """No less accurate, no larger, and at most 1.05 times the time."""
        in_time = self.time is not None and self.time.ratio <= MOST_TIME
        return self.no_worse and self.bytes <= 1 and in_time


def measure(
    files: Sequence[ConverterFile], task: Task, kept: Path, plan: TimingPlan
) -> tuple[list[Measured], list[Pair]]:
    """Score every file and time all in turns.

    Args:
        files: of one network.
        task: whose test split.
        kept: a folder of answers, by the SHA-256 of the file that gave them; a file is scored once.
        plan: how often they are timed.
    """
    predictors = {file.label: loaded(file.path, plan.threads) for file in files}
    worth = {file.label: _scored(file, predictors[file.label], task, kept) for file in files}
    runtimes = {label: predictor.runtime for label, predictor in predictors.items()}
    del predictors  # their memory is for the processes that are timed
    run = [file for file in files if FileFormat.known(file.path) is not FileFormat.SQZ]
    timings = timed_files([file.path for file in run], plan)
    found = {file.label: timing for file, timing in zip(run, timings, strict=True)}
    metric = task.primary_metric
    rows = [
        Measured(
            file=file,
            runtime=runtimes[file.label],
            num_bytes=file.path.stat().st_size,
            value=worth[file.label].columns["metrics"][metric],
            interval=worth[file.label].columns["interval"],
            timing=found.get(file.label),
        )
        for file in files
    ]
    known = {row.file.label: row for row in rows}
    pairs = [
        pair_of(row, known[row.file.against], worth, task) for row in rows if row.file.against is not None
    ]
    return rows, pairs


def pair_of(ours: Measured, theirs: Measured, worth: Mapping[str, Scored], task: Task) -> Pair:
    """Two files compared, image by image and process by process."""
    change = ours.value - theirs.value
    before, after = worth[theirs.file.label].answers, worth[ours.file.label].answers
    timed = None if ours.timing is None or theirs.timing is None else (ours.timing, theirs.timing)
    return Pair(
        ours=ours.file.label,
        theirs=theirs.file.label,
        change=change,
        test=after.against(before, task.primary, change),
        bytes=ours.num_bytes / theirs.num_bytes,
        time=None if timed is None else time_ratio(*timed),
    )


def loaded(path: Path, threads: int) -> Predictor:
    """A file in the runtime of its suffix; a squeezed one as the ONNX file that comes out of it."""
    if FileFormat.known(path) is not FileFormat.SQZ:
        return load_model(path, threads)
    artifact = Artifact(FileFormat.SQZ, "fp32", path, path.stat().st_size, sha256_of(path))
    return SqueezedExport().load(artifact, threads)


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
