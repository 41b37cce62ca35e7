"""``package.module:name`` references to the user's own code, importable from the working directory too."""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FunctionType, MethodType, ModuleType
from typing import Any

from edgesqueeze.errors import TaskError
from edgesqueeze.task.origins import check_origin, is_standard


@dataclass(frozen=True)
class UserCode:
    """A callable of the user's, the reference that names it, and the file of the module it was found in."""

    reference: str
    call: Callable[..., Any]
    file: Path

    def origin(self, key: str) -> str:
        """What a report says of it; ``key`` is that of the recipe."""
        return f"{key} {self.reference} from {self.file}"


def import_callable(reference: str, makes: type) -> UserCode:
    """The callable a reference names: a function, or a class of what is to be made. Nothing is called.

    Installed packages come first; the working directory is searched for what is not installed. This keeps
    a recipe from calling what was not written to be called so; it does not make a stranger's code safe, for
    importing a module runs it.

    Args:
        reference: ``package.module:name``; the name may have dots in it.
        makes: what the callable returns.

    Raises:
        TaskError: the module cannot be imported or may not be, or has no such callable.
    """
    module_name, _, name = reference.partition(":")
    module = _import_module(module_name, reference)
    file = getattr(module, "__file__", None)
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise TaskError(f"{reference!r}: module {module_name} ({file}) has no {name!r}") from error
    _check_callable(found, reference, makes)
    return UserCode(reference, found, Path(str(file)))


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
            check_origin(name, reference)
            return importlib.import_module(name)
        except TaskError:
            raise
        except ModuleNotFoundError as error:
            if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
                raise TaskError(
                    f"{reference!r}: there is no module {error.name!r}, neither installed nor in {Path.cwd()}"
                ) from error
            raise TaskError(f"{reference!r}: importing {name} raised {one_line(error)}") from error
        except (Exception, SystemExit) as error:  # the user's module may raise anything, or be a program
            raise TaskError(f"{reference!r}: importing {name} raised {one_line(error)}") from error


def _check_callable(found: Any, reference: str, makes: type) -> None:
    """Refuse what cannot be one's own factory, however it was re-exported."""
    code = found
    while isinstance(code, partial):
        code = code.func
    code = inspect.unwrap(code) if callable(code) else code
    needed = f"a function or a subclass of {makes.__name__} is needed"
    if not isinstance(code, FunctionType | MethodType | type):
        raise TaskError(f"{reference!r} is of type {type(code).__name__}; {needed}")
    home = code.__module__ or ""
    if is_standard(home):
        raise TaskError(f"{reference!r} is {home}.{code.__qualname__} of Python's standard library; {needed}")
    if isinstance(code, type) and not issubclass(code, makes):
        raise TaskError(f"{reference!r} is the class {home}.{code.__qualname__}; {needed}")
