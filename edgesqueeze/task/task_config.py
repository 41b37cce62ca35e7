"""What a recipe says about its task: a model, perhaps a checkpoint, and data. Importing it needs no torch."""

from pathlib import Path
from typing import Annotated, Literal, Self, get_args

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

from edgesqueeze.data import DataName
from edgesqueeze.errors import RecipeError
from edgesqueeze.models import BUILT_IN_MODELS

Scalar = bool | int | float | str | None
_Level = Annotated[FiniteFloat, Field(ge=-1e6, le=1e6)]
_Spread = Annotated[FiniteFloat, Field(gt=0, le=1e6)]
_Side = Annotated[int, Field(ge=1, le=65_536, strict=True)]


def is_reference(text: str) -> bool:
    """Whether a string has the form ``package.module:name``."""
    module, colon, name = text.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))


def _checked_model(model: str) -> str:
    if model not in BUILT_IN_MODELS and not is_reference(model):
        raise ValueError(f"allowed: {', '.join(BUILT_IN_MODELS)}, or 'package.module:factory'")
    return model


def _single_value(value: object) -> object:
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ValueError("allowed: a number, a text, true, false or null")
    return value


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class IdxData(_Settings):
    """The four IDX files of an MNIST-style directory.

    ``mean`` and ``std`` default to those of the training images, rounded to four decimals.
    """

    idx: Path
    mean: tuple[_Level] | None = None
    std: tuple[_Spread] | None = None

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std are given together or not at all")
        return self


class NamedData(_Settings):
    """A named data set of grayscale images in another size, repeated as three channels, or only a part of it.

    Only the first ``train_images`` of the training split, whose order is fixed and mixed, are trained on.
    Images are normalized, resized to ``image_size`` (height, width; bilinear), repeated ``channels`` times.
    """

    named: DataName
    image_size: tuple[_Side, _Side] | None = None
    channels: Literal[1, 3] = 1
    train_images: Annotated[int, Field(ge=1, strict=True)] | None = None


class ImageFolderData(_Settings):
    """A folder of images, DIR/train/<class>/* and DIR/test/<class>/* (or val), or DIR/<class>/* alone.

    Images are resized to ``image_size`` (height, width) without keeping their proportions, scaled to [0, 1]
    and normalized with ``mean`` and ``std``: one value each for grayscale, three for RGB.
    """

    image_folder: Path
    image_size: tuple[_Side, _Side]
    mean: tuple[_Level, ...]
    std: tuple[_Spread, ...]

    @model_validator(mode="after")
    def _one_or_three_channels(self) -> Self:
        if len(self.mean) not in (1, 3) or len(self.std) != len(self.mean):
            raise ValueError(
                f"mean has {len(self.mean)} and std {len(self.std)} values; "
                "give one each for grayscale or three each for RGB"
            )
        return self


def _kind_of_data(value: object) -> str | None:
    """The branch of :data:`DataConfig` a value means: its mistakes are reported against that branch only."""
    if isinstance(value, str):
        return "name" if value in get_args(DataName) else None
    for kind, key in ((IdxData, "idx"), (NamedData, "named"), (ImageFolderData, "image_folder")):
        if isinstance(value, kind) or (isinstance(value, dict) and key in value):
            return kind.__name__
    return None


DataConfig = Annotated[
    Annotated[DataName, Tag("name")]
    | Annotated[NamedData, Tag("NamedData")]
    | Annotated[IdxData, Tag("IdxData")]
    | Annotated[ImageFolderData, Tag("ImageFolderData")],
    Discriminator(
        _kind_of_data,
        custom_error_type="unknown_data",
        custom_error_message=f"allowed: {', '.join(get_args(DataName))}, "
        "{named: NAME, image_size: [H, W], channels: 3}, {idx: DIR}, or "
        "{image_folder: DIR, image_size: [H, W], mean: [...], std: [...]}",
    ),
]


class TaskConfig(_Settings):
    """A classification task from a model and data; paths are relative to the working directory.

    ``model`` is a built-in name or ``package.module:factory``; the factory is called with ``model_args`` and
    nothing else; those of a built-in network are its options. ``validation`` is the share of the training
    split that is held out of it to judge epochs on. The first ``calibration_images`` of the training split
    calibrate int8 ranges.
    """

    model: Annotated[str, AfterValidator(_checked_model)]
    model_args: dict[str, Annotated[Scalar, BeforeValidator(_single_value)]] = {}
    checkpoint: Path | None = None
    data: DataConfig
    calibration_images: int = Field(default=256, ge=1, strict=True)
    validation: Annotated[float, Field(gt=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _built_in_model_has_these_options(self) -> Self:
        if self.model in BUILT_IN_MODELS:
            try:
                BUILT_IN_MODELS[self.model].checked_options(self.model_args)
            except RecipeError as error:  # pydantic adds where it stands
                raise ValueError(str(error)) from error
        return self
