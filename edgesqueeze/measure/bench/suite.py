"""A benchmark suite: which models and files, in which runtimes, how often. YAML in, a frozen object out."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgesqueeze.formats.names import RUNNABLE, FileFormat
from edgesqueeze.measure.runtimes.latency import MOST_THREADS
from edgesqueeze.measure.runtimes.runtime import RUNTIMES, RuntimeName
from edgesqueeze.models import BUILT_IN_MODELS

_PRINTED_COUNT = r"^(\d{1,3}(,\d{3})+|\d+(\.\d+)?)[KM]?$"
_MOST_RUNS = 100_000
_SCALES = {"K": 1e3, "M": 1e6, "G": 1e9}


def _known_model(value: str) -> str:
    if value in BUILT_IN_MODELS or FileFormat.known(Path(value)) in RUNNABLE:
        return value
    if FileFormat.known(Path(value)) is FileFormat.SQZ:
        raise ValueError(
            "a .sqz file does not run: `edgesqueeze decode` it, then name the .onnx or .tflite file"
        )
    raise ValueError(f"neither a built-in model ({', '.join(BUILT_IN_MODELS)}) nor an .onnx or .tflite file")


ModelName = Annotated[str, AfterValidator(_known_model)]
"""A built-in model, or the path of an .onnx or .tflite file from the working directory."""


class Published(BaseModel):
    """What a source prints about a model, digit for digit; K and M are thousands and millions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    params: str | None = Field(default=None, pattern=_PRINTED_COUNT)
    gmacs: str | None = Field(default=None, pattern=r"^\d+(\.\d+)?$")
    """Thousand millions of multiply-accumulates at the model's usual input size."""
    source: str = Field(min_length=1)


class Suite(BaseModel):
    """What ``edgesqueeze bench`` measures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    models: tuple[ModelName, ...] = Field(min_length=1)
    runtimes: tuple[RuntimeName, ...] = Field(
        default=(RuntimeName.ONNXRUNTIME, RuntimeName.LITERT), min_length=1
    )
    threads: int = Field(default=1, ge=1, le=MOST_THREADS)
    samples: int = Field(default=50, ge=1, le=_MOST_RUNS)
    warmup: int = Field(default=5, ge=1, le=_MOST_RUNS)
    baseline: ModelName | None = "alexnet"
    """The model the others are divided into; measured even if ``models`` leaves it out."""
    published: dict[ModelName, Published] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> "Suite":
        for what, values in (("models", self.models), ("runtimes", self.runtimes)):
            twice = [value for value in values if values.count(value) > 1]
            if twice:
                raise ValueError(f"{what} names {twice[0]!r} {values.count(twice[0])} times; once is allowed")
        runnable = {RUNTIMES[runtime].runs for runtime in self.runtimes}
        for model in self.all_models:
            if model not in BUILT_IN_MODELS and FileFormat.known(Path(model)) not in runnable:
                raise ValueError(
                    f"{model!r} does not run in the runtimes listed ({', '.join(self.runtimes)})"
                )
        return self

    @property
    def all_models(self) -> tuple[str, ...]:
        """The models in order, the baseline behind them unless it is one of them."""
        extra = () if self.baseline is None or self.baseline in self.models else (self.baseline,)
        return self.models + extra

    @property
    def needed_runtimes(self) -> tuple[RuntimeName, ...]:
        """The runtimes that run at least one of ``models``: the baseline is measured in these."""
        formats = {FileFormat.known(Path(model)) for model in self.models if model not in BUILT_IN_MODELS}
        all_of_them = any(model in BUILT_IN_MODELS for model in self.models)
        return tuple(r for r in self.runtimes if all_of_them or RUNTIMES[r].runs in formats)


def load_suite(path: Path) -> Suite:
    """Read a suite from a YAML file.

    Raises:
        RecipeError: the file is missing, is no YAML, or says something that is not allowed.
    """
    from edgesqueeze.settings import read_yaml

    return _validated(read_yaml(path), str(path))


def change_suite(suite: Suite, changes: Mapping[str, object], source: str = "bench") -> Suite:
    """A suite with some keys replaced, checked like a file; ``source`` names it in error messages.

    Raises:
        RecipeError: an unknown key or a value that is not allowed.
    """
    return _validated({**suite.model_dump(), **changes}, source)


def agrees(printed: str, value: float) -> bool:
    """Whether a value is what a source printed, cut or rounded to the digits it printed."""
    match = re.fullmatch(r"([\d,]+)(?:\.(\d+))?([KMG]?)", printed)
    if match is None:
        return False
    whole, decimals, scale = match.groups()
    unit = _SCALES.get(scale, 1.0)
    number = float(f"{whole.replace(',', '')}.{decimals or 0}") * unit
    return abs(value - number) < unit * 10.0 ** -len(decimals or "")


def _validated(data: Mapping[str, object], source: str) -> Suite:
    try:
        return Suite.model_validate(data)
    except ValidationError as error:
        from edgesqueeze.settings import settings_error

        raise settings_error(source, error, Suite) from error
