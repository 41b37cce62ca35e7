"""What a recipe says about its task: a model, perhaps a checkpoint, and data. Importing it needs no torch."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from edgesqueeze.errors import RecipeError
from edgesqueeze.importing.names import KERAS, ONNX, SAVED_MODEL, is_model_file, is_tflite_file
from edgesqueeze.kinds import TaskKind
from edgesqueeze.models import BUILT_IN_MODELS
from edgesqueeze.task.data_config import DataConfig, Settings
from edgesqueeze.task.preprocess import PREPROCESSING

Scalar = bool | int | float | str | None


def is_reference(text: str) -> bool:
    """Whether a string has the form ``package.module:name``."""
    module, colon, name = text.partition(":")
    return bool(colon) and all(part.isidentifier() for part in (*module.split("."), *name.split(".")))


def _checked_model(model: str) -> str:
    if is_tflite_file(model):
        raise ValueError(
            "TFLite files are not read as networks, inspect and bench take them; give the .keras, .h5 or "
            ".onnx file, or the PyTorch model, that it was converted from"
        )
    if model not in BUILT_IN_MODELS and not is_reference(model) and not is_model_file(model):
        raise ValueError(
            f"allowed: {', '.join(BUILT_IN_MODELS)}, 'package.module:factory', "
            f"a file {', '.join((*KERAS, *ONNX))}, or a SavedModel folder, which holds {SAVED_MODEL}"
        )
    return model


def _checked_rule(rule: str) -> str:
    if rule not in PREPROCESSING:
        raise ValueError(f"allowed: {', '.join(PREPROCESSING)}")
    return rule


def _single_value(value: object) -> object:
    if value is not None and not isinstance(value, bool | int | float | str):
        raise ValueError("allowed: a number, a text, true, false or null")
    return value


class TaskConfig(Settings):
    """A task of some kind from a model and data; paths are relative to the working directory.

    ``model`` is a built-in name, a file of Keras or ONNX, or ``package.module:factory``, which is called with
    ``model_args`` and nothing else; those of a built-in network are its options. ``preprocess`` is how pixels
    become inputs, in place of the data's own mean and std. ``checkpoint_key`` says under which key of the
    checkpoint the weights lie, with dots for keys under keys; ``ignore`` are globs over its names that are
    left out. ``kind`` is what the network is asked to do: by default what a built-in one is made for, else
    classification. ``validation`` is the share of the training split that is held out of it to judge epochs
    on. The first ``calibration_images`` of the training split calibrate int8 ranges.
    """

    model: Annotated[str, AfterValidator(_checked_model)]
    model_args: dict[str, Annotated[Scalar, BeforeValidator(_single_value)]] = Field(default={})
    preprocess: Annotated[str, AfterValidator(_checked_rule)] | None = None
    checkpoint: Path | None = None
    checkpoint_key: Annotated[str, Field(min_length=1)] | None = None
    ignore: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    kind: TaskKind | None = None
    data: DataConfig
    calibration_images: int = Field(default=256, ge=1, le=1_000_000, strict=True)
    validation: Annotated[float, Field(gt=0, lt=1)] | None = None

    @property
    def task_kind(self) -> TaskKind:
        """What the network is asked to do."""
        if self.kind is not None:
            return self.kind
        return BUILT_IN_MODELS[self.model].kind if self.model in BUILT_IN_MODELS else "classification"

    @model_validator(mode="after")
    def _a_checkpoint_to_choose_from(self) -> Self:
        if self.checkpoint is None and (self.checkpoint_key is not None or self.ignore):
            key = "ignore" if self.checkpoint_key is None else "checkpoint_key"
            raise ValueError(f"{key} chooses from the weights of a checkpoint; there is no checkpoint")
        return self

    @model_validator(mode="after")
    def _built_in_model_is_of_the_kind(self) -> Self:
        if self.model in BUILT_IN_MODELS and self.task_kind != BUILT_IN_MODELS[self.model].kind:
            made_for = BUILT_IN_MODELS[self.model].kind
            raise ValueError(f"{self.model} is made for {made_for}; kind is {self.task_kind}")
        return self

    @model_validator(mode="after")
    def _file_has_no_options(self) -> Self:
        if is_model_file(self.model) and self.model_args:
            raise ValueError(f"{self.model} is a file, which takes no model_args; leave them out")
        return self

    @model_validator(mode="after")
    def _built_in_model_has_these_options(self) -> Self:
        if self.model in BUILT_IN_MODELS:
            try:
                BUILT_IN_MODELS[self.model].checked_options(self.model_args)
            except RecipeError as error:  # pydantic adds where it stands
                raise ValueError(str(error)) from error
        return self
