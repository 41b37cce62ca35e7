"""A network from a file of another framework, whichever it is."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from edgesqueeze.errors import TaskError
from edgesqueeze.importing.keras.load import load_keras
from edgesqueeze.importing.names import KERAS, is_saved_model
from edgesqueeze.importing.onnx.files import files_of
from edgesqueeze.importing.onnx.load import load_onnx
from edgesqueeze.importing.saved_model.load import load_saved_model, saved_model_files

LARGEST_FILE = 2 << 30
"""Of bytes; protobuf reads no more."""


def load_network(path: Path, shape: Sequence[int]) -> nn.Module:
    """The float network in a file, in evaluation mode.

    Args:
        path: a ``.keras``, ``.h5``, ``.hdf5`` or ``.onnx`` file, or a SavedModel folder.
        shape: of one input without the batch, in torch's order, which decides what the file leaves open.

    Raises:
        TaskError: the file is missing, damaged or too large, does not fit the shape, or has weights that are
            not finite.
        UnsupportedLayerError: it holds something that cannot be computed here.
    """
    _check_file(path)
    network = _read(path, shape)
    statistics = [(n, b) for n, b in network.named_buffers() if "running_" in n]
    for name, weights in (*network.named_parameters(), *statistics):
        if not bool(weights.isfinite().all()):
            raise TaskError(f"{path}: {name!r} has values that are not finite")
    return network


def _read(path: Path, shape: Sequence[int]) -> nn.Module:
    if is_saved_model(str(path)):
        return load_saved_model(path, shape)
    return load_keras(path) if path.suffix in KERAS else load_onnx(path, shape)


def _check_file(path: Path) -> None:
    """Refuse devices, which have no end, and more than may be read; what is not there says its reader."""
    if path.is_char_device() or path.is_block_device() or path.is_fifo() or path.is_socket():
        raise TaskError(f"model {path} is not a file")
    size = path.stat().st_size if path.is_file() else 0
    if size > LARGEST_FILE:
        raise TaskError(f"model {path} has {size:,} bytes; at most {LARGEST_FILE:,} are allowed")


def network_files(path: Path) -> tuple[Path, ...]:
    """All files of a network that could be loaded: ONNX may keep weights in files beside its own."""
    if is_saved_model(str(path)):
        return saved_model_files(path)
    return (path,) if path.suffix in KERAS else files_of(path)
