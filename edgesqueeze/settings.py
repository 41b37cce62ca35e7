"""Settings from YAML files: read strictly, and what is wrong with them said in one sentence."""

import difflib
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from edgesqueeze.errors import RecipeError
from edgesqueeze.text.printable import shown
from edgesqueeze.text.yaml_text import parse_yaml


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that must hold a mapping.

    Raises:
        RecipeError: it cannot be read, is no YAML, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # ValueError: no UTF-8, or no path
        raise RecipeError(f"{path} cannot be read: {error}") from error
    data = parse_yaml(text, str(path))
    if not isinstance(data, dict):
        raise RecipeError(f"{path} holds {type(data).__name__}, not a mapping of keys to values")
    return data


def settings_error(source: str, error: ValidationError, model: type[BaseModel]) -> RecipeError:
    """One sentence for the first mistake pydantic found: where, what was found, what is allowed."""
    # Of a union, pydantic reports every branch; the branch that got furthest is the one that was meant.
    # A misspelt key also makes the right one missing: the misspelling is what helps.
    detail = max(error.errors(), key=lambda e: (e["type"] == "extra_forbidden", len(e["loc"])))
    where = _format_path(detail["loc"], model)
    found = detail["input"]
    kind = detail["type"]
    if kind == "extra_forbidden":
        key = str(detail["loc"][-1])
        allowed = _allowed_keys(model, detail["loc"])
        close = difflib.get_close_matches(key, allowed, 1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        return RecipeError(f"{source}: {where}: unknown key {key!r}{hint}; allowed: {', '.join(allowed)}")
    if kind == "missing":
        return RecipeError(f"{source}: {where}: this key is required and missing")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        context = detail.get("ctx", {})
        tag = str(context.get("discriminator", "")).strip("'")
        name = context.get("tag") or "nothing"
        listed = context.get("expected_tags") or _tags_at(model, detail["loc"])
        return RecipeError(f"{source}: {where}: {tag} is {name!r}; allowed: {listed}")
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    is_whole = kind == "value_error" and not isinstance(found, str | int | float)
    value = "" if is_whole else f" found {shown(found)},"
    return RecipeError(f"{source}: {where}:{value} {message}" if where else f"{source}: {message}")


def _format_path(loc: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """``stages[1].epochs``: pydantic's location without its union tags."""
    text = ""
    for part, real in zip(loc, _real_parts(loc, model), strict=True):
        if real:
            text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _walk(loc: tuple[int | str, ...], model: type[BaseModel]) -> Iterator[tuple[Any, bool]]:
    """For each part of a location: the annotation it leads to, and whether it is a key the user wrote."""
    annotation: Any = model
    for part in loc:
        members = list(_members(annotation))
        models = [m for m in members if isinstance(m, type) and issubclass(m, BaseModel)]
        chosen = [m for m in models if len(models) > 1 or len(members) > 1 if part in _branch_names(m)]
        with_field = [m for m in models if isinstance(part, str) and part in m.model_fields]
        if chosen and not with_field:
            annotation = chosen[0]
            yield annotation, False
        elif with_field:
            annotation = with_field[0].model_fields[str(part)].annotation
            yield annotation, True
        elif isinstance(part, str) and any(getattr(m, "__name__", str(m)) in part for m in members):
            yield annotation, False
        else:
            inner = [a for m in members for a in get_args(m) if a is not Ellipsis]
            annotation = inner[-1] if inner else annotation
            yield annotation, True


def _real_parts(loc: tuple[int | str, ...], model: type[BaseModel]) -> list[bool]:
    return [real for _, real in _walk(loc, model)]


def _members(annotation: Any) -> Iterator[Any]:
    """The alternatives of an annotation, Annotated and unions taken apart."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        for arg in get_args(annotation):
            yield from _members(arg)
    elif hasattr(annotation, "__metadata__"):
        yield from _members(get_args(annotation)[0])
    else:
        yield annotation


def _branch_names(model: type[BaseModel]) -> set[object]:
    tags = [model.model_fields[key].default for key in ("stage", "export") if key in model.model_fields]
    return {model.__name__, *tags}


def _models_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[type[BaseModel]]:
    annotation: Any = model
    for annotation, _ in _walk(loc, model):  # noqa: B007 (the last one counts)
        pass
    return [m for m in _members(annotation) if isinstance(m, type) and issubclass(m, BaseModel)]


def _allowed_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    return [key for m in _models_at(model, loc[:-1]) for key in m.model_fields]


def _tags_at(model: type[BaseModel], loc: tuple[int | str, ...]) -> str:
    names = [_branch_names(m) - {m.__name__} for m in _models_at(model, loc)]
    return ", ".join(sorted(str(name) for group in names for name in group))
