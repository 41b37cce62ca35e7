"""The runtimes there are. A new one is a file beside this one, and an entry here."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.measure.runtimes.predictor import Predictor


class RuntimeName(StrEnum):
    """What a suite or a report calls a runtime."""

    ONNXRUNTIME = "onnxruntime"
    LITERT = "litert"
    TORCH = "torch"


@dataclass(frozen=True)
class Runtime:
    """What a runtime runs, and how a file is loaded into it: path and threads.

    ``library`` is imported before the time of loading a file is taken.
    """

    runs: FileFormat
    load: Callable[[Path, int], Predictor]
    library: str | None = None


RUNTIMES: dict[RuntimeName, Runtime] = {
    RuntimeName.ONNXRUNTIME: Runtime(FileFormat.ONNX, load_onnx, "onnxruntime"),
    RuntimeName.LITERT: Runtime(FileFormat.TFLITE, load_tflite, "ai_edge_litert.interpreter"),
}
"""Those that run model files, by name; the first that runs a format is the one its files are checked in."""


def load_model(path: Path, threads: int = 1) -> Predictor:
    """A file in the runtime that its format is checked in.

    Raises:
        ExportError: no runtime runs such files, there is no such file, or the runtime cannot run it.
    """
    wanted = FileFormat.of_model(path)
    runtime = next(runtime for runtime in RUNTIMES.values() if runtime.runs is wanted)
    return runtime.load(path, threads)
