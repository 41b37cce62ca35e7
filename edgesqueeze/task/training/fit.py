"""The training loop."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from time import monotonic
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
from edgesqueeze.task.training.own_part import OwnPart
from edgesqueeze.task.training.place import in_layout
from edgesqueeze.task.training.session import Session
from edgesqueeze.task.training.settings import TrainingSettings, check_training
from edgesqueeze.task.training.worse import ended_worse
from edgesqueeze.trees import Tree, length_of, map_tree, rows_of


def fit(
    model: nn.Module, task: Task, settings: TrainingSettings, session: Session, own: OwnPart | None = None
) -> None:
    """Train a model in place on the task's training split, where the session says.

    The model comes from the CPU and goes back there. With a keeper in the session, a training that was killed
    goes on from the state kept last and ends with the same weights, bit for bit on a CPU. That holds where
    the model's state, the number of the step and the state of ``own`` are all that moves.

    Raises:
        RecipeError: the settings ask for what the task does not have.
        TaskError: the loss stops being a number, or another process has ended.
        OutputError: the kept state belongs to other settings, or cannot be read or written.
    """
    check_training(settings, task, session.label)
    training = _Training(model, task, settings, session, own or OwnPart())
    training.resume()
    session.progress.begin(training.course())
    while not training.is_over:
        training.run_epoch()
        training.keep()
        last = training.history[-1]
        session.progress.epoch(last.number, last.loss, last.metric)
        if session.watch is not None:
            session.watch(last)
    training.finish()
    session.progress.end()


class _Training:
    """Everything that a step moves on, and that a resumed training needs back."""

    def __init__(
        self, model: nn.Module, task: Task, settings: TrainingSettings, session: Session, own: OwnPart
    ) -> None:
        self.task, self.settings, self.session, self.own = task, settings, session, own
        self.place = session.place
        self.model = model.to(self.place.device)
        self.steps = math.ceil(len(task.train) / settings.batch_size)
        self.optimizer = make_optimizer(model, settings)
        self.scheduler = make_scheduler(self.optimizer, settings, self.steps)
        self.generator = torch.Generator().manual_seed(session.seed)
        self.average = None if settings.ema is None else average_of(model, settings.ema)
        self.best = Best(settings, task.primary)
        self.history: list[Epoch] = []
        self.loss_of = training_loss(settings, task)
        self.order = self.generator.get_state()
        """Of the generator when the epoch began."""
        self.done, self.total, self.count = 0, 0.0, 0
        """Batches of the epoch, their summed loss, their images."""
        self.saved = monotonic()
        self.layout: torch.memory_format | None = None

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
            begun=self.done,
            metric=metric,
            percent=self.task.primary.unit == "share",
        )

    def run_epoch(self) -> None:
        """Train for an epoch, or for what an earlier process has left of it, and judge it."""
        self.model.train()
        number, rate = len(self.history), 0.0
        for x, y in self._batches():
            loss, due = self._step(number * self.steps + self.done, x, y)
            rate = float(self.optimizer.param_groups[0]["lr"])
            self.scheduler.step()
            self.total, self.count = self.total + loss * length_of(x), self.count + length_of(x)
            self.done += 1
            self.session.progress.step(loss)
            if due and self.done < self.steps:
                self.keep()
        _check_finite(self.total, self.session.label, number)
        metric = None if self.task.validation is None else self.place.from_first(self._metric)
        self.history.append(Epoch(number + 1, self.total / self.count, metric, rate))
        self.best.see(self.history[-1], self.judged)
        self.order = self.generator.get_state()
        self.done, self.total, self.count = 0, 0.0, 0

    def _batches(self) -> Iterator[tuple[Tree, Tree]]:
        """Those of the epoch that are not done; the others are drawn again, since they move the order on."""
        random = self.place.random_state()
        batches = iter(self.task.train.batches(self.settings.batch_size, self.generator))
        for _ in range(self.done):
            next(batches)
        self.place.set_random_state(random)
        return batches

    def _step(self, number: int, x: Tree, y: Tree) -> tuple[float, bool]:
        """Train on a batch: its loss, and whether it is time to keep the state."""
        if self.own.before_step is not None:
            self.own.before_step(number, self.settings.epochs * self.steps)
        size = length_of(x)
        rows = self.place.share(size)
        weight = (rows.stop - rows.start) / size
        self.optimizer.zero_grad(set_to_none=True)
        loss = torch.zeros((), device=self.place.device)
        if weight:
            part = (x, y) if weight == 1 else (rows_of(x, rows), rows_of(y, rows))
            loss = self._loss(*map(self.place.put, part))
            (loss if weight == 1 else loss * weight).backward()
        told = self.place.combine(self.model, loss, weight, self._is_due)
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)
        return told

    def _loss(self, x: Tree, y: Tree) -> Tensor:
        if self.layout is None:
            self.layout = self.place.layout(self.model, x)
        if self.layout is not torch.preserve_format:
            x = in_layout(x, self.layout)
        with self.place.computing():
            outputs = call(self.model, x)
        if self.place.precision != "32":
            outputs = map_tree(_in_float32, outputs)
        return self.loss_of(outputs, y) if self.own.loss_of is None else self.own.loss_of(x, outputs, y)

    def _metric(self) -> float:
        assert self.task.validation is not None
        return evaluate_primary(self.judged, self.task.validation, self.task)

    def finish(self) -> None:
        """Leave in the model what the settings ask for, and say what was decided."""
        done = len(self.history)
        self.session.history.extend(self.history)
        if done:
            self._choose(done)
            self.model.eval()
            where = self.place.note()
            if where is not None:
                self.session.note(where)
        self.model.cpu()

    def _choose(self, done: int) -> None:
        kept = self.best.weights if self.settings.keep == "best" else self.judged.state_dict()
        assert kept is not None
        if self.settings.keep == "best" or self.average is not None:
            self.model.load_state_dict(kept)
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

    @property
    def _is_due(self) -> bool:
        minutes = (monotonic() - self.saved) / 60
        return self.session.keeper is not None and minutes >= self.session.save_minutes

    def keep(self) -> None:
        """Give the keeper everything."""
        if self.session.keeper is None:
            return
        state = self._state()
        if self.place.is_first:
            ordinary = self.place.device.type == "cpu"
            self.session.keeper.save(state if ordinary else map_tree(_on_the_cpu, state))
        self.saved = monotonic()

    def _state(self) -> dict[str, Any]:
        return {
            "settings": self._asked(),
            "place": self.place.facts(),
            "own": self.own.state(),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": self.scheduler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "best": self.best.state(),
            "order": self.order,
            "random": self.place.gathered(self.place.random_state()),
            "epoch": {"done": self.done, "total": self.total, "count": self.count},
            "history": [asdict(epoch) for epoch in self.history],
        }

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
        if state.get("place") != self.place.facts():
            raise OutputError(
                f"the kept state of stage {self.session.label!r} is of {state.get('place')}, this is "
                f"{self.place.facts()}, where it would not end with the same weights; go on there, "
                "or start a new run"
            )
        self.own.load_state(state["own"])
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.best.load_state(state["best"])
        self.order = state["order"]
        self.generator.set_state(self.order)
        self.place.set_random_state(state["random"][self.place.rank])
        self.done, self.total, self.count = (state["epoch"][name] for name in ("done", "total", "count"))
        self.history = [Epoch(**epoch) for epoch in state["history"]]

    def _asked(self) -> dict[str, Any]:
        return {**self.settings.model_dump(mode="json"), "seed": self.session.seed}


def _in_float32(output: Tensor) -> Tensor:
    return output.float() if output.is_floating_point() else output


def _on_the_cpu(value: Any) -> Any:
    return value.cpu() if isinstance(value, Tensor) else value


def _check_finite(total: float, label: str, epoch: int) -> None:
    if not math.isfinite(total):
        raise TaskError(
            f"the loss of stage {label!r} became {total} in epoch {epoch + 1}; lower its learning_rate"
        )
