"""The main path: a recipe and a task in, files and a table out. Read this first."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from edgesqueeze.compression.stages import AnyStage
from edgesqueeze.compression.state import load_state, network_of
from edgesqueeze.errors import OutputError, RecipeError
from edgesqueeze.exports.base import Artifact, Export
from edgesqueeze.exports.detections import check_detections, write_detections
from edgesqueeze.exports.writing import write_exports
from edgesqueeze.formats.names import RUNNABLE, FileFormat
from edgesqueeze.measure.proof.verification import verify_files
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.progress import Progress, SilentProgress
from edgesqueeze.run.finished_run import Finished, measure_run
from edgesqueeze.run.folders.environment import environment_of
from edgesqueeze.run.follower import Follower
from edgesqueeze.run.price_search import check_search
from edgesqueeze.run.recipe import Recipe
from edgesqueeze.run.report import Report
from edgesqueeze.run.rundir import RunDir
from edgesqueeze.run.stage_runner import StageRunner
from edgesqueeze.run.steps import steps_of
from edgesqueeze.run.trackers import Tracker
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Place, TrainingSettings, check_training, open_place
from edgesqueeze.trees import Tree, map_tree

VERIFIED_IMAGES = 16
"""Test images on which the files must agree with the network before anything is measured."""


def compress(  # noqa: PLR0913, PLR0917 (what a command can be asked)
    recipe: Recipe,
    task: Task,
    run: RunDir,
    progress: Progress | None = None,
    redo_from: str | None = None,
    place: Place | None = None,
    tracker: Tracker | None = None,
) -> Report:
    """Run a recipe from the first unfinished stage to the table.

    Every stage starts from the file the one before it wrote, so that a resumed run and an unbroken one
    compute the same; every number of a deployable row comes from its file, loaded back.

    Args:
        recipe: what to do.
        task: the model and its data.
        run: where everything goes; finished stages found there are not repeated.
        progress: who is told; nobody by default.
        redo_from: a stage to do again with all behind it, by its name or that of its folder.
        place: where stages train; by default this process, on the device that the recipe names.
        tracker: who is told of every epoch and of the table, or None.

    Raises:
        ResumeError: a finished stage is damaged, or would be made from something else now.
        EdgeSqueezeError: the recipe does not fit the model, or a file cannot be written or verified.
    """
    progress, place = progress or SilentProgress(), place or place_of(recipe)
    with run.locked():
        check_fits(recipe, task)
        watch = None if tracker is None else tracker.epoch
        runner = StageRunner(task, run, recipe, progress, watch, place)
        plan = runner.plan(active_stages(recipe, task), redo_from)
        environment = environment_of(run.environment, task.fingerprint, place.facts())
        run.drop_outdated_report(complete=not plan.ahead)
        stages = runner.all(plan)
        graph, spec = network_of(runner.load(stages[-1].folder), task)
        written = write_exports(recipe.exports, (graph, spec), run.artifacts, recipe.unsupported)
        whole = write_detections(written.files, task.decoding) if task.decoding is not None else []
        verification = _verify(graph, spec, task, [artifact.path for _, artifact in written.files])
        _verify_detections(task, whole)
        progress.message(
            f"measuring {len(written.files)} files and {len(recipe.references)} reference models"
        )
        finished = Finished(recipe, environment, stages, written, graph, spec, tuple(whole))
        report = replace(measure_run(finished, runner), parity=verification)
        run.write_report(report)
        if tracker is not None:
            tracker.report(report)
    return report


def place_of(recipe: Recipe, *, together: bool = False) -> Place:
    """Where the stages of a recipe train; ``together`` with the processes that torchrun has started, if any.

    Raises:
        RecipeError: the device is not there, or cannot do what the recipe asks.
    """
    needed = recipe.trains_integers
    return open_place(recipe.device, recipe.precision, needs_float64=needed, together=together)


def follow(recipe: Recipe, stages: Sequence[AnyStage], task: Task, run: RunDir, place: Place) -> None:
    """Train along with the process that runs ``stages``: what all other processes do.

    Raises:
        EdgeSqueezeError: the training fails, or another process has ended.
    """
    Follower(task, run, recipe, place).all(stages)


def active_stages(recipe: Recipe, task: Task) -> list[AnyStage]:
    """The stages that run: all, but for training that a checkpoint makes unnecessary."""
    skip = task.checkpoint is not None
    return [s for s in recipe.stages if not (skip and s.stage == "train" and s.unless_checkpoint)]


def check_fits(recipe: Recipe, task: Task) -> None:
    """Refuse what cannot work before hours are spent on it.

    Raises:
        RecipeError: a glob names no layer, or a stage trains with what the task does not have.
        UnsupportedLayerError: an export, qat or ptq needs a graph the model does not have.
    """
    model = task.build_model().eval()
    for stage in recipe.stages:
        stage.check(model)
    if task.decoding is None and any(export.finds_boxes for export in recipe.exports):
        raise RecipeError(f"detections of an export are for detectors, the task is {task.kind}")
    check_search(recipe, task)
    if recipe.allowed_drop is not None and not task.labelled and task.primary.unit == "dB":
        raise RecipeError("max_drop is of a metric of labels or agreement; leave it out for an SQNR")
    for stage in active_stages(recipe, task):
        if isinstance(stage, TrainingSettings):
            check_training(stage, task, stage.stage)
    if recipe.exports or any(stage.makes_integers for stage in recipe.stages):
        graph = replace(build_graph(model, task.example_input), normalization=task.normalization)
        for export in recipe.exports if recipe.unsupported == "refuse" else ():
            export.check(graph)


def finished_network(recipe: Recipe, task: Task, run: RunDir) -> tuple[Graph, QuantSpec | None]:
    """The network that a run's files were written from: the state after its last stage.

    Raises:
        OutputError: the last stage has not finished, or is damaged.
    """
    folder = steps_of(run, active_stages(recipe, task))[-1].folder
    if not folder.finished:
        raise OutputError(f"{run.path} is not finished; continue it with --resume {run.path}")
    folder.check_files()
    return network_of(load_state(folder.model, task.build_model), task)


def _verify_detections(task: Task, files: Sequence[tuple[Export, Artifact]]) -> None:
    """Files that find boxes themselves find those that their network does."""
    if task.decoding is not None:
        for _, artifact in files:
            check_detections(artifact, task.decoding, _few_images(task))


def _verify(graph: Graph, spec: QuantSpec | None, task: Task, files: Sequence[Path]) -> dict[str, Any]:
    """The parity gate; what it found, for the report."""
    if not files:
        return {}
    runnable = [path for path in files if FileFormat.known(path) in RUNNABLE]
    found = verify_files(graph, spec, runnable, _few_images(task))
    found.require()
    return found.to_json()


def _few_images(task: Task) -> Tree:
    """The first inputs of the test split."""
    return map_tree(Tensor.numpy, next(iter(task.test.batches(VERIFIED_IMAGES)))[0])
