"""Which names of a recipe mean a file with a network in it. Importing it needs no framework."""

from pathlib import PurePath

KERAS = (".keras", ".h5", ".hdf5")
ONNX = (".onnx",)


def is_model_file(name: str) -> bool:
    """Whether ``task.model`` names a file."""
    return PurePath(name).suffix in (*KERAS, *ONNX)
