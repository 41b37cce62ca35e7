"""Running the stages of a recipe, each from the file that the one before it wrote."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial

import torch

from edgesqueeze.compression.stages import AnyStage
from edgesqueeze.compression.state import State, answers_of, load_state, state_of
from edgesqueeze.errors import OutputError
from edgesqueeze.files import write_atomically
from edgesqueeze.progress import Progress
from edgesqueeze.run.history import History
from edgesqueeze.run.report import Row, row_from_json
from edgesqueeze.run.rows import scored, state_row
from edgesqueeze.run.rundir import RunDir, StageFolder
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import (
    SAVE_MINUTES,
    Epoch,
    Place,
    Session,
    TrainingSettings,
    TrainingStateFile,
)

LOGGER = logging.getLogger(__name__)
RANDOM_WEIGHTS = "random weights"
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
class StageRunner:
    """A run's task, its directory, the seed of its recipe, and who is told.

    ``watch`` is told of every epoch, with the name of its stage's folder. Stages train at ``place``, and keep
    their state every ``save_minutes``. Of several processes the first is the runner, and the others are
    each a :class:`~edgesqueeze.run.follower.Follower`.
    """

    task: Task
    run: RunDir
    seed: int
    progress: Progress
    watch: Callable[[str, Epoch], None] | None = None
    place: Place = field(default_factory=Place)
    save_minutes: float = SAVE_MINUTES

    def all(self, stages: Sequence[AnyStage]) -> tuple[FinishedStage, ...]:
        """The model before the first stage, then every stage; what has finished earlier is not repeated."""
        if self.task.validation is None and any(trains(stage) for stage in stages):
            self.progress.message(NO_METRIC)
        done = [self._start()]
        self.place.wait()
        for index, stage in enumerate(stages, start=1):
            done.append(self._stage(index, stage, done[-1].folder))
            self.place.wait()
        return tuple(done)

    def load(self, folder: StageFolder) -> State:
        """The state that a stage left."""
        return load_state(folder.model, self.task.build_model)

    def _start(self) -> FinishedStage:
        """The model before the first stage: freshly built, or from the task's checkpoint."""
        folder, checkpoint = self.run.stage(0, "start"), self.task.checkpoint
        if folder.row() is None:
            folder.save(state_of(self.task.initial_model()).save())
            label = RANDOM_WEIGHTS if checkpoint is None else f"checkpoint {checkpoint.name}"
            folder.finish(asdict(self._row(label, folder)))
        return FinishedStage(folder, _row_of(folder))

    def _stage(self, index: int, stage: AnyStage, before: StageFolder) -> FinishedStage:
        name, folder = stage.stage, self.run.stage(index, stage.stage)
        state_file = TrainingStateFile(folder.training)
        if self.place.from_first(lambda: folder.row() is not None):
            state_file.remove()
            self.progress.message(f"{name}: finished earlier")
            return FinishedStage(folder, _row_of(folder), stage)
        LOGGER.info("stage %d %s: %s", index, name, stage)
        watch = None if self.watch is None else partial(self.watch, folder.path.name)
        session = Session(
            name,
            stage_seed(self.seed, index),
            self.progress,
            keeper=state_file,
            save_minutes=self.save_minutes,
            watch=watch,
            place=self.place if trains(stage) else Place(),
        )
        torch.manual_seed(session.seed)
        folder.save(state_of(stage.apply(self.load(before).module, self.task, session)).save())
        if session.history:
            history = History.of(self.task, folder.path.name, session.history)
            write_atomically(folder.history, json.dumps(history.to_json(), indent=1).encode())
        row = replace(self._row(name, folder), notes=tuple(session.notes))
        folder.finish(asdict(row))
        state_file.remove()
        LOGGER.info("stage %d %s: %s", index, name, row)
        return FinishedStage(folder, _row_of(folder), stage)

    def _row(self, label: str, folder: StageFolder) -> Row:
        """What torch computes from the state on disk."""
        state = self.load(folder)
        worth = scored(self.task, *answers_of(state, self.task))
        folder.save_answers(worth.answers)
        file = folder.model, self.run.relative(folder.model)
        return state_row(label, state, file, self.task, worth)


def trains(stage: AnyStage) -> bool:
    """Whether a stage goes through the training loop."""
    return isinstance(stage, TrainingSettings) and stage.epochs > 0


def stage_seed(seed: int, index: int) -> int:
    """A stage's own seed, so that a resumed run draws the same numbers."""
    return seed * 1000 + index


def _row_of(folder: StageFolder) -> Row:
    data = folder.row()
    if data is None:
        raise OutputError(f"{folder.path} has no row.json although its stage has run")
    return row_from_json(data)
