"""What is known of a built-in network before torch is imported: its task, sizes, options and paper."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from edgesqueeze.errors import RecipeError, TaskError
from edgesqueeze.kinds import TaskKind

if TYPE_CHECKING:
    from torch import nn

OptionValue = bool | int | float | str | None


@dataclass(frozen=True)
class Option:
    """What may be chosen about a built-in network; the first of ``allowed`` is the default."""

    allowed: tuple[OptionValue, ...]
    meaning: str

    @property
    def default(self) -> OptionValue:
        """What is built unless something else is asked for."""
        return self.allowed[0]

    def chosen(self, value: OptionValue) -> OptionValue:
        """The allowed value that equals a given one; 1 means 1.0, but true means no number.

        Raises:
            ValueError: there is none.
        """
        same = (a for a in self.allowed if a == value and isinstance(a, bool) == isinstance(value, bool))
        found = next(same, _NOTHING)
        if found is _NOTHING:
            raise ValueError(", ".join(map(_as_written, self.allowed)))
        return found  # type: ignore[return-value]  # it came from ``allowed``


@dataclass(frozen=True)
class ImageSizes:
    """Heights and widths a network takes: those listed in ``only``, or all multiples from ``smallest`` up."""

    smallest: int = 1
    multiple_of: int = 1
    only: tuple[int, ...] = ()

    def allow(self, height: int, width: int) -> bool:
        """Whether images of this size fit."""
        if self.only:
            return height == width and height in self.only
        return (
            min(height, width) >= self.smallest and height % self.multiple_of == width % self.multiple_of == 0
        )

    def __str__(self) -> str:
        if self.only:
            return " or ".join(f"{size} × {size}" for size in self.only)
        steps = f" that are multiples of {self.multiple_of}" if self.multiple_of > 1 else ""
        return f"heights and widths from {self.smallest} up{steps}"


@dataclass(frozen=True)
class Sizes:
    """What the data decides: how many classes (0 where there are none), and the images' (C, H, W)."""

    num_classes: int
    image_shape: tuple[int, int, int]

    @property
    def channels(self) -> int:
        """C."""
        return self.image_shape[0]

    @property
    def image_size(self) -> tuple[int, int]:
        """H and W."""
        return self.image_shape[1:]


Factory = Callable[[Sizes, Mapping[str, Any]], "nn.Module"]
"""Sizes and the value of every option to a network with random weights."""


@dataclass(frozen=True)
class ModelEntry:
    """A built-in network.

    ``input_shape`` is the default (C, H, W), ``num_classes`` the default number of classes, 0 where the task
    has none; ``paper`` says where the network was published.
    """

    name: str
    kind: TaskKind
    factory: Factory
    input_shape: tuple[int, int, int]
    num_classes: int
    paper: str
    sizes: ImageSizes = ImageSizes()
    options: Mapping[str, Option] = field(default_factory=lambda: MappingProxyType({}))

    def build(
        self,
        num_classes: int | None = None,
        in_channels: int | None = None,
        image_size: tuple[int, int] | None = None,
        options: Mapping[str, OptionValue] | None = None,
    ) -> "nn.Module":
        """The network with random weights; what is left out takes the defaults of the entry.

        Args:
            num_classes: of the data; a network without classes takes no notice of it.
            in_channels: C of the images.
            image_size: H and W of the images.
            options: values for some of the entry's options.

        Raises:
            RecipeError: there is no such option, or its value is not allowed.
            TaskError: the network does not take images of this size.
        """
        channels, height, width = self.input_shape
        height, width = image_size or (height, width)
        values = self.checked_options(options or {})
        if not self.sizes.allow(height, width):
            raise TaskError(f"{self.name} takes images of {self.sizes}, found {height} × {width}")
        sizes = Sizes(
            self.num_classes if num_classes is None else num_classes,
            (channels if in_channels is None else in_channels, height, width),
        )
        return self.factory(sizes, values)

    def checked_options(self, options: Mapping[str, OptionValue]) -> dict[str, OptionValue]:
        """The value of every option, defaults included.

        Raises:
            RecipeError: there is no such option, or its value is not allowed.
        """
        for name in options:
            if name not in self.options:
                known = f"allowed: {', '.join(self.options)}" if self.options else "it has none"
                raise RecipeError(
                    f"{self.name} has no option {name!r}, {known}; it takes its sizes from the data"
                )
        return {name: self._chosen(name, options) for name in self.options}

    def _chosen(self, name: str, options: Mapping[str, OptionValue]) -> OptionValue:
        option = self.options[name]
        if name not in options:
            return option.default
        try:
            return option.chosen(options[name])
        except ValueError as error:
            raise RecipeError(
                f"{name} of {self.name} is {_as_written(options[name])}; allowed: {error}"
            ) from error


_NOTHING = object()


def _as_written(value: OptionValue) -> str:
    """As YAML has it."""
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
