r"""The three Keras networks of the package ``mtcnn``: our int8 beside TensorFlow's converter, in one run.

    pip install --no-deps scikit-image
    python -m bench.mtcnn --output bench/results/mtcnn --keras-python PYTHON_WITH_TENSORFLOW_AND_MTCNN

Both get the same ``.keras`` file with the package's weights and the same calibration crops. Each file answers
the test crops in its runtime; what it says is compared with what Keras answers in TensorFlow.
"""

import os
import subprocess
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import Tensor

from bench.files import quantize, write_ours
from bench.int8_peers import PEERS
from bench.photographs import Half, face_crops, photograph_crops
from bench.reporting import Result, note, percent, table
from bench.subjects import unlabelled_subject
from edgesqueeze.compression.quantizing.post_training import sqnr_db
from edgesqueeze.compression.stages.ptq import Ptq
from edgesqueeze.errors import TaskError
from edgesqueeze.importing.keras.load import load_keras
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.trees import leaves

_SIZES = {"pnet": 96, "rnet": 24, "onet": 48}
_METHODS = {"ptq, min_max": Ptq(method="min_max"), "default ptq": Ptq()}
_CALIBRATION_CROPS, _TEST_CROPS = 5, 15
"""Of every half picture."""


@dataclass(frozen=True)
class Answered:
    """A file's answers beside Keras's float ones, over the test crops.

    ``agreement`` is the share of places that are a face (probability > 0.5) to both or to neither;
    ``sqnr_db`` is that of each output: boxes, landmarks if any, probabilities.
    """

    network: str
    file: str
    made_by: str
    runtime: str
    num_bytes: int
    agreement: float
    sqnr_db: tuple[float, ...]


def main() -> None:
    """Write the networks, quantize each in every way, compare."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    parser.add_argument(
        "--keras-python", type=Path, required=True, help="Python that has TensorFlow, Keras 3 and mtcnn"
    )
    arguments = parser.parse_args()
    result = Result(arguments.output)
    rows: list[Answered] = []
    facts = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _run(arguments.keras_python, "mtcnn_networks.py", folder)
        for network in _SIZES:
            (folder / network).mkdir()
            found, fact = measure(network, folder, arguments.keras_python)
            rows += found
            facts.append(fact)
    result.write({"rows": [asdict(row) for row in rows], "networks": facts}, report(rows, facts))


def measure(network: str, folder: Path, python: Path) -> tuple[list[Answered], dict[str, Any]]:
    """Every int8 file of one network, and how far the network that was read is from Keras."""
    calibration, tested = (_crops(half, _SIZES[network]) for half in ("left", "right"))
    note(f"{network}: {len(calibration)} calibration crops, {len(tested)} test crops")
    own, source = folder / network, folder / f"{network}.keras"
    paths = [own / "calibration.npy", own / "tested.npy"]
    for path, crops in zip(paths, (calibration, tested), strict=True):
        np.save(path, np.ascontiguousarray(crops.movedim(1, -1).numpy()))
    _run(python, "mtcnn_convert.py", source, *paths, own)
    exact = [_channels_first(y) for y in np.load(own / "float.npz").values()]
    model = load_keras(source)
    with torch.no_grad():
        found = [y.numpy() for y in leaves(model(tested))]
    apart = [float(np.abs(y - z).max() / (z.max() - z.min())) for y, z in zip(found, exact, strict=True)]
    rows = [_answered(network, own / "int8.tflite", "TensorFlow's converter", _by_litert(own, tested), exact)]
    subject = unlabelled_subject(network, model, calibration, "crops of packaged photographs")
    for label, settings in _METHODS.items():
        quantized, _ = quantize(subject, settings)
        for path in write_ours(quantized, own / settings.method, with_float=False):
            answers = (load_onnx if path.suffix == ".onnx" else load_tflite)(path).predict_all(tested.numpy())
            rows.append(_answered(network, path, f"edgesqueeze, {label}", list(answers.values()), exact))
    params = sum(p.numel() for p in model.parameters())
    return rows, {"network": network, "params": params, "apart": apart}


def _crops(half: Half, size: int) -> Tensor:
    count = _CALIBRATION_CROPS if half == "left" else _TEST_CROPS
    return torch.cat([photograph_crops(half, count, size), face_crops(half, size)])


def _run(python: Path, script: str, *arguments: Path) -> None:
    command = [str(python), str(PEERS / script), *map(str, arguments)]
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        raise TaskError(f"{script} failed: {(done.stderr.strip().splitlines() or ['it says nothing'])[-1]}")


def _by_litert(folder: Path, tested: Tensor) -> list[Floats]:
    """What TensorFlow's file answers, its outputs in Keras's order: that of the last dimension."""
    interpreter = Interpreter(str(folder / "int8.tflite"))
    interpreter.allocate_tensors()
    (given,) = interpreter.get_input_details()
    outputs = {int(o["shape"][-1]): o["index"] for o in interpreter.get_output_details()}
    found: dict[int, list[Floats]] = {size: [] for size in outputs}
    for x in tested.movedim(1, -1).numpy():
        interpreter.set_tensor(given["index"], x[None])
        interpreter.invoke()
        for size, index in outputs.items():
            found[size].append(interpreter.get_tensor(index))
    order = [y.shape[-1] for y in np.load(folder / "float.npz").values()]
    return [_channels_first(np.concatenate(found[size])) for size in order]


def _channels_first(y: Floats) -> Floats:
    return np.moveaxis(y, -1, 1) if y.ndim > 2 else y


def _answered(
    network: str, path: Path, made_by: str, found: Sequence[Floats], exact: Sequence[Floats]
) -> Answered:
    ratios = [
        sqnr_db(torch.from_numpy(right.copy()), torch.from_numpy(y.copy()))
        for right, y in zip(exact, found, strict=True)
    ]
    same = (found[-1][:, 1] > 0.5) == (exact[-1][:, 1] > 0.5)
    runtime = "ONNX Runtime" if path.suffix == ".onnx" else "LiteRT"
    size = path.stat().st_size
    return Answered(network, path.name, made_by, runtime, size, float(np.mean(same)), tuple(ratios))


def report(rows: Sequence[Answered], facts: Sequence[dict[str, Any]]) -> list[str]:
    """The parts of the Markdown report."""
    header = ["network", "made by", "runtime", "bytes", "agreement", "SQNR dB, by output"]
    body = [
        [
            row.network,
            row.made_by,
            row.runtime,
            f"{row.num_bytes:,}",
            percent(row.agreement),
            ", ".join(f"{ratio:.1f}" for ratio in row.sqnr_db),
        ]
        for row in rows
    ]
    read = "; ".join(
        f"{fact['network']} ({fact['params']:,} parameters) {max(fact['apart']):.1e}" for fact in facts
    )
    text = (
        "Largest difference of the network that was read to Keras, as a fraction of an output's range: "
        f"{read}. Agreement: places with a face probability above 0.5 in both the file and Keras, or in "
        "neither. SQNR: of boxes, landmarks (onet) and probabilities, against Keras in TensorFlow. "
        "Calibration crops come from the left halves of the photographs, test crops from the right halves, "
        "packaged faces besides. TensorFlow's converter: full int8, floats at both ends, as our files "
        "have them."
    )
    return ["# The networks of mtcnn", table(header, body), text]


if __name__ == "__main__":
    main()
