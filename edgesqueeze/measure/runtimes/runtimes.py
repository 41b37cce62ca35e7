"""Files on disk, loaded into the runtime that would run them on a device."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import ExportError
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.network.integers.reference import Int8s, dequantize, quantize_input
from edgesqueeze.network.integers.spec import ActivationQuant

_UINT8_OFFSET = 128
ORT_FATAL = 4


class Predictor(Protocol):
    """A loaded file. ``runtime`` is name and version; ``threads`` is how many it may use."""

    runtime: str
    threads: int

    def predict(self, x: Floats) -> Floats:
        """Outputs [N, …] (maps as NCHW) for inputs float32 [N, C, H, W], one inference per input.

        Raises:
            ExportError: the file has several outputs, or an input of another shape or type.
        """
        ...

    def predict_integers(self, x: Floats) -> Int8s:
        """Like :meth:`predict`, but the output's integers on its int8 grid.

        Raises:
            ExportError: as above, or the output is not quantized.
        """
        ...

    def predict_all(self, x: Floats) -> list[Floats]:
        """Like :meth:`predict`, but of every output of a float file, in the file's order.

        Raises:
            ExportError: the file has an input of another shape or type.
        """
        ...

    def prepare(self, x: Floats) -> Callable[[], object]:
        """A call that runs one inference on ``x`` [1, C, H, W] and converts nothing: what latency is.

        Raises:
            ExportError: the file has an input of another shape or type.
        """
        ...


def load_onnx(path: Path, threads: int = 1) -> Predictor:
    """An ONNX file in ONNX Runtime on the CPU.

    Raises:
        ExportError: there is no such file, or ONNX Runtime cannot run it.
    """
    return _OnnxPredictor(_existing(path), threads)


def load_tflite(path: Path, threads: int = 1) -> Predictor:
    """A TFLite file in LiteRT with XNNPACK.

    Raises:
        ExportError: there is no such file, or LiteRT cannot run it.
    """
    return _TflitePredictor(_existing(path), threads)


def predict_onnx_given(path: Path, x: Floats, given: Mapping[str, Int8s]) -> Int8s:
    """The output's integers of an int8 ONNX file that reads inner tensors as further, uint8 inputs.

    Args:
        path: the file.
        x: float32 [N, C, H, W].
        given: input name to int8 [N, …].

    Raises:
        ExportError: ONNX Runtime cannot run the file.
    """
    return _OnnxPredictor(_existing(path), 1).predict_given(x, given)


class _OnnxPredictor:
    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = ORT_FATAL
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions share no base
            raise _unreadable(path, "ONNX Runtime", error) from error
        self._path = path
        self.runtime = f"onnxruntime {version('onnxruntime')}"
        self.threads = threads

    def predict(self, x: Floats) -> Floats:
        if len(self._session.get_outputs()) != 1:
            raise _several_outputs(self._path, len(self._session.get_outputs()))
        return np.concatenate([self._session.run(None, self._feed(x[i : i + 1]))[0] for i in range(len(x))])

    def predict_integers(self, x: Floats) -> Int8s:
        if self._session.get_outputs()[0].type == "tensor(uint8)":
            return _as_int8(self.predict(x))
        return quantize_input(self.predict(x), _onnx_output_grid(self._path))

    def predict_all(self, x: Floats) -> list[Floats]:
        runs = [self._session.run(None, self._feed(x[i : i + 1])) for i in range(len(x))]
        return [np.concatenate(parts) for parts in zip(*runs, strict=True)]

    def predict_given(self, x: Floats, given: Mapping[str, Int8s]) -> Int8s:
        name, kind, parts = self._session.get_inputs()[0].name, np.dtype(np.uint8), []
        for i in range(len(x)):
            feeds = {key: _from_int8(q[i : i + 1], kind) for key, q in given.items()}
            parts.append(self._session.run(None, {name: x[i : i + 1], **feeds})[0])
        return quantize_input(np.concatenate(parts), _onnx_output_grid(self._path))

    def prepare(self, x: Floats) -> Callable[[], object]:
        feed, run = self._feed(x), self._session.run
        return lambda: run(None, feed)

    def _feed(self, x: Floats) -> dict[str, Floats]:
        inputs = self._session.get_inputs()
        shape = [n if isinstance(n, int) else None for n in inputs[0].shape]
        fits = len(shape) == x.ndim and all(n in (None, m) for n, m in zip(shape, x.shape, strict=True))
        if len(inputs) != 1 or inputs[0].type != "tensor(float)" or not fits:
            found = ", ".join(f"{entry.name} {entry.type} {entry.shape}" for entry in inputs)
            raise _other_input(self._path, found, x)
        return {inputs[0].name: np.ascontiguousarray(x, np.float32)}


class _TflitePredictor:
    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            with silent_stderr():
                self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise _unreadable(path, "LiteRT", error) from error
        self._path = path
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()
        self.runtime = f"ai-edge-litert {version('ai-edge-litert')}"
        self.threads = threads

    def predict(self, x: Floats) -> Floats:
        y = self._predict_raw(x)
        grid = _tflite_grid(self._outputs[0])
        return np.asarray(y, np.float32) if grid is None else dequantize(_as_int8(y), grid)

    def predict_integers(self, x: Floats) -> Int8s:
        if _tflite_grid(self._outputs[0]) is None:
            return quantize_input(self._predict_raw(x), _tflite_output_grid(self._path))
        return _as_int8(self._predict_raw(x))

    def predict_all(self, x: Floats) -> list[Floats]:
        found: list[list[Floats]] = [[] for _ in self._outputs]
        for i in range(len(x)):
            self.prepare(x[i : i + 1])()
            for parts, details in zip(found, self._outputs, strict=True):
                parts.append(self._interpreter.get_tensor(details["index"]))
        return [_channels_first(np.concatenate(parts)) for parts in found]

    def prepare(self, x: Floats) -> Callable[[], object]:
        self._interpreter.set_tensor(self._inputs[0]["index"], self._converted(x))
        invoke: Callable[[], object] = self._interpreter.invoke
        return invoke

    def _predict_raw(self, x: Floats) -> NDArray[Any]:
        if len(self._outputs) != 1:
            raise _several_outputs(self._path, len(self._outputs))
        parts = []
        for i in range(len(x)):
            self.prepare(x[i : i + 1])()
            parts.append(self._interpreter.get_tensor(self._outputs[0]["index"]))
        return _channels_first(np.concatenate(parts))

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
            raise _other_input(self._path, found, x)
        y = np.ascontiguousarray(fitting[0], np.float32)
        return y if grid is None else _from_int8(quantize_input(y, grid), kind)


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


def _onnx_output_grid(path: Path) -> ActivationQuant:
    """The int8 grid of the DequantizeLinear that ends a QDQ file.

    Raises:
        ExportError: the file does not end in one.
    """
    import onnx

    graph = onnx.load(path).graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    maker = makers.get(graph.output[0].name)
    if maker is None or maker.op_type != "DequantizeLinear" or not set(maker.input[1:3]) <= set(constants):
        raise _not_quantized(path)
    scale, zero_point = (onnx.numpy_helper.to_array(constants[name]) for name in maker.input[1:3])
    offset = _UINT8_OFFSET if zero_point.dtype == np.uint8 else 0
    return ActivationQuant(float(scale), int(zero_point) - offset)


def _tflite_grid(details: dict[str, Any]) -> ActivationQuant | None:
    """The int8 grid of a quantized tensor (uint8 is shifted to it), None for float and unquantized ones."""
    kind = np.dtype(details["dtype"])
    scale, zero_point = details["quantization"]
    if kind not in (np.int8, np.uint8) or scale == 0.0:
        return None
    return ActivationQuant(float(scale), int(zero_point) - (_UINT8_OFFSET if kind == np.uint8 else 0))


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
        raise _not_quantized(path)
    code = model.operatorCodes[end.opcodeIndex]
    if max(code.builtinCode, code.deprecatedBuiltinCode) != schema.BuiltinOperator.DEQUANTIZE:
        raise _not_quantized(path)
    tensor = graph.tensors[end.inputs[0]]
    if tensor.type != schema.TensorType.INT8 or tensor.quantization is None:
        raise _not_quantized(path)
    return ActivationQuant(float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0]))


def _channels_first(y: NDArray[Any]) -> NDArray[Any]:
    return y.transpose(0, 3, 1, 2) if y.ndim == 4 else y


def _as_int8(q: NDArray[Any]) -> Int8s:
    return (q.astype(np.int16) - (_UINT8_OFFSET if q.dtype == np.uint8 else 0)).astype(np.int8)


def _from_int8(q: Int8s, kind: np.dtype[Any]) -> NDArray[Any]:
    return (q.astype(np.int16) + (_UINT8_OFFSET if kind == np.uint8 else 0)).astype(kind)


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ExportError(f"{path} is not a file")
    return path


def _unreadable(path: Path, runtime: str, error: Exception) -> ExportError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return ExportError(f"{runtime} cannot run {path}: {reason}")


def _several_outputs(path: Path, count: int) -> ExportError:
    return ExportError(f"{path} has {count} outputs; its answers can be read only if there is one")


def _not_quantized(path: Path) -> ExportError:
    return ExportError(f"the output of {path} is not quantized to 8 bits, so it has no integers")


def _other_input(path: Path, found: str, x: Floats) -> ExportError:
    return ExportError(f"{path} takes {found}; one float or 8-bit image of shape {list(x.shape)} is wanted")
