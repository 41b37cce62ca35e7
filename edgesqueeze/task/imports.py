"""``package.module:name`` references to the user's own code, importable from the working directory too."""

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from edgesqueeze.errors import TaskError


def import_callable(reference: str) -> Callable[..., Any]:
    """The callable a reference names.

    Installed packages come first; the working directory is searched for what is not installed.

    Args:
        reference: ``package.module:name``; the name may have dots in it.

    Raises:
        TaskError: the module cannot be imported, or has no such callable.
    """
    module_name, _, name = reference.partition(":")
    module = _import_module(module_name, reference)
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            where = getattr(module, "__file__", None) or "built in"
            raise TaskError(f"{reference!r}: module {module_name} ({where}) has no {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise TaskError(f"{reference!r} is of type {type(found).__name__}, which cannot be called")
    return found  # type: ignore[no-any-return]  # callable() narrows Any to nothing more


@contextmanager
def working_directory_importable() -> Iterator[None]:
    """Let imports inside the block find modules in the working directory, after all other places."""
    folder = str(Path.cwd())
    if folder in sys.path or "" in sys.path:
        yield
        return
    sys.path.append(folder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def one_line(error: BaseException) -> str:
    """Type and first line of an exception, for the end of a sentence."""
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _import_module(name: str, reference: str) -> ModuleType:
    with working_directory_importable():
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
                raise TaskError(
                    f"{reference!r}: there is no module {error.name!r}, neither installed nor in {Path.cwd()}"
                ) from error
            raise TaskError(f"{reference!r}: importing {name} raised {one_line(error)}") from error
        except Exception as error:  # the user's module may raise anything
            raise TaskError(f"{reference!r}: importing {name} raised {one_line(error)}") from error
