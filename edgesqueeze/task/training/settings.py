"""How a stage trains, and whether a task has what the settings ask for."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch.nn import functional as F

from edgesqueeze.errors import RecipeError
from edgesqueeze.task.task import Task

MOST_EPOCHS = 10_000


class TrainingSettings(BaseModel):
    """How a stage trains. Learning rates follow one cycle or a half cosine to zero, or stay constant.

    Before a cosine or a constant rate there may be ``warmup_epochs`` in which it grows in a line, step by
    step (Goyal et al. 2017, arXiv 1706.02677, section 2.2).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    can_average: ClassVar[bool] = True
    """Whether an average over steps is a network of the stage; not where its grids move on with the steps."""
    can_choose: ClassVar[bool] = True
    """Whether any epoch may be the last; not where something beside the weights grows with the epochs."""

    epochs: Annotated[int, Field(ge=0, le=MOST_EPOCHS)] = 0
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.01
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 128
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of SGD; for Adam and AdamW it is the decay of the first moment, beta 1."""
    weight_decay: Annotated[float, Field(ge=0, lt=1)] = 5e-4
    """In SGD and Adam a part of the gradient, in AdamW of the step (Loshchilov and Hutter 2019)."""
    schedule: Literal["one_cycle", "cosine", "constant"] = "cosine"
    warmup_epochs: Annotated[int, Field(ge=0, le=MOST_EPOCHS)] = 0
    """Epochs in which the learning rate grows from zero; part of ``epochs``."""
    clip_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The largest Euclidean norm of all gradients together; longer ones are scaled down to it."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Part of a target that is spread over all classes (Szegedy et al. 2016, arXiv 1512.00567, section 7)."""
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Decay of an exponential moving average of weights and statistics, step by step, which the stage leaves
    in place of the last weights (Polyak and Juditsky 1992)."""
    early_stop: Annotated[int, Field(ge=1, le=MOST_EPOCHS)] | None = None
    """Training ends after so many epochs in a row without a better metric on the validation split."""
    keep: Literal["last", "best"] = "last"
    """Which epoch the stage leaves: the last, or the best on the validation split."""

    @model_validator(mode="after")
    def _schedule_and_choice_fit(self) -> Self:
        if self.warmup_epochs and self.schedule == "one_cycle":
            raise ValueError(
                "one_cycle warms up by itself; leave warmup_epochs out, or take another schedule"
            )
        if self.epochs and self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs is {self.warmup_epochs} of {self.epochs} epochs; fewer are allowed"
            )
        if self.ema is not None and not self.can_average:
            raise ValueError("ema cannot average grids that move while this stage trains; leave it out")
        if self.judges_epochs and not self.can_choose:
            asked = "keep: best" if self.early_stop is None else "early_stop"
            raise ValueError(
                f"{asked} takes one of several like epochs, but this stage changes the network as its epochs "
                "go by; leave it out"
            )
        return self

    @property
    def needs_labels(self) -> bool:
        """Whether the stage reads the targets of the training split, as every training by a loss does."""
        return self.epochs > 0

    @property
    def judges_epochs(self) -> bool:
        """Whether the metric of an epoch decides anything, and not only informs."""
        return self.early_stop is not None or self.keep == "best"


def check_training(settings: TrainingSettings, task: Task, label: str) -> None:
    """Refuse settings for which the task lacks something.

    Raises:
        RecipeError: there are no labels, the task's loss smooths none, or there is no validation split to
            judge by.
    """
    if settings.needs_labels and not task.labelled:
        raise RecipeError(
            f"stage {label!r} needs labels, and the images of {task.name!r} have none; leave it out, or give "
            "data with labels"
        )
    if settings.label_smoothing and task.loss is not F.cross_entropy:
        name = getattr(task.loss, "__name__", type(task.loss).__name__)
        raise RecipeError(
            f"{label}.label_smoothing is for classification with torch's cross_entropy, "
            f"the loss of {task.name!r} is {name}; leave it out"
        )
    if settings.judges_epochs and task.validation is None:
        asked = "keep: best" if settings.early_stop is None else "early_stop"
        raise RecipeError(
            f"{label}.{asked} is judged on a validation split and {task.name!r} has none; set "
            "task.validation: 0.1 to hold that share of the training split out, or give your own Task one"
        )
