"""The built-in reference networks, by name. Importing this package does not import torch."""

from types import MappingProxyType

from edgesqueeze.errors import RecipeError
from edgesqueeze.models.entries import ENTRIES
from edgesqueeze.models.entry import ImageSizes, ModelEntry, Option, Sizes

__all__ = ["BUILT_IN_MODELS", "ImageSizes", "ModelEntry", "Option", "Sizes", "built_in_model"]

BUILT_IN_MODELS = MappingProxyType({entry.name: entry for entry in ENTRIES})
"""Name to entry, of each task the smallest first; read-only."""


def built_in_model(name: str) -> ModelEntry:
    """The entry of a name.

    Raises:
        RecipeError: there is no such model.
    """
    if name not in BUILT_IN_MODELS:
        raise RecipeError(f"no built-in model {name!r}; there is {', '.join(BUILT_IN_MODELS)}")
    return BUILT_IN_MODELS[name]
