"""What the processes beside the first one do: they train along, and write nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import nn

from edgesqueeze.compression.stages import AnyStage, Squeeze
from edgesqueeze.compression.state import load_state
from edgesqueeze.progress import SilentProgress
from edgesqueeze.run.folders.stage_folder import StageFolder
from edgesqueeze.run.price_search import squeezed_at, tell_price
from edgesqueeze.run.recipe import Recipe
from edgesqueeze.run.rundir import RunDir
from edgesqueeze.run.stage_runner import stage_seed, trains
from edgesqueeze.run.steps import Step, steps_of
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Place, Session, TrainingStateFile


@dataclass(frozen=True)
class Follower:
    """A process that takes its share of every batch while another one runs the stages.

    The directory must be one that all processes see.
    """

    task: Task
    run: RunDir
    recipe: Recipe
    place: Place

    def all(self, stages: Sequence[AnyStage]) -> None:
        """Every stage that trains and has not finished; it waits for the others.

        Raises:
            TaskError: another process has ended.
        """
        steps = steps_of(self.run, stages)
        done = self.place.from_first(int)  # the first process knows how many
        for before, step in pairwise(steps[done - 1 :]):
            if step.stage and trains(step.stage):
                self._train(step, step.stage, before.folder)
            self.place.wait()

    def _train(self, step: Step, stage: AnyStage, before: StageFolder) -> None:
        session = Session(
            stage.stage,
            stage_seed(self.recipe.seed, step.number),
            SilentProgress(),
            keeper=TrainingStateFile(step.folder.training),
            save_minutes=self.recipe.save_minutes,
            place=self.place,
        )
        if isinstance(stage, Squeeze) and stage.searches:
            while (price := tell_price(session, stage, None)) is not None:
                squeezed_at(stage, price, partial(self._load, before), self.task, session)
            return
        # Dropout shall not drop the same in every share.
        torch.manual_seed(session.seed + (self.place.rank << 32))
        stage.apply(self._load(before), self.task, session)

    def _load(self, folder: StageFolder) -> nn.Module:
        return load_state(folder.model, self.task.build_model).module
