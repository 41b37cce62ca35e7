"""TFLite files in LiteRT with XNNPACK."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.measure.runtimes.predictor import (
    UINT8_OFFSET,
    Predictor,
    as_int8,
    channels_first,
    existing,
    from_int8,
    not_quantized,
    other_input,
    several_outputs,
    unreadable,
)
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.network.integers.reference import Int8s, dequantize, quantize_input
from edgesqueeze.network.integers.spec import ActivationQuant


def load_tflite(path: Path, threads: int = 1) -> Predictor:
    """A TFLite file in LiteRT with XNNPACK.

    Raises:
        ExportError: there is no such file, or LiteRT cannot run it.
    """
    return _TflitePredictor(existing(path), threads)


class _TflitePredictor:
    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            with silent_stderr():
                self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise unreadable(path, "LiteRT", error) from error
        self._path = path
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()
        self.runtime = f"ai-edge-litert {version('ai-edge-litert')}"
        self.threads = threads

    def predict(self, x: Floats) -> Floats:
        y = self._predict_raw(x)
        grid = _tflite_grid(self._outputs[0])
        return np.asarray(y, np.float32) if grid is None else dequantize(as_int8(y), grid)

    def predict_integers(self, x: Floats) -> Int8s:
        if _tflite_grid(self._outputs[0]) is None:
            return quantize_input(self._predict_raw(x), _tflite_output_grid(self._path))
        return as_int8(self._predict_raw(x))

    def predict_all(self, x: Floats) -> dict[str, Floats]:
        found: list[list[Floats]] = [[] for _ in self._outputs]
        for i in range(len(x)):
            self.prepare(x[i : i + 1])()
            for parts, details in zip(found, self._outputs, strict=True):
                parts.append(self._interpreter.get_tensor(details["index"]))
        names = [str(details["name"]) for details in self._outputs]
        answers = [channels_first(np.concatenate(parts)) for parts in found]
        return dict(zip(names, answers, strict=True))

    def prepare(self, x: Floats) -> Callable[[], object]:
        self._interpreter.set_tensor(self._inputs[0]["index"], self._converted(x))
        invoke: Callable[[], object] = self._interpreter.invoke
        return invoke

    def _predict_raw(self, x: Floats) -> NDArray[Any]:
        if len(self._outputs) != 1:
            raise several_outputs(self._path, len(self._outputs))
        parts = []
        for i in range(len(x)):
            self.prepare(x[i : i + 1])()
            parts.append(self._interpreter.get_tensor(self._outputs[0]["index"]))
        return channels_first(np.concatenate(parts))

    def _converted(self, x: Floats) -> NDArray[Any]:
        """The input in the file's layout and type."""
        details = self._inputs[0]
        shape, kind = tuple(int(n) for n in details["shape"]), np.dtype(details["dtype"])
        grid = _tflite_grid(details)
        channels_last = x.transpose(0, 2, 3, 1) if x.ndim == 4 else x
        fitting = [layout for layout in (channels_last, x) if layout.shape == shape]
        if len(self._inputs) != 1 or not fitting or (grid is None and kind != np.float32):
            found = ", ".join(
                f"{d['name']} {np.dtype(d['dtype'])} {d['shape'].tolist()}" for d in self._inputs
            )
            raise other_input(self._path, found, x)
        y = np.ascontiguousarray(fitting[0], np.float32)
        return y if grid is None else from_int8(quantize_input(y, grid), kind)


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Drop what is written to file descriptor 2: LiteRT announces its delegate there and has no switch."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _tflite_grid(details: dict[str, Any]) -> ActivationQuant | None:
    """The int8 grid of a quantized tensor (uint8 is shifted to it), None for float and unquantized ones."""
    kind = np.dtype(details["dtype"])
    scale, zero_point = details["quantization"]
    if kind not in (np.int8, np.uint8) or scale == 0.0:
        return None
    return ActivationQuant(float(scale), int(zero_point) - (UINT8_OFFSET if kind == np.uint8 else 0))


def _tflite_output_grid(path: Path) -> ActivationQuant:
    """The int8 grid that the DEQUANTIZE at the end of a file reads.

    Raises:
        ExportError: the file does not end in one.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    end = next((op for op in graph.operators if graph.outputs[0] in op.outputs), None)
    if end is None:
        raise not_quantized(path)
    code = model.operatorCodes[end.opcodeIndex]
    if max(code.builtinCode, code.deprecatedBuiltinCode) != schema.BuiltinOperator.DEQUANTIZE:
        raise not_quantized(path)
    tensor = graph.tensors[end.inputs[0]]
    if tensor.type != schema.TensorType.INT8 or tensor.quantization is None:
        raise not_quantized(path)
    return ActivationQuant(float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0]))
