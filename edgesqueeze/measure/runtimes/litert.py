"""TFLite files in LiteRT with XNNPACK."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesqueeze.errors import TaskError
from edgesqueeze.formats.tflite.flatbuffer import described_normalization
from edgesqueeze.measure.runtimes.predictor import (
    UINT8_OFFSET,
    Predictor,
    SinglePredictor,
    as_int8,
    channels_first,
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
from edgesqueeze.network.integers.reference import Int8s, dequantize, quantize_input
from edgesqueeze.network.integers.spec import ActivationQuant
from edgesqueeze.normalization import Normalization
from edgesqueeze.trees import Tree, by_name, length_of


def load_tflite(path: Path, threads: int = 1) -> Predictor:
    """A TFLite file in LiteRT with XNNPACK.

    Raises:
        ExportError: there is no such file, or LiteRT cannot run it.
    """
    return _TflitePredictor(existing(path), threads)


class _TflitePredictor(SinglePredictor):
    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            with silent_stderr():
                self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise unreadable(path, "LiteRT", error) from error
        self._path = path
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._batch = fixed_batch([entry["shape"] for entry in inputs])
        signatures = list(self._interpreter.get_signature_list())
        runner = self._interpreter.get_signature_runner(signatures[0]) if len(signatures) == 1 else None
        self._inputs = _by_name(inputs, {} if runner is None else runner.get_input_details())
        self._outputs = _by_name(outputs, {} if runner is None else runner.get_output_details())
        self._normalization = _tflite_normalization(path)
        self.runtime = f"ai-edge-litert {version('ai-edge-litert')}"
        self.threads = threads

    def predict_all(self, x: Tree) -> dict[str, Floats]:
        found = {}
        for name, y in self._run(x).items():
            grid = _tflite_grid(self._outputs[name])
            found[name] = np.asarray(y, np.float32) if grid is None else dequantize(as_int8(y), grid)
        return found

    def integers_of_all(self, x: Tree) -> dict[str, Int8s]:
        found = {}
        for place, (name, y) in enumerate(self._run(x).items()):
            if _tflite_grid(self._outputs[name]) is None:
                found[name] = quantize_input(y, _tflite_output_grid(self._path, place))
            else:
                found[name] = as_int8(y)
        return found

    def prepare(self, x: Tree) -> Callable[[], object]:
        return self._filled(one_batch(x, self._batch))

    def _filled(self, x: Tree) -> Callable[[], object]:
        """The interpreter with its inputs set, ready to be invoked."""
        self._fit(length_of(x))
        for index, values in self._converted(x).items():
            self._interpreter.set_tensor(index, values)
        return self._invoke

    def _fit(self, count: int) -> None:
        """Tell an interpreter of an open batch how many examples come."""
        entries = self._inputs.values()
        if any(len(entry["shape"]) < 2 or entry["shape_signature"][0] != -1 for entry in entries) or all(
            entry["shape"][0] == count for entry in entries
        ):
            return
        for entry in entries:
            self._interpreter.resize_tensor_input(entry["index"], [count, *entry["shape"][1:]])
        self._interpreter.allocate_tensors()
        fresh = {entry["index"]: entry for entry in self._interpreter.get_input_details()}
        self._inputs = {name: fresh[entry["index"]] for name, entry in self._inputs.items()}

    def _invoke(self) -> None:
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise unreadable(self._path, "LiteRT", error) from error

    def _run(self, x: Tree) -> dict[str, NDArray[Any]]:
        """Every output as the file has it, but maps as NCHW."""
        parts: dict[str, list[NDArray[Any]]] = {name: [] for name in self._outputs}
        for part, count in in_batches(x, self._batch):
            self._filled(part)()
            for name, details in self._outputs.items():
                parts[name].append(self._interpreter.get_tensor(details["index"])[:count])
        return {name: channels_first(np.concatenate(found)) for name, found in parts.items()}

    def _converted(self, x: Tree) -> dict[int, NDArray[Any]]:
        """The inputs in the file's layouts and types, by the index of their tensors."""
        try:
            given = by_name(x, list(self._inputs))
        except TaskError as error:
            raise other_input(self._path, self._takes, x) from error
        return {self._inputs[n]["index"]: self._one(self._inputs[n], part, x) for n, part in given.items()}

    def _one(self, details: dict[str, Any], part: Floats, x: Tree) -> NDArray[Any]:
        kind, grid = np.dtype(details["dtype"]), _tflite_grid(details)
        pixels = pixels_behind(self._normalization, part) if kind == np.uint8 else None
        y = _laid_out(part if pixels is None else pixels, details)
        if y is None or (grid is None and kind != np.float32):
            raise other_input(self._path, self._takes, x)
        return y if grid is None or pixels is not None else from_int8(quantize_input(y, grid), kind)

    @property
    def _takes(self) -> str:
        return ", ".join(
            f"{name} {np.dtype(d['dtype'])} {d['shape'].tolist()}" for name, d in self._inputs.items()
        )


def _laid_out(part: NDArray[Any], details: dict[str, Any]) -> NDArray[Any] | None:
    """An input in the layout of its tensor, channels last or as it is; None if it has another shape."""
    shape = tuple(int(n) for n in details["shape"])
    channels_last = part.transpose(0, 2, 3, 1) if part.ndim == 4 else part
    fitting = next((layout for layout in (channels_last, part) if layout.shape == shape), None)
    return None if fitting is None else np.ascontiguousarray(fitting)


def _by_name(details: Sequence[dict[str, Any]], named: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Ends of a file in its order, by the names of its signature, or of their tensors if it has none."""
    left = list(named.items())
    found: dict[str, Any] = {}
    for entry in details:
        name = next((n for n, d in left if d["index"] == entry["index"]), str(entry["name"]))
        left = [(n, d) for n, d in left if n != name]
        found[name] = entry
    return found


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


def _tflite_normalization(path: Path) -> Normalization | None:
    """How pixels become the input of a file, if it says so."""
    from ai_edge_litert import schema_py_generated as schema

    said = schema.Model.GetRootAs(path.read_bytes(), 0).Description()
    return described_normalization((said or b"").decode(errors="replace"))


def _tflite_output_grid(path: Path, place: int) -> ActivationQuant:
    """The int8 grid that the DEQUANTIZE which makes an output reads.

    Raises:
        ExportError: nothing of the kind makes it.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    end = next((op for op in graph.operators if graph.outputs[place] in op.outputs), None)
    if end is None:
        raise not_quantized(path)
    code = model.operatorCodes[end.opcodeIndex]
    if max(code.builtinCode, code.deprecatedBuiltinCode) != schema.BuiltinOperator.DEQUANTIZE:
        raise not_quantized(path)
    tensor = graph.tensors[end.inputs[0]]
    if tensor.type != schema.TensorType.INT8 or tensor.quantization is None:
        raise not_quantized(path)
    return ActivationQuant(float(tensor.quantization.scale[0]), int(tensor.quantization.zeroPoint[0]))
