"""What a recipe says about its data. Importing it needs no torch."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    FiniteFloat,
    Tag,
    model_validator,
)

from edgesqueeze.data import DataName, ItemName

_Level = Annotated[FiniteFloat, Field(ge=-1e6, le=1e6)]
_Spread = Annotated[FiniteFloat, Field(gt=0, le=1e6)]
_Side = Annotated[int, Field(ge=1, le=65_536, strict=True)]
_Factor = Annotated[FiniteFloat, Field(ge=0.1, le=10)]


class Settings(BaseModel):
    """A mapping of a recipe: unknown keys are refused, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _check_channels(mean: tuple[float, ...] | None, std: tuple[float, ...] | None) -> None:
    if (mean is None) != (std is None):
        raise ValueError("mean and std are given together or not at all")
    if mean is not None and std is not None and (len(mean) not in (1, 3) or len(std) != len(mean)):
        raise ValueError(
            f"mean has {len(mean)} and std {len(std)} values; "
            "give one each for grayscale or three each for RGB"
        )


class AugmentConfig(Settings):
    """What may happen to a training image each time it is shown; boxes and masks move along.

    ``flip`` mirrors every second image, left to right. ``crop`` shifts by up to so many pixels (of a named
    data set before it is resized). ``scale_jitter`` is the lowest and the highest factor of a scale.
    ``color`` changes brightness, contrast and saturation by factors from 1 - color to 1 + color.
    """

    flip: bool = False
    crop: Annotated[int, Field(ge=0, le=4096, strict=True)] = 0
    scale_jitter: tuple[_Factor, _Factor] | None = None
    color: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.0

    @model_validator(mode="after")
    def _low_before_high(self) -> Self:
        if self.scale_jitter is not None and self.scale_jitter[0] > self.scale_jitter[1]:
            raise ValueError(f"scale_jitter is {list(self.scale_jitter)}; give the lower factor first")
        return self


class IdxData(Settings):
    """The four IDX files of an MNIST-style directory.

    ``mean`` and ``std`` default to those of the training images, rounded to four decimals.
    """

    idx: Path
    mean: tuple[_Level] | None = None
    std: tuple[_Spread] | None = None
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        _check_channels(self.mean, self.std)
        return self


class NamedData(Settings):
    """A named data set in another size, repeated as three channels, augmented, or only a part of it.

    Only the first ``train_images`` of the training split, whose order is fixed and mixed, are trained on.
    Images are normalized, resized to ``image_size`` (height, width; bilinear), grayscale ones repeated
    ``channels`` times.
    """

    named: DataName
    image_size: tuple[_Side, _Side] | None = None
    channels: Literal[1, 3] = 1
    train_images: Annotated[int, Field(ge=1, le=1_000_000_000, strict=True)] | None = None
    augment: AugmentConfig = AugmentConfig()


class FileData(Settings):
    """What all data in image files have in common.

    Images are resized to ``image_size`` (height, width) without keeping their proportions. ``workers``
    processes decode, with the same results however many there are. ``cache`` is a directory that keeps
    decoded images between epochs and runs; a file is known again by its size and time of change.
    """

    image_size: tuple[_Side, _Side]
    augment: AugmentConfig = AugmentConfig()
    workers: Annotated[int, Field(ge=0, le=256, strict=True)] = 0
    cache: Path | None = None


class NormalizedFileData(FileData):
    """Data in image files, scaled to [0, 1] and normalized.

    ``mean`` and ``std`` have one value each for grayscale, three for RGB; not given, they are those of
    ImageNet, and images are RGB.
    """

    mean: tuple[_Level, ...] | None = None
    std: tuple[_Spread, ...] | None = None

    @model_validator(mode="after")
    def _one_or_three_channels(self) -> Self:
        _check_channels(self.mean, self.std)
        return self


class ImageFolderData(NormalizedFileData):
    """A folder of images, DIR/train/<class>/* and DIR/test/<class>/* (or val), or DIR/<class>/* alone."""

    image_folder: Path


class ImagesData(NormalizedFileData):
    """A folder of images of any structure and without labels, DIR/train and DIR/test (or val), or DIR alone.

    A reconstruction is shown and asked for images in [0, 1]; any other network is compared with itself as it
    was given, and ``mean`` and ``std``, or the task's ``preprocess``, say what it takes. Images have one
    channel (grayscale) or three.
    """

    images: Path
    channels: Literal[1, 3] = 3

    @model_validator(mode="after")
    def _statistics_of_its_channels(self) -> Self:
        if self.mean is not None and len(self.mean) != self.channels:
            raise ValueError(f"mean has {len(self.mean)} values, channels is {self.channels}")
        return self


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise ValueError(f"{twice!r} is named twice; each class has one number")
    return names


_Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1), AfterValidator(_distinct)
]


class VocData(NormalizedFileData):
    """A folder in Pascal VOC's layout, such as VOCdevkit/VOC2012: boxes to detect, masks to segment.

    ``classes`` are in the order of their numbers. Not given, they are the names that are found, sorted, for
    detection, and VOC's own, background first, for segmentation.
    """

    voc: Path
    classes: _Names | None = None


class CocoData(NormalizedFileData):
    """A folder in COCO's layout: annotations/instances_train*.json, and test or val, and their images."""

    coco: Path


class YoloData(NormalizedFileData):
    """A folder in YOLO's layout, with a data.yaml in it, or such a file of another name."""

    yolo: Path


class MasksData(NormalizedFileData):
    """A folder of images and masks: DIR/train/{images,masks} and DIR/test (or val), or these two alone.

    ``classes`` names the values of a mask from 0; 255 is not counted.
    """

    masks: Path
    classes: Annotated[_Names, Field(max_length=255)]


class OxfordPetsData(NormalizedFileData):
    """The Oxford-IIIT Pet data set in torchvision's layout: pets and their background."""

    oxford_pets: Path


_Share = Annotated[FiniteFloat, Field(ge=0, le=1)]
_Size = Annotated[FiniteFloat, Field(gt=0, le=1)]
_SceneSide = Annotated[int, Field(ge=16, le=4096, strict=True)]
_Count = Annotated[int, Field(ge=1, le=1_000_000, strict=True)]


def _name_or_directory(value: object) -> object:
    if not isinstance(value, str | Path):
        raise ValueError(f"allowed: {', '.join(get_args(ItemName))}, or a directory")
    return value


class SceneConfig(Settings):
    """Scenes that are composed from a seed: cut-outs on made-up backgrounds, with boxes and masks.

    ``items`` is named data, gray items that are tinted, or a folder of images with transparency, sorted into
    folders by class: ``classes`` names folders below it (each with all that is below), or, not given, they
    are those with at least five images in them; of named data, ``classes`` are those wanted. The other keys
    are as :class:`~edgesqueeze.data.scenes.composing.SceneSettings` says.
    """

    items: Annotated[ItemName | Path, BeforeValidator(_name_or_directory)]
    classes: Annotated[_Names, Field(max_length=254)] | None = None
    image_size: tuple[_SceneSide, _SceneSide]
    train: _Count = 2000
    test: _Count = 500
    seed: Annotated[int, Field(ge=0, lt=2**63, strict=True)] = 0
    objects: tuple[Annotated[int, Field(ge=1, le=100)], Annotated[int, Field(ge=1, le=100)]] = (1, 4)
    scale: tuple[_Size, _Size] = (0.25, 0.5)
    overlap: Annotated[FiniteFloat, Field(ge=0, lt=1)] = 0.3
    clutter: Annotated[int, Field(ge=0, le=100, strict=True)] = 4
    shading: _Share = 0.3
    noise: _Share = 0.03

    @model_validator(mode="after")
    def _low_before_high(self) -> Self:
        for key, (low, high) in (("objects", self.objects), ("scale", self.scale)):
            if low > high:
                raise ValueError(f"{key} is [{low}, {high}]; give the smaller number first")
        return self


class ScenesData(Settings):
    """Composed scenes, always in RGB; ``mean`` and ``std``, not given, are those of ImageNet."""

    scenes: SceneConfig
    mean: tuple[_Level, _Level, _Level] | None = None
    std: tuple[_Spread, _Spread, _Spread] | None = None
    augment: AugmentConfig = AugmentConfig()

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        _check_channels(self.mean, self.std)
        return self


_KEYS: dict[type[Settings], str] = {
    NamedData: "named",
    IdxData: "idx",
    ImageFolderData: "image_folder",
    ImagesData: "images",
    VocData: "voc",
    CocoData: "coco",
    YoloData: "yolo",
    MasksData: "masks",
    OxfordPetsData: "oxford_pets",
    ScenesData: "scenes",
}
"""The key by which a mapping is known to mean one of the kinds of data."""


DATA_KEYS = tuple(_KEYS.values())
"""All of them."""


def key_of(config: Settings | type[Settings]) -> str:
    """The key by which a mapping is known to mean this kind of data."""
    return _KEYS[config if isinstance(config, type) else type(config)]


def _branch_of(value: Any) -> str | None:
    """The branch of :data:`DataConfig` a value means: its mistakes are reported against that branch only."""
    if isinstance(value, str):
        return "name" if value in get_args(DataName) else None
    for kind, key in _KEYS.items():
        if isinstance(value, kind) or (isinstance(value, dict) and key in value):
            return kind.__name__
    return None


_FILES = [key for kind, key in _KEYS.items() if issubclass(kind, FileData)]
_WAYS = (
    f"{', '.join(get_args(DataName))}, {{named: NAME, image_size: [H, W], channels: 3}}, {{idx: DIR}}, "
    "{scenes: {items: fashion_mnist, image_size: [H, W]}}, or {KEY: DIR, image_size: [H, W]} with one of "
    f"the keys {', '.join(_FILES)}"
)
DataConfig = Annotated[
    Annotated[DataName, Tag("name")]
    | Annotated[NamedData, Tag("NamedData")]
    | Annotated[IdxData, Tag("IdxData")]
    | Annotated[ImageFolderData, Tag("ImageFolderData")]
    | Annotated[ImagesData, Tag("ImagesData")]
    | Annotated[VocData, Tag("VocData")]
    | Annotated[CocoData, Tag("CocoData")]
    | Annotated[YoloData, Tag("YoloData")]
    | Annotated[MasksData, Tag("MasksData")]
    | Annotated[OxfordPetsData, Tag("OxfordPetsData")]
    | Annotated[ScenesData, Tag("ScenesData")],
    Discriminator(_branch_of, custom_error_type="unknown_data", custom_error_message=f"allowed: {_WAYS}"),
]
