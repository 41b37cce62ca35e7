"""Which names of a recipe mean a file with a network in it. Importing it needs no framework."""

from pathlib import PurePath

KERAS = (".keras", ".h5", ".hdf5")
ONNX = (".onnx",)
TFLITE = (".tflite", ".lite")


def is_model_file(name: str) -> bool:
    """Whether ``task.model`` names a file."""
    return PurePath(name).suffix in (*KERAS, *ONNX)


def is_tflite_file(name: str) -> bool:
    """Whether ``task.model`` names what a converter has made of a network, which is not read as one."""
    return PurePath(name).suffix.lower() in TFLITE
