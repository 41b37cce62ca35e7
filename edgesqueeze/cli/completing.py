"""What the shell offers for ``--recipe`` and ``--set``. A tab must not wait for torch."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

from edgesqueeze.bundled import bundled_recipes, first_comment

_KINDS = ("stage", "export")
"""Keys that say what an item of a list is, and so what it is called."""


def recipe_names(incomplete: str) -> list[tuple[str, str]]:
    """The bundled recipes that begin so, each with its first line; files the shell knows itself."""
    return [
        (name, first_comment(path)) for name, path in bundled_recipes().items() if name.startswith(incomplete)
    ]


def setting_keys(context: typer.Context, incomplete: str) -> list[str]:
    """The keys that the recipe of the line has, as ``--set`` takes them."""
    return [f"{key}=" for key in _keys(_recipe(context.params.get("recipe"))) if key.startswith(incomplete)]


def _recipe(name: str | None) -> Any:
    """The recipe as plain data, None where there is none that can be read: a tab has no room for errors."""
    import yaml

    path = bundled_recipes().get(name or "", Path(name or ""))
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return None


def _keys(data: Any, before: str = "") -> Iterator[str]:
    """The paths to single values, and to mappings and lists of settings as a whole."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _keys(value, f"{before}.{key}" if before else str(key))
    elif isinstance(data, list) and any(isinstance(item, Mapping) for item in data):
        names = [_name(item) for item in data]
        for place, (name, item) in enumerate(zip(names, data, strict=True)):
            own = {k: v for k, v in item.items() if k not in _KINDS} if isinstance(item, Mapping) else item
            yield from _keys(own, f"{before}.{name if names.count(name) == 1 else place}")
    else:
        yield before


def _name(item: Any) -> str:
    """What ``--set`` calls an item of a list."""
    if not isinstance(item, Mapping):
        return str(item)
    return next((str(item[kind]) for kind in _KINDS if kind in item), "")
