"""SavedModel folders: converted by TensorFlow and tf2onnx in a process of their own, and read as ONNX."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from edgesqueeze.errors import EdgeSqueezeError, TaskError
from edgesqueeze.importing.onnx.load import load_onnx
from edgesqueeze.importing.onnx.network import OnnxNetwork

_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from edgesqueeze.importing.saved_model.convert import main; main()"
)
_LARGEST = 2 << 30
_PATIENCE_S = 600


def load_saved_model(folder: Path, shape: Sequence[int]) -> OnnxNetwork:
    """The float network in a SavedModel folder, by its signature ``serving_default``.

    Args:
        folder: holds ``saved_model.pb`` and ``variables``.
        shape: of one input without the batch, in torch's order.

    Raises:
        TaskError: TensorFlow or tf2onnx is not installed, a file is damaged, too large or lies elsewhere, or
            the conversion is refused.
        UnsupportedLayerError: the network holds something that cannot be computed here.
    """
    for needed in ("tensorflow", "tf2onnx"):
        if importlib.util.find_spec(needed) is None:
            raise TaskError(
                f"{folder} is a SavedModel, for which {needed} is needed: pip install "
                "'edgesqueeze[savedmodel]'; or save the model by Keras's model.save('model.keras')"
            )
    _check_files(folder)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / f"{folder.resolve().name}.onnx"
        _convert(folder, path, shape)
        try:
            return load_onnx(path, shape)
        except EdgeSqueezeError as error:
            raise type(error)(str(error).replace(str(path), str(folder))) from error


def saved_model_files(folder: Path) -> tuple[Path, ...]:
    """All files of a SavedModel, in the order of their names."""
    return tuple(sorted(path for path in folder.rglob("*") if path.is_file()))


def _check_files(folder: Path) -> None:
    home, total = folder.resolve(), 0
    for path in saved_model_files(folder):
        if not path.resolve().is_relative_to(home):
            raise TaskError(f"{path} is a link out of the SavedModel's folder; refused")
        total += path.stat().st_size
    if total > _LARGEST:
        raise TaskError(f"the files of {folder} have {total:,} bytes; at most {_LARGEST:,} are allowed")


def _convert(folder: Path, path: Path, shape: Sequence[int]) -> None:
    request = json.dumps([str(folder), str(path), list(shape)])
    command = [sys.executable, "-c", _CHILD, json.dumps(sys.path), request]
    # TensorFlow imports Keras, whose torch backend would import torch behind TensorFlow: that ends a process.
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False, env=environment
        )
    except subprocess.TimeoutExpired as error:
        raise TaskError(f"{folder} was not converted within {_PATIENCE_S} s") from error
    if done.returncode == 0:
        return
    said = done.stdout.strip().rpartition("\n")[2]
    try:
        reason = str(json.loads(said)["refused"])
    except (ValueError, KeyError, TypeError):
        reason = f"the process that converts it ended with {done.returncode}"
    raise TaskError(f"{folder} cannot be converted: {reason}")
