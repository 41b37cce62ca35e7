"""From files to rows of a report: every number is read from the file on disk, run in its runtime."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgesqueeze.compression.state import State, counts_of
from edgesqueeze.exports.detections import found_by
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.formats.sqz.file import read_sqz
from edgesqueeze.measure.bench.bench import write_built_in
from edgesqueeze.measure.checks.accuracy.classes import Labels
from edgesqueeze.measure.checks.accuracy.variety import class_labels, variety_of
from edgesqueeze.measure.checks.image_answers import ImageAnswers, image_answers
from edgesqueeze.measure.runtimes.latency import LatencySettings, measure_interleaved
from edgesqueeze.measure.runtimes.predictor import Predictor
from edgesqueeze.measure.runtimes.runtime import RUNTIMES
from edgesqueeze.models import built_in_model
from edgesqueeze.network.graph.counts import Counts, count_graph
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.numerics.boxes import Detections
from edgesqueeze.run.report import Row
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import call
from edgesqueeze.trees import Tree, filled, joined, map_tree

_BATCH = 64


@dataclass(frozen=True)
class Sizes:
    """What a network holds and does for one input; None where it cannot be known."""

    params: int | None = None
    nonzero_params: int | None = None
    macs: int | None = None
    effective_macs: int | None = None

    def columns(self) -> dict[str, Any]:
        """The fields under the names a row has for them."""
        return asdict(self)


@dataclass(frozen=True)
class Candidate:
    """A row that still lacks its latency, how to run one inference, and its answers image by image."""

    row: Row
    run: Callable[[], object]
    answers: ImageAnswers = field(default_factory=ImageAnswers)
    labels: Labels | None = None
    """The class of every test image, [N], where each has one."""


@dataclass(frozen=True)
class Scored:
    """What answers are worth: the fields of a row, and what is known image by image."""

    columns: dict[str, Any]
    answers: ImageAnswers
    labels: Labels | None = None


def scored(task: Task, outputs: Tree, targets: Tree) -> Scored:
    """Every metric of answers to the whole test split, in one pass where metrics belong together."""
    scores = task.scores(outputs, targets)
    answers = image_answers(task.primary, scores, outputs, targets)
    variety = variety_of(task.kind, outputs, targets, answers)
    varied = {} if variety is None else {"variety": variety.to_json()}
    columns = {
        "metrics": dict(scores.values),
        "primary_metric": task.primary_metric,
        "unit": task.primary.unit,
        "higher_is_better": task.primary.higher_is_better,
        "interval": answers.interval(scores.values[task.primary_metric]),
        "details": {**scores.details, **varied},
    }
    return Scored(columns, answers, class_labels(task.kind, outputs, targets))


def sizes_of(counts: Counts | None) -> Sizes:
    """The sizes of a network; unknown where its graph could not be built."""
    if counts is None:
        return Sizes()
    return Sizes(counts.params, counts.nonzero_params, counts.macs, counts.effective_macs)


def file_sizes(path: Path) -> Sizes:
    """The sizes of a model file, read from the file."""
    if FileFormat.known(path) is FileFormat.SQZ:
        return sizes_of(count_graph(read_sqz(path.read_bytes())[0]))
    facts = read_model_file(path)
    return Sizes(facts.params, facts.nonzero_params, facts.macs, facts.effective_macs)


def file_candidate(path: Path, predictor: Predictor, task: Task, returns: Tree) -> Candidate:
    """Run a file over the whole test split.

    Args:
        path: the file.
        predictor: the same, loaded.
        task: whose test split.
        returns: what the network returns, with the names of its outputs: see ``Graph``.
    """
    outputs, targets = [], []
    for x, y in task.test.batches(_BATCH):
        found = filled(returns, predictor.predict_all(map_tree(Tensor.numpy, x)))
        outputs.append(task.compact(found))
        targets.append(map_tree(Tensor.numpy, y))
    worth = scored(task, joined(outputs, np.concatenate), joined(targets, np.concatenate))
    row = _row_of(path, predictor, worth)
    run = predictor.prepare(map_tree(Tensor.numpy, task.example_input))
    return Candidate(row, run, worth.answers, worth.labels)


def boxes_candidate(path: Path, predictor: Predictor, task: Task) -> Candidate:
    """Run a file that finds boxes itself over the whole test split; see :func:`file_candidate`."""
    outputs: list[Detections] = []
    targets = []
    for x, y in task.test.batches(_BATCH):
        outputs += found_by(predictor.predict_all(map_tree(Tensor.numpy, x)))
        targets.append(map_tree(Tensor.numpy, y))
    worth = scored(task, outputs, joined(targets, np.concatenate))
    return Candidate(
        _row_of(path, predictor, worth),
        predictor.prepare(map_tree(Tensor.numpy, task.example_input)),
        worth.answers,
    )


def _row_of(path: Path, predictor: Predictor, worth: Scored) -> Row:
    batch = 1 if FileFormat.known(path) is FileFormat.SQZ else read_model_file(path).batch
    several = f"takes {batch} inputs at once, and its MACs and latency are those of all {batch}"
    return Row(
        label=path.name,
        path=path.name,
        runtime=predictor.runtime,
        simulated=False,
        num_bytes=path.stat().st_size,
        **file_sizes(path).columns(),
        **worth.columns,
        notes=() if batch in (1, "open") else (several,),
    )


def state_row(label: str, state: State, file: tuple[Path, str], task: Task, worth: Scored) -> Row:
    """The row of a state on disk, as torch computes with it. Only a plain state is a file users could deploy.

    Args:
        label: what the row is called.
        state: loaded from the file.
        file: the file, and its path relative to the run.
        task: whose inputs it takes.
        worth: of the state's answers to the test split.
    """
    path, relative = file
    return Row(
        label=label,
        path=relative if state.deployable else None,
        runtime=f"torch {torch.__version__.partition('+')[0]}",
        simulated=not state.deployable,
        num_bytes=path.stat().st_size if state.deployable else None,
        **sizes_of(counts_of(state, task.example_input)).columns(),
        **worth.columns,
    )


def torch_candidate(row: Row, model: nn.Module, example_input: Tree) -> Candidate:
    """Time a model in torch, as it would run where it was trained."""

    def run() -> object:
        with torch.inference_mode():
            return call(model, example_input)

    return Candidate(row, run)


def reference_candidates(names: Sequence[str], directory: Path, threads: int) -> list[Candidate]:
    """Write the named built-in models as fp32 ONNX and TFLite into a directory and load them back."""
    found: list[Candidate] = []
    for name in names:
        example = np.zeros((1, *built_in_model(name).input_shape), np.float32)
        for (runtime, _), path in write_built_in(name, directory / name, tuple(RUNTIMES)).items():
            predictor = RUNTIMES[runtime].load(path, threads)
            found.append(_reference(f"{name}{path.suffix}", path, predictor, example))
            path.unlink()  # AlexNet takes 244 MB a file; the runtime has its own copy now
    return found


def _reference(label: str, path: Path, predictor: Predictor, example: Floats) -> Candidate:
    row = Row(
        label=label,
        path=None,
        runtime=predictor.runtime,
        simulated=False,
        metrics={},
        primary_metric="",
        num_bytes=path.stat().st_size,
        **file_sizes(path).columns(),
    )
    return Candidate(row, predictor.prepare(example))


def add_latency(candidates: Sequence[Candidate], threads: int) -> list[Row]:
    """Time all candidates turn by turn, batch 1, and give each row its latency."""
    runs = {str(index): candidate.run for index, candidate in enumerate(candidates)}
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        latencies = measure_interleaved(runs, LatencySettings(threads=threads))
    finally:
        torch.set_num_threads(before)
    return [replace(c.row, latency=latencies[str(index)]) for index, c in enumerate(candidates)]
