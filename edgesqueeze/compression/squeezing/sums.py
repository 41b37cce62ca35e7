"""Sums over what a layer reads and should answer, in the numbers of a batch's matrix products."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from edgesqueeze.numerics.second_order.moments import Moments, Reals

_EXACT_COLUMNS = 4096
"""Sums of wider layers are kept in float32, to save memory."""


@dataclass(frozen=True)
class Observed:
    """What was seen of a layer.

    ``halves`` are the moments of two halves of the images, or of one image alone; ``read`` [parts, columns]
    and ``answered`` [parts, rows] are means over all that was seen. Moments are about them where a bias makes
    up for means.
    """

    halves: tuple[Moments, ...]
    read: Reals
    answered: Reals

    def together(self) -> Moments:
        """The moments of all images."""
        return reduce(Moments.plus, self.halves)


@dataclass
class Sums:
    """Sums over places, of values less a ``shift`` near their means: little is lost when means are taken off.

    ``inputs`` [parts, columns, columns], ``answers`` [parts, rows, columns], ``read`` [parts, columns],
    ``answered`` [parts, rows].
    """

    shift: tuple[Tensor, Tensor]
    inputs: Tensor
    answers: Tensor
    read: Tensor
    answered: Tensor
    places: int = 0

    @classmethod
    def like(cls, read: Tensor, answered: Tensor, *, centred: bool) -> "Sums":
        """Empty sums of values like these; without ``centred`` nothing is taken off."""
        (parts, columns), rows = read.shape[:2], answered.shape[1]
        kind = torch.float64 if columns <= _EXACT_COLUMNS else torch.float32
        means = (read.mean(-1, keepdim=True), answered.mean(-1, keepdim=True))
        return cls(
            means if centred else (torch.zeros_like(means[0]), torch.zeros_like(means[1])),
            torch.zeros(parts, columns, columns, dtype=kind),
            torch.zeros(parts, rows, columns, dtype=kind),
            torch.zeros(parts, columns, dtype=torch.float64),
            torch.zeros(parts, rows, dtype=torch.float64),
        )

    def empty(self) -> "Sums":
        """Empty sums about the same shift."""
        inputs, answers, read, answered = (
            torch.zeros_like(part) for part in (self.inputs, self.answers, self.read, self.answered)
        )
        return Sums(self.shift, inputs, answers, read, answered)

    def add(self, read: Tensor, answered: Tensor) -> None:
        """Add what the squeezed layer reads [parts, columns, P], the float one answers [parts, rows, P]."""
        read, answered = read - self.shift[0], answered - self.shift[1]
        self.inputs += read @ read.mT
        self.answers += answered @ read.mT
        self.read += read.sum(-1)
        self.answered += answered.sum(-1)
        self.places += read.shape[-1]


def observed(halves: Sequence[Sums], *, centred: bool) -> Observed:
    """The moments of all sums, which are used up; about the means of all together if ``centred``."""
    places = sum(half.places for half in halves)
    read, answered = (sum(getattr(half, name) for half in halves) / places for name in ("read", "answered"))
    moments = tuple(_moments(half, read, answered, centred=centred) for half in halves)
    shift = [part.squeeze(-1).double() for part in halves[0].shift]
    return Observed(moments, (read + shift[0]).numpy(), (answered + shift[1]).numpy())


def _moments(half: Sums, read: Tensor, answered: Tensor, *, centred: bool) -> Moments:
    inputs, answers = half.inputs.div_(half.places), half.answers.div_(half.places)
    if centred:
        own_read, own_answered = half.read / half.places, half.answered / half.places
        off_read, off_answered = own_read - read, own_answered - answered
        inputs += (_outer(off_read, off_read) - _outer(own_read, own_read)).to(inputs.dtype)
        answers += (_outer(off_answered, off_read) - _outer(own_answered, own_read)).to(inputs.dtype)
    return Moments(inputs.numpy(), answers.numpy(), half.places)


def _outer(a: Tensor, b: Tensor) -> Tensor:
    return a[:, :, None] * b[:, None, :]
