"""The built-in reference networks, by name. Importing this package does not import torch."""

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgesqueeze.errors import RecipeError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["BUILT_IN_MODELS", "ModelEntry", "built_in_model"]


@dataclass(frozen=True)
class ModelEntry:
    """A built-in network.

    ``factory(num_classes, in_channels)`` makes it with random weights, ``input_shape`` is the default
    (C, H, W), ``num_classes`` the default number of classes.
    """

    name: str
    factory: Callable[[int, int], "nn.Module"]
    input_shape: tuple[int, int, int]
    num_classes: int

    def build(self, num_classes: int | None = None, in_channels: int | None = None) -> "nn.Module":
        """The network with random weights; what is left out takes the defaults of the entry."""
        return self.factory(
            self.num_classes if num_classes is None else num_classes,
            self.input_shape[0] if in_channels is None else in_channels,
        )


def built_in_model(name: str) -> ModelEntry:
    """The entry of a name.

    Raises:
        RecipeError: there is no such model.
    """
    if name not in BUILT_IN_MODELS:
        raise RecipeError(f"no built-in model {name!r}; there is {', '.join(BUILT_IN_MODELS)}")
    return BUILT_IN_MODELS[name]


def _lenet300_100(num_classes: int, in_channels: int) -> "nn.Module":
    from edgesqueeze.models.lenet import LeNet300100

    return LeNet300100(num_classes, in_channels)


def _lenet5(num_classes: int, in_channels: int) -> "nn.Module":
    from edgesqueeze.models.lenet import LeNet5

    return LeNet5(num_classes, in_channels)


def _alexnet(num_classes: int, in_channels: int) -> "nn.Module":
    from edgesqueeze.models.alexnet import alexnet

    return alexnet(num_classes, in_channels)


def _squeezenet1_0(num_classes: int, in_channels: int) -> "nn.Module":
    from edgesqueeze.models.squeezenet import squeezenet1_0

    return squeezenet1_0(num_classes, in_channels)


def _squeezenet1_1(num_classes: int, in_channels: int) -> "nn.Module":
    from edgesqueeze.models.squeezenet import squeezenet1_1

    return squeezenet1_1(num_classes, in_channels)


BUILT_IN_MODELS = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            ModelEntry("lenet300_100", _lenet300_100, (1, 28, 28), 10),
            ModelEntry("lenet5", _lenet5, (1, 28, 28), 10),
            ModelEntry("alexnet", _alexnet, (3, 224, 224), 1000),
            ModelEntry("squeezenet1_0", _squeezenet1_0, (3, 224, 224), 1000),
            ModelEntry("squeezenet1_1", _squeezenet1_1, (3, 224, 224), 1000),
        )
    }
)
"""Name to entry, smallest input first; read-only."""
