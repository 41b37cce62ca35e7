"""Metrics of pictures that should look like others: PSNR, SSIM and the mean squared error."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import TaskError
from edgesqueeze.task.metrics.base import Measure, Parts, Scores, Unit, Weights, member, weighted_mean

EXACT_DB = 100.0
"""The PSNR of a picture is at most this: that of an exact one is infinite, and so would be the mean."""
_BATCH = 64
_SSIM_MARGIN = 5
"""torchmetrics mirrors so many pixels at each border, half its Gaussian window of 11."""


def reconstruction_metrics() -> Mapping[str, Measure]:
    """PSNR, SSIM and MSE, each the mean over the images."""
    units: dict[str, tuple[Unit, bool]] = {
        "PSNR": ("dB", True),
        "SSIM": ("number", True),
        "MSE": ("number", False),
    }
    return {
        name: member(picture_scores, name, _mean_of(name), unit=unit, higher_is_better=higher)
        for name, (unit, higher) in units.items()
    }


def picture_scores(outputs: NDArray[Any], targets: NDArray[Any]) -> Scores:
    """Pictures [N, C, H, W] against pictures in [0, 1], by torchmetrics, image by image.

    PSNR has the range 1 (and :data:`EXACT_DB` at most); SSIM has a Gaussian window of 11 pixels (Wang et al.
    2004, IEEE Transactions on Image Processing 13:600-612).

    Raises:
        TaskError: there are no images, the shapes differ, or they are too small for SSIM's window.
    """
    if outputs.ndim != 4 or outputs.shape != targets.shape or len(outputs) == 0:
        raise TaskError(
            f"PSNR needs outputs and targets [N, C, H, W] of one shape with N at least 1, "
            f"found {list(outputs.shape)} and {list(targets.shape)}"
        )
    if min(outputs.shape[2:]) <= _SSIM_MARGIN:
        raise TaskError(
            f"SSIM needs pictures of {_SSIM_MARGIN + 1} pixels a side, found {list(outputs.shape)}"
        )
    found = [
        _per_image(outputs[start : start + _BATCH], targets[start : start + _BATCH])
        for start in range(0, len(outputs), _BATCH)
    ]
    parts = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    return Scores({name: float(part.mean()) for name, part in parts.items()}, {}, lambda: parts)


def _per_image(outputs: NDArray[Any], targets: NDArray[Any]) -> dict[str, NDArray[np.float64]]:
    import torch
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
    from torchmetrics.functional.regression import mean_squared_error

    pair = [torch.from_numpy(part.astype(np.float32)) for part in (outputs, targets)]
    exact = [part.double() for part in pair]
    psnr = partial(peak_signal_noise_ratio, data_range=1.0, dim=(1, 2, 3), reduction="none")
    columns = [part.flatten(1).T.contiguous() for part in exact]
    found = {
        "PSNR": psnr(*exact).reshape(-1).clamp(max=EXACT_DB),
        "SSIM": structural_similarity_index_measure(*pair, data_range=1.0, reduction="none").reshape(-1),
        "MSE": mean_squared_error(*columns, num_outputs=len(outputs)).reshape(-1),
    }
    return {name: value.double().numpy() for name, value in found.items()}


def _mean_of(name: str) -> Callable[[Parts, Weights], float]:
    return lambda parts, weights: weighted_mean(parts[name], weights)
