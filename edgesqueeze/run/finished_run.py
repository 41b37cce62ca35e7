"""The end of the main path: every file loaded back, scored and timed, and asked whether it really worked."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgesqueeze.exports.base import Artifact, Export
from edgesqueeze.exports.writing import Written
from edgesqueeze.measure.checks.accuracy.accuracy import AccuracyEvidence, allowed_loss, check_accuracy
from edgesqueeze.measure.checks.check import Check
from edgesqueeze.measure.checks.composition import check_composition
from edgesqueeze.measure.checks.delegate import check_delegated
from edgesqueeze.measure.checks.enough_images import check_enough_images
from edgesqueeze.measure.checks.faster import check_faster
from edgesqueeze.measure.checks.image_answers import ImageAnswers
from edgesqueeze.measure.checks.integer_operators import check_integer_operators
from edgesqueeze.measure.checks.layer_facts import LayerEvidence
from edgesqueeze.measure.checks.pruned_and_shared import check_techniques
from edgesqueeze.measure.checks.smaller import check_smaller
from edgesqueeze.measure.inspect import input_lines
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.run.facts_of_a_run import (
    answers_evidence,
    file_evidence,
    judged,
    kept_in_float,
    layers_and_stages,
)
from edgesqueeze.run.folders.tries import read_tries
from edgesqueeze.run.recipe import Recipe
from edgesqueeze.run.report import Report
from edgesqueeze.run.row import Row, facts_of
from edgesqueeze.run.rows import (
    Candidate,
    add_latency,
    boxes_candidate,
    file_candidate,
    reference_candidates,
    torch_candidate,
)
from edgesqueeze.run.stage_runner import FinishedStage, StageRunner, baseline_of
from edgesqueeze.task.task import RANDOM_WEIGHTS, Task


@dataclass(frozen=True)
class Finished:
    """A run whose stages are done and whose files are written."""

    recipe: Recipe
    environment: dict[str, object]
    stages: tuple[FinishedStage, ...]
    written: Written
    graph: Graph
    spec: QuantSpec | None
    whole: tuple[tuple[Export, Artifact], ...] = ()
    """Files of a detector that find boxes themselves."""

    @property
    def files(self) -> tuple[tuple[Export, Artifact], ...]:
        """All of them, those that find boxes last."""
        return (*self.written.files, *self.whole)

    @property
    def baseline(self) -> FinishedStage:
        """The last state that no technique has touched: what "smaller" and "less accurate" refer to."""
        return baseline_of(self.stages)

    @property
    def shown(self) -> tuple[FinishedStage, ...]:
        """The states worth reading: random weights that were trained afterwards are not."""
        first = self.stages[0]
        return (
            self.stages[1:]
            if first.row.label == RANDOM_WEIGHTS and self.baseline is not first
            else self.stages
        )


def measure_run(finished: Finished, runner: StageRunner) -> Report:
    """Load every file back and measure it, next to the baseline in torch and the reference models.

    All are timed in one go, turn by turn, so that whatever else the machine does hits all alike.

    Args:
        finished: the run.
        runner: whose task and directory they are; it loads what a stage left.
    """
    recipe, baseline, task, run = finished.recipe, finished.baseline, runner.task, runner.run
    model = runner.load(baseline.folder).module
    candidates = [torch_candidate(baseline.row, model, task.example_input)]
    for export, artifact in finished.written.files:
        predictor = export.load(artifact, recipe.threads)
        candidate = file_candidate(artifact.path, predictor, task, finished.graph.returns)
        row = replace(candidate.row, path=run.relative(artifact.path))
        candidates.append(replace(candidate, row=row))
    for export, artifact in finished.whole:
        predictor = export.load(artifact, recipe.threads)
        candidate = boxes_candidate(artifact.path, predictor, task)
        row = replace(candidate.row, path=run.relative(artifact.path))
        candidates.append(replace(candidate, row=row))
    compared = _Baseline(baseline.row, baseline.folder.answers(task.primary, len(task.test)), task)
    measured = [replace(c, row=compared.row_of(c.row, c.answers)) for c in candidates]
    with tempfile.TemporaryDirectory() as folder:
        references = reference_candidates(recipe.references, Path(folder), recipe.threads)
        timed = add_latency([*measured, *references], recipe.threads)
    files, stands = timed[1 : len(measured)], timed[len(measured) :]
    answered = [replace(c, row=row) for c, row in zip(measured[1:], files, strict=True)]
    stage_rows = [timed[0] if s is baseline else compared.stage_row(s) for s in finished.shown]
    checks, layers = _checks(finished, runner, answered)
    return Report(
        recipe=recipe.model_dump(mode="json"),
        environment=dict(finished.environment),
        baseline=baseline.row.label,
        test_examples=len(task.test),
        rows=(*stage_rows, *files),
        references=tuple(row.against(baseline.row) for row in stands),
        checks=checks,
        layers=layers,
        unwritten=finished.written.unwritten,
        unmet=_unmet(finished.stages),
        measures=facts_of(task.metrics),
        classes=task.classes,
        code=task.code,
        inputs={artifact.path.name: input_lines(artifact.path) for _, artifact in finished.files},
        kind=task.kind,
    )


def _unmet(stages: Sequence[FinishedStage]) -> tuple[str, ...]:
    """What the searches of stages have not found, a sentence each."""
    found = (read_tries(stage.folder.tries, stage.folder.way_out).unmet for stage in stages)
    return tuple(sentence for sentence in found if sentence)


@dataclass(frozen=True)
class _Baseline:
    """What every other row is compared with, and what it answered image by image."""

    row: Row
    answers: ImageAnswers
    task: Task

    def row_of(self, row: Row, answers: ImageAnswers) -> Row:
        """A row with its changes, and with the test on the same images."""
        row = row.against(self.row)
        if row.metric_change is None:
            return row
        return replace(row, paired=answers.against(self.answers, self.task.primary, row.metric_change))

    def stage_row(self, state: FinishedStage) -> Row:
        """The same of a state on the way."""
        return self.row_of(state.row, state.folder.answers(self.task.primary, len(self.task.test)))


def _checks(
    finished: Finished, runner: StageRunner, candidates: list[Candidate]
) -> tuple[tuple[Check, ...], tuple[LayerEvidence, ...]]:
    """Did it really work? The facts are gathered here, each check is a function of them."""
    artifacts = [artifact for _, artifact in finished.written.files]
    rows = [candidate.row for candidate in candidates[: len(artifacts)]]
    files = [file_evidence(artifact, row) for artifact, row in zip(artifacts, rows, strict=True)]
    baseline = finished.baseline.row
    states = ((s.folder.path.name, s.stage, runner.load(s.folder)) for s in finished.stages)
    layers, stages = layers_and_stages(states, artifacts)
    accuracy = _accuracy_evidence(finished, runner.task, candidates)
    least = accuracy.least if accuracy.fidelity else None
    checks = (
        check_smaller(files, baseline.label, baseline.num_bytes or 0),
        check_integer_operators(files, kept_in_float(finished.graph, finished.spec)),
        check_delegated(files),
        check_faster(files),
        check_techniques(stages),
        check_composition(layers, [file.name for file in files if file.precision == "int8"]),
        check_accuracy(accuracy),
        check_enough_images(answers_evidence(runner.task, baseline, rows, least)),
    )
    return checks, layers


def _accuracy_evidence(finished: Finished, task: Task, candidates: Sequence[Candidate]) -> AccuracyEvidence:
    """What the files are worth, and the states that led to them from the baseline on."""
    baseline, measure, total = finished.baseline, task.primary, len(task.test)
    behind = finished.stages[finished.stages.index(baseline) + 1 :]
    named = {baseline.row.label: baseline, **{state.folder.path.name: state for state in behind}}
    return AccuracyEvidence(
        metric=task.primary_metric,
        measure=measure,
        allowed=allowed_loss(measure, finished.recipe.allowed_drop, baseline.row.primary or 0.0),
        test_examples=total,
        states=tuple(
            judged(name, state.row, state.folder.answers(measure, total), measure)
            for name, state in named.items()
        ),
        files=tuple(judged(c.row.label, c.row, c.answers, measure) for c in candidates),
        labels=next((c.labels for c in candidates if c.labels is not None and task.labelled), None),
        classes=task.classes,
        fidelity=not task.labelled,
    )
