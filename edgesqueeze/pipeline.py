"""The main path: a recipe and a task in, files and a table out. Read this first."""

import logging
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from edgesqueeze.compression.quantizing.graph_model import (
    GraphModel,
    holds_graph_model,
    load_graph_model,
    serialize_graph_model,
)
from edgesqueeze.compression.stages import AnyStage
from edgesqueeze.compression.weights.weights import bake, is_plain, load_model, serialize_model
from edgesqueeze.errors import OutputError, RecipeError
from edgesqueeze.exports import AnyExport, Artifact
from edgesqueeze.exports.squeezed import check_decoded
from edgesqueeze.files import make_directory
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.checks.right_answers import interval_of, right_answers
from edgesqueeze.measure.proof.verification import verify_files
from edgesqueeze.measure.runtimes.host import host_facts
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.progress import Progress, SilentProgress
from edgesqueeze.run.finished_run import RANDOM_WEIGHTS, Finished, State, measure_run
from edgesqueeze.run.recipe import Recipe
from edgesqueeze.run.report import Report, Row, row_from_json
from edgesqueeze.run.rows import model_sizes
from edgesqueeze.run.rundir import RunDir, StageFolder
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Session, answers

LOGGER = logging.getLogger(__name__)
VERIFIED_IMAGES = 16
"""Test images on which the files must agree with the network before anything is measured."""


def compress(recipe: Recipe, task: Task, run: RunDir, progress: Progress | None = None) -> Report:
    """Run a recipe from the first unfinished stage to the table.

    Every stage starts from the file the one before it wrote, so that a resumed run and an unbroken one
    compute the same; every number of a deployable row comes from its file, loaded back.

    Args:
        recipe: what to do.
        task: the model and its data.
        run: where everything goes; finished stages found there are not repeated.
        progress: who is told; nobody by default.

    Raises:
        EdgeSqueezeError: the recipe does not fit the model, or a file cannot be written or verified.
    """
    progress = progress or SilentProgress()
    with run.locked():
        check_fits(recipe, task)
        environment = _same_environment(run, task)
        folder = _start(task, run)
        states = [State(folder, _row_of(folder))]
        for index, stage in enumerate(active_stages(recipe, task), start=1):
            folder = _run_stage(_Step(index, stage, recipe.seed), task, run, folder, progress)
            states.append(State(folder, _row_of(folder), stage))
        graph, spec = lower(_load(folder, task), task)
        exported = _export(recipe, graph, spec, run)
        verification = _verify(graph, spec, task, [artifact.path for _, artifact in exported])
        progress.message(f"measuring {len(exported)} files and {len(recipe.references)} reference models")
        finished = Finished(recipe, environment, tuple(states), tuple(exported), graph, spec)
        report = replace(measure_run(finished, task, run, _load), parity=verification)
        run.write_report(report)
    return report


def active_stages(recipe: Recipe, task: Task) -> list[AnyStage]:
    """The stages that run: all, but for training that a checkpoint makes unnecessary."""
    skip = task.checkpoint is not None
    return [s for s in recipe.stages if not (skip and s.stage == "train" and s.unless_checkpoint)]


def check_fits(recipe: Recipe, task: Task) -> None:
    """Refuse what cannot work before hours are spent on it.

    Raises:
        RecipeError: a glob names no layer.
        UnsupportedLayerError: an export, qat or ptq needs a graph the model does not have.
    """
    model = task.build_model().eval()
    for stage in recipe.stages:
        stage.check(model)
    if recipe.exports or any(stage.makes_integers for stage in recipe.stages):
        graph = build_graph(model, task.example_input)
        for export in recipe.exports:
            export.check(graph)


def lower(model: nn.Module, task: Task) -> tuple[Graph, QuantSpec | None]:
    """The graph of a model, and its integers if it has been quantized."""
    if isinstance(model, GraphModel):
        return model.graph, model.spec
    return build_graph(bake(model), task.example_input), None


def finished_network(recipe: Recipe, task: Task, run: RunDir) -> tuple[Graph, QuantSpec | None]:
    """The network that a run's files were written from: the state after its last stage.

    Raises:
        OutputError: the last stage has not finished.
    """
    stages = active_stages(recipe, task)
    folder = run.stage(len(stages), stages[-1].stage if stages else "start")
    if folder.row() is None:
        raise OutputError(f"{run.path} is not finished; continue it with --resume {run.path}")
    return lower(_load(folder, task), task)


# -- stages ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Step:
    index: int
    stage: AnyStage
    recipe_seed: int

    @property
    def seed(self) -> int:
        """A seed of the stage's own, so that a resumed run draws the same numbers."""
        return self.recipe_seed * 1000 + self.index


def _start(task: Task, run: RunDir) -> StageFolder:
    """The model before the first stage: freshly built, or from the task's checkpoint."""
    folder = run.stage(0, "start")
    if folder.row() is None:
        folder.save(serialize_model(task.initial_model()))
        label = RANDOM_WEIGHTS if task.checkpoint is None else f"checkpoint {task.checkpoint.name}"
        folder.finish(asdict(_stage_row(label, folder, task, run)))
    return folder


def _run_stage(step: _Step, task: Task, run: RunDir, before: StageFolder, progress: Progress) -> StageFolder:
    name = step.stage.stage
    folder = run.stage(step.index, name)
    if folder.row() is not None:
        progress.message(f"{name}: finished earlier")
        return folder
    LOGGER.info("stage %d %s: %s", step.index, name, step.stage)
    torch.manual_seed(step.seed)
    session = Session(name, step.seed, progress)
    model = step.stage.apply(_load(before, task), task, session)
    folder.save(serialize_graph_model(model) if isinstance(model, GraphModel) else serialize_model(model))
    row = replace(_stage_row(name, folder, task, run), notes=tuple(session.notes))
    folder.finish(asdict(row))
    LOGGER.info("stage %d %s: %s", step.index, name, row)
    return folder


def _load(folder: StageFolder, task: Task) -> nn.Module:
    if holds_graph_model(folder.model):
        return load_graph_model(folder.model)
    return load_model(task.build_model().eval(), folder.model)


def _stage_row(label: str, folder: StageFolder, task: Task, run: RunDir) -> Row:
    """What torch computes from the state on disk. Only a plain state is a file users could deploy."""
    model = _load(folder, task)
    plain = is_plain(model) and not isinstance(model, GraphModel)
    outputs, targets = answers(model, task.test)
    right = right_answers(task, outputs, targets)
    if right is not None:
        folder.save_right(right)
    return Row(
        label=label,
        path=run.relative(folder.model) if plain else None,
        runtime=f"torch {torch.__version__.partition('+')[0]}",
        simulated=not plain,
        metrics=task.score(outputs, targets),
        primary_metric=task.primary_metric,
        num_bytes=folder.model.stat().st_size if plain else None,
        **model_sizes(model, task.example_input).columns(),
        interval=interval_of(right),
    )


def _row_of(folder: StageFolder) -> Row:
    data = folder.row()
    if data is None:
        raise OutputError(f"{folder.path} has no row.json although its stage has run")
    return row_from_json(data)


def _same_environment(run: RunDir, task: Task) -> dict[str, object]:
    """Record where the run happens; refuse to continue one on other data."""
    known = run.environment()
    if known is None:
        known = {**host_facts().to_json(), "data_fingerprint": task.fingerprint}
        run.write_json("environment.json", known)
    if known.get("data_fingerprint") != task.fingerprint:
        raise RecipeError(f"the data is not the data {run.path} was started with; start a new run")
    return known


# -- files -----------------------------------------------------------------------------------------


def _export(
    recipe: Recipe, graph: Graph, spec: QuantSpec | None, run: RunDir
) -> list[tuple[AnyExport, Artifact]]:
    make_directory(run.artifacts)
    others: list[Artifact] = []
    found: dict[int, list[Artifact]] = {}
    # The squeezed file last: it has templates of the others.
    for place, export in sorted(enumerate(recipe.exports), key=lambda item: item[1].export == "squeezed"):
        found[place] = export.write_beside(graph, spec, run.artifacts, others)
        others += [artifact for artifact in found[place] if artifact.format is not FileFormat.SQZ]
    written = [(export, a) for place, export in enumerate(recipe.exports) for a in found[place]]
    for _, artifact in written:
        LOGGER.info("wrote %s: %d bytes, sha256 %s", artifact.path, artifact.num_bytes, artifact.sha256)
        if artifact.format is FileFormat.SQZ:
            check_decoded(artifact, others)
    return written


def _verify(graph: Graph, spec: QuantSpec | None, task: Task, files: list[Path]) -> dict[str, Any]:
    """The parity gate; what it found, for the report."""
    if not files:
        return {}
    x = next(iter(task.test.batches(VERIFIED_IMAGES)))[0].numpy()
    found = verify_files(
        graph, spec, [path for path in files if FileFormat.known(path) is not FileFormat.SQZ], x
    )
    found.require()
    return found.to_json()
