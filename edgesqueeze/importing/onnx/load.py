"""ONNX models from files: checked, brought into one form, and read."""

from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from onnx import inliner
from onnx.external_data_helper import load_external_data_for_model

from edgesqueeze.errors import TaskError, UnsupportedLayerError
from edgesqueeze.importing.onnx.agreement import check_agreement
from edgesqueeze.importing.onnx.limits import check_model
from edgesqueeze.importing.onnx.network import OnnxNetwork
from edgesqueeze.importing.onnx.reading import read_network

_OLDEST = 7


def load_onnx(path: Path, shape: Sequence[int]) -> OnnxNetwork:
    """The float network in an ONNX file.

    Args:
        path: the file; data outside it must lie in the same folder or below.
        shape: of one input without the batch, [C, H, W], [C, L] or [features]; of several all have it. Open
            sizes take theirs from it.

    Raises:
        TaskError: the file is missing, damaged, or for inputs of another shape.
        UnsupportedLayerError: a node that cannot be computed here, or answers that are not ONNX Runtime's.
    """
    model = _read(path)
    initializers = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initializers]
    if not inputs:
        raise TaskError(f"{path} has no input")
    examples, channels_last = {}, set()
    for value in inputs:
        wanted, last = _shape_for(path, value, tuple(shape))
        examples[value.name] = torch.zeros(1, *wanted)
        channels_last |= {value.name} if last else set()
    try:
        network = read_network(model, examples, frozenset(channels_last))
        check_agreement(path, network, examples)
    except UnsupportedLayerError as error:
        raise UnsupportedLayerError(f"{path}: {error}") from error
    return network


def _read(path: Path) -> onnx.ModelProto:
    try:
        path.open("rb").close()
    except OSError as error:
        raise TaskError(f"ONNX model {path} cannot be read: {error.strerror}") from error
    try:
        model = onnx.load(path, load_external_data=False)
        check_model(path, model)
        load_external_data_for_model(model, str(path.parent))  # refuses data outside the folder
        onnx.checker.check_model(path)
        for tensor in model.graph.initializer:  # data beside the file may be shorter than they should be
            onnx.numpy_helper.to_array(tensor)
    except TaskError:
        raise
    except Exception as error:  # protobuf and onnx raise many unrelated types
        raise TaskError(f"{path} is not a whole ONNX model: {_line(error)}") from error
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < _OLDEST:
        raise TaskError(f"{path} has operator set {opset}; {_OLDEST} and later are allowed")
    try:
        return inliner.inline_local_functions(model) if model.functions else model
    except Exception as error:
        raise TaskError(f"{path} has functions that cannot be written out: {_line(error)}") from error


def _shape_for(
    path: Path, value: onnx.ValueInfoProto, shape: tuple[int, ...]
) -> tuple[tuple[int, ...], bool]:
    """The shape of an input's example behind the batch, and whether its channels are last."""
    kind = value.type.tensor_type
    if kind.elem_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE):
        name = onnx.TensorProto.DataType.Name(kind.elem_type)
        raise TaskError(f"{path}: input {value.name!r} is {name}; float inputs are allowed")
    given = [dim.dim_value if dim.HasField("dim_value") else 0 for dim in kind.shape.dim][1:]
    last = (*shape[1:], shape[0])
    for wanted, is_last in ((shape, False), (last, len(shape) > 1)):
        if len(given) == len(wanted) and all(g in (0, w) for g, w in zip(given, wanted, strict=True)):
            return tuple(wanted), is_last
    shown = [size or "open" for size in given]
    raise TaskError(
        f"{path}: input {value.name!r} has shape {['batch', *shown]}, which does not fit images "
        f"{list(shape)}; set image_size of the data"
    )


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}…"
