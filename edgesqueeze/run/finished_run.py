"""The end of the main path: every file loaded back, scored and timed, and asked whether it really worked."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from edgesqueeze.compression.stages import AnyStage
from edgesqueeze.exports import AnyExport, Artifact
from edgesqueeze.measure.checks.check import Check
from edgesqueeze.measure.checks.enough_images import check_enough_images
from edgesqueeze.measure.checks.honesty_files import (
    check_delegated,
    check_faster,
    check_integer_operators,
    check_smaller,
)
from edgesqueeze.measure.checks.honesty_layers import LayerEvidence, check_composition, check_techniques
from edgesqueeze.measure.checks.right_answers import Right, paired_with
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.run.facts_of_a_run import answers_evidence, file_evidence, kept_in_float, layers_and_stages
from edgesqueeze.run.recipe import Recipe
from edgesqueeze.run.report import Report, Row
from edgesqueeze.run.rows import (
    Candidate,
    add_latency,
    file_candidate,
    reference_candidates,
    torch_candidate,
)
from edgesqueeze.run.rundir import RunDir, StageFolder
from edgesqueeze.task.task import Task

RANDOM_WEIGHTS = "random weights"
LoadState = Callable[[StageFolder, Task], nn.Module]


@dataclass(frozen=True)
class State:
    """A stage and what it left on disk; the first state has no stage."""

    folder: StageFolder
    row: Row
    stage: AnyStage | None = None


@dataclass(frozen=True)
class Finished:
    """A run whose stages are done and whose files are written."""

    recipe: Recipe
    environment: dict[str, object]
    states: tuple[State, ...]
    exported: tuple[tuple[AnyExport, Artifact], ...]
    graph: Graph
    spec: QuantSpec | None

    @property
    def baseline(self) -> State:
        """The last state that no technique has touched: what "smaller" and "less accurate" refer to."""
        return [state for state in self.states if not state.row.simulated][-1]

    @property
    def shown(self) -> tuple[State, ...]:
        """The states worth reading: random weights that were trained afterwards are not."""
        first = self.states[0]
        return (
            self.states[1:]
            if first.row.label == RANDOM_WEIGHTS and self.baseline is not first
            else self.states
        )


def measure_run(finished: Finished, task: Task, run: RunDir, load: LoadState) -> Report:
    """Load every file back and measure it, next to the baseline in torch and the reference models.

    All are timed in one go, turn by turn, so that whatever else the machine does hits all alike.

    Args:
        finished: the run.
        task: the model and its data.
        run: where the files are.
        load: how the state of a stage is loaded.
    """
    recipe, baseline = finished.recipe, finished.baseline
    model = load(baseline.folder, task)
    candidates = [torch_candidate(baseline.row, model, task.example_input)]
    for export, artifact in finished.exported:
        predictor = export.load(artifact, recipe.threads)
        candidates.append(file_candidate(artifact.path, predictor, task, run.relative(artifact.path)))
    right = baseline.folder.right()
    measured = [_against(c, baseline.row, right) for c in candidates]
    with tempfile.TemporaryDirectory() as folder:
        references = reference_candidates(recipe.references, Path(folder), recipe.threads)
        timed = add_latency([*measured, *references], recipe.threads)
    files, stands = timed[1 : len(measured)], timed[len(measured) :]
    stage_rows = [timed[0] if s is baseline else _stage_row(s, baseline.row, right) for s in finished.shown]
    checks, layers = _checks(finished, task, files, load)
    return Report(
        recipe=recipe.model_dump(mode="json"),
        environment=dict(finished.environment),
        baseline=baseline.row.label,
        test_examples=len(task.test),
        rows=(*stage_rows, *files),
        references=tuple(row.against(baseline.row) for row in stands),
        checks=checks,
        layers=layers,
    )


def _against(candidate: Candidate, baseline: Row, right: Right | None) -> Candidate:
    row = replace(candidate.row.against(baseline), paired=paired_with(right, candidate.right))
    return replace(candidate, row=row)


def _stage_row(state: State, baseline: Row, right: Right | None) -> Row:
    return replace(state.row.against(baseline), paired=paired_with(right, state.folder.right()))


def _checks(
    finished: Finished, task: Task, rows: list[Row], load: LoadState
) -> tuple[tuple[Check, ...], tuple[LayerEvidence, ...]]:
    """Did it really work? The facts are gathered here, each check is a function of them."""
    artifacts = [artifact for _, artifact in finished.exported]
    files = [file_evidence(artifact, row) for artifact, row in zip(artifacts, rows, strict=True)]
    baseline = finished.baseline.row
    states = ((state.folder.path.name, state.stage, load(state.folder, task)) for state in finished.states)
    layers, stages = layers_and_stages(states, artifacts)
    checks = (
        check_smaller(files, baseline.label, baseline.num_bytes or 0),
        check_integer_operators(files, kept_in_float(finished.graph, finished.spec)),
        check_delegated(files),
        check_faster(files),
        check_techniques(stages),
        check_composition(layers, [file.name for file in files if file.precision == "int8"]),
        check_enough_images(answers_evidence(task, baseline, rows)),
    )
    return checks, layers
