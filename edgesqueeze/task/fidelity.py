"""Images without labels: the float network as it was given says what is right."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from edgesqueeze.data.splits import DataSplit, Split
from edgesqueeze.errors import TaskError
from edgesqueeze.kinds import TaskKind
from edgesqueeze.task.metrics.classification import named_classes
from edgesqueeze.task.task import Task
from edgesqueeze.task.training import call
from edgesqueeze.trees import Tree, joined, leaves, length_of, map_tree, rows_of

_BLOCK = 64


@dataclass(frozen=True, eq=False)
class AnsweredImages:
    """A split whose targets are a network's answers: of classifiers the class, of others the outputs.

    They are computed as they are first asked for, in blocks that do not depend on who asks, and kept.
    """

    split: DataSplit
    network: nn.Module
    kind: TaskKind
    _known: list[Tree] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.split)

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tree, Tree]]:
        """See :meth:`~edgesqueeze.data.splits.Split.batches`.

        Raises:
            TaskError: a generator is given; images that only measure have one order.
        """
        if generator is not None:
            raise TaskError("images that measure fidelity are walked in their own order")
        start = 0
        for x, _ in self.split.batches(batch_size):
            stop = start + length_of(x)
            yield x, self._answers(start, stop)
            start = stop

    def _answers(self, start: int, stop: int) -> Tree:
        while len(self._known) * _BLOCK < stop:
            self._known.append(self._next_block())
        first = start // _BLOCK
        blocks = joined(self._known[first : -(-stop // _BLOCK)], torch.cat)
        return rows_of(blocks, slice(start - first * _BLOCK, stop - first * _BLOCK))

    @torch.no_grad()
    def _next_block(self) -> Tree:
        begin = len(self._known) * _BLOCK
        x, _ = next(iter(self.split.part(begin, begin + _BLOCK).batches(_BLOCK)))
        outputs = call(self.network, x)
        if self.kind == "classification":
            return torch.from_numpy(named_classes(outputs.numpy()))
        return outputs


def answered_by(network: nn.Module, task: Task) -> Task:
    """A task without labels whose images to measure on have a network's answers as targets.

    These are the test images, and those of the validation split where there is one.

    Args:
        network: in evaluation mode.
        task: with targets that are not looked at.

    Raises:
        TaskError: a split has no parts.
    """
    test = _answered("test", task.test, network, task.kind)
    if task.validation is None:
        return replace(task, test=test)
    return replace(task, test=test, validation=_answered("validation", task.validation, network, task.kind))


def _answered(name: str, split: Split, network: nn.Module, kind: TaskKind) -> AnsweredImages:
    if not isinstance(split, DataSplit):
        raise TaskError(f"the {name} split is {type(split).__name__}, of which no part can be taken")
    return AnsweredImages(split, network, kind)


def check_answers(output: Tree, kind: TaskKind) -> None:
    """Refuse a network whose answers to one example cannot be compared as its kind says.

    Raises:
        TaskError: what is returned, and what to set.
    """
    if kind == "classification":
        scores = isinstance(output, Tensor) and output.ndim == 2 and output.shape[1] > 1
        if not scores:
            found = map_tree(lambda part: list(part.shape), output)
            raise TaskError(
                f"the model returns {found}; agreement needs one tensor of class scores, [1, classes]; for "
                "the SQNR of any outputs say what they are, as in task.kind: regression"
            )
    elif not all(isinstance(part, Tensor) for part in leaves(output)):
        raise TaskError(f"the model returns {type(output).__name__}; tensors are needed")


def no_loss(outputs: Tree, targets: Tree) -> Tensor:  # noqa: ARG001 (what a loss is given)
    """The loss of a task without labels.

    Raises:
        TaskError: always.
    """
    raise TaskError("images without labels have no loss to train by")
