"""Checks on the weights: what was pruned and shared, and whether it still is in the int8 files."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tabulate import tabulate

from edgesqueeze.measure.checks.check import Check, Finding, concluded


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


def check_techniques(stages: Sequence[StageEvidence]) -> Check:
    """A prune stage left the zeros it was asked for, a share stage equal values, a squeeze stage a grid."""
    name = "pruned and shared"
    judges = (_prune_findings, _share_findings, _squeeze_findings)
    findings = [finding for stage in stages for judge in judges for finding in judge(stage)]
    if not stages:
        return Check(name, unchecked="no stage prunes, shares or squeezes")
    return concluded(name, f"{', '.join(s.stage for s in stages)}: as asked, in the saved states", findings)


def _prune_findings(stage: StageEvidence) -> list[Finding]:
    layers = stage.pruned
    if layers and not any(layer.zeros for layer in layers):
        return [Finding("fault", f"{stage.stage} pruned nothing", tuple(layer.name for layer in layers))]
    return [
        Finding(
            "fault",
            f"{stage.stage} left {layer.zeros:,} of {layer.weights:,} weights at zero, "
            f"{layer.asked_zeros:,} were asked for",
            (layer.name,),
        )
        for layer in layers
        if layer.zeros < layer.asked_zeros
    ]


def _share_findings(stage: StageEvidence) -> list[Finding]:
    layers = stage.shared
    idle = [layer for layer in layers if layer.after >= layer.before]
    if layers and len(idle) == len(layers):
        what = f"{stage.stage} shared nothing: no layer has fewer distinct values than before"
        return [Finding("fault", what, tuple(layer.name for layer in layers))]
    findings = [
        Finding(
            "fault",
            f"{stage.stage} left {layer.after:,} distinct values, at most {2**layer.num_bits} were asked for",
            (layer.name,),
        )
        for layer in layers
        if layer.after > 2**layer.num_bits
    ]
    if idle:
        what = f"{stage.stage} had nothing to share, the layer has no more values than centroids"
        findings.append(Finding("note", what, tuple(layer.name for layer in idle)))
    return findings


def _squeeze_findings(stage: StageEvidence) -> list[Finding]:
    loose = tuple(layer.name for layer in stage.squeezed if not layer.on_grid)
    what = f"{stage.stage} left weights that are no multiples of one step"
    return [Finding("fault", what, loose)] if loose else []


def check_composition(layers: Sequence[LayerEvidence], files: Sequence[str]) -> Check:
    """No later step has undone an earlier one, in the float state and in the int8 files as written."""
    name = "composition"
    touched = [layer for layer in layers if layer.pruned or layer.num_bits is not None]
    if not touched:
        return Check(name, unchecked="no layer was pruned, shared or squeezed")
    read = {stored.file for layer in layers for stored in layer.files}
    unread = [file for file in files if file not in read]
    findings = [f for layer in touched for f in (*_revived(layer), *_unshared(layer))]
    places = ", ".join(["the last float state", *(file for file in files if file in read)])
    passed = f"what was pruned is zero and what was shared is equal in {places}"
    unchecked = f"{', '.join(unread)}: no int8 weight could be read back" if unread else ""
    return concluded(name, passed, findings, unchecked)


def _revived(layer: LayerEvidence) -> list[Finding]:
    found = {"the last float state": layer.revived, **{f.file: f.revived for f in layer.files}}
    return [
        Finding("fault", f"{count:,} pruned weights are not zero in {place}", (layer.name,))
        for place, count in found.items()
        if layer.pruned and count
    ]


def _unshared(layer: LayerEvidence) -> list[Finding]:
    if layer.num_bits is None:
        return []
    allowed = 2**layer.num_bits
    findings = []
    if layer.distinct > allowed:
        what = f"a shared layer has {layer.distinct:,} distinct values in the last float state, not {allowed}"
        findings.append(Finding("fault", what, (layer.name,)))
    for file in layer.files:
        if file.distinct_per_channel > allowed:
            what = f"a shared layer has {file.distinct_per_channel} distinct integers in one channel"
            findings.append(Finding("fault", f"{what} of {file.file}, not {allowed}", (layer.name,)))
    return findings


def layers_table(layers: Sequence[LayerEvidence], tablefmt: str) -> str:
    """One line a layer: zeros and distinct other values, in float and in every int8 file."""
    files = list(dict.fromkeys(stored.file for layer in layers for stored in layer.files))
    header = ["layer", "weights", "pruned", "bits", "zero", "distinct"]
    header += [column for file in files for column in (f"{file} zero", "distinct", "per channel")]
    body = []
    for layer in layers:
        stored = {entry.file: entry for entry in layer.files}
        line = [layer.name, f"{layer.weights:,}", _or_dash(layer.pruned), _or_dash(layer.num_bits)]
        line += [_share(layer.zeros, layer.weights), f"{layer.distinct:,}"]
        for file in files:
            line += _stored_cells(stored.get(file), layer.weights)
        body.append(line)
    right = ("left", *("right",) * (len(header) - 1))
    return tabulate(body, headers=header, tablefmt=tablefmt, colalign=right, disable_numparse=True)


def _stored_cells(stored: StoredLayer | None, weights: int) -> list[str]:
    if stored is None:
        return ["–", "–", "–"]
    return [_share(stored.zeros, weights), str(stored.distinct), str(stored.distinct_per_channel)]


def _or_dash(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %"
