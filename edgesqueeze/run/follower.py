"""What the processes beside the first one do: they train along, and write nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from edgesqueeze.compression.stages import AnyStage
from edgesqueeze.compression.state import load_state
from edgesqueeze.progress import SilentProgress
from edgesqueeze.run.rundir import RunDir, StageFolder
from edgesqueeze.run.stage_runner import stage_seed, trains
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Place, Session, TrainingStateFile


@dataclass(frozen=True)
class Follower:
    """A process that takes its share of every batch while another one runs the stages.

    The directory must be one that all processes see.
    """

    task: Task
    run: RunDir
    seed: int
    place: Place
    save_minutes: float

    def all(self, stages: Sequence[AnyStage]) -> None:
        """Every stage that trains; it waits for the others.

        Raises:
            TaskError: another process has ended.
        """
        before = self.run.stage(0, "start")
        self.place.wait()
        for index, stage in enumerate(stages, start=1):
            folder = self.run.stage(index, stage.stage)
            finished = self.place.from_first(bool)
            if trains(stage) and not finished:
                self._train(index, stage, (before, folder))
            self.place.wait()
            before = folder

    def _train(self, index: int, stage: AnyStage, folders: tuple[StageFolder, StageFolder]) -> None:
        before, folder = folders
        session = Session(
            stage.stage,
            stage_seed(self.seed, index),
            SilentProgress(),
            keeper=TrainingStateFile(folder.training),
            save_minutes=self.save_minutes,
            place=self.place,
        )
        # Dropout shall not drop the same in every share.
        torch.manual_seed(session.seed + (self.place.rank << 32))
        stage.apply(load_state(before.model, self.task.build_model).module, self.task, session)
