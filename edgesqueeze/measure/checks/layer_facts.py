"""What the checks on weights judge, layer by layer, and its table."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tabulate import tabulate

from edgesqueeze.text.columns import narrow_table

_FLOAT_HEADER = ["layer", "weights", "pruned", "bits", "zero", "distinct"]


@dataclass(frozen=True)
class PrunedLayer:
    """A layer in the state a prune stage saved; ``asked`` is a fraction of zeros."""

    name: str
    weights: int
    asked: float
    zeros: int

    @property
    def asked_zeros(self) -> int:
        """The fraction as a whole number of weights, rounded as the stage does."""
        return self.weights - round((1 - self.asked) * self.weights)


@dataclass(frozen=True)
class SharedLayer:
    """A layer in the states before and after a share stage: distinct values other than zero."""

    name: str
    num_bits: int
    before: int
    after: int


@dataclass(frozen=True)
class SqueezedLayer:
    """A layer in the state a squeeze stage saved: whether one step has every weight as a multiple."""

    name: str
    on_grid: bool


@dataclass(frozen=True)
class StageEvidence:
    """What a stage left on disk; ``stage`` is the name of its folder."""

    stage: str
    pruned: tuple[PrunedLayer, ...] = ()
    shared: tuple[SharedLayer, ...] = ()
    squeezed: tuple[SqueezedLayer, ...] = ()


@dataclass(frozen=True)
class StoredLayer:
    """A layer's integers as a file holds them. Zero is not counted among the distinct ones.

    ``distinct_per_channel`` is the largest number in one output channel; ``revived`` counts pruned weights
    that are not zero.
    """

    file: str
    zeros: int
    distinct: int
    distinct_per_channel: int
    revived: int


@dataclass(frozen=True)
class LayerEvidence:
    """A layer in float, in the last state before quantization, and in the int8 files.

    ``pruned`` is how many weights the last prune or squeeze stage left at zero, ``revived`` how many of them
    no longer are, ``num_bits`` what the layer's sharing asked for; None where there was no such stage.
    """

    name: str
    weights: int
    zeros: int
    distinct: int
    pruned: int | None = None
    revived: int = 0
    num_bits: int | None = None
    files: tuple[StoredLayer, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def layer_from_json(data: dict[str, Any]) -> LayerEvidence:
    """The inverse of :meth:`LayerEvidence.to_json`."""
    return LayerEvidence(**{**data, "files": tuple(StoredLayer(**file) for file in data["files"])})


def layers_table(layers: Sequence[LayerEvidence], tablefmt: str) -> str:
    """One line a layer: zeros and distinct other values, in float and in every int8 file."""
    files = list(dict.fromkeys(stored.file for layer in layers for stored in layer.files))
    header = [*_FLOAT_HEADER]
    header += [column for file in files for column in (f"{file} zero", "distinct", "per channel")]
    body = []
    for layer in layers:
        stored = {entry.file: entry for entry in layer.files}
        line = _float_cells(layer)
        for file in files:
            line += _stored_cells(stored.get(file), layer.weights)
        body.append(line)
    right = ("left", *("right",) * (len(header) - 1))
    return tabulate(body, headers=header, tablefmt=tablefmt, colalign=right, disable_numparse=True)


def brief_layers_table(layers: Sequence[LayerEvidence]) -> str:
    """The same in lines of at most a hundred columns: int8 files that hold the same stand together."""
    body = []
    for layer in layers:
        found = {tuple(_stored_cells(entry, layer.weights)[:2]) for entry in layer.files}
        stored = found.pop() if len(found) == 1 else ("differ", "differ") if found else ("–", "–")
        body.append([*_float_cells(layer), *stored])
    return narrow_table([*_FLOAT_HEADER, "int8 zero", "int8 distinct"], body)


def _float_cells(layer: LayerEvidence) -> list[str]:
    line = [layer.name, f"{layer.weights:,}", _or_dash(layer.pruned), _or_dash(layer.num_bits)]
    return [*line, _share(layer.zeros, layer.weights), f"{layer.distinct:,}"]


def _stored_cells(stored: StoredLayer | None, weights: int) -> list[str]:
    if stored is None:
        return ["–", "–", "–"]
    return [_share(stored.zeros, weights), str(stored.distinct), str(stored.distinct_per_channel)]


def _or_dash(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %"
