"""Keras models from files: ``.keras`` and ``.h5``, on Keras's torch backend, nothing in them executed."""

import importlib
import io
import os
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from edgesqueeze.errors import TaskError
from edgesqueeze.importing.keras.limits import check_sizes
from edgesqueeze.importing.keras.network import KerasNetwork

_INSTALL = "pip install 'edgesqueeze[keras]'"
_LARGEST_CONFIG = 64 << 20
_DEEPEST = 64
"""Levels of groups; one that holds itself has no end."""
_LARGEST_GROWTH = 64
"""A part of the archive may be so many times its packed size: weights hardly shrink, bombs a thousandfold."""


def load_keras(path: Path) -> KerasNetwork:
    """The network in a ``.keras`` or ``.h5`` file, without its training configuration.

    Raises:
        TaskError: the file is missing, damaged, of another kind, holds code (a ``Lambda``) or layers that are
            not Keras's own; or Keras is not installed, or runs on another backend in this process.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        raise TaskError(f"Keras model {path} cannot be read: {error.strerror}") from error
    keras = keras_on_torch()
    stored = _check_parts(path)
    try:
        check_sizes(keras, path, stored)
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except TaskError:
        raise
    except Exception as error:  # Keras raises many unrelated types
        raise TaskError(f"Keras model {path} cannot be loaded: {_reason(error)}") from error
    return network_of(model, str(path))


def network_of(model: Any, source: str) -> KerasNetwork:
    """A Keras model as a torch module; ``source`` says where it comes from.

    Raises:
        TaskError: it is not built, or see :class:`~edgesqueeze.importing.keras.network.KerasNetwork`.
    """
    keras_on_torch()
    if not model.built:
        raise TaskError(
            f"the Keras model of {source} has no weights yet; call it once, or build(input_shape)"
        )
    try:
        return KerasNetwork(model)
    except TaskError as error:
        raise TaskError(f"{source}: {error}") from error


def is_keras_model(value: object) -> bool:
    """Whether something is a ``keras.Model``; Keras is not imported for it."""
    keras = sys.modules.get("keras")
    return keras is not None and isinstance(value, keras.Model)


def keras_on_torch() -> ModuleType:
    """Keras on its torch backend, imported if it is not yet.

    Raises:
        TaskError: it is not installed, or has been imported on another backend.
    """
    if "keras" not in sys.modules:
        with _backend_torch():
            try:
                importlib.import_module("keras")
            except ImportError as error:
                raise TaskError(f"Keras models need Keras 3: {_INSTALL}") from error
    keras = sys.modules["keras"]
    found = keras.config.backend()
    if found != "torch":
        raise TaskError(
            f"Keras runs on {found} in this process and cannot change to torch any more; set "
            "KERAS_BACKEND=torch before keras is imported"
        )
    return keras


@contextmanager
def _backend_torch() -> Iterator[None]:
    """Keras asks the environment, once, when it is imported."""
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "torch"
    try:
        yield
    finally:
        if before is None:
            del os.environ["KERAS_BACKEND"]
        else:
            os.environ["KERAS_BACKEND"] = before


def _check_parts(path: Path) -> int:
    """Refuse archives that unpack to what nobody wants, and weights that point out of their file.

    Returns:
        How many values of weights there are.
    """
    if path.is_dir():
        raise TaskError(f"{path} is a folder; load it with TensorFlow and save it by model.save('m.keras')")
    if path.suffix != ".keras":
        return _check_hdf5(path, path)
    try:
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                _check_part(path, part)
            names = set(archive.namelist())
            if not {"config.json", "model.weights.h5"} <= names:
                raise TaskError(f"{path} is not a Keras model: it holds {', '.join(sorted(names)[:5])}")
            return _check_hdf5(path, io.BytesIO(archive.read("model.weights.h5")))
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise TaskError(f"{path} is not a whole .keras file: {_reason(error)}") from error


def _check_part(path: Path, part: zipfile.ZipInfo) -> None:
    name = PurePosixPath(part.filename)
    if name.is_absolute() or ".." in name.parts or "\\" in part.filename:
        raise TaskError(f"{path} holds a part called {part.filename!r}, which leaves the file's own folder")
    if part.file_size > _LARGEST_GROWTH * max(part.compress_size, 1 << 20):
        raise TaskError(f"{path}: {part.filename!r} would unpack to {part.file_size:,} bytes")
    if part.filename == "config.json" and part.file_size > _LARGEST_CONFIG:
        raise TaskError(
            f"{path}: its configuration has {part.file_size:,} bytes, at most {_LARGEST_CONFIG:,}"
        )


def _check_hdf5(path: Path, content: Path | io.BytesIO) -> int:
    """Weights may not be links to other files, which HDF5 would read; how many values there are."""
    h5py = importlib.import_module("h5py")
    try:
        with h5py.File(content, "r") as file:
            return _check_group(path, file, h5py)
    except (OSError, RuntimeError, KeyError, ValueError, RecursionError) as error:
        raise TaskError(f"{path} is not a whole HDF5 file: {_reason(error)}") from error


def _check_group(path: Path, group: Any, h5py: ModuleType, depth: int = 0) -> int:
    if depth > _DEEPEST:
        raise TaskError(f"{path}: its groups lie more than {_DEEPEST} levels deep")
    values = 0
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise TaskError(f"{path}: {group.name.rstrip('/')}/{name} is a link to another place; refused")
        item = group[name]
        if isinstance(item, h5py.Group):
            values += _check_group(path, item, h5py, depth + 1)
            continue
        if item.external or item.is_virtual:
            raise TaskError(f"{path}: {item.name} lies in another file; refused")
        if item.nbytes > _LARGEST_GROWTH * max(item.id.get_storage_size(), 1 << 20):
            raise TaskError(f"{path}: {item.name} would unpack to {item.nbytes:,} bytes")
        values += item.size
    return values


def _reason(error: BaseException) -> str:
    """The first line of what a library says, cut to a sentence."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = text.rpartition("Exception encountered: ")[2]  # what Keras says before it is the same of all
    if "ambda" in text:
        return "it holds a Lambda layer, which is code; write a keras.layers.Layer or keras.ops in its place"
    if "Could not locate" in text or "cannot be deserialized" in text or "is not registered" in text:
        text += (
            "; for layers of your own let a function return the model, task.model: 'package.module:function'"
        )
    return text if len(text) <= 300 else f"{text[:297]}…"
