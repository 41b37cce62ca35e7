"""What is known of every epoch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """One epoch: its number from 1, mean training loss, primary metric, and the rate of its last step.

    The metric is of the validation split; None where the task has none. The test split is left to tables.
    """

    number: int
    loss: float
    metric: float | None
    learning_rate: float
