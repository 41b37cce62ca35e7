"""What a run would do, found out without training: the network as read, the data, the stages, the time."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesqueeze.compression.quantizing.post_training import Plan, quantize_graph
from edgesqueeze.compression.stages import AnyStage, Ptq, Qat
from edgesqueeze.compression.stages.ptq import CALIBRATION_BATCH
from edgesqueeze.errors import ExportError
from edgesqueeze.exports.base import Export
from edgesqueeze.layers import match_names
from edgesqueeze.measure.checks.file_facts import by_operator
from edgesqueeze.measure.checks.float_operators import float_operators
from edgesqueeze.network.graph.counts import Counts, count_graph
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.pipeline import active_stages, check_fits
from edgesqueeze.run.expected_time import ExpectedTime, expected_time
from edgesqueeze.run.recipe import Recipe
from edgesqueeze.task.task import Task
from edgesqueeze.text.columns import wrapped

_LABEL = 12
"""Columns of what a line is about."""
_SHOWN_LAYERS = 5


@dataclass(frozen=True)
class DryRun:
    """What was found. ``counts`` is None where nothing of the recipe reads the network.

    ``times`` has the expected time of every stage, None for one that does not train. ``float_parts`` says of
    every int8 file what it would compute in float. ``unwritten`` are the files that a format cannot hold.
    """

    recipe: Recipe
    task: Task
    params: int
    counts: Counts | None
    stages: tuple[AnyStage, ...]
    times: tuple[ExpectedTime | None, ...]
    float_parts: tuple[str, ...]
    unwritten: tuple[str, ...]

    def text(self) -> str:
        """A line for each thing, of at most a hundred columns."""
        exports = (f"{export.export} {', '.join(export.precisions)}" for export in self.recipe.exports)
        lines = [
            ("recipe", f"{self.recipe.name}; nothing is trained and nothing is kept"),
            ("network", self._network()),
            ("data", self._data()),
            *((f"stage {place}", said) for place, said in enumerate(self._stages(), start=1)),
            ("exports", "; ".join(exports) or "none"),
            *(("in float", said) for said in self.float_parts),
            *(("not written", said) for said in self.unwritten),
            ("references", ", ".join(self.recipe.references) or "none"),
            ("time", self._time()),
        ]
        return "\n".join(wrapped(f"{label:{_LABEL}}{said}", _LABEL) for label, said in lines)

    def _network(self) -> str:
        checkpoint = self.task.checkpoint
        start = self.task.start if checkpoint is None else f"checkpoint {checkpoint}"
        if self.counts is None:
            return f"{self.task.name}: {self.params:,} parameters, from {start}"
        layers = len(self.counts.layers)
        return (
            f"{self.task.name}: {self.counts.params:,} parameters, {self.counts.macs:,} MACs, "
            f"{layers} layers with weights or products, from {start}"
        )

    def _data(self) -> str:
        task = self.task
        validation = "no" if task.validation is None else f"{len(task.validation):,}"
        if not task.labelled:
            held_out = "" if task.validation is None else f", {validation} judge prices"
            calibration = f"{len(task.calibration):,} images calibrate{held_out}"
            return f"{calibration} and {len(task.test):,} measure; no labels"
        classes = f"; {len(task.classes)} classes" if task.classes else ""
        return (
            f"{len(task.train):,} training, {validation} validation, {len(task.test):,} test and "
            f"{len(task.calibration):,} calibration images{classes}"
        )

    def _stages(self) -> list[str]:
        return [f"{stage.stage}: {_said(t)}" for stage, t in zip(self.stages, self.times, strict=True)]

    def _time(self) -> str:
        known = [time.total_s for time in self.times if time is not None]
        if not known:
            return "nothing is trained; how long the stages and the measurements take is not known before"
        return (
            f"about {_duration(sum(known))} of training: an estimate from a few batches of every stage on "
            "this machine as busy as it is now. Stages that do not train, files and measurements come on top"
        )


def dry_run(recipe: Recipe, task: Task) -> DryRun:
    """Find out what ``compress`` would do; files are written into a temporary directory only.

    Raises:
        EdgeSqueezeError: what ``compress`` would refuse.
    """
    check_fits(recipe, task)
    model = task.initial_model().eval()
    stages = tuple(active_stages(recipe, task))
    quantizing = [stage for stage in stages if isinstance(stage, Ptq | Qat)]
    graph = build_graph(model, task.example_input) if recipe.exports or quantizing else None
    return DryRun(
        recipe,
        task,
        params=sum(p.numel() for p in model.parameters()),
        counts=None if graph is None else count_graph(graph),
        stages=stages,
        times=tuple(expected_time(stage, task, recipe.seed) for stage in stages),
        float_parts=()
        if graph is None or not quantizing
        else _float_parts(recipe, graph, quantizing[-1], task),
        unwritten=()
        if graph is None or recipe.unsupported == "refuse"
        else _unwritten(recipe.exports, graph),
    )


def _float_parts(recipe: Recipe, graph: Graph, stage: Ptq | Qat, task: Task) -> tuple[str, ...]:
    """What the int8 files would compute in float, read from files of the network as it is now."""
    exports = [part for export in recipe.exports for part in export.apart() if part.precisions == ("int8",)]
    if not exports:
        return ()
    names = [node.name for node in graph.weighted if not node.weights_of]
    kept = tuple(match_names(names, stage.keep_float, f"{stage.stage}.keep_float"))
    batches = [next(iter(task.calibration.batches(CALIBRATION_BATCH)))[0]]
    quantized = quantize_graph(graph, batches, Plan(per_channel=stage.per_channel, keep_float=kept))
    said: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        for export in exports:
            try:
                artifacts = export.write(quantized.graph, quantized.spec, Path(folder))
            except ExportError:
                if recipe.unsupported == "refuse":
                    raise
                continue
            said += [f"{artifact.path.name}: {_float_part(artifact.path)}" for artifact in artifacts]
    return tuple(said)


def _float_part(path: Path) -> str:
    found = by_operator(float_operators(path))
    if not found:
        return "nothing between input and output"
    return "; ".join(f"{operator} ({_places(layers)})" for operator, layers in found.items())


def _places(layers: Sequence[str]) -> str:
    more = len(layers) - _SHOWN_LAYERS
    return ", ".join(layers[:_SHOWN_LAYERS]) + (f" and {more} more" if more > 0 else "")


def _unwritten(exports: Sequence[Export], graph: Graph) -> tuple[str, ...]:
    """With ``unsupported: skip``: the files that the structure of the network already rules out."""
    said = []
    for part in (part for export in exports for part in export.apart()):
        try:
            part.check(graph)
        except ExportError as error:
            said.append(f"{part.export} {', '.join(part.precisions)}: {error}")
    return tuple(said)


def _said(time: ExpectedTime | None) -> str:
    if time is None:
        return "no training"
    begins = f"{_duration(time.before_s)} before the first, " if time.before_s >= 1 else ""
    tries = f"{time.trainings} tries of " if time.trainings > 1 else ""
    return (
        f"{tries}{_many(time.epochs, 'epoch')} of {_many(time.steps, 'step')}; {begins}"
        f"{_duration(time.epoch_s)} an epoch, {_duration(time.total_s)} in all"
    )


def _many(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    """Two digits are all that an estimate has."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
