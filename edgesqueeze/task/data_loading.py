"""The data that a recipe asks for, for a kind of task."""

from collections.abc import Callable
from typing import Any, get_args

from edgesqueeze.data import DataName
from edgesqueeze.data.augmentation import Augmentation
from edgesqueeze.data.detection.coco import load_coco
from edgesqueeze.data.detection.voc import load_voc
from edgesqueeze.data.detection.yolo import load_yolo
from edgesqueeze.data.files.reading import Reading
from edgesqueeze.data.files.split import ImageSettings
from edgesqueeze.data.idx import load_idx_directory
from edgesqueeze.data.image_folder import load_image_folder
from edgesqueeze.data.images import load_images, load_unlabelled
from edgesqueeze.data.named import load_named
from edgesqueeze.data.preparation import Sizing
from edgesqueeze.data.scenes.composing import SceneSettings
from edgesqueeze.data.scenes.loading import SceneKind, SceneSource, load_scenes
from edgesqueeze.data.segmentation.masks import load_masks
from edgesqueeze.data.segmentation.oxford_pets import load_oxford_pets
from edgesqueeze.data.segmentation.voc import load_voc_masks
from edgesqueeze.data.task_data import TaskData, augmented, fewer, reconstruction, resized
from edgesqueeze.errors import TaskError
from edgesqueeze.kinds import TaskKind
from edgesqueeze.normalization import Normalization, plain
from edgesqueeze.task.data_config import (
    AugmentConfig,
    CocoData,
    DataConfig,
    FileData,
    IdxData,
    ImageFolderData,
    ImagesData,
    MasksData,
    NamedData,
    NormalizedFileData,
    OxfordPetsData,
    ScenesData,
    VocData,
    YoloData,
    key_of,
)

IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's training images, by which published weights were trained."""
_NAMES = ", ".join(get_args(DataName))
_Loader = Callable[[Any, ImageSettings], TaskData]


def _unlabelled(kind: TaskKind) -> dict[type[FileData], _Loader]:
    return {ImagesData: lambda c, s: load_unlabelled(c.images, s, kind)}


_LOADERS: dict[TaskKind, dict[type[FileData], _Loader]] = {
    "classification": {
        ImageFolderData: lambda c, s: load_image_folder(c.image_folder, s),
        **_unlabelled("classification"),
    },
    "detection": {
        VocData: lambda c, s: load_voc(c.voc, c.classes, s),
        CocoData: lambda c, s: load_coco(c.coco, s),
        YoloData: lambda c, s: load_yolo(c.yolo, s),
        **_unlabelled("detection"),
    },
    "segmentation": {
        MasksData: lambda c, s: load_masks(c.masks, c.classes, s),
        OxfordPetsData: lambda c, s: load_oxford_pets(c.oxford_pets, s),
        VocData: lambda c, s: load_voc_masks(c.voc, c.classes, s),
        **_unlabelled("segmentation"),
    },
    "reconstruction": {
        ImagesData: lambda c, s: load_images(c.images, s),
        ImageFolderData: lambda c, s: load_images(c.image_folder, s),
    },
    "regression": _unlabelled("regression"),
}
"""For each kind of task: what loads the layouts of files that it can be given."""
_ANY_IMAGES: tuple[TaskKind, ...] = ("classification", "reconstruction")
"""The kinds of task that named data and IDX files serve."""


def load_data(config: DataConfig, kind: TaskKind) -> TaskData:
    """Load a recipe's data as a kind of task wants it.

    Raises:
        TaskError: the data are not there or damaged, or a layout has nothing for such a task.
    """
    if isinstance(config, FileData):
        loader = _LOADERS.get(kind, {}).get(type(config))
        if loader is None:
            raise _refused(config, kind)
        return loader(config, _settings(config, kind))
    if isinstance(config, ScenesData):
        return _scenes(config, kind)
    if kind not in _ANY_IMAGES:
        raise _refused(config, kind)
    if kind == "reconstruction" and isinstance(config, IdxData):
        _check_plain(config.mean)
    data = _in_memory(config)
    return reconstruction(data) if kind == "reconstruction" else data


def data_name(config: DataConfig) -> str:
    """What a report calls the data."""
    if isinstance(config, str):
        return config
    if isinstance(config, NamedData):
        size = "" if config.image_size is None else " at {} × {}".format(*config.image_size)
        part = "" if config.train_images is None else f", {config.train_images} training images"
        return f"{config.named}{size}{part}"
    if isinstance(config, ScenesData):
        return "scenes of {} at {} × {}".format(config.scenes.items, *config.scenes.image_size)
    return str(getattr(config, key_of(config)))


def _scenes(config: ScenesData, kind: TaskKind) -> TaskData:
    if kind not in ("detection", "segmentation", "reconstruction"):
        raise _refused(config, kind)
    normalization = _normalization(config.mean, config.std, kind, channels=3)
    scenes = config.scenes
    looks = scenes.model_dump(exclude={"items", "classes", "train", "test"})
    source = SceneSource(scenes.items, scenes.classes, SceneSettings(**looks), scenes.train, scenes.test)
    return load_scenes(source, kind, normalization, _augmentation(config.augment))


def _in_memory(config: DataConfig) -> TaskData:
    if isinstance(config, IdxData):
        normalization = None
        if config.mean is not None and config.std is not None:
            normalization = Normalization(config.mean, config.std)
        data = load_idx_directory(config.idx, normalization=normalization)
        return augmented(data, _augmentation(config.augment))
    if isinstance(config, NamedData):
        data = load_named(config.named)
        repeats = config.channels if data.image_shape[0] == 1 else 1
        data = resized(data, Sizing(config.image_size, repeats))
        if config.train_images is not None:
            data = fewer(data, config.train_images)
        return augmented(data, _augmentation(config.augment))
    assert isinstance(config, str)
    return load_named(config)


def _settings(config: FileData, kind: TaskKind) -> ImageSettings:
    mean, std = (config.mean, config.std) if isinstance(config, NormalizedFileData) else (None, None)
    channels = config.channels if isinstance(config, ImagesData) else 3
    if isinstance(config, ImagesData) and mean is None:
        normalization = plain(channels)
    else:
        normalization = _normalization(mean, std, kind, channels)
    reading = Reading(config.workers, config.cache)
    return ImageSettings(config.image_size, normalization, reading, _augmentation(config.augment))


def _normalization(
    mean: tuple[float, ...] | None, std: tuple[float, ...] | None, kind: TaskKind, channels: int
) -> Normalization:
    if kind == "reconstruction":
        _check_plain(mean)
        return plain(channels)
    return IMAGENET if mean is None or std is None else Normalization(mean, std)


def _check_plain(mean: tuple[float, ...] | None) -> None:
    if mean is not None:
        raise TaskError("a reconstruction is of images in [0, 1]: leave mean and std out of its data")


def _augmentation(config: AugmentConfig) -> Augmentation | None:
    chosen = Augmentation(**config.model_dump())
    return None if chosen == Augmentation() else chosen


def _refused(config: DataConfig, kind: TaskKind) -> TaskError:
    found = f"data {config!r}" if isinstance(config, str) else f"data with {key_of(config)}"
    keys = [key_of(layout) for layout in _LOADERS.get(kind, {})]
    keys += ["scenes"] if kind in get_args(SceneKind) else []
    keys = ["named", "idx", *keys] if kind in _ANY_IMAGES else keys
    if kind == "regression":
        return TaskError(
            f"{found} cannot be used for {kind}, for which a recipe has only images without labels; "
            "with labels give the task in code: task: package.module:build_task"
        )
    names = f"{_NAMES}, or " if kind in _ANY_IMAGES else ""
    return TaskError(f"{found} cannot be used for {kind}; allowed: {names}a mapping with {', '.join(keys)}")
