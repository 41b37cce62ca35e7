"""Metrics of images without labels: how close answers are to those of the float network as it was given."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import TaskError
from edgesqueeze.kinds import TaskKind
from edgesqueeze.task.metrics.base import Measure, Parts, Weights
from edgesqueeze.task.metrics.classification import top1_accuracy
from edgesqueeze.trees import Tree, leaves, map_tree

EXACT_DB = 100.0
"""An SQNR is at most this: that of equal answers is infinite."""
AGREEMENT_LOSS = 0.05
"""What may lack of an agreement: where a network hesitates, int8 decides otherwise without being worse."""
POOR_DB = 20.0
"""Below this the noise is more than a tenth of the answer, and decisions change."""


def fidelity_metrics(kind: TaskKind) -> Mapping[str, Measure]:
    """Of class scores the share of images whose largest is the same; of all else the SQNR.

    The targets of ``agreement`` are the float network's classes, int64 [N]; those of ``SQNR`` its outputs.
    """
    if kind == "classification":
        return {"agreement": Measure(top1_accuracy, loss_allowed=AGREEMENT_LOSS)}
    return {
        "SQNR": Measure(output_sqnr, unit="dB", parts=_powers, value=_ratio, loss_allowed=EXACT_DB - POOR_DB)
    }


def output_sqnr(outputs: Tree, targets: Tree) -> float:
    """10 · log10(power of the targets / power of the error) in decibels; of several outputs the worst.

    Args:
        outputs: [N, ...], or a tree.
        targets: of the same form.

    Raises:
        TaskError: there are no rows, or the forms differ.
    """
    parts = _powers(outputs, targets)
    return _ratio(parts, np.ones(len(parts["signal"]), np.int64))


def _powers(outputs: Tree, targets: Tree) -> Parts:
    """Of every image and output the power of the signal and of the error, float64 [N, outputs]."""
    powers = np.stack(list(leaves(map_tree(_signal_and_noise, targets, outputs))), axis=1)
    return {"signal": powers[..., 0], "noise": powers[..., 1]}


def _signal_and_noise(wanted: NDArray[Any], found: NDArray[Any]) -> NDArray[np.float64]:
    if found.shape != wanted.shape or len(found) == 0:
        raise TaskError(
            f"SQNR needs outputs and targets of one shape with N at least 1, "
            f"found {list(found.shape)} and {list(wanted.shape)}"
        )
    exact = wanted.astype(np.float64)
    return np.stack([_power(exact), _power(found - exact)], axis=1)


def _power(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.square(values).reshape(len(values), -1).sum(axis=1))


def _ratio(parts: Parts, weights: Weights) -> float:
    signal, noise = (weights @ parts[name] for name in ("signal", "noise"))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(noise == 0, EXACT_DB, 10 * np.log10(signal / noise))
    return float(np.minimum(ratios, EXACT_DB).min())
