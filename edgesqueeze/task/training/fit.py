"""The training loop."""

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from edgesqueeze.errors import OutputError, TaskError
from edgesqueeze.progress import Course
from edgesqueeze.task.task import Task
from edgesqueeze.task.training.averaging import average_of
from edgesqueeze.task.training.choosing import Best
from edgesqueeze.task.training.evaluation import call, evaluate_primary
from edgesqueeze.task.training.history import Epoch
from edgesqueeze.task.training.losses import training_loss
from edgesqueeze.task.training.optimizers import make_optimizer, make_scheduler
from edgesqueeze.task.training.session import Session
from edgesqueeze.task.training.settings import TrainingSettings, check_training
from edgesqueeze.task.training.worse import ended_worse
from edgesqueeze.trees import Tree, length_of

BeforeStep = Callable[[int, int], None]
"""Called with the number of the coming step, from 0, and the number of all steps."""
Loss = Callable[[Tree, Tree, Tree], Tensor]
"""(inputs [N, C, H, W], outputs, targets) to a scalar, or trees of them."""


def fit(
    model: nn.Module,
    task: Task,
    settings: TrainingSettings,
    session: Session,
    before_step: BeforeStep | None = None,
    loss_of: Loss | None = None,
) -> None:
    """Train a model in place on the task's training split, by its loss or by ``loss_of`` in its place.

    With a keeper in the session, a training that was killed goes on behind its last whole epoch and ends with
    the same weights, bit for bit. That holds where the model's state and the number of the step are all that
    moves, in ``before_step`` too.

    Raises:
        RecipeError: the settings ask for what the task does not have.
        TaskError: the loss stops being a number.
        OutputError: the kept state belongs to other settings, or cannot be read or written.
    """
    check_training(settings, task, session.label)
    training = _Training(model, task, settings, session)
    training.resume()
    session.progress.begin(training.course())
    step = training.steps_by(before_step, loss_of)
    while not training.is_over:
        training.run_epoch(step)
        training.keep()
        last = training.history[-1]
        session.progress.epoch(last.number, last.loss, last.metric)
        if session.watch is not None:
            session.watch(last)
    training.finish()
    session.progress.end()


class _Training:
    """Everything that an epoch moves on, and that a resumed training needs back."""

    def __init__(self, model: nn.Module, task: Task, settings: TrainingSettings, session: Session) -> None:
        self.model, self.task, self.settings, self.session = model, task, settings, session
        self.steps = math.ceil(len(task.train) / settings.batch_size)
        self.optimizer = make_optimizer(model, settings)
        self.scheduler = make_scheduler(self.optimizer, settings, self.steps)
        self.generator = torch.Generator().manual_seed(session.seed)
        self.average = None if settings.ema is None else average_of(model, settings.ema)
        self.best = Best(settings, task.primary)
        self.history: list[Epoch] = []

    @property
    def is_over(self) -> bool:
        """Whether all epochs are done, or patience is at its end."""
        done = len(self.history)
        return done >= self.settings.epochs or (done > 0 and self.best.gives_up_after(done))

    @property
    def judged(self) -> nn.Module:
        """The network that an epoch is judged by, and that the stage would leave."""
        return self.model if self.average is None else self.average.module

    def course(self) -> Course:
        """What is told before the first step."""
        metric = "metric" if self.task.validation is None else f"validation {self.task.primary_metric}"
        return Course(
            self.session.label,
            self.settings.epochs,
            self.steps,
            trained=len(self.history),
            metric=metric,
            percent=self.task.primary.unit == "share",
        )

    def steps_by(
        self, before_step: BeforeStep | None, loss_of: Loss | None
    ) -> Callable[[int, Tree, Tree], float]:
        """What one step is: its number and a batch in, its loss out."""
        own, limit = training_loss(self.settings, self.task), self.settings.clip_norm
        total = self.settings.epochs * self.steps

        def step(number: int, x: Tree, y: Tree) -> float:
            if before_step is not None:
                before_step(number, total)
            outputs = call(self.model, x)
            loss = own(outputs, y) if loss_of is None else loss_of(x, outputs, y)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if limit is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), limit)
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.model)
            return loss.item()

        return step

    def run_epoch(self, step: Callable[[int, Tree, Tree], float]) -> None:
        """Train for an epoch and judge it."""
        self.model.train()
        number = len(self.history)
        total, count, rate = 0.0, 0, 0.0
        batches = self.task.train.batches(self.settings.batch_size, self.generator)
        for done, (x, y) in enumerate(batches, start=number * self.steps):
            loss = step(done, x, y)
            rate = float(self.optimizer.param_groups[0]["lr"])
            self.scheduler.step()
            total, count = total + loss * length_of(x), count + length_of(x)
            self.session.progress.step(loss)
        _check_finite(total, self.session.label, number)
        split = self.task.test if self.task.validation is None else self.task.validation
        metric = evaluate_primary(self.judged, split, self.task)
        self.history.append(Epoch(number + 1, total / count, metric, rate))
        self.best.see(self.history[-1], self.judged)

    def finish(self) -> None:
        """Leave in the model what the settings ask for, and say what was decided."""
        done = len(self.history)
        self.session.history.extend(self.history)
        if not done:
            return
        kept = self.best.weights if self.settings.keep == "best" else self.judged.state_dict()
        assert kept is not None
        if self.settings.keep == "best" or self.average is not None:
            self.model.load_state_dict(kept)
        self.model.eval()
        if done < self.settings.epochs:
            epochs, best = self.settings.epochs, self.best.epoch
            self.session.note(f"training stopped after epoch {done} of {epochs}; the best was epoch {best}")
        if self.settings.keep == "best":
            said = self.course().said(self.best.metric)
            self.session.note(f"kept the best of {done} epochs, epoch {self.best.epoch} with {said}")
        left = self.history[(self.best.epoch if self.settings.keep == "best" else done) - 1]
        # A stage that takes more and more away as its epochs go by may end above the loss it began with.
        worse = ended_worse(self.task.primary, self.history[0], left) if self.settings.can_choose else None
        if worse is not None:
            self.session.note(worse)

    # -- going on after a kill -------------------------------------------------------------------------

    def keep(self) -> None:
        """Give the keeper everything."""
        if self.session.keeper is None:
            return
        self.session.keeper.save(
            {
                "settings": self._asked(),
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "scheduler": self.scheduler.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "best": self.best.state(),
                "order": self.generator.get_state(),
                "random": torch.get_rng_state(),
                "history": [asdict(epoch) for epoch in self.history],
            }
        )

    def resume(self) -> None:
        """Take back what a keeper has of this training."""
        state = None if self.session.keeper is None else self.session.keeper.load()
        if state is None:
            return
        if state["settings"] != self._asked():
            raise OutputError(
                f"the kept state of stage {self.session.label!r} was trained with other settings; "
                "start a new run"
            )
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.best.load_state(state["best"])
        self.generator.set_state(state["order"])
        torch.set_rng_state(state["random"])
        self.history = [Epoch(**epoch) for epoch in state["history"]]

    def _asked(self) -> dict[str, Any]:
        return {**self.settings.model_dump(mode="json"), "seed": self.session.seed}


def _check_finite(total: float, label: str, epoch: int) -> None:
    if not math.isfinite(total):
        raise TaskError(
            f"the loss of stage {label!r} became {total} in epoch {epoch + 1}; lower its learning_rate"
        )
