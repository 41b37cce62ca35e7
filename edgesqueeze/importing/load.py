"""A network from a file of another framework, whichever it is."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from edgesqueeze.importing.keras.load import load_keras
from edgesqueeze.importing.names import KERAS
from edgesqueeze.importing.onnx.files import files_of
from edgesqueeze.importing.onnx.load import load_onnx


def load_network(path: Path, shape: Sequence[int]) -> nn.Module:
    """The float network in a file, in evaluation mode.

    Args:
        path: a ``.keras``, ``.h5``, ``.hdf5`` or ``.onnx`` file.
        shape: of one input without the batch, in torch's order, which decides what the file leaves open.

    Raises:
        TaskError: the file is missing, damaged, or does not fit the shape.
        UnsupportedLayerError: it holds something that cannot be computed here.
    """
    return load_keras(path) if path.suffix in KERAS else load_onnx(path, shape)


def network_files(path: Path) -> tuple[Path, ...]:
    """All files of a network that could be loaded: ONNX may keep weights in files beside its own."""
    return (path,) if path.suffix in KERAS else files_of(path)
