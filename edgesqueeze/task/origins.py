"""Where a module of the user's would be imported from, found out before any of it runs."""

import importlib.metadata
import importlib.util
import json
import os
import site
import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from edgesqueeze.errors import TaskError

_NO_FOLDER = ("#", "import ", "import\t")
"""What lines of a .pth file begin with that are remarks or code."""


def check_origin(name: str, reference: str) -> None:
    """Refuse a module that is neither in the working directory nor installed.

    Installed is what lies in a folder of installed packages, what a ``.pth`` file there adds or an editable
    installation names, and what the user's ``PYTHONPATH`` has. Not what only happens to be importable: the
    folder of the program that runs, or one that a library has added.

    Args:
        name: the module, dots and all.
        reference: what the user wrote, for messages.

    Raises:
        TaskError: the module belongs to Python's standard library, or lies in another place.
        ModuleNotFoundError: there is none, or none that was read from a file.
    """
    parts = name.split(".")
    if is_standard(name):
        raise TaskError(
            f"{reference!r}: {parts[0]!r} belongs to Python's standard library; "
            "a module of your own or of an installed package is needed"
        )
    for depth, _ in enumerate(parts):
        package = ".".join(parts[: depth + 1])
        spec = _spec(package)
        if spec.origin is not None:
            # The file of a.b is FOLDER/a/b.py, or FOLDER/a/b/__init__.py.
            levels = depth + (spec.submodule_search_locations is not None)
            _check_folder(Path(spec.origin), levels, reference)
            return
        importlib.import_module(package)  # a folder without __init__.py: nothing runs


def is_standard(name: str) -> bool:
    """Whether a module is one of Python's own, built in or not."""
    return name.partition(".")[0] in sys.stdlib_module_names


def _spec(name: str) -> ModuleSpec:
    try:
        spec = importlib.util.find_spec(name)
    except ValueError:  # of a module that was not imported from anywhere, __main__ for one
        spec = None
    if spec is None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return spec


def _check_folder(file: Path, levels: int, reference: str) -> None:
    folder = file.parents[levels].resolve()
    if folder in {path.resolve() for path in _folders()}:
        return
    if any(file.resolve().is_relative_to(project) for project in _editable_projects()):
        return
    raise TaskError(
        f"{reference!r}: {file} is neither in the working directory nor installed; "
        f"run in {folder}, put that on PYTHONPATH, or install it with pip install -e"
    )


def _folders() -> Iterator[Path]:
    """The folders that a user's module may be found in."""
    yield Path.cwd()
    if not sys.flags.ignore_environment:
        # Python's own variable, which the user has set; sys.path does not say what of it came from there.
        yield from map(Path, filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    for packages in _site_folders():
        yield packages
        for file in packages.glob("*.pth"):
            lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
            yield from (packages / line for line in lines if line and not line.startswith(_NO_FOLDER))


def _site_folders() -> list[Path]:
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return [Path(folder) for folder in (*site.getsitepackages(), *user)]


def _editable_projects() -> Iterator[Path]:
    """The folders of projects that are installed in place (PEP 610), however their modules are found."""
    for distribution in importlib.metadata.distributions(path=[str(f) for f in _site_folders()]):
        text = distribution.read_text("direct_url.json")
        found = json.loads(text) if text else {}
        if found.get("dir_info", {}).get("editable"):
            yield Path(url2pathname(urlparse(found["url"]).path)).resolve()
