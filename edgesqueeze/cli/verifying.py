"""What ``edgesqueeze verify`` does: find a network, its files and inputs, and compare them."""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import typer
from torch import Tensor

from edgesqueeze.cli.asked import options_given
from edgesqueeze.devices.emulation.boards import board_of
from edgesqueeze.devices.emulation.check import EmulatedCheck, check_run
from edgesqueeze.devices.emulation.root import cache_folder
from edgesqueeze.errors import ExportError, OutputError, RecipeError
from edgesqueeze.exports.base import Artifact
from edgesqueeze.exports.squeezed import check_decoded
from edgesqueeze.files import is_file, sha256_of
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.names import RUNNABLE, FileFormat
from edgesqueeze.formats.sqz.file import naming_file, read_sqz
from edgesqueeze.measure.proof.verification import Verification, verify_files, verify_pair
from edgesqueeze.measure.runtimes.trial import check_survives
from edgesqueeze.network.graph.nodes import Floats, Shape
from edgesqueeze.pipeline import finished_network
from edgesqueeze.run.rundir import open_run
from edgesqueeze.task.loading import load_task
from edgesqueeze.trees import Tree, map_tree

_NUMPY_RAISES = (
    *(OSError, ValueError, TypeError, EOFError, OverflowError, SyntaxError, RecursionError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError),
)
"""What numpy and zipfile raise where the header of an array or an archive is wrong."""
_MOST_BYTES = 1 << 31
"""Of noise, in memory at once."""


@dataclass(frozen=True)
class Inputs:
    """What to run: the first ``images`` of a run's test split; for files an .npy file, or seeded noise."""

    images: int
    npy: Path | None = None
    seed: int = 0


def verify_as_asked(
    context: typer.Context, paths: Sequence[Path], inputs: Inputs, device: str | None
) -> Verification | EmulatedCheck:
    """Verify here, or on a device; that has inputs of its own, so options about them are refused.

    Raises:
        RecipeError: there is no such device, or it has no use for an option that was given.
    """
    if device is None:
        return verify_paths(paths, inputs)
    given = options_given(context, ("images", "npy", "seed"))
    if given:
        raise RecipeError(f"a device is given the golden inputs of a bundle; leave {', '.join(given)} out")
    return verify_emulated(paths, device)


def verify_paths(paths: Sequence[Path], inputs: Inputs) -> Verification:
    """Verify a run, or files.

    Args:
        paths: the directory of a run; or ``.onnx`` and ``.tflite`` files with the ``.sqz`` they belong to;
            or one int8 ``.onnx`` and one int8 ``.tflite`` file.
        inputs: what to run.

    Raises:
        OutputError: the run is not there or not finished.
        ExportError: the files cannot be compared.
        ParityError: a .sqz file does not decode to the files beside it.
    """
    if len(paths) == 1 and paths[0].is_dir():
        return _verify_run(paths[0], inputs)
    for path in paths:
        if FileFormat.known(path) is None or not is_file(path):
            kinds = ", ".join(known.suffix for known in FileFormat)
            raise ExportError(f"{path} is neither the directory of a run nor a {kinds} file")
    squeezed = [path for path in paths if FileFormat.known(path) is FileFormat.SQZ]
    models = [path for path in paths if path not in squeezed]
    for path in models:
        check_survives(path)
    if len(squeezed) == 1 and models:
        with naming_file(squeezed[0]):
            graph, spec = read_sqz(squeezed[0].read_bytes())
        return verify_files(
            graph, spec, models, _inputs(inputs, {node.name: node.shape for node in graph.inputs})
        )
    if not squeezed and sorted(FileFormat.of_model(path) for path in models) == sorted(RUNNABLE):
        facts = next(read_model_file(path) for path in models if FileFormat.known(path) is FileFormat.ONNX)
        shapes = {entry.name: tuple(n or 1 for n in entry.shape) for entry in facts.inputs}
        return verify_pair(models[0], models[1], _inputs(inputs, shapes))
    raise ExportError(
        "give the directory of a run, or one .sqz file with .onnx and .tflite files to compare with it, "
        "or one int8 .onnx and one int8 .tflite file"
    )


def verify_emulated(paths: Sequence[Path], device: str) -> EmulatedCheck:
    """Test the files of a run on the emulated processor of a board.

    Args:
        paths: the directory of a run.
        device: ``emulated:pi4``, say.

    Raises:
        RecipeError: there is no such device.
        ExportError: something else than a run is given.
        OutputError: the run is not there or not finished.
        DeviceError: nothing can be emulated here.
    """
    board = board_of(device)
    if len(paths) != 1 or not paths[0].is_dir():
        raise ExportError("--device tests the files of one run; give its directory")
    return check_run(paths[0], board, cache_folder())


def _verify_run(path: Path, inputs: Inputs) -> Verification:
    if inputs.npy is not None:
        raise ExportError("a run is verified on its own test images; leave --npy out")
    run, recipe = open_run(path)
    task = load_task(recipe.task, recipe.seed)
    graph, spec = finished_network(recipe, task, run)
    files = sorted(p for p in run.artifacts.glob("*") if FileFormat.known(p) is not None)
    models = [p for p in files if FileFormat.known(p) is not FileFormat.SQZ]
    if not models:
        raise OutputError(f"{path} holds no .onnx or .tflite file to verify")
    for squeezed in (p for p in files if FileFormat.known(p) is FileFormat.SQZ):
        check_decoded(_artifact(squeezed), [_artifact(p) for p in models])
    x = map_tree(Tensor.numpy, next(iter(task.test.batches(inputs.images)))[0])
    return verify_files(graph, spec, models, x)


def _artifact(path: Path) -> Artifact:
    precision = "int8" if path.stem.endswith("_int8") else "fp32"
    return Artifact(FileFormat(path.suffix[1:]), precision, path, path.stat().st_size, sha256_of(path))


def _inputs(inputs: Inputs, shapes: dict[str, Shape]) -> Tree:
    """An array for the one input, or a tuple of arrays, in the order of the inputs."""
    if inputs.npy is None:
        size = 4 * inputs.images * sum(prod(shape[1:]) for shape in shapes.values())
        if size > _MOST_BYTES:
            raise ExportError(f"{inputs.images} inputs take {size} bytes; ask for fewer, up to 2 GiB")
        rng = np.random.default_rng(inputs.seed)
        found = [rng.normal(size=(inputs.images, *s[1:])).astype(np.float32) for s in shapes.values()]
    else:
        stored = _stored(inputs.npy, list(shapes))
        found = [_checked(inputs.npy, stored[name], shape)[: inputs.images] for name, shape in shapes.items()]
    return tuple(found) if len(found) > 1 else found[0]


def _stored(path: Path, names: list[str]) -> dict[str, Any]:
    """The arrays of a file by the names of the inputs: one of an .npy, all of an .npz."""
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
            arrays = dict(found) if isinstance(found, np.lib.npyio.NpzFile) else {names[0]: found}
    except _NUMPY_RAISES as error:
        reason = str(error) or type(error).__name__
        raise ExportError(f"{path} cannot be read as an .npy file: {reason}") from error
    if set(arrays) != set(names):
        raise ExportError(f"{path} holds {', '.join(arrays)}; an .npz file with {', '.join(names)} is wanted")
    return arrays


def _checked(path: Path, x: Any, shape: Shape) -> Floats:
    is_empty = np.ndim(x) == 0 or len(x) == 0
    if not isinstance(x, np.ndarray) or is_empty or x.dtype != np.float32 or x.shape[1:] != shape[1:]:
        found = f"{x.dtype} {list(x.shape)}" if isinstance(x, np.ndarray) else type(x).__name__
        raise ExportError(f"{path} holds {found}; float32 [N, {', '.join(map(str, shape[1:]))}] is wanted")
    return x
