"""Which names of a recipe mean a file with a network in it. Importing it needs no framework."""

from pathlib import Path, PurePath

KERAS = (".keras", ".h5", ".hdf5")
ONNX = (".onnx",)
TFLITE = (".tflite", ".lite")
SAVED_MODEL = "saved_model.pb"
"""The file that makes a folder one of TensorFlow's."""


def is_model_file(name: str) -> bool:
    """Whether ``task.model`` names a file, or a folder of TensorFlow's."""
    return PurePath(name).suffix in (*KERAS, *ONNX) or is_saved_model(name)


def is_saved_model(name: str) -> bool:
    """Whether there is a SavedModel folder of that name."""
    return (Path(name) / SAVED_MODEL).is_file()


def is_tflite_file(name: str) -> bool:
    """Whether ``task.model`` names what a converter has made of a network, which is not read as one."""
    return PurePath(name).suffix.lower() in TFLITE
