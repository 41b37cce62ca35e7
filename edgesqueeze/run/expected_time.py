"""How long a stage will train, from its first few batches."""

from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter

import torch

from edgesqueeze.compression.stages import AnyStage, Squeeze
from edgesqueeze.progress import Course
from edgesqueeze.run.price_search import LOWEST_PRICE, MOST_TRIES
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Session, TrainingSettings, call

_MOST_STEPS = 6
_MOST_SECONDS = 10.0
"""Of training, to measure one stage; a step that has begun is finished."""
_JUDGED_AT_ONCE = 32


@dataclass(frozen=True)
class ExpectedTime:
    """An estimate in seconds: what comes before the first step, a step, and judging an epoch.

    ``trainings`` is how often the stage trains at most: more than once where it looks for a price.
    """

    epochs: int
    steps: int
    before_s: float
    step_s: float
    judging_s: float
    trainings: int = 1

    @property
    def epoch_s(self) -> float:
        """One epoch, with its metric."""
        return self.steps * self.step_s + self.judging_s

    @property
    def total_s(self) -> float:
        """The whole stage."""
        return self.trainings * (self.before_s + self.epochs * self.epoch_s)


def expected_time(stage: AnyStage, task: Task, seed: int) -> ExpectedTime | None:
    """Train a few batches as the stage would, on the network that the task begins with, and throw them away.

    None for a stage that does not train: how long its decisions take is known only when they are taken.

    Raises:
        EdgeSqueezeError: the stage refuses the network.
    """
    if not isinstance(stage, TrainingSettings) or not stage.epochs:
        return None
    watch, trainings = _StopWatch(), 1
    if isinstance(stage, Squeeze) and stage.searches:
        stage, trainings = stage.at(LOWEST_PRICE), MOST_TRIES
    begun = perf_counter()
    with suppress(_EnoughError):
        stage.apply(task.initial_model(), task, Session(stage.stage, seed, watch))
    first, *others = watch.steps
    step_s = (others[-1] - first) / len(others) if others else first - watch.begun
    return ExpectedTime(
        epochs=watch.course.epochs,
        steps=watch.course.steps,
        before_s=watch.begun - begun,
        step_s=step_s,
        judging_s=_judging(task),
        trainings=trainings,
    )


def _judging(task: Task) -> float:
    """Seconds for the answers of the split that epochs are judged on, if there is one, from a few images."""
    split = task.validation
    if split is None:
        return 0.0
    model = task.build_model().eval()
    begun = perf_counter()
    x, _ = next(iter(split.batches(_JUDGED_AT_ONCE)))
    with torch.no_grad():
        call(model, x)
    return (perf_counter() - begun) * len(split) / min(_JUDGED_AT_ONCE, len(split))


class _EnoughError(Exception):
    """Enough batches have been timed."""


@dataclass
class _StopWatch:
    """A progress that notes when steps end, and ends the training after a few."""

    course: Course = field(default_factory=lambda: Course("", 0, 0))
    begun: float = 0.0
    steps: list[float] = field(default_factory=list)

    def begin(self, course: Course) -> None:
        """The first step comes next."""
        self.course, self.begun = course, perf_counter()

    def step(self, loss: float) -> None:
        """One more batch."""
        del loss
        self.steps.append(perf_counter())
        spent = self.steps[-1] - self.begun
        if len(self.steps) == _MOST_STEPS or (len(self.steps) > 1 and spent > _MOST_SECONDS):
            raise _EnoughError

    def epoch(self, number: int, loss: float, metric: float | None) -> None:
        """An epoch of so few batches is enough too."""
        del number, loss, metric
        raise _EnoughError

    def end(self) -> None:
        """Nothing to note."""

    def message(self, text: str) -> None:
        """Nothing to note."""
