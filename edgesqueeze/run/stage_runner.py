"""Running the stages of a recipe, each from the file that the one before it wrote."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from edgesqueeze.compression.stages import AnyStage, Squeeze
from edgesqueeze.compression.state import State, answers_of, load_state, state_of
from edgesqueeze.errors import ResumeError
from edgesqueeze.exports.squeezed import SqueezedExport
from edgesqueeze.progress import Progress
from edgesqueeze.run.documents.history import History
from edgesqueeze.run.folders.fingerprint import Fingerprint, fingerprint_of, start_hash
from edgesqueeze.run.folders.stage_folder import StageFolder
from edgesqueeze.run.price_search import Judge, PriceSearch
from edgesqueeze.run.recipe import Recipe
from edgesqueeze.run.row import Row
from edgesqueeze.run.rows import scored, state_row
from edgesqueeze.run.rundir import RunDir
from edgesqueeze.run.steps import Step, named_step, steps_of
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import (
    Epoch,
    Place,
    Session,
    TrainingSettings,
    TrainingStateFile,
    left_worse,
)

LOGGER = logging.getLogger(__name__)
NO_METRIC = (
    "the task has no validation split, so epochs show their loss alone; "
    "task.validation: 0.1 holds a tenth of the training split out for a metric"
)


@dataclass(frozen=True)
class FinishedStage:
    """What a stage left on disk and in the table; the model before the first stage has no stage."""

    folder: StageFolder
    row: Row
    stage: AnyStage | None = None


@dataclass(frozen=True)
class Plan:
    """What of a run is done and can stay, and what is still to be done."""

    kept: tuple[FinishedStage, ...]
    ahead: tuple[Step, ...]


@dataclass(frozen=True)
class StageRunner:
    """A run's task, its directory, its recipe, and who is told.

    ``watch`` is told of every epoch, with the name of its stage's folder. Stages train at ``place``. Of
    several processes the first is the runner, and the others are each a
    :class:`~edgesqueeze.run.follower.Follower`.
    """

    task: Task
    run: RunDir
    recipe: Recipe
    progress: Progress
    watch: Callable[[str, Epoch], None] | None = None
    place: Place = field(default_factory=Place)

    def plan(self, stages: Sequence[AnyStage], redo_from: str | None = None) -> Plan:
        """What is done and can stay: every file of it has been compared with what was written.

        Nothing is changed unless ``redo_from`` names a stage, or its folder: then this stage, those behind it
        and what was made of them are removed, if what is before them can stay.

        Raises:
            RecipeError: no stage has this name, or several have.
            ResumeError: a stage is damaged, or would be made from something else now.
        """
        steps = steps_of(self.run, stages)
        first = len(steps) if redo_from is None else named_step(redo_from, steps).number
        kept = self._kept(steps[:first])
        if redo_from is not None:
            self.run.forget(first, trained=any(step.trains for step in steps[first:]))
        return Plan(kept, steps[len(kept) :])

    def all(self, plan: Plan) -> tuple[FinishedStage, ...]:
        """The model before the first stage, then every stage; what has finished earlier is not repeated."""
        for finished in plan.kept:
            finished.folder.tidy()
            if finished.stage is not None:
                self.progress.message(f"{finished.stage.stage}: finished earlier")
        judged = self.task.validation is not None or not self.task.labelled
        if not judged and any(step.stage and trains(step.stage) for step in plan.ahead):
            self.progress.message(NO_METRIC)
        done = list(plan.kept) or [self._start(plan.ahead[0])]
        self.place.from_first(lambda: len(done))
        for step in plan.ahead:
            if step.stage:
                done.append(self._stage(step, step.stage, done))
                self.place.wait()
        return tuple(done)

    def load(self, folder: StageFolder) -> State:
        """The state that a stage left."""
        return load_state(folder.model, self.task.build_model)

    def _kept(self, steps: Sequence[Step]) -> tuple[FinishedStage, ...]:
        """The finished stages that these steps begin with, none of them changed."""
        kept: list[FinishedStage] = []
        for step in steps:
            if not step.folder.finished:
                break
            remarks = step.folder.check(self._made_from(step, kept[-1] if kept else None))
            for remark in remarks:
                self.progress.message(f"{step.names[1]}: {remark}")
            row = step.folder.row()
            kept.append(FinishedStage(step.folder, replace(row, notes=(*row.notes, *remarks)), step.stage))
        ahead = [step.folder for step in steps[len(kept) :]]
        later = [folder.path.name for folder in ahead if folder.finished]
        if later:
            raise ResumeError(
                f"stage {later[0]} in {self.run.path} is finished, {ahead[0].path.name} before it is not; "
                f"{ahead[0].way_out}"
            )
        if ahead and ahead[0].begun:
            ahead[0].check(self._made_from(steps[len(kept)], kept[-1] if kept else None))
        return tuple(kept)

    def _made_from(self, step: Step, before: FinishedStage | None) -> Fingerprint:
        if before is not None:
            digest: str | None = before.folder.state_hash
        else:
            digest = start_hash(self.task)
        return fingerprint_of(self.recipe, self.task, step.stages, digest)

    def _start(self, step: Step) -> FinishedStage:
        """The model before the first stage: freshly built, or from the task's checkpoint."""
        folder = step.folder
        made_from = self._made_from(step, None)
        folder.begin(made_from)
        model = self.task.build_model()
        notes = self.task.load_weights(model)
        folder.save(state_of(model).save())
        label = self.task.start
        for note in notes:
            self.progress.message(f"{label}: {note}")
        folder.finish(replace(self._row(label, folder), notes=notes), made_from)
        return FinishedStage(folder, folder.row())

    def _stage(self, step: Step, stage: AnyStage, done: Sequence[FinishedStage]) -> FinishedStage:
        before = done[-1]
        name, folder, made_from = stage.stage, step.folder, self._made_from(step, before)
        LOGGER.info("stage %d %s: %s", step.number, name, stage)
        session = self._session(step, stage)
        if folder.begun:  # what it goes on from was begun as the fingerprint there says
            for remark in folder.check(made_from):
                session.note(remark)
        else:
            folder.begin(made_from)
        if isinstance(stage, Squeeze) and stage.searches:
            folder.save(self._search(stage, folder, done).found(session))
        else:
            torch.manual_seed(session.seed)
            folder.save(state_of(stage.apply(self.load(before.folder).module, self.task, session)).save())
        if session.history:
            folder.save_history(History.of(self.task, folder.path.name, session.history))
        row = self._row(name, folder)
        worse = None
        if self.task.labelled:  # less than the float network's own answers is all that can be without
            worse = left_worse(name, self.task.primary, before.row.primary, row.primary)
        if worse is not None:  # said at once: what comes behind it may take hours
            session.note(worse)
        row = replace(row, notes=tuple(session.notes))
        folder.finish(row, made_from)
        folder.tidy()
        LOGGER.info("stage %d %s: %s", step.number, name, row)
        return FinishedStage(folder, folder.row(), stage)

    def _search(self, stage: Squeeze, folder: StageFolder, done: Sequence[FinishedStage]) -> PriceSearch:
        """The search for a stage's price, against the state that files are compared with."""
        baseline = baseline_of(done)
        export = next(export for export in self.recipe.exports if isinstance(export, SqueezedExport))
        against = (baseline.row.label, self.load(baseline.folder))
        judge = Judge.of(stage, self.task, export, against)
        return PriceSearch(stage, self.task, folder, lambda: self.load(done[-1].folder).module, judge)

    def _session(self, step: Step, stage: AnyStage) -> Session:
        """What the stage is given; its seed is its own, so that a resumed run draws the same numbers."""
        watch = None if self.watch is None else partial(self.watch, step.folder.path.name)
        return Session(
            stage.stage,
            stage_seed(self.recipe.seed, step.number),
            self.progress,
            keeper=TrainingStateFile(step.folder.training),
            save_minutes=self.recipe.save_minutes,
            watch=watch,
            place=self.place if trains(stage) else Place(),
        )

    def _row(self, label: str, folder: StageFolder) -> Row:
        """What torch computes from the state on disk."""
        state = self.load(folder)
        worth = scored(self.task, *answers_of(state, self.task))
        folder.save_answers(worth.answers)
        file = folder.model, self.run.relative(folder.model)
        return state_row(label, state, file, self.task, worth)


def baseline_of(stages: Sequence[FinishedStage]) -> FinishedStage:
    """The last state that no technique has touched: what files are compared with."""
    return [stage for stage in stages if not stage.row.simulated][-1]


def trains(stage: AnyStage) -> bool:
    """Whether a stage goes through the training loop."""
    return isinstance(stage, TrainingSettings) and stage.epochs > 0


def stage_seed(seed: int, index: int) -> int:
    """A stage's own seed, so that a resumed run draws the same numbers."""
    return seed * 1000 + index
