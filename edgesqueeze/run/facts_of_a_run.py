"""The facts that the "did it really work" checks judge, gathered from what is on disk."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.coding.decoder.container import VERSION, file_version
from edgesqueeze.coding.levels import distinct_patterns, find_step
from edgesqueeze.compression.stages import AnyStage, Prune, Share, Squeeze
from edgesqueeze.compression.state import State
from edgesqueeze.exports import Artifact
from edgesqueeze.formats.any_file import read_int8_weights
from edgesqueeze.formats.names import RUNNABLE, FileFormat
from edgesqueeze.formats.sqz.describe import template_bytes
from edgesqueeze.layers import match_layers
from edgesqueeze.measure.checks.accuracy.accuracy import Judged
from edgesqueeze.measure.checks.accuracy.variety import Variety
from edgesqueeze.measure.checks.delegation import undelegated
from edgesqueeze.measure.checks.enough_images import AnswersEvidence
from edgesqueeze.measure.checks.file_facts import FileEvidence
from edgesqueeze.measure.checks.float_operators import float_operators
from edgesqueeze.measure.checks.image_answers import ImageAnswers
from edgesqueeze.measure.checks.layer_facts import (
    LayerEvidence,
    PrunedLayer,
    SharedLayer,
    SqueezedLayer,
    StageEvidence,
    StoredLayer,
)
from edgesqueeze.network.graph.nodes import Floats, Graph
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.run.report import Row
from edgesqueeze.task.metrics import Measure
from edgesqueeze.task.task import Task

Weights = dict[str, Floats]
"""Layer to float32 weight."""
StateOnDisk = tuple[str, AnyStage | None, State]
"""The name of a stage's folder, the stage, and the state loaded from the folder."""


def file_evidence(artifact: Artifact, row: Row) -> FileEvidence:
    """What is known of a written file and of its row.

    Raises:
        ExportError: a runtime cannot say what it makes of the file.
    """
    assert row.latency is not None
    full_int8 = artifact.precision == "int8" and artifact.format in RUNNABLE
    return FileEvidence(
        name=artifact.path.name,
        format=artifact.format,
        precision=artifact.precision,
        num_bytes=artifact.num_bytes,
        runtime=row.runtime,
        latency=row.latency,
        float_operators=float_operators(artifact.path) if full_int8 else None,
        undelegated=undelegated(artifact.path) if artifact.format is FileFormat.TFLITE else None,
        template_bytes=_template_bytes(artifact) if artifact.format is FileFormat.SQZ else 0,
    )


def _template_bytes(artifact: Artifact) -> int:
    data = artifact.path.read_bytes()
    return template_bytes(data) if file_version(data) == VERSION else 0


def kept_in_float(graph: Graph, spec: QuantSpec | None) -> frozenset[str]:
    """The layers of a quantized network that have no integers, so were asked to stay in float."""
    if spec is None:
        return frozenset()
    unquantized = {node.name for node in graph.nodes if node.name not in spec.activations}
    return frozenset(unquantized | {node.name for node in graph.weighted if node.name not in spec.weights})


def answers_evidence(
    task: Task, baseline: Row, rows: Sequence[Row], least: float | None = None
) -> AnswersEvidence:
    """How the files' answers compare with the baseline's, image by image.

    Args:
        task: whose test split it is.
        baseline: the row that the others are compared with.
        rows: of the files.
        least: without labels, what the metric must be.
    """
    unpaired = ""
    if any(row.interval is None for row in rows):
        unpaired = (
            f"{task.primary_metric!r} is not the share of test images that are right, has no parts to be "
            "resampled, and is too slow, or not defined, to be called on resampled images; so there is no "
            "interval and no paired test"
        )
    elif any(row.paired is None for row in rows):
        unpaired = f"this run began with a version that did not keep the answers of {baseline.label!r}"
    tests = {row.label: row.paired for row in rows if row.paired is not None}
    fidelity = {row.label: (row.primary or 0.0, row.interval) for row in rows if row.interval is not None}
    return AnswersEvidence(
        metric=task.primary_metric,
        measure=task.primary,
        baseline=baseline.label,
        value=baseline.primary or 0.0,
        test_examples=len(task.test),
        tests=tests,
        unpaired=unpaired,
        least=least,
        fidelity=fidelity,
    )


def judged(name: str, row: Row, answers: ImageAnswers, measure: Measure) -> Judged:
    """What the check of accuracy has to know of a state or a file.

    Args:
        name: what it is called there: the label of the baseline, the folder of a state, the name of a file.
        row: its row.
        answers: the same image by image.
        measure: the primary metric.
    """
    varied = row.details.get("variety")
    return Judged(
        name=name,
        value=math.nan if row.primary is None else row.primary,
        variety=None if varied is None else Variety(**varied),
        right=answers.right(measure),
        test=row.paired,
        interval=row.interval,
    )


def layers_and_stages(
    states: Iterable[StateOnDisk], artifacts: Sequence[Artifact]
) -> tuple[tuple[LayerEvidence, ...], tuple[StageEvidence, ...]]:
    """What every prune, share and squeeze stage left on disk, and every layer in float and in the int8 files.

    The float state is the last one before quantization; ``states`` are looked at up to there.
    """
    stages: list[StageEvidence] = []
    zeros: dict[str, NDArray[np.bool_]] = {}
    num_bits: dict[str, int] = {}
    weights: Weights = {}
    for folder, stage, state in states:
        found = state.layers()
        if found is None:
            break
        before, weights = weights, found
        if isinstance(stage, Prune):
            asked = match_layers(state.module, stage.sparsity, "prune.sparsity")
            zeros |= {name: weights[name] == 0 for name in asked}
            stages.append(StageEvidence(folder, pruned=_pruned(weights, asked)))
        elif isinstance(stage, Share):
            bits = match_layers(state.module, stage.num_bits, "share.num_bits")
            num_bits |= bits
            stages.append(StageEvidence(folder, shared=_shared(before, weights, bits)))
        elif isinstance(stage, Squeeze):
            zeros = {name: weight == 0 for name, weight in weights.items()}
            stages.append(StageEvidence(folder, squeezed=_squeezed(weights)))
    stored = {a.path.name: read_int8_weights(a.path) for a in artifacts if _holds_integers(a)}
    layers = tuple(
        _layer(name, weight, zeros.get(name), num_bits.get(name), stored) for name, weight in weights.items()
    )
    return layers, tuple(stages)


def _pruned(weights: Weights, asked: dict[str, float]) -> tuple[PrunedLayer, ...]:
    return tuple(
        PrunedLayer(name, weights[name].size, share, int((weights[name] == 0).sum()))
        for name, share in asked.items()
    )


def _shared(before: Weights, after: Weights, num_bits: dict[str, int]) -> tuple[SharedLayer, ...]:
    return tuple(
        SharedLayer(name, bits, _distinct(before[name]), _distinct(after[name]))
        for name, bits in num_bits.items()
    )


def _squeezed(weights: Weights) -> tuple[SqueezedLayer, ...]:
    found = {name: distinct_patterns(weight.reshape(-1).view(np.uint32)) for name, weight in weights.items()}
    return tuple(
        SqueezedLayer(name, values is not None and find_step(values) is not None)
        for name, values in found.items()
    )


def _holds_integers(artifact: Artifact) -> bool:
    return artifact.precision == "int8" and artifact.format in RUNNABLE


def _layer(
    name: str,
    weight: Floats,
    pruned: NDArray[np.bool_] | None,
    num_bits: int | None,
    stored: dict[str, dict[str, NDArray[np.int8]]],
) -> LayerEvidence:
    # A layer whose shape was changed behind pruning has no positions to compare.
    positions = pruned if pruned is not None and pruned.shape == weight.shape else None
    files = [
        _stored_layer(file, found[name], positions)
        for file, found in stored.items()
        if name in found and found[name].shape == weight.shape
    ]
    return LayerEvidence(
        name=name,
        weights=weight.size,
        zeros=int((weight == 0).sum()),
        distinct=_distinct(weight),
        pruned=None if positions is None else int(positions.sum()),
        revived=0 if positions is None else int(np.count_nonzero(weight[positions])),
        num_bits=num_bits,
        files=tuple(files),
    )


def _stored_layer(file: str, weight: NDArray[np.int8], positions: NDArray[np.bool_] | None) -> StoredLayer:
    return StoredLayer(
        file=file,
        zeros=int((weight == 0).sum()),
        distinct=_distinct(weight),
        distinct_per_channel=max(_distinct(channel) for channel in weight),
        revived=0 if positions is None else int(np.count_nonzero(weight[positions])),
    )


def _distinct(weight: Floats | NDArray[np.int8]) -> int:
    """How many values other than zero."""
    return len(np.unique(weight[weight != 0]))
