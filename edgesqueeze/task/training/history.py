"""What is known of every epoch."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """One epoch: its number from 1, mean training loss, primary metric, and the rate of its last step.

    The metric is of the validation split, or of the test split where the task has no validation split.
    """

    number: int
    loss: float
    metric: float
    learning_rate: float
