"""Model files without a run, as a bundle that a device can test and time: the answers are those to noise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgesqueeze.devices.bundle import FORMAT, archive_of, facts_of, json_of, npz_of, programs_of
from edgesqueeze.devices.golden import IMAGES, GoldenModel, golden_model
from edgesqueeze.errors import RecipeError
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.facts import FileFacts
from edgesqueeze.formats.names import RUNNABLE, FileFormat
from edgesqueeze.measure.checks.float_operators import float_operators

_SEED = 0


def loose_bundle(paths: Sequence[Path]) -> bytes:
    """An archive of model files, their answers here to seeded noise, and programs to test and time them.

    Args:
        paths: .tflite and .onnx files of different names.

    Raises:
        RecipeError: a file is another kind, or two have one name.
        ExportError: a file is missing, cannot be read, or leaves the size of its input open.
        ParityError: the runner answers otherwise than this package's runtimes.
    """
    models = loose_models(paths)
    entries = {model.path.name: model.path.read_bytes() for model in models}
    for model in models:
        entries |= {name: npz_of(arrays) for name, arrays in model.arrays().items()}
    entries |= programs_of(models)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "name": ", ".join(model.path.name for model in models),
        "models": [model.facts() for model in models],
        "files": {name: facts_of(data) for name, data in sorted(entries.items())},
    }
    entries["manifest.json"] = json_of(manifest)
    return archive_of(entries)


def loose_models(paths: Sequence[Path]) -> list[GoldenModel]:
    """Files with what they answer here to noise; errors as of :func:`loose_bundle`."""
    for path in paths:
        if FileFormat.known(path) not in RUNNABLE:
            raise RecipeError(f"a device runs .tflite and .onnx files, found {path}")
    names = [path.name for path in paths]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise RecipeError(f"two files are called {twice}; give them one after the other")
    return [_model(path) for path in paths]


def _model(path: Path) -> GoldenModel:
    file = read_model_file(path)
    with_floats = file.precision == "int8" and bool(float_operators(path))
    return golden_model(path, _noise(file), with_floats)


def _noise(file: FileFacts) -> Any:
    """float32 [8, …] in the network's order of axes."""
    shape = [size for size in file.inputs[0].shape[1:] if size is not None]
    if len(shape) < len(file.inputs[0].shape) - 1:
        raise RecipeError(f"{file.path.name} leaves the size of its input open; write a file of one size")
    if len(shape) == 3 and file.format == FileFormat.TFLITE:
        shape = [shape[2], *shape[:2]]
    return np.random.default_rng(_SEED).standard_normal((IMAGES, *shape), dtype=np.float32)
