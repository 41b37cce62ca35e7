"""Whether the network that was read answers as the file does in ONNX Runtime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from torch import Tensor

from edgesqueeze.errors import UnsupportedLayerError
from edgesqueeze.importing.agreement import BATCH, Answers, distance, random_like
from edgesqueeze.importing.onnx.network import OnnxNetwork
from edgesqueeze.trees import leaves

_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}


def check_agreement(path: Path, network: OnnxNetwork, examples: Mapping[str, Tensor]) -> None:
    """Refuse a network that answers otherwise than ONNX Runtime, on seeded random inputs.

    Args:
        path: the file.
        network: what was read from it.
        examples: an example of each input as the file wants it, [1, ...]: its shape counts.

    Raises:
        UnsupportedLayerError: the answers differ, or ONNX Runtime does not run the file.
    """
    given = {name: random_like(example) for name, example in examples.items()}
    wanted = _by_runtime(path, {name: value.numpy() for name, value in given.items()})
    last = network.channels_last
    turned = [value.movedim(-1, 1) if name in last else value for name, value in given.items()]

    def run(inputs: Sequence[Tensor]) -> Answers:
        return [value.numpy() for value in leaves(network(*inputs))]

    apart = distance(run, turned, wanted)
    if apart:
        raise UnsupportedLayerError(
            f"the network that was read answers otherwise than ONNX Runtime, by {apart:.2g} of the largest "
            "value; please report the file"
        )


def _by_runtime(path: Path, given: Mapping[str, NDArray[Any]]) -> Answers:
    """Outputs for all examples, given one after the other: many files take no more at once."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is said by the error
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        inputs = {entry.name: entry for entry in session.get_inputs()}
        typed = {name: value.astype(_TYPES[inputs[name].type]) for name, value in given.items()}
        fixed = {entry.shape[0] for entry in inputs.values() if isinstance(entry.shape[0], int)}
        return _one_by_one(session, typed, max(fixed, default=1))
    except Exception as error:  # ONNX Runtime raises types of its own
        text = " ".join(str(error).split())
        raise UnsupportedLayerError(f"ONNX Runtime does not run it: {text[:200]}") from error


def _one_by_one(session: Any, given: Mapping[str, NDArray[Any]], batch: int) -> Answers:
    """Each example repeated to the file's own batch, and the first answer of it."""
    found = []
    for index in range(BATCH):
        one = {name: np.repeat(value[index : index + 1], batch, 0) for name, value in given.items()}
        found.append([np.asarray(value)[: len(value) // batch] for value in session.run(None, one)])
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]
