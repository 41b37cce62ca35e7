"""A SavedModel as an ONNX file, in a process of its own: the only place that TensorFlow reads a network in.

``tf2onnx`` writes the file; its weights are then called after the layers of the model's variables, and its
answers in ONNX Runtime are compared with TensorFlow's. What went wrong is said by one line of JSON.
"""

import importlib
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
OPSET = 17
_ROUNDING = 1e-3
"""Of the largest answer, as everywhere where a network is read."""
_SIGNATURE = "serving_default"
_REACHES_OUT = re.compile("PyFunc|Reader|File(?!name$)(?!spec$)|Dataset|Rpc|Http|Socket|CallModule")
"""Operations of code, and of other files than the model's own. Saving and restoring name theirs by others."""
_NUMBERED = re.compile(r"_\d+$")


class Request(NamedTuple):
    """What to convert: the folder, where to, and the shape of one input, [C, H, W] or as the model has it."""

    folder: str
    output: str
    shape: Sequence[int]


class RefusedError(Exception):
    """Why a SavedModel is not converted, in words."""


def main() -> None:
    """Convert what the second argument asks for in JSON; a refusal is a line of JSON and exit code 2."""
    try:
        convert(Request(*json.loads(sys.argv[2])))
    except RefusedError as error:
        print(json.dumps({"refused": str(error)}))  # noqa: T201 (the answer to whoever began the process)
        sys.exit(2)
    except Exception as error:  # TensorFlow and tf2onnx raise many unrelated types
        text = " ".join(str(error).split()) or type(error).__name__
        print(json.dumps({"refused": f"TensorFlow or tf2onnx refuse it: {text[:200]}"}))  # noqa: T201
        sys.exit(2)


def convert(request: Request) -> None:
    """Write the ONNX file.

    Raises:
        RefusedError: the model reaches out of its folder, has no signature, or answers otherwise in ONNX.
    """
    tf: Any = importlib.import_module("tensorflow")
    _check_operations(Path(request.folder) / "saved_model.pb")
    model = tf.saved_model.load(request.folder)
    function = _signature(model)
    specs = function.structured_input_signature[1]
    given = {name: example_of(name, spec.shape, request.shape) for name, spec in specs.items()}
    tf2onnx: Any = importlib.import_module("tf2onnx.convert")
    command = ["tf2onnx", "--saved-model", request.folder, "--output", request.output]
    sys.argv = [*command, "--opset", str(OPSET), "--signature_def", _SIGNATURE, "--tag", "serve"]
    tf2onnx.main()
    _name_weights(Path(request.output), [variable.name for variable in function.variables])
    wanted = function(**{name: tf.constant(value) for name, value in given.items()})
    _compare(request.output, given, {name: value.numpy() for name, value in wanted.items()})


def _check_operations(path: Path) -> None:
    stored = importlib.import_module("tensorflow.core.protobuf.saved_model_pb2").SavedModel()
    try:
        stored.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's own type, which depends on how it was built
        raise RefusedError("saved_model.pb is damaged") from error
    for graph in (meta.graph_def for meta in stored.meta_graphs):
        bodies = [graph.node, *(function.node_def for function in graph.library.function)]
        for operation in sorted({node.op for nodes in bodies for node in nodes}):
            if _REACHES_OUT.search(operation):
                raise RefusedError(f"it holds the operation {operation!r}, which reaches out of the model")


def _signature(model: Any) -> Any:
    if _SIGNATURE not in model.signatures:
        found = ", ".join(sorted(model.signatures)) or "none"
        raise RefusedError(f"its signatures are {found}; {_SIGNATURE!r} is needed, as model.export writes it")
    return model.signatures[_SIGNATURE]


def _name_weights(path: Path, variables: Sequence[str]) -> None:
    """Call what layers read as their weight after the layer, as in ``stem/kernel``."""
    onnx: Any = importlib.import_module("onnx")
    model = onnx.load(path)
    layers = {name.partition(":")[0].rpartition("/")[0] for name in variables} - {""}
    stored = {tensor.name for tensor in model.graph.initializer}
    renamed: dict[str, str] = {}
    for node in model.graph.node:
        for weight in [name for name in node.input[1:2] if name in stored]:
            layer = layer_of(weight, layers) or layer_of(node.name, layers)
            name = f"{layer}/kernel"
            if layer and weight not in renamed and name not in renamed.values():
                renamed[weight] = name
    for tensor in model.graph.initializer:
        tensor.name = renamed.get(tensor.name, tensor.name)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)
    onnx.save(model, path)


def layer_of(name: str, layers: Iterable[str]) -> str:
    """The layer whose name the parts of an operation's name hold, the longest there is; "" of none.

    TensorFlow numbers what is traced again: ``StatefulPartitionedCall/net_1/stem_1/convolution`` is of stem.
    """
    parts = name.partition(":")[0].split("/")
    plain = "/".join(["", *parts, ""])
    short = "/".join(["", *(_NUMBERED.sub("", part) for part in parts), ""])
    found = [layer for layer in layers if f"/{layer}/" in plain or f"/{layer}/" in short]
    return max(found, key=lambda layer: (f"/{layer}/" in plain, len(layer)), default="")


def _compare(path: str, given: Mapping[str, Floats], wanted: Mapping[str, Floats]) -> None:
    """Refuse a file that does not answer in ONNX Runtime as TensorFlow did."""
    ort: Any = importlib.import_module("onnxruntime")
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    taken = {entry.name: given[entry.name.partition(":")[0]] for entry in session.get_inputs()}
    names = [entry.name.partition(":")[0] for entry in session.get_outputs()]
    found = dict(zip(names, session.run(None, taken), strict=True))
    for name, value in wanted.items():
        apart = float(np.abs(found[name] - value).max() / (np.abs(value).max() or 1.0))
        if not apart <= _ROUNDING:
            raise RefusedError(f"its output {name!r} is {apart:.2g} of its range off in ONNX Runtime")


def example_of(name: str, own: Iterable[int | None], shape: Sequence[int]) -> Floats:
    """A random input: sizes that the model leaves open are those of the images, channels last."""
    sizes = list(own)[1:]
    wanted = [*shape[1:], shape[0]] if len(shape) > 1 else list(shape)
    if len(sizes) != len(wanted) or any(s not in (None, w) for s, w in zip(sizes, wanted, strict=True)):
        raise RefusedError(
            f"input {name!r} has shape {['open' if s is None else s for s in sizes]} behind the batch, which "
            f"does not fit images {wanted}; set image_size of the data"
        )
    return np.random.default_rng(0).standard_normal((1, *wanted)).astype(np.float32)
