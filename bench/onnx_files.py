r"""ONNX files of other exporters read, turned into ours, and their int8 beside ONNX Runtime's quantizer.

    pip install onnxscript && pip install --no-deps scikit-image rapidocr-onnxruntime
    python -m bench.onnx_files --output bench/results/onnx_files --keras-python PYTHON_WITH_TF2ONNX
        [--made-by torch keras paddle]

Ten networks of torchvision by both of torch's exporters, some of keras.applications by tf2onnx and by Keras's
own export, and the three of rapidocr-onnxruntime with their weights.
"""

import sys
import tempfile
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor

from bench.int8_peers import PEERS, run_peer
from bench.network_list import Settled
from bench.network_row import CALIBRATION_IMAGES, TEST_IMAGES, NetworkRow, measure_network
from bench.onnx_sources import OnnxFile, keras_files, paddle_files, torch_files
from bench.reporting import Result, note, table
from edgesqueeze.compression.quantizing.post_training import sqnr_db
from edgesqueeze.errors import EdgeSqueezeError, ExportError
from edgesqueeze.importing.onnx.load import load_onnx
from edgesqueeze.importing.onnx.network import OnnxNetwork
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.trees import leaves

_STEPS = ("read", "fp32", "int8")
_MAKERS = ("torch", "keras", "paddle")
_PEER = "ort_min_max"
_PER_CHANNEL = 13
"""The first operator set that has scales per channel."""


@dataclass(frozen=True)
class OnnxRow:
    """What came of a file. Every SQNR is over the same images, against the file's own float answers.

    ``rounding`` is the largest difference of the network that was read to itself in float64, as a fraction
    of the answers' range; ``peer_sqnr_db`` is of what ONNX Runtime's quantizer made of the file.
    """

    network: str
    made_by: str
    shape: tuple[int, int, int]
    num_bytes: int
    ours: NetworkRow
    rounding: float | None
    peer_sqnr_db: float | None
    peer_error: str | None


def main() -> None:
    """Write the files, read them, compare."""
    arguments = _arguments()
    result = Result(arguments.output)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for file in _files(arguments, Path(folder)):
            rows.append(measure_file(file))
            ours = rows[-1].ours
            note(f"{file.network}, {file.made_by}: {ours.step}, {ours.failure or ours.gate}")
    result.write({"rows": [asdict(row) for row in rows]}, report([asdict(row) for row in rows]))


def _arguments() -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    parser.add_argument("--made-by", nargs="+", choices=_MAKERS, default=list(_MAKERS), help="exporters")
    parser.add_argument("--keras-python", type=Path, help="Python that has TensorFlow, Keras 3 and tf2onnx")
    arguments = parser.parse_args()
    if "keras" in arguments.made_by and arguments.keras_python is None:
        parser.error("--keras-python is needed for files made by keras")
    return arguments


def _files(arguments: Namespace, folder: Path) -> Iterator[OnnxFile]:
    if "torch" in arguments.made_by:
        yield from torch_files(folder)
    if "keras" in arguments.made_by:
        yield from keras_files(folder, arguments.keras_python)
    if "paddle" in arguments.made_by:
        yield from paddle_files()


def measure_file(file: OnnxFile) -> OnnxRow:
    """Read a file, write and run ours, and let ONNX Runtime quantize it too."""
    x = file.images()
    size = file.path.stat().st_size
    blank = NetworkRow(file.network, "onnx", file.path.name, "", max(file.shape[1:]))
    try:
        network = load_onnx(file.path, file.shape)
    except EdgeSqueezeError as error:
        refused = replace(blank, failure=str(error), refused=True)
        return OnnxRow(file.network, file.made_by, file.shape, size, refused, None, None, None)
    tested = _as_the_file_has_it(network, x[-TEST_IMAGES:])
    exact = _answers(file.path, tested)

    found = _torch_answers(network, x[-TEST_IMAGES:])
    rounding = max(map(_apart, found, _torch_answers(deepcopy(network).double(), x[-TEST_IMAGES:].double())))

    def build(_: Tensor) -> Settled:
        return Settled(network, max(map(_apart, found, exact)))

    rows: list[NetworkRow] = []
    measure_network(blank, build, x, _STEPS, rows.append)
    with tempfile.TemporaryDirectory() as folder:
        calibration = _as_the_file_has_it(network, x[:CALIBRATION_IMAGES])
        peer, error = None, None
        try:
            path = _quantized_by_peer(file.path, calibration, Path(folder))
            peer = sqnr_db(_joined(exact), _joined(_answers(path, tested)))
        except Exception as failure:  # whatever comes of a peer's file is a result of its own
            error = str(failure).strip().splitlines()[0]
    return OnnxRow(file.network, file.made_by, file.shape, size, rows[-1], rounding, peer, error)


@torch.no_grad()
def _torch_answers(network: OnnxNetwork, x: Tensor) -> list[Floats]:
    return [y.numpy() for y in leaves(network(x))]


def _as_the_file_has_it(network: OnnxNetwork, x: Tensor) -> Floats:
    x = x.movedim(1, -1) if network.channels_last else x
    return np.ascontiguousarray(x.numpy())


def _answers(path: Path, x: Floats) -> list[Floats]:
    """All outputs in ONNX Runtime, image by image."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    found = [session.run(None, {name: x[i : i + 1]}) for i in range(len(x))]
    return [np.concatenate(parts) for parts in zip(*found, strict=True)]


def _apart(found: Floats, expected: Floats) -> float:
    return float(np.abs(found - expected).max() / (expected.max() - expected.min()))


def _joined(outputs: Sequence[Floats]) -> Tensor:
    return torch.from_numpy(np.concatenate([y.reshape(len(y), -1) for y in outputs], axis=1))


def _quantized_by_peer(model: Path, calibration: Floats, folder: Path) -> Path:
    """What ``quantize_static`` makes of a file, given what it needs: sizes, and operator set 13."""
    prepared = folder / "prepared.onnx"
    onnx.save(_prepared(onnx.load(model), (1, *calibration.shape[1:])), prepared)
    np.save(folder / "calibration.npy", calibration)
    command = [str(PEERS / "ort_quantize.py"), str(prepared), str(folder / "calibration.npy")]
    (variant,) = run_peer(Path(sys.executable), command, folder / "peer", (_PEER,))
    if variant.error is not None:
        raise ExportError(variant.error)
    return folder / "peer" / f"{_PEER}.onnx"


def _prepared(model: onnx.ModelProto, shape: Sequence[int]) -> onnx.ModelProto:
    if all(entry.version < _PER_CHANNEL for entry in model.opset_import if entry.domain in ("", "ai.onnx")):
        model = onnx.version_converter.convert_version(model, _PER_CHANNEL)
    del model.graph.value_info[:]
    for size, dim in zip(shape, model.graph.input[0].type.tensor_type.shape.dim, strict=True):
        dim.dim_value = size
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model


def report(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The parts of the Markdown report."""
    header = [
        "network",
        "made by",
        "input",
        "params",
        "to ONNX Runtime",
        "rounding",
        "fp32 ONNX",
        "fp32 TFLite",
        "int8",
    ]
    header += ["ONNX ≠ TFLite", "SQNR dB, ONNX", "TFLite", "ONNX Runtime's", "what ended it"]
    body = [_cells(row) for row in rows]
    done = sum(row["ours"]["step"] == "done" for row in rows)
    text = (
        f"Of {len(rows)} files {done} are read, written as float and int8 files in both formats, and run. "
        "To ONNX Runtime: largest difference of the network that was read to the file in ONNX Runtime, as a "
        "fraction of the answers' range; rounding: of that network to itself in float64. fp32: largest "
        "difference of our files to that network, as a fraction of the largest answer. "
        f"int8: min-max ranges of {CALIBRATION_IMAGES} images, the same for "
        "ONNX Runtime's `quantize_static` (QDQ, per channel, MinMax); what the parity gate says of our "
        f"files on {TEST_IMAGES} others, and how many of their answers differ. SQNR: of those answers "
        "against the float network's. The networks of torchvision and Keras have random weights and see "
        "1/f noise; those of rapidocr have theirs and see photographs with words written on them."
    )
    failures = [
        f"{row['network']}, {row['made_by']}: `quantize_static` failed: {row['peer_error']}."
        for row in rows
        if row["peer_error"] is not None
    ]
    return ["# ONNX files of other exporters", table(header, body), text, *failures]


def _cells(row: dict[str, Any]) -> list[str]:
    ours = row["ours"]
    errors, ratios, apart = ours["float_error"] or {}, ours["sqnr_db"] or {}, ours["differing"]
    return [
        row["network"],
        row["made_by"],
        " × ".join(map(str, row["shape"])),
        "–" if ours["params"] is None else f"{ours['params']:,}",
        "–" if ours["source_error"] is None else f"{ours['source_error']:.1e}",
        "–" if row["rounding"] is None else f"{row['rounding']:.1e}",
        *(f"{errors[kind]:.1e}" if kind in errors else "–" for kind in ("onnx", "tflite")),
        ours["gate"] or "–",
        "–" if apart is None else f"{apart['onnx and tflite']:,} of {apart['of']:,}",
        *(f"{ratios[kind]:.1f}" if kind in ratios else "–" for kind in ("onnx", "tflite")),
        "–" if row["peer_sqnr_db"] is None else f"{row['peer_sqnr_db']:.1f}",
        f"{ours['step']}: {ours['failure'].splitlines()[0]}" if ours["failure"] else "",
    ]


if __name__ == "__main__":
    main()
