"""Small int8 networks and their files, and files with one number changed."""

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import torch
from ai_edge_litert import schema_py_generated as schema
from onnx import numpy_helper
from tiny import TinyNet
from torch import nn

from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.formats.onnx.writing.emit import emit_onnx, emit_onnx_weights
from edgesqueeze.formats.onnx.writing.qoperator import emit_onnx_qoperator
from edgesqueeze.formats.tflite.cut import TfliteFile, pack_tflite
from edgesqueeze.formats.tflite.flatbuffer import AlignedBuffer
from edgesqueeze.formats.tflite.writing.emit import emit_tflite, emit_tflite_weights
from edgesqueeze.network.integers.spec import make_spec
from edgesqueeze.network.integers.weight_only import int8_weights
from edgesqueeze.network.reading.torch.build import build_graph


class PlainNet(nn.Module):
    """Convolutions, pools, a flattened map: a chain, in which a fault cannot hide behind a sum."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2, stride=2), nn.Conv2d(6, 8, 3)
        self.fc1, self.fc2 = nn.Linear(8 * 6 * 6, 20), nn.Linear(20, 10)

    def forward(self, x):
        x = torch.relu(self.conv2(torch.relu(self.conv1(x))))
        x = torch.nn.functional.avg_pool2d(x, 2)
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


class ResizedNet(nn.Module):
    """Two bilinear resizes, one behind the other's layer, as in a segmenter."""

    def __init__(self):
        super().__init__()
        self.stem, self.low = nn.Conv2d(1, 8, 3, stride=2), nn.Conv2d(8, 8, 3, stride=2)
        self.middle, self.head = nn.Conv2d(8, 6, 3), nn.Linear(6 * 5 * 5, 10)

    def forward(self, x):
        high = torch.relu(self.stem(x))
        low = nn.functional.interpolate(torch.relu(self.low(high)), size=(13, 13), mode="bilinear")
        y = torch.relu(self.middle(high + low))
        return self.head(nn.functional.interpolate(y, size=(5, 5), mode="bilinear").flatten(1))


NETWORKS = {"plain": PlainNet, "tiny": TinyNet, "resized": ResizedNet}


def pictures(count=12):
    return np.random.default_rng(3).normal(size=(count, 1, 28, 28)).astype(np.float32)


@cache
def network(name, keep_float=()):
    """A random network, its graph and its spec."""
    torch.manual_seed(0)
    model = NETWORKS[name]().eval()
    x = torch.from_numpy(pictures())
    graph = build_graph(model, x[:1])
    return graph, make_spec(graph, calibrate_min_max(graph, [x]), keep_float)


def write_precisions(folder: Path, graph, spec):
    """One file of every other precision and form, by name."""
    weights = int8_weights(graph, spec)
    data = {
        f"model_{form}{suffix}": emit(graph, form, weights)
        for form in ("fp16", "int8_weights", "dynamic")
        for suffix, emit in ((".onnx", emit_onnx_weights), (".tflite", emit_tflite_weights))
    }
    data["model_int8_qoperator.onnx"] = emit_onnx_qoperator(graph, spec)
    data["model_int8_float32_io.tflite"] = emit_tflite(graph, spec, "float32")
    for name, content in data.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in data}


def write_files(folder: Path, graph, spec):
    """model.onnx, model.tflite and their int8 counterparts."""
    paths = []
    for precision, chosen in (("", None), ("_int8", spec)):
        for suffix, emit in ((".onnx", emit_onnx), (".tflite", emit_tflite)):
            paths.append(folder / f"model{precision}{suffix}")
            paths[-1].write_bytes(emit(graph, chosen))
    return paths


def change_onnx(path: Path, name: str, change):
    """Rewrite one initialiser; a constant that others share is copied first, so that only one reader sees it."""
    model = onnx.load(path)
    tensor = next(t for t in model.graph.initializer if t.name == name)
    tensor.CopyFrom(numpy_helper.from_array(change(numpy_helper.to_array(tensor).copy()), name))
    onnx.save(model, path)


def change_onnx_grid(path: Path, node: str, position: int, change):
    """Change the scale (1) or zero point (2) of one node's grid, and of no other node that shares the constant."""
    model = onnx.load(path)
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    own = f"{node}.changed"
    for op in model.graph.node:
        if op.name in (f"{node}/int", f"{node}/out"):
            value = constants[op.input[position]]
            op.input[position] = own
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(change(value), value.dtype), own))
    onnx.save(model, path)


def change_tflite(path: Path, name: str, change):
    """Rewrite the stored values of one tensor."""

    def edit(file):
        tensor = file.graph.tensors[file.indices[name]]
        kinds = {
            schema.TensorType.INT8: np.int8,
            schema.TensorType.FLOAT16: np.float16,
            schema.TensorType.FLOAT32: np.float32,
        }
        kind = kinds.get(tensor.type, np.int32)
        values = np.asarray(file.model.buffers[tensor.buffer].data, np.uint8).view(kind).copy()
        file.model.buffers[tensor.buffer].data = change(values).view(np.uint8)

    _edit_tflite(path, edit)


def change_tflite_grid(path: Path, name: str, field: str, change):
    """Change ``scale`` or ``zeroPoint`` of one tensor."""

    def edit(file):
        quantization = file.graph.tensors[file.indices[name]].quantization
        setattr(quantization, field, change(np.array(getattr(quantization, field))))

    _edit_tflite(path, edit)


def _edit_tflite(path, edit):
    file = TfliteFile(path)
    edit(file)
    file.model.buffers = [
        schema.BufferT() if buffer.data is None else AlignedBuffer(np.asarray(buffer.data, np.uint8))
        for buffer in file.model.buffers
    ]
    path.write_bytes(pack_tflite(file.model))
