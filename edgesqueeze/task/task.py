"""Task: a model, its data, its loss and its metrics. Nothing here assumes class labels."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from edgesqueeze.data.splits import Split
from edgesqueeze.kinds import TaskKind
from edgesqueeze.normalization import Normalization
from edgesqueeze.numerics.boxes import BoxDecoding
from edgesqueeze.task.checkpoint import Choice, load_checkpoint
from edgesqueeze.task.metrics import (
    Measure,
    Metric,
    Scores,
    compacted,
    measure_of,
    score_all,
)
from edgesqueeze.trees import Tree

BuildModel = Callable[[], nn.Module]
RANDOM_WEIGHTS = "random weights"


@dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """What a run works on.

    ``build_model`` returns a new model each time, with the same initial weights each time; ``checkpoint``
    names the weights a run starts from, if there are any, and ``checkpoint_choice`` says which of the file.
    ``example_input`` is float32 [1, C, H, W].
    ``loss`` maps a batch of outputs and targets to a scalar. A network of several inputs is given a tuple, or
    a dictionary by their names, in batches as in ``example_input``; what a network of several outputs returns
    is given to ``loss`` and ``metrics`` as it is. The first of ``metrics`` is the primary one; a
    plain function is a share of which more is better, a :class:`~edgesqueeze.task.metrics.Measure` says
    otherwise. ``classes`` are names in the order of the outputs, for kinds that have any.
    ``validation`` is what epochs are judged on while training, where there is such a split; ``test`` only
    measures. ``decoding`` is how a detector's raw outputs are read. ``normalization`` is how pixels 0 to 255
    become the inputs, where they do: a file that takes pixels (``input: uint8``) needs it.
    ``fingerprint`` identifies the data: equal data, equal text. ``code`` says which code of the user's made
    the task, and which files that is in, for the report; :func:`~edgesqueeze.task.load_task` fills it in.
    Of a task that is not ``labelled`` the targets to train on are empty, and those of ``test`` are what the
    network answers with the weights it was given. ``given`` names those weights in a report, where
    ``build_model`` does not make random ones, and ``model_files`` are the files that they were read from.
    """

    name: str
    build_model: BuildModel
    train: Split
    calibration: Split
    test: Split
    example_input: Tree
    loss: Callable[[Any, Any], Tensor]
    metrics: Mapping[str, Metric]
    checkpoint: Path | None = None
    checkpoint_choice: Choice = field(default_factory=Choice)
    fingerprint: str
    kind: TaskKind = "classification"
    classes: tuple[str, ...] = ()
    validation: Split | None = None
    decoding: BoxDecoding | None = None
    code: tuple[str, ...] = ()
    normalization: Normalization | None = None
    labelled: bool = True
    given: str = ""
    model_files: tuple[Path, ...] = ()

    @property
    def start(self) -> str:
        """What a report calls the weights that a run starts from."""
        if self.checkpoint is not None:
            return f"checkpoint {self.checkpoint.name}"
        return self.given or RANDOM_WEIGHTS

    @property
    def primary_metric(self) -> str:
        """The name of the first metric."""
        return next(iter(self.metrics))

    @property
    def primary(self) -> Measure:
        """The first metric, and what a table has to know of it."""
        return measure_of(self.metrics[self.primary_metric])

    def score(self, outputs: Tree, targets: Tree) -> dict[str, float]:
        """Every metric of outputs [N, ...] against targets [N, ...], in order: {name: value}."""
        return dict(self.scores(outputs, targets).values)

    def compact(self, outputs: Tree) -> Tree:
        """What the metrics need of a batch's outputs and take in their place: less to keep of a split."""
        return compacted(self.metrics, outputs)

    def scores(self, outputs: Tree, targets: Tree) -> Scores:
        """The same with what is no single number, and with the parts of the primary metric."""
        return score_all(self.metrics, outputs, targets)

    def initial_model(self) -> nn.Module:
        """A new model with the checkpoint's weights, or with its initial ones if there is no checkpoint.

        Raises:
            TaskError: the checkpoint cannot be loaded into the model.
        """
        model = self.build_model()
        self.load_weights(model)
        return model

    def load_weights(self, model: nn.Module) -> tuple[str, ...]:
        """Load the checkpoint into a new model, if there is one; what was taken of it, in sentences.

        Raises:
            TaskError: the checkpoint cannot be loaded into the model, which is left as it was.
        """
        if self.checkpoint is None:
            return ()
        return load_checkpoint(model, self.checkpoint, self.checkpoint_choice).sentences()
