"""ONNX files in ONNX Runtime, on the CPU."""

import json
import tempfile
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import TaskError
from edgesqueeze.measure.runtimes.predictor import (
    UINT8_OFFSET,
    Predictor,
    SinglePredictor,
    as_int8,
    existing,
    fixed_batch,
    from_int8,
    in_batches,
    not_quantized,
    one_batch,
    other_input,
    pixels_behind,
    unreadable,
)
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.network.integers.reference import Int8s, quantize_input
from edgesqueeze.network.integers.spec import ActivationQuant
from edgesqueeze.normalization import METADATA_KEY, normalization_from
from edgesqueeze.trees import Tree, by_name

ORT_FATAL = 4


def load_onnx(path: Path, threads: int = 1) -> Predictor:
    """An ONNX file in ONNX Runtime on the CPU.

    Raises:
        ExportError: there is no such file, or ONNX Runtime cannot run it.
    """
    return _OnnxPredictor(existing(path), threads)


def predict_onnx_given(path: Path, x: Tree, given: Mapping[str, Int8s]) -> Int8s:
    """The output's integers of an int8 ONNX file that reads inner tensors as further, uint8 inputs.

    Args:
        path: the file.
        x: float32 [N, C, H, W], or a tree of several inputs.
        given: input name to int8 [N, …].

    Raises:
        ExportError: ONNX Runtime cannot run the file.
    """
    return _OnnxPredictor(existing(path), 1).predict_given(x, given)


@dataclass(frozen=True)
class KernelTime:
    """A kernel that ONNX Runtime has made of one operator or several, and seconds in each run.

    ``name`` is that of an operator of the file with what the runtime writes behind it, or one of its own.
    """

    name: str
    operator: str
    runs_s: tuple[float, ...]


def profile_onnx(
    path: Path, x: Tree, threads: int, warmup: int, runs: int
) -> tuple[str, tuple[KernelTime, ...], tuple[float, ...]]:
    """What ONNX Runtime's profiler tells of some runs, in whole microseconds.

    Args:
        path: the file.
        x: float32 [N, C, H, W], or a tree of several inputs.
        threads: how many it may use.
        warmup: runs that are not told of.
        runs: those that are.

    Returns:
        The runtime's name and version, the kernels in the order they ran, and seconds of each whole run.

    Raises:
        ExportError: there is no such file, or ONNX Runtime cannot run it.
    """
    with tempfile.TemporaryDirectory() as folder:
        predictor = _OnnxPredictor(existing(path), threads, profile=Path(folder) / "profile")
        run = predictor.prepare(x)
        for _ in range(warmup + runs):
            run()
        events = json.loads(predictor.end_profiling().read_text(encoding="utf-8"))
    whole = [event for event in events if event["name"] == "model_run"][warmup:]
    found: dict[tuple[str, str], list[float]] = {}
    for number, one in enumerate(whole):
        for event in events:
            if event["cat"] == "Node" and one["ts"] <= event["ts"] < one["ts"] + one["dur"]:
                key = event["name"].removesuffix("_kernel_time"), event["args"].get("op_name", "")
                found.setdefault(key, [0.0] * runs)[number] += 1e-6 * event["dur"]
    kernels = tuple(KernelTime(*key, tuple(seconds)) for key, seconds in found.items())
    return predictor.runtime, kernels, tuple(1e-6 * event["dur"] for event in whole)


class _OnnxPredictor(SinglePredictor):
    def __init__(self, path: Path, threads: int, profile: Path | None = None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        if profile is not None:
            options.enable_profiling, options.profile_file_prefix = True, str(profile)
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = ORT_FATAL
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base
            raise unreadable(path, "ONNX Runtime", error) from error
        self._batch = fixed_batch([entry.shape for entry in self._session.get_inputs()])
        self._path = path
        said = self._session.get_modelmeta().custom_metadata_map.get(METADATA_KEY, "")
        self._normalization = normalization_from(said)
        self.runtime = f"onnxruntime {version('onnxruntime')}"
        self.threads = threads

    def predict_all(self, x: Tree) -> dict[str, Floats]:
        return self._run({}, x)

    def integers_of_all(self, x: Tree) -> dict[str, Int8s]:
        return self._integers(self.predict_all(x))

    def predict_given(self, x: Tree, given: Mapping[str, Int8s]) -> Int8s:
        return self._only(self._integers(self._run(given, x)))

    def prepare(self, x: Tree) -> Callable[[], object]:
        feed = self._feed(one_batch(x, self._batch))
        return lambda: self._call(feed)

    def end_profiling(self) -> Path:
        """Write what was profiled, and say where."""
        return Path(self._session.end_profiling())

    def _run(self, given: Mapping[str, Int8s], x: Tree) -> dict[str, Floats]:
        """Every output; ``given`` are inner tensors that are inputs as well, uint8 in the file."""
        kind, runs = np.dtype(np.uint8), []
        for (part, inner), count in in_batches((x, dict(given)), self._batch):
            feeds = {key: from_int8(q, kind) for key, q in inner.items()}
            found = self._call({**self._feed(part, feeds), **feeds})
            runs.append([y[:count] for y in found])
        names = [output.name for output in self._session.get_outputs()]
        return {n: np.concatenate(parts) for n, parts in zip(names, zip(*runs, strict=True), strict=True)}

    def _call(self, feed: Mapping[str, NDArray[Any]]) -> Any:
        try:
            return self._session.run(None, feed)
        except Exception as error:  # its exceptions share no base
            raise unreadable(self._path, "ONNX Runtime", error) from error

    def _integers(self, found: Mapping[str, NDArray[Any]]) -> dict[str, Int8s]:
        return {
            name: as_int8(y)
            if y.dtype == np.uint8
            else quantize_input(y, _onnx_output_grid(self._path, name))
            for name, y in found.items()
        }

    def _feed(self, x: Tree, given: Collection[str] = ()) -> dict[str, NDArray[Any]]:
        inputs = [entry for entry in self._session.get_inputs() if entry.name not in given]
        try:
            found = by_name(x, [entry.name for entry in inputs])
            feed = {entry.name: self._converted(entry, found[entry.name]) for entry in inputs}
        except TaskError:
            feed = {"": None}
        known = {name: values for name, values in feed.items() if values is not None}
        if len(known) < len(feed):
            takes = ", ".join(f"{entry.name} {entry.type} {entry.shape}" for entry in inputs)
            raise other_input(self._path, takes, x)
        return known

    def _converted(self, entry: Any, x: Floats) -> NDArray[Any] | None:
        """Floats as an input takes them: as they are, or the pixels behind them; None if it takes neither."""
        shape = [n if isinstance(n, int) else None for n in entry.shape]
        if len(shape) != x.ndim or not all(n in (None, m) for n, m in zip(shape, x.shape, strict=True)):
            return None
        match entry.type:
            case "tensor(float)":
                return np.ascontiguousarray(x, np.float32)
            case "tensor(uint8)":
                return pixels_behind(self._normalization, x)
        return None


def _onnx_output_grid(path: Path, name: str) -> ActivationQuant:
    """The int8 grid of the DequantizeLinear that makes an output of a QDQ file.

    Raises:
        ExportError: nothing of the kind makes it.
    """
    import onnx

    graph = onnx.load(path).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    maker = makers.get(name)
    if maker is None or maker.op_type != "DequantizeLinear" or not set(maker.input[1:3]) <= set(constants):
        raise not_quantized(path)
    scale, zero_point = (onnx.numpy_helper.to_array(constants[name]) for name in maker.input[1:3])
    offset = UINT8_OFFSET if zero_point.dtype == np.uint8 else 0
    return ActivationQuant(float(scale), int(zero_point) - offset)
