"""Metrics of numbers: the mean absolute error and the root of the mean squared one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import TaskError
from edgesqueeze.task.metrics.base import Measure, Parts, Scores, Weights, member, weighted_mean


def regression_metrics() -> Mapping[str, Measure]:
    """MAE and RMSE over all numbers of all images, in the targets' own unit."""
    return {
        "MAE": member(number_scores, "MAE", _mae, unit="number", higher_is_better=False),
        "RMSE": member(number_scores, "RMSE", _rmse, unit="number", higher_is_better=False),
    }


def number_scores(outputs: NDArray[Any], targets: NDArray[Any]) -> Scores:
    """Numbers [N, K] against numbers [N, K], by torchmetrics.

    Raises:
        TaskError: there are no rows, or the shapes differ.
    """
    import torch
    from torchmetrics import MeanAbsoluteError, MeanSquaredError, MetricCollection

    if outputs.ndim < 1 or outputs.shape != targets.shape or len(outputs) == 0:
        raise TaskError(
            f"MAE needs outputs and targets [N, K] of one shape with N at least 1, "
            f"found {list(outputs.shape)} and {list(targets.shape)}"
        )
    metrics = MetricCollection(
        {
            "MAE": MeanAbsoluteError(sync_on_compute=False),
            "RMSE": MeanSquaredError(squared=False, sync_on_compute=False),
        }
    )
    metrics.set_dtype(torch.float64)
    pair = [np.ascontiguousarray(part, np.float64).reshape(-1) for part in (outputs, targets)]
    metrics.update(*map(torch.from_numpy, pair))
    values = {name: float(value) for name, value in metrics.compute().items()}
    error = np.abs(pair[0] - pair[1]).reshape(len(outputs), -1)
    parts = {"absolute": error.mean(axis=1), "squared": np.square(error).mean(axis=1)}
    return Scores(values, {}, lambda: parts)


def _mae(parts: Parts, weights: Weights) -> float:
    return weighted_mean(parts["absolute"], weights)


def _rmse(parts: Parts, weights: Weights) -> float:
    return float(np.sqrt(weighted_mean(parts["squared"], weights)))
