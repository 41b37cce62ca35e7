"""Recipes: YAML in, a frozen object out; every mistake is named with its place and what is allowed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from edgesqueeze.bundled import bundled_recipes
from edgesqueeze.compression.stages import AnyStage, Squeeze, check_order
from edgesqueeze.errors import RecipeError
from edgesqueeze.exports import AnyExport
from edgesqueeze.exports.squeezed import check_templates
from edgesqueeze.exports.writing import Unsupported
from edgesqueeze.files import is_file
from edgesqueeze.measure.runtimes.latency import MOST_THREADS
from edgesqueeze.settings import read_yaml, settings_error
from edgesqueeze.task.task_config import TaskConfig, is_reference
from edgesqueeze.task.training import SAVE_MINUTES, DeviceName, Precision, TrainingSettings
from edgesqueeze.text.printable import shown
from edgesqueeze.text.yaml_text import parse_yaml

_MOST_DIGITS = 4
"""Of a position in a list."""
ReferenceModel = Literal["alexnet", "lenet5", "lenet300_100", "squeezenet1_0", "squeezenet1_1"]


def _precision_name(value: object) -> object:
    """YAML reads the name 32 as a number."""
    return "32" if value == 32 and not isinstance(value, bool) else value


class Recipe(BaseModel):
    """What to do: the task, the stages in order, the files to write, the models to stand beside."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1]
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100)
    task: TaskConfig | str
    seed: int = Field(default=0, ge=0, lt=2**53)
    """Below 2⁵³: every stage draws from a seed of its own, a thousand times this one and its place."""
    stages: tuple[AnyStage, ...]
    exports: tuple[AnyExport, ...]
    references: tuple[ReferenceModel, ...] = ("alexnet", "lenet5", "lenet300_100")
    """Built-in models measured beside the result, in the same runs."""
    unsupported: Unsupported = "refuse"
    """What becomes of a file that its format cannot hold: ``refuse`` ends the run, before anything is trained
    where that can be known; ``skip`` writes the others and names it in the report."""
    max_drop: float | None = Field(default=None, ge=0, le=1e6)
    """How much of the primary metric a file may lose: points of a share, else the metric's own unit. None is
    what a squeeze stage with ``price: auto`` says, else one point, 0.3 dB, or 1 % of a plain number."""
    threads: int = Field(default=1, ge=1, le=MOST_THREADS)
    """Threads each runtime may use while latency is measured."""
    device: DeviceName = "auto"
    """Where stages train; ``auto`` is the first that is there of cuda, mps and cpu."""
    precision: Annotated[Precision, BeforeValidator(_precision_name)] = "32"
    """``bf16-mixed`` computes in bfloat16 what loses little by it; weights stay float32."""
    save_minutes: Annotated[float, Field(gt=0, le=1440)] = SAVE_MINUTES
    """Minutes between two states that are kept within an epoch; one is kept after every epoch besides."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Recipe":
        if isinstance(self.task, str) and not is_reference(self.task):
            raise ValueError(
                f"task is {self.task!r}; give a mapping with model and data, or 'package.module:build_task'"
            )
        check_order(self.stages)
        quantized = any(stage.makes_integers for stage in self.stages)
        for export in self.exports:
            if "int8" in export.precisions and not quantized:
                raise ValueError(
                    f"export {export.export!r} asks for int8, which needs a 'ptq' or 'qat' stage"
                )
            if "codebook" in export.precisions and not any(stage.shares_weights for stage in self.stages):
                raise ValueError(
                    f"export {export.export!r} asks for codebook, which needs a 'share' or 'squeeze' stage"
                )
        if self.searched is not None and not any(export.export == "squeezed" for export in self.exports):
            raise ValueError(
                "squeeze.price auto looks for the smallest model.sqz; add {export: squeezed} to exports"
            )
        check_templates(self.exports)
        if self.precision != "32" and self.trains_integers:
            raise ValueError(
                f"precision is {self.precision}, but qat's integers need more digits than bfloat16 has; "
                "train in a recipe of its own first, give this one its task.checkpoint and precision: '32'"
            )
        kinds = [export.export for export in self.exports]
        if len(set(kinds)) != len(kinds):
            raise ValueError(f"each export may be named once, found {', '.join(kinds)}")
        return self

    @property
    def searched(self) -> Squeeze | None:
        """The stage whose price is to be found, if there is one."""
        stages = (stage for stage in self.stages if isinstance(stage, Squeeze) and stage.searches)
        return next(stages, None)

    @property
    def allowed_drop(self) -> float | None:
        """What a file may lose: the recipe's ``max_drop``, else that of the stage that looks for a price."""
        if self.max_drop is not None or self.searched is None:
            return self.max_drop
        return self.searched.max_drop

    @property
    def trains_integers(self) -> bool:
        """Whether a stage trains on the integers of the files, and rounds in float64 for that."""
        return any(stage.makes_integers and isinstance(stage, TrainingSettings) for stage in self.stages)


def load_recipe(name_or_path: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe from a file, or a bundled one by its bare name.

    Args:
        name_or_path: a path, or a name from ``bundled_recipes()``.
        overrides: ``key.path=value`` strings, applied before validation.

    Raises:
        RecipeError: the file is missing, is no YAML, or says something that is not allowed.
    """
    path = find_recipe(name_or_path)
    data = read_yaml(path)
    for override in overrides:
        apply_override(data, override)
    return parse_recipe(data, str(name_or_path))


def parse_recipe(data: object, source: str) -> Recipe:
    """Validate plain data; ``source`` names it in error messages."""
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise settings_error(source, error, Recipe) from error


def find_recipe(name_or_path: str) -> Path:
    """The file a ``--recipe`` value means: a path that exists, or a bundled name with or without .yaml."""
    path = Path(name_or_path)
    if is_file(path):
        return path
    bundled = bundled_recipes()
    if path.name == name_or_path and path.stem in bundled:
        return bundled[path.stem]
    raise RecipeError(f"no recipe {shown(name_or_path)}: give a YAML file, or one of {', '.join(bundled)}")


def apply_override(data: dict[str, Any], override: str) -> None:
    """Set one value in place, as in ``compression.stages.prune.epochs=2`` or ``task.data=fashion_mnist``.

    Items of a list are named by their ``stage`` or ``export`` value, or by position from 0.
    """
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {shown(override)} is not of the form key.path=value")
    value = parse_yaml(text, f"--set {shown(override)}: the value")
    target: Any = data
    parts = key.split(".")
    for depth, part in enumerate(parts[:-1]):
        rest = ".".join(parts[depth:])
        if isinstance(target, dict) and rest in target:  # a layer name or glob with dots in it
            target[rest] = value
            return
        target = _step(target, part, override)
    if isinstance(target, list):
        target[_position(target, parts[-1], override)] = value
    elif isinstance(target, dict):
        target[parts[-1]] = value
    else:
        raise RecipeError(
            f"--set {shown(override)}: {'.'.join(parts[:-1])} is a single value, it has no keys"
        )


def _step(target: Any, part: str, override: str) -> Any:
    if isinstance(target, dict):
        if part in target:
            return target[part]
        raise RecipeError(
            f"--set {shown(override)}: no key {shown(part)} here; there is {', '.join(map(str, target))}"
        )
    if isinstance(target, list):
        return target[_position(target, part, override)]
    raise RecipeError(f"--set {shown(override)}: {shown(part)} lies below a single value")


def _position(items: list[Any], part: str, override: str) -> int:
    names = [str(i.get("stage") or i.get("export")) if isinstance(i, dict) else str(i) for i in items]
    if part.isdecimal() and len(part) <= _MOST_DIGITS and int(part) < len(items):
        return int(part)
    if names.count(part) == 1:
        return names.index(part)
    many = (
        f"{part!r} is there {names.count(part)} times, use its position" if part in names else f"no {part!r}"
    )
    listed = ", ".join(f"{i}: {name}" for i, name in enumerate(names))
    raise RecipeError(f"--set {shown(override)}: {many}; there is {listed or 'nothing'}")
