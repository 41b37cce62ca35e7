"""Training a baseline: the training that a recipe begins with, and nothing behind it."""

from dataclasses import replace
from functools import reduce
from itertools import takewhile

from edgesqueeze.compression.stages import Train
from edgesqueeze.compression.state import answers_of, state_of
from edgesqueeze.errors import OutputError, RecipeError
from edgesqueeze.files import write_atomically
from edgesqueeze.pipeline import active_stages, place_of
from edgesqueeze.progress import Progress, SilentProgress
from edgesqueeze.run.documents.confusion import confusion_of
from edgesqueeze.run.documents.history import History
from edgesqueeze.run.documents.pictures import draw_confusion, draw_history
from edgesqueeze.run.documents.train_report import TrainReport
from edgesqueeze.run.folders.environment import environment_of
from edgesqueeze.run.recipe import Recipe
from edgesqueeze.run.report import Report
from edgesqueeze.run.row import facts_of
from edgesqueeze.run.rows import scored, state_row
from edgesqueeze.run.rundir import CHECKPOINT, RunDir
from edgesqueeze.run.stage_runner import FinishedStage, StageRunner
from edgesqueeze.run.trackers import Tracker
from edgesqueeze.task.checkpoint import load_checkpoint
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Place, check_training


def train(  # noqa: PLR0913, PLR0917 (what a command can be asked)
    recipe: Recipe,
    task: Task,
    run: RunDir,
    progress: Progress | None = None,
    tracker: Tracker | None = None,
    redo_from: str | None = None,
    place: Place | None = None,
) -> TrainReport:
    """Train a recipe's leading ``train`` stages, write the checkpoint, and measure it from its file.

    A training that was killed goes on from the state it kept last and ends with the same bytes. The
    directory is one that ``compress`` goes on from too, with the rest of the recipe.

    Args:
        recipe: whose training is wanted; stages behind it and exports are left alone.
        task: the model and its data.
        run: where everything goes.
        progress: who is told; nobody by default.
        tracker: who is told of every epoch and of the checkpoint, or None.
        redo_from: a stage to do again with all behind it, by its name or that of its folder.
        place: where it trains; by default this process, on the device that the recipe names.

    Raises:
        ResumeError: a finished stage is damaged, or would be made from something else now.
        EdgeSqueezeError: the recipe does not begin with training, or asks for what the task does not have.
    """
    stages, place = check_baseline(recipe, task), place or place_of(recipe)
    with run.locked():
        if run.is_compressed():
            raise OutputError(f"{run.path} holds a finished run of compress; choose another --output")
        watch = None if tracker is None else tracker.epoch
        runner = StageRunner(task, run, recipe, progress or SilentProgress(), watch, place)
        plan = runner.plan(stages, redo_from)
        environment = environment_of(run.environment, task.fingerprint, place.facts())
        finished = runner.all(plan)
        write_atomically(run.path / CHECKPOINT, finished[-1].folder.model.read_bytes())
        report = _measured(finished, recipe, task, run, environment)
        _write(report, run)
        if tracker is not None:
            tracker.report(report.report)
    return report


def check_baseline(recipe: Recipe, task: Task) -> tuple[Train, ...]:
    """The training that a recipe begins with; refuses what cannot work before hours are spent on it.

    Raises:
        RecipeError: there is none, it trains for no epoch, or it asks for what the task does not have.
    """
    if not (recipe.stages and isinstance(recipe.stages[0], Train)):
        first = f"stage {recipe.stages[0].stage!r}" if recipe.stages else "no stage"
        raise RecipeError(
            f"recipe {recipe.name!r} begins with {first}, so it says nothing of how to train; "
            "put {stage: train, epochs: 10} in front of its stages"
        )
    leading = takewhile(lambda stage: isinstance(stage, Train), active_stages(recipe, task))
    stages = tuple(stage for stage in leading if isinstance(stage, Train))
    if not stages:
        raise RecipeError(
            f"the task has a checkpoint, {task.checkpoint}, and the training says unless_checkpoint: "
            "leave one of the two out"
        )
    if not any(stage.epochs for stage in stages):
        raise RecipeError("stages.train.epochs is 0, so there is nothing to train; at least 1 is needed")
    for stage in stages:
        check_training(stage, task, stage.stage)
    return stages


def _measured(
    finished: tuple[FinishedStage, ...],
    recipe: Recipe,
    task: Task,
    run: RunDir,
    environment: dict[str, object],
) -> TrainReport:
    """The checkpoint as its file has it, loaded back into a new model."""
    path = run.path / CHECKPOINT
    model = task.build_model()
    load_checkpoint(model, path)
    state = state_of(model)
    outputs, targets = answers_of(state, task)
    worth = scored(task, outputs, targets)
    row = state_row(CHECKPOINT, state, (path, run.relative(path)), task, worth)
    row = replace(row, notes=tuple(note for stage in finished for note in stage.row.notes))
    report = Report(
        recipe=recipe.model_dump(mode="json"),
        environment=environment,
        baseline=CHECKPOINT,
        test_examples=len(task.test),
        rows=(row,),
        references=(),
        measures=facts_of(task.metrics),
        classes=task.classes,
        code=task.code,
        kind=task.kind,
    )
    histories = [history for stage in finished if (history := stage.folder.history()) is not None]
    is_classification = task.kind == "classification"
    confusion = confusion_of(outputs, targets, task.classes) if is_classification else None
    return TrainReport(path, report, reduce(History.followed_by, histories), confusion)


def _write(report: TrainReport, run: RunDir) -> None:
    """Everything beside the checkpoint; report.json, which says that all is there, last."""
    run.write_json("history.json", report.history.to_json())
    write_atomically(run.path / "history.csv", report.history.to_csv().encode())
    write_atomically(run.path / "history.png", draw_history(report.history))
    if report.confusion is not None:
        run.write_json("confusion.json", report.confusion.to_json())
        write_atomically(run.path / "confusion.png", draw_confusion(report.confusion))
    run.write_report(report)
