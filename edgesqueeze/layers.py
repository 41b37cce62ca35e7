"""Which layers a setting means: globs over the names of layers that own a weight."""

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import TypeVar

from torch import nn

from edgesqueeze.errors import RecipeError

Value = TypeVar("Value")
WEIGHTED_LAYERS = (nn.Conv2d, nn.Linear, nn.ConvTranspose2d, nn.Conv1d, nn.ConvTranspose1d)


def weighted_layers(model: nn.Module) -> dict[str, nn.Module]:
    """Name to module of every convolution and fully connected layer, in definition order."""
    return {name: m for name, m in model.named_modules() if isinstance(m, WEIGHTED_LAYERS)}


def match_names(names: Collection[str], globs: Collection[str], where: str) -> list[str]:
    """The names that any of the globs means, in their order.

    Raises:
        RecipeError: a glob names none of them.
    """
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in names):
            raise RecipeError(f"{where}: {glob!r} names no layer; the model has {', '.join(names) or 'none'}")
    return [name for name in names if any(fnmatchcase(name, glob) for glob in globs)]


def match_layers(model: nn.Module, setting: Value | Mapping[str, Value], where: str) -> dict[str, Value]:
    """Layer name to value. A single value means every layer; of several globs the first match wins.

    Raises:
        RecipeError: a glob names no layer of the model.
    """
    names = list(weighted_layers(model))
    globs = setting if isinstance(setting, Mapping) else {"*": setting}
    match_names(names, globs, where)
    chosen: dict[str, Value] = {}
    for name in names:
        for glob, value in globs.items():
            if fnmatchcase(name, glob):
                chosen[name] = value
                break
    return chosen
