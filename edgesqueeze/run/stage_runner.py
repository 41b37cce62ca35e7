"""Running the stages of a recipe, each from the file that the one before it wrote."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from edgesqueeze.compression.stages import AnyStage
from edgesqueeze.compression.state import State, answers_of, load_state, state_of
from edgesqueeze.progress import Progress
from edgesqueeze.run.folders.stage_folder import StageFolder
from edgesqueeze.run.history import History
from edgesqueeze.run.row import Row
from edgesqueeze.run.rows import scored, state_row
from edgesqueeze.run.rundir import RunDir
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Epoch, Session, TrainingStateFile

LOGGER = logging.getLogger(__name__)
RANDOM_WEIGHTS = "random weights"


@dataclass(frozen=True)
class FinishedStage:
    """What a stage left on disk and in the table; the model before the first stage has no stage."""

    folder: StageFolder
    row: Row
    stage: AnyStage | None = None


@dataclass(frozen=True)
class StageRunner:
    """A run's task, its directory, the seed of its recipe, and who is told.

    ``watch`` is told of every epoch, with the name of its stage's folder.
    """

    task: Task
    run: RunDir
    seed: int
    progress: Progress
    watch: Callable[[str, Epoch], None] | None = None

    def all(self, stages: Sequence[AnyStage]) -> tuple[FinishedStage, ...]:
        """The model before the first stage, then every stage; what has finished earlier is not repeated."""
        done = [self._start()]
        for index, stage in enumerate(stages, start=1):
            done.append(self._stage(index, stage, done[-1].folder))
        return tuple(done)

    def load(self, folder: StageFolder) -> State:
        """The state that a stage left."""
        return load_state(folder.model, self.task.build_model)

    def _start(self) -> FinishedStage:
        """The model before the first stage: freshly built, or from the task's checkpoint."""
        folder, checkpoint = self.run.stage(0, "start"), self.task.checkpoint
        if not folder.finished:
            folder.save(state_of(self.task.initial_model()).save())
            label = RANDOM_WEIGHTS if checkpoint is None else f"checkpoint {checkpoint.name}"
            folder.finish(self._row(label, folder))
        return FinishedStage(folder, folder.row())

    def _stage(self, index: int, stage: AnyStage, before: StageFolder) -> FinishedStage:
        name, folder = stage.stage, self.run.stage(index, stage.stage)
        state_file = TrainingStateFile(folder.training)
        if folder.finished:
            state_file.remove()
            self.progress.message(f"{name}: finished earlier")
            return FinishedStage(folder, folder.row(), stage)
        LOGGER.info("stage %d %s: %s", index, name, stage)
        seed = self.seed * 1000 + index  # the stage's own, so that a resumed run draws the same numbers
        torch.manual_seed(seed)
        keeper = state_file if stage.can_resume else None
        watch = None if self.watch is None else partial(self.watch, folder.path.name)
        session = Session(name, seed, self.progress, keeper=keeper, watch=watch)
        folder.save(state_of(stage.apply(self.load(before).module, self.task, session)).save())
        if session.history:
            folder.save_history(History.of(self.task, folder.path.name, session.history))
        row = replace(self._row(name, folder), notes=tuple(session.notes))
        folder.finish(row)
        state_file.remove()
        LOGGER.info("stage %d %s: %s", index, name, row)
        return FinishedStage(folder, folder.row(), stage)

    def _row(self, label: str, folder: StageFolder) -> Row:
        """What torch computes from the state on disk."""
        state = self.load(folder)
        worth = scored(self.task, *answers_of(state, self.task))
        folder.save_answers(worth.answers)
        file = folder.model, self.run.relative(folder.model)
        return state_row(label, state, file, self.task, worth)
