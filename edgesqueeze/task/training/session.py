"""What a stage needs beside its model and task."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from edgesqueeze.progress import Progress
from edgesqueeze.task.training.history import Epoch
from edgesqueeze.task.training.place import Place

SAVE_MINUTES = 10.0


class Keeper(Protocol):
    """Keeps the state of a training under way, so that another process can go on from it."""

    def load(self) -> dict[str, Any] | None:
        """The last state that was kept, or None."""
        ...

    def save(self, state: dict[str, Any]) -> None:
        """Keep a state, made of tensors and plain values, in place of the one before."""
        ...


@dataclass(frozen=True)
class Session:
    """What a stage needs beside its model and task: a label, a seed, and someone to tell.

    ``notes`` collects what the stage decided; it ends up in the stage's row. ``history`` is filled with the
    epochs of the training. With a ``keeper`` a training that was killed goes on from the state kept last:
    after every epoch, and every ``save_minutes`` within one. ``watch`` is told of every epoch as it ends,
    ``place`` is where it trains.
    """

    label: str
    seed: int
    progress: Progress
    notes: list[str] = field(default_factory=list)
    history: list[Epoch] = field(default_factory=list)
    keeper: Keeper | None = None
    save_minutes: float = SAVE_MINUTES
    watch: Callable[[Epoch], None] | None = None
    place: Place = field(default_factory=Place)

    def note(self, text: str) -> None:
        """Tell a decision now, and keep it for the report."""
        self.progress.message(text)
        self.notes.append(text)
