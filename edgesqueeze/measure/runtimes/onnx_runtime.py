"""ONNX files in ONNX Runtime, on the CPU."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

from edgesqueeze.measure.runtimes.predictor import (
    UINT8_OFFSET,
    Predictor,
    as_int8,
    existing,
    from_int8,
    not_quantized,
    other_input,
    several_outputs,
    unreadable,
)
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.network.integers.reference import Int8s, quantize_input
from edgesqueeze.network.integers.spec import ActivationQuant

ORT_FATAL = 4


def load_onnx(path: Path, threads: int = 1) -> Predictor:
    """An ONNX file in ONNX Runtime on the CPU.

    Raises:
        ExportError: there is no such file, or ONNX Runtime cannot run it.
    """
    return _OnnxPredictor(existing(path), threads)


def predict_onnx_given(path: Path, x: Floats, given: Mapping[str, Int8s]) -> Int8s:
    """The output's integers of an int8 ONNX file that reads inner tensors as further, uint8 inputs.

    Args:
        path: the file.
        x: float32 [N, C, H, W].
        given: input name to int8 [N, …].

    Raises:
        ExportError: ONNX Runtime cannot run the file.
    """
    return _OnnxPredictor(existing(path), 1).predict_given(x, given)


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
            raise unreadable(path, "ONNX Runtime", error) from error
        self._path = path
        self.runtime = f"onnxruntime {version('onnxruntime')}"
        self.threads = threads

    def predict(self, x: Floats) -> Floats:
        if len(self._session.get_outputs()) != 1:
            raise several_outputs(self._path, len(self._session.get_outputs()))
        return np.concatenate([self._session.run(None, self._feed(x[i : i + 1]))[0] for i in range(len(x))])

    def predict_integers(self, x: Floats) -> Int8s:
        if self._session.get_outputs()[0].type == "tensor(uint8)":
            return as_int8(self.predict(x))
        return quantize_input(self.predict(x), _onnx_output_grid(self._path))

    def predict_all(self, x: Floats) -> dict[str, Floats]:
        runs = [self._session.run(None, self._feed(x[i : i + 1])) for i in range(len(x))]
        names = [output.name for output in self._session.get_outputs()]
        return {n: np.concatenate(parts) for n, parts in zip(names, zip(*runs, strict=True), strict=True)}

    def predict_given(self, x: Floats, given: Mapping[str, Int8s]) -> Int8s:
        name, kind, parts = self._session.get_inputs()[0].name, np.dtype(np.uint8), []
        for i in range(len(x)):
            feeds = {key: from_int8(q[i : i + 1], kind) for key, q in given.items()}
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
            raise other_input(self._path, found, x)
        return {inputs[0].name: np.ascontiguousarray(x, np.float32)}


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
        raise not_quantized(path)
    scale, zero_point = (onnx.numpy_helper.to_array(constants[name]) for name in maker.input[1:3])
    offset = UINT8_OFFSET if zero_point.dtype == np.uint8 else 0
    return ActivationQuant(float(scale), int(zero_point) - offset)
