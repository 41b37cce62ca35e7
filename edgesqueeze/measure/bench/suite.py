"""A benchmark suite: which models and files, in which runtimes, how often. YAML in, a frozen object out."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.runtimes.latency import MOST_THREADS
from edgesqueeze.measure.runtimes.runtime import RUNTIMES, RuntimeName
from edgesqueeze.models import BUILT_IN_MODELS

_PRINTED_COUNT = r"^(\d{1,3}(,\d{3})+|\d+(\.\d+)?)[KM]?$"
_MOST_RUNS = 100_000
_MOST_PROCESSES = 100
_MOST_INPUTS = 4096
_LONGEST_S = 86_400
_SCALES = {"K": 1e3, "M": 1e6, "G": 1e9}


def _known_model(value: str) -> str:
    if value in BUILT_IN_MODELS or FileFormat.known(Path(value)) is not None:
        return value
    raise ValueError(
        f"neither a built-in model ({', '.join(BUILT_IN_MODELS)}) nor an .onnx, .tflite or .sqz file"
    )


def _several(value: object) -> object:
    """One number where a list of them may stand."""
    return [value] if isinstance(value, int) else value


ModelName = Annotated[str, AfterValidator(_known_model)]
"""A built-in model, or the path of an .onnx, .tflite or .sqz file from the working directory."""
Threads = Annotated[int, Field(ge=1, le=MOST_THREADS)]
Precision = Literal["fp32", "int8"]
"""What a built-in model is written in."""
BatchSize = Annotated[int, Field(ge=1, le=_MOST_INPUTS)]


class Published(BaseModel):
    """What a source prints about a model, digit for digit; K and M are thousands and millions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    params: str | None = Field(default=None, pattern=_PRINTED_COUNT)
    gmacs: str | None = Field(default=None, pattern=r"^\d+(\.\d+)?$")
    """Thousand millions of multiply-accumulates at the model's usual input size."""
    source: str = Field(min_length=1)


class Suite(BaseModel):
    """What ``edgesqueeze bench`` measures.

    Every model is timed in each runtime, with each number of threads and inputs. With one process there are
    no verdicts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1]
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    models: tuple[ModelName, ...] = Field(min_length=1)
    runtimes: tuple[RuntimeName, ...] = Field(
        default=(RuntimeName.ONNXRUNTIME, RuntimeName.LITERT), min_length=1
    )
    precisions: tuple[Precision, ...] = Field(default=("fp32",), min_length=1)
    """Of built-in models; torch runs fp32 alone. The first is the baseline's."""
    threads: Annotated[tuple[Threads, ...], BeforeValidator(_several)] = Field(default=(1,), min_length=1)
    batch: Annotated[tuple[BatchSize, ...], BeforeValidator(_several)] | None = Field(
        default=None, min_length=1
    )
    """Inputs at once; None for what each file takes, and 1 where it takes any number."""
    shape: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    """Sizes of an input without the batch, for files that leave some of them open."""
    processes: int = Field(default=7, ge=1, le=_MOST_PROCESSES)
    rounds: int = Field(default=20, ge=1, le=_MOST_RUNS)
    samples: int = Field(default=80, ge=1, le=_MOST_RUNS)
    """At least as many are timed of a file in each process."""
    warmup: int = Field(default=5, ge=1, le=_MOST_RUNS)
    sustained_s: float | None = Field(default=None, ge=1, le=_LONGEST_S)
    """Seconds that each file runs alone and without a rest afterwards; None for not at all."""
    baseline: ModelName | None = "alexnet"
    """The model the others are divided into; measured even if ``models`` leaves it out."""
    references: tuple[ModelName, ...] = ()
    """Measured behind the models, in the runtimes that these run in."""
    published: dict[ModelName, Published] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _fits_together(self) -> "Suite":
        lists: dict[str, tuple[str | int, ...]] = {
            "models": self.models,
            "runtimes": self.runtimes,
            "precisions": self.precisions,
            "references": self.references,
        }
        for what, values in {**lists, "threads": self.threads, "batch": self.batch or ()}.items():
            twice = [value for value in values if values.count(value) > 1]
            if twice:
                raise ValueError(
                    f"{what} names {str(twice[0])!r} {values.count(twice[0])} times; once is allowed"
                )
        if self.baseline is not None and FileFormat.known(Path(self.baseline)) is FileFormat.SQZ:
            raise ValueError("a .sqz file does not run, so that nothing can be compared with it")
        if self.runtimes == (RuntimeName.TORCH,) and "fp32" not in self.precisions:
            raise ValueError("torch runs built-in models in fp32, found precisions int8 alone")
        for model in self.all_models:
            if FileFormat.known(Path(model)) is not FileFormat.SQZ and not self.runtimes_of(model):
                raise ValueError(
                    f"{model!r} does not run in the runtimes listed ({', '.join(self.runtimes)})"
                )
        return self

    @property
    def all_models(self) -> tuple[str, ...]:
        """The models in order, and behind them the references and the baseline."""
        baseline = () if self.baseline is None else (self.baseline,)
        return tuple(dict.fromkeys((*self.models, *self.references, *baseline)))

    def runtimes_of(self, model: str) -> tuple[RuntimeName, ...]:
        """The runtimes of the suite that run a model; built-in references run where the others do."""
        if model not in BUILT_IN_MODELS:
            form = FileFormat.known(Path(model))
            return tuple(r for r in self.runtimes if r in RUNTIMES and RUNTIMES[r].runs is form)
        if model in self.models:
            return self.runtimes
        needed = {runtime for other in self.models for runtime in self.runtimes_of(other)}
        return tuple(runtime for runtime in self.runtimes if runtime in needed) or self.runtimes


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
