"""Functions that exporters write in pieces, found again by what the pieces compute, however they are written.

A stretch of elementwise steps from one value to another is a function of one number. Where torch has a name
for that function, one step takes the place of the stretch: in int8 every piece would have a grid of its own.
A layer norm in pieces is a function of one row, and found the same way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgesqueeze.importing.onnx.network import Step, results
from edgesqueeze.importing.onnx.node import Values
from edgesqueeze.importing.onnx.operations.translation import Stored

_LONGEST = 16
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "hardswish": F.hardswish,
    "hardsigmoid": F.hardsigmoid,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "mish": F.mish,
    "sigmoid": torch.sigmoid,
    "softplus": F.softplus,
    "relu6": F.relu6,
    "softsign": F.softsign,
}
_CLOSE = 1e-5
_NUMBERS = torch.linspace(-12, 12, 4801)


@dataclass(frozen=True)
class _Stretch:
    """Steps in order from one value to the result of the last."""

    steps: tuple[Step, ...]
    source: str

    @property
    def result(self) -> str:
        return self.steps[-1].outputs[0]

    @torch.no_grad()
    def of(self, x: Tensor) -> Tensor | None:
        """What comes of a value; None where the steps do not take it."""
        known: dict[str, Any] = {self.source: x}
        try:
            for step in self.steps:
                found = results(step.call(*(known[name] for name in step.inputs)))
                known.update(zip(step.outputs, found, strict=False))
        except (RuntimeError, IndexError):
            return None
        value = known[self.result]
        return value if isinstance(value, Tensor) and value.shape == x.shape else None


def join(steps: Sequence[Step], values: Values) -> list[Step]:
    """The same computation with fewer steps.

    Args:
        steps: in an order in which they can be computed.
        values: what was found when they were read; layers that come of joining are added.
    """
    found = _joined(list(steps), values, _as_function)
    found = _joined(found, values, _as_norm)
    return _with_gains(found, values)


def _joined(
    steps: list[Step], values: Values, join_one: Callable[[_Stretch, Values], Step | None]
) -> list[Step]:
    """Replace stretches from the end on: a longer one is tried before those inside it."""
    made_by = {name: step for step in steps for name in step.outputs}
    gone: set[Step] = set()
    instead: dict[Step, Step] = {}
    for step in reversed(steps):
        if step in gone or not step.kind:
            continue
        for stretch in _stretches(step, steps, made_by, values):
            made = None if gone.intersection(stretch.steps) else join_one(stretch, values)
            if made is not None:
                gone.update(stretch.steps)
                instead[step] = made
                break
    return [instead.get(step, step) for step in steps if step in instead or step not in gone]


def _stretches(
    last: Step, steps: Sequence[Step], made_by: Mapping[str, Step], values: Values
) -> list[_Stretch]:
    """All stretches of two steps and more that end in a step, and whose inner values nobody else reads."""
    order = {step: place for place, step in enumerate(steps)}
    inside, found = [last], []
    while len(inside) < _LONGEST:
        given = {name for step in inside for name in step.inputs}
        outer = given - {name for step in inside for name in step.outputs}
        if len(outer) == 1 and len(inside) > 1:
            found.append(_Stretch(tuple(sorted(inside, key=order.__getitem__)), next(iter(outer))))
        makers = [made_by[name] for name in outer if name in made_by]
        nearest = max((step for step in makers if step.kind), key=order.__getitem__, default=None)
        if nearest is None or not _read_inside(nearest, inside, values):
            break
        inside.append(nearest)
    return found


def _read_inside(step: Step, inside: Sequence[Step], values: Values) -> bool:
    """Whether everybody who reads a step's result is inside."""
    reads = sum(list(reader.inputs).count(step.outputs[0]) for reader in inside)
    return values.readers[step.outputs[0]] == reads


def _as_function(stretch: _Stretch, values: Values) -> Step | None:
    if any(step.kind != "elementwise" for step in stretch.steps):
        return None
    rank = values.examples[stretch.source].ndim
    x = _NUMBERS.reshape(*[1] * (rank - 1), -1)
    found = stretch.of(x)
    if found is None or not found.is_floating_point():
        return None
    for function in _FUNCTIONS.values():
        if bool(((found - function(x)).abs() <= _CLOSE * (1 + x.abs())).all()):
            return Step(function, (stretch.source,), (stretch.result,), kind="elementwise")
    return None


def _as_norm(stretch: _Stretch, values: Values) -> Step | None:
    """A layer norm over the last dimension, without gains."""
    example = values.examples[stretch.source]
    means = sum(step.kind == "row" for step in stretch.steps)
    if means != 2 or example.ndim < 2 or example.shape[-1] < 2:
        return None
    width = example.shape[-1]
    # of a row of 1 and -1 in equal numbers, scaled by s, the norm is s / sqrt(s² + epsilon)
    row = torch.ones(*[1] * (example.ndim - 1), width)
    row[..., 1::2] = -1
    row = (row - row.mean()) / row.std(unbiased=False)
    small = 1e-3
    share = stretch.of(small * row)
    if share is None:
        return None
    size = float((share / row).mean())
    if not 0 < size < 1:
        return None
    epsilon = small**2 / size**2 - small**2
    x = torch.randn(*[1] * (example.ndim - 1), width, generator=torch.Generator().manual_seed(0))
    found = stretch.of(x)
    if found is None or not torch.allclose(found, F.layer_norm(x, (width,), eps=epsilon), atol=_CLOSE):
        return None
    name = f"layer_norm_{len(values.layers)}"
    values.layers[name] = nn.LayerNorm(width, float(f"{epsilon:.3g}"), elementwise_affine=False)
    return Step(_called, (stretch.source,), (stretch.result,), name)


def _called(module: nn.Module, x: Tensor) -> Tensor:
    found: Tensor = module(x)
    return found


def _with_gains(steps: list[Step], values: Values) -> list[Step]:
    """Take a product with a constant row, and a sum with one, into the layer norm before them."""
    readers = {name: step for step in steps for name in step.inputs}
    gone: set[Step] = set()
    instead: dict[Step, Step] = {}
    for step in steps:
        norm = values.layers.get(step.layer)
        if not isinstance(norm, nn.LayerNorm) or norm.elementwise_affine:
            continue
        rows, last = [], step
        for kind in ("Mul", "Add"):
            row = _row_behind(last, readers, values, kind, norm)
            if row is None:
                break
            last = readers[last.outputs[0]]
            rows.append(row)
            gone.add(last)
        if rows:
            name = readers[step.outputs[0]].layer
            values.layers[name] = _with_rows(norm, rows)
            instead[step] = Step(_called, step.inputs, last.outputs, name)
    return [instead.get(step, step) for step in steps if step not in gone]


def _row_behind(
    step: Step, readers: Mapping[str, Step], values: Values, kind: str, norm: nn.LayerNorm
) -> Tensor | None:
    """The constant row that the only reader of a step's result multiplies it by, or adds."""
    reader = readers.get(step.outputs[0])
    stored = values.layers.get(reader.layer) if reader is not None else None
    alone = values.readers[step.outputs[0]] == 1 and reader is not None and reader.operator == kind
    if not alone or not isinstance(stored, Stored):
        return None
    value = stored.get_buffer("value")
    return (
        value.reshape(-1)
        if list(value.shape[-1:]) == list(norm.normalized_shape) == [value.numel()]
        else None
    )


@torch.no_grad()
def _with_rows(norm: nn.LayerNorm, rows: Sequence[Tensor]) -> nn.LayerNorm:
    made = nn.LayerNorm(norm.normalized_shape, norm.eps, bias=len(rows) > 1)
    made.weight.copy_(rows[0])
    if len(rows) > 1:
        made.bias.copy_(rows[1])
    return made
