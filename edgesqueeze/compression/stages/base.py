"""What every stage is: a frozen set of settings with one verb, torch model in, torch model out."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from edgesqueeze.task.task import Task
from edgesqueeze.task.training import Session

Sparsity = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
"""Fraction of zeros, at least 0 and below 1."""
NumBits = Annotated[int, Field(ge=1, le=8, strict=True)]


class Stage(BaseModel):
    """Settings of a step that changes what the network computes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    makes_integers: ClassVar[bool] = False
    """Whether what comes out is a ``compression.quantizing.graph_model.GraphModel``, every integer fixed."""
    shares_weights: ClassVar[bool] = False
    """Whether the layers it covers come out with few distinct weights."""

    @property
    def needs_labels(self) -> bool:
        """Whether the stage reads the targets of the training split."""
        return False

    def check(self, model: nn.Module) -> None:
        """Raise if the settings do not fit the model; called before anything is trained."""

    def apply(self, model: nn.Module, task: Task, session: Session) -> nn.Module:
        """Return the changed model; the one passed in may be changed too and must not be used again."""
        raise NotImplementedError  # abstract: pydantic models and ABCMeta do not mix well
