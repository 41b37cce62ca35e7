"""Scenes as data for detection, segmentation and reconstruction, composed once and kept in memory."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from edgesqueeze.data import ItemName
from edgesqueeze.data.augmentation import Augmentation, Moved
from edgesqueeze.data.preparation import Preparation
from edgesqueeze.data.scenes.composing import Scene, SceneSettings, compose
from edgesqueeze.data.scenes.draws import Draws
from edgesqueeze.data.scenes.items import Items, ItemSets, load_items
from edgesqueeze.data.splits import ArraySplit
from edgesqueeze.data.task_data import SelfTargets, TaskData
from edgesqueeze.normalization import Normalization
from edgesqueeze.trees import Tree

SceneKind = Literal["detection", "segmentation", "reconstruction"]
_MOVED: dict[SceneKind, Moved] = {
    "detection": "boxes",
    "segmentation": "mask",
    "reconstruction": "nothing",
}


@dataclass(frozen=True)
class SceneSource:
    """What scenes are made of, what they look like, and how many are for training and for testing."""

    items: ItemName | Path
    classes: tuple[str, ...] | None
    settings: SceneSettings
    train: int
    test: int


@dataclass(frozen=True, eq=False)
class _Arrays:
    """Scenes of one split: uint8 [N, 3, H, W], [N, H, W], float32 [N, M, 4], int64 [N, M], -1 for padding."""

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]


def load_scenes(
    source: SceneSource, kind: SceneKind, normalization: Normalization, augmentation: Augmentation | None
) -> TaskData:
    """Compose all scenes, about a millisecond each at 96 × 96; items of test scenes are in no training scene.

    The seed and the number of a scene decide all of it: more scenes leave the first ones as they are, and
    those for detection and for segmentation are the same.

    Raises:
        TaskError: the items are missing or cannot be cut out.
    """
    sets = load_items(source.items, source.classes, source.settings.largest)
    train = _composed(scenes_of(source.settings, sets.train, 0), source.train, source.settings)
    test = _composed(scenes_of(source.settings, sets.test, 1), source.test, source.settings)
    plain = Preparation(normalization, moved=_MOVED[kind])
    changed = Preparation(normalization, augmentation=augmentation, moved=_MOVED[kind])
    splits = [_split(train, kind, changed), _split(test, kind, plain)]
    return TaskData(
        kind=kind,
        train=SelfTargets(splits[0]) if kind == "reconstruction" else splits[0],
        test=SelfTargets(splits[1]) if kind == "reconstruction" else splits[1],
        classes=_classes(sets, kind),
        image_shape=(3, *source.settings.image_size),
        fingerprint=_fingerprint(f"{kind} {normalization!r} {sets.classes!r}", [train, test]),
        normalization=normalization,
    )


def scenes_of(settings: SceneSettings, items: Items, split: int) -> Callable[[int], Scene]:
    """A function from the number of a scene to the scene; split 0 is for training, 1 for testing."""
    places = [np.flatnonzero(items.labels == label) for label in np.unique(items.labels)]
    return lambda index: compose(settings, items, places, Draws(settings.seed, split, index))


def _composed(scene_of: Callable[[int], Scene], count: int, settings: SceneSettings) -> _Arrays:
    size, most = settings.image_size, settings.objects[1]
    arrays = _Arrays(
        np.empty((count, 3, *size), np.uint8),
        np.empty((count, *size), np.uint8),
        np.zeros((count, most, 4), np.float32),
        np.full((count, most), -1, np.int64),
    )
    for index in range(count):
        scene = scene_of(index)
        arrays.images[index], arrays.masks[index] = scene.image, scene.mask
        arrays.boxes[index, : len(scene.labels)] = scene.boxes
        arrays.labels[index, : len(scene.labels)] = scene.labels
    return arrays


def _split(arrays: _Arrays, kind: SceneKind, preparation: Preparation) -> ArraySplit:
    images = torch.from_numpy(arrays.images)
    return ArraySplit(images, _targets(arrays, kind)).prepared(preparation)


def _targets(arrays: _Arrays, kind: SceneKind) -> Tree:
    if kind == "segmentation":
        return torch.from_numpy(arrays.masks)
    if kind == "reconstruction":
        return torch.zeros(len(arrays.images), 0)
    labels = torch.from_numpy(arrays.labels)
    crowd = torch.zeros(labels.shape, dtype=torch.bool)
    return {"boxes": torch.from_numpy(arrays.boxes), "labels": labels, "crowd": crowd}


def _classes(sets: ItemSets, kind: SceneKind) -> tuple[str, ...]:
    if kind == "reconstruction":
        return ()
    return ("background", *sets.classes) if kind == "segmentation" else sets.classes


def _fingerprint(settings: str, splits: list[_Arrays]) -> str:
    digest = hashlib.sha256(settings.encode())
    for arrays in splits:
        for array in (arrays.images, arrays.masks, arrays.boxes, arrays.labels):
            digest.update(f"{array.shape}".encode())
            digest.update(array.data)
    return digest.hexdigest()
