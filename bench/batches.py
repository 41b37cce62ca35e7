"""Files for any number of inputs: the same answers as one by one, and what that costs with one input.

    python -m bench.batches --output bench/results/batches

Networks have random weights whose activations have the scales of trained ones. Every file is written for one
input and with an open batch; what the second answers to batches is compared with what the first answers to
each input alone, bit by bit. Both are then timed with one input, in turns and in several rounds.

Time is the processor's in the calling thread, which does all the work: one thread is asked for. Other work
on the machine lengthens it by what it does to caches only, and alike for files that are timed in turns.
"""

import gc
import time
from argparse import ArgumentParser
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from ai_edge_litert.interpreter import Interpreter
from torch import nn
from torchvision.models import VisionTransformer, mobilenet_v2

from bench.reporting import Result, note, table
from bench.subjects import noise_images, settle
from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.errors import ExportError
from edgesqueeze.formats.names import Batch
from edgesqueeze.formats.onnx.writing.emit import emit_onnx, emit_onnx_weights
from edgesqueeze.formats.tflite.writing.emit import emit_tflite, emit_tflite_weights
from edgesqueeze.measure.runtimes.litert import silent_stderr
from edgesqueeze.models import built_in_model
from edgesqueeze.network.graph.nodes import Floats, Graph
from edgesqueeze.network.integers.spec import QuantSpec, make_spec
from edgesqueeze.network.integers.weight_only import int8_weights
from edgesqueeze.network.reading.torch.build import build_graph

BATCHES = (1, 2, 5, 32)
PRECISIONS = ("fp32", "int8", "dynamic")
_ROUNDS = 7
_SHORTEST_NS = 1e6
_CALIBRATION_IMAGES = 8
Answers = list[np.ndarray[Any, Any]]
Run = Callable[[], object]


@dataclass(frozen=True)
class BatchRow:
    """One file.

    ``differing`` maps a batch to how many output values are not those of the inputs alone, ``largest``
    is the largest such difference as a share of the largest value. ``ratios`` are times of the open file
    over those of the one for one input, with one input, round by round; ``per_input`` is the share of a
    single run's time that each input takes in the largest batch. ``refused`` says why there is no open file.
    """

    network: str
    format: str
    precision: str
    bytes_more: int = 0
    values: int = 0
    differing: dict[int, int] | None = None
    largest: float = 0.0
    ratios: tuple[float, ...] = ()
    per_input: float = 0.0
    refused: str = ""


def main() -> None:
    """Measure every network in both formats and write the result."""
    parser = ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    parser.add_argument("--samples", type=int, default=20, help="timed samples a round and file (20)")
    arguments = parser.parse_args()
    result = Result(arguments.output)
    rows: list[BatchRow] = []
    for name, (build, shape) in NETWORKS.items():
        note(name)
        graph, spec, x = quantized(build, shape)
        for runtime, (write, load) in FORMATS.items():
            for precision in PRECISIONS:
                files = (write, load, (graph, spec, precision))
                rows.append(measure((name, runtime, precision), files, x, arguments.samples))
                gc.collect()
    result.write({"rows": [asdict(row) for row in rows]}, report(rows))


def quantized(build: Callable[[], nn.Module], shape: tuple[int, int, int]) -> tuple[Graph, QuantSpec, Floats]:
    """A network with random weights, its integers, and as many images as the largest batch."""
    x = noise_images(max(BATCHES), shape)
    torch.manual_seed(0)
    model = build()
    settle(model, x[:_CALIBRATION_IMAGES])
    graph = build_graph(model.eval(), x[:1])
    return graph, make_spec(graph, calibrate_min_max(graph, x[:_CALIBRATION_IMAGES].split(4))), x.numpy()


def measure(
    labels: tuple[str, str, str],
    files: tuple[Callable[..., bytes], Callable[[bytes], Any], tuple[Graph, QuantSpec, str]],
    x: Floats,
    samples: int,
) -> BatchRow:
    """One file: its answers to batches, and its time beside that of the file for one input."""
    write, load, network = files
    closed = write(*network, 1)
    try:
        opened = write(*network, "open")
    except ExportError as error:
        return BatchRow(*labels, refused=str(error))
    single, several = load(closed), load(opened)
    expected = [
        np.concatenate(y) for y in zip(*(single.run(x[i : i + 1]) for i in range(len(x))), strict=True)
    ]
    differing, largest = {}, 0.0
    for batch in BATCHES:
        found = several.run(x[:batch])
        pairs = [(y, wanted[:batch]) for y, wanted in zip(found, expected, strict=True)]
        differing[batch] = sum(int(np.count_nonzero(y != wanted)) for y, wanted in pairs)
        apart = (np.abs(y - wanted).max() / (np.abs(wanted).max() or 1.0) for y, wanted in pairs)
        largest = max(largest, *(float(share) for share in apart))
    runs = {"closed": single.prepared(x[:1]), "open": several.prepared(x[:1])}
    rounds = [in_turns(runs, samples) for _ in range(_ROUNDS)]
    together = in_turns({"one": runs["open"], "whole": load(opened).prepared(x)}, 3)
    return BatchRow(
        *labels,
        bytes_more=len(opened) - len(closed),
        values=sum(y.size for y in expected),
        differing=differing,
        largest=largest,
        ratios=tuple(found["open"] / found["closed"] for found in rounds),
        per_input=together["whole"] / together["one"] / len(x),
    )


def in_turns(runs: dict[str, Run], samples: int) -> dict[str, float]:
    """The median nanoseconds of the processor that each takes, by turns."""
    repeats = {name: max(1, round(_SHORTEST_NS / (_processor_ns(run, 3) / 3))) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(samples):
        for name, run in runs.items():
            run()  # nobody pays for the caches that the other has emptied
            times[name].append(_processor_ns(run, repeats[name]) / repeats[name])
    return {name: float(np.median(found)) for name, found in times.items()}


def _processor_ns(run: Run, repeats: int) -> int:
    start = time.thread_time_ns()
    for _ in range(repeats):
        run()
    return time.thread_time_ns() - start


class _InOnnxRuntime:
    def __init__(self, data: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        self._name = self._session.get_inputs()[0].name

    def run(self, x: Floats) -> Answers:
        return list(self._session.run(None, {self._name: x}))

    def prepared(self, x: Floats) -> Run:
        feed = {self._name: np.ascontiguousarray(x)}
        return lambda: self._session.run(None, feed)


class _InLiteRt:
    def __init__(self, data: bytes) -> None:
        with silent_stderr():
            self._interpreter = Interpreter(model_content=data, num_threads=1)
            self._interpreter.allocate_tensors()

    def run(self, x: Floats) -> Answers:
        self.prepared(x)()
        return [self._interpreter.get_tensor(end["index"]) for end in self._interpreter.get_output_details()]

    def prepared(self, x: Floats) -> Run:
        entry = self._interpreter.get_input_details()[0]
        last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        if tuple(entry["shape"]) != last.shape:
            with silent_stderr():
                self._interpreter.resize_tensor_input(entry["index"], last.shape, strict=True)
                self._interpreter.allocate_tensors()
        self._interpreter.set_tensor(entry["index"], last)
        invoke: Run = self._interpreter.invoke
        return invoke


def _onnx(graph: Graph, spec: QuantSpec, precision: str, batch: Batch) -> bytes:
    if precision == "dynamic":
        return emit_onnx_weights(graph, precision, int8_weights(graph, spec), batch)
    return emit_onnx(graph, spec if precision == "int8" else None, batch)


def _tflite(graph: Graph, spec: QuantSpec, precision: str, batch: Batch) -> bytes:
    if precision == "dynamic":
        return emit_tflite_weights(graph, precision, int8_weights(graph, spec), batch)
    return emit_tflite(graph, spec if precision == "int8" else None, "float32", batch)


def _built_in(name: str, *arguments: Any) -> Callable[[], nn.Module]:
    return lambda: built_in_model(name).build(*arguments)


def _transformer() -> nn.Module:
    return VisionTransformer(
        image_size=32, patch_size=4, num_layers=4, num_heads=3, hidden_dim=96, mlp_dim=192, num_classes=10
    )


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "LeNet-5": (_built_in("lenet5"), (1, 28, 28)),
    "SqueezeNet 1.1": (_built_in("squeezenet1_1", 10, 3, (64, 64)), (3, 64, 64)),
    "MobileNet v2": (lambda: mobilenet_v2(num_classes=10), (3, 64, 64)),
    "vision transformer": (_transformer, (3, 32, 32)),
    "detector": (_built_in("squeezenet_detector", 10, 3, (64, 64)), (3, 64, 64)),
    "segmenter": (_built_in("squeezenet_segmenter", 10, 3, (64, 64)), (3, 64, 64)),
}
FORMATS: dict[str, tuple[Callable[..., bytes], Callable[[bytes], Any]]] = {
    "ONNX": (_onnx, _InOnnxRuntime),
    "TFLite": (_tflite, _InLiteRt),
}


def report(rows: Sequence[BatchRow]) -> list[str]:
    """The table and what its columns mean."""
    header = ["network", "file", "precision", "bytes more", *(f"differ in {n}" for n in BATCHES)]
    header += ["largest", "time, open / one", "lowest to highest", f"each of {BATCHES[-1]}"]
    refused = [row for row in rows if row.refused]
    return [
        "# Several inputs at once",
        "Every value that an open file answers to a batch, beside what the file for one input answers to "
        f"each alone, in {len(PRECISIONS)} precisions, random weights. `differ in 5` counts the "
        "values of a batch of five that are not the same bits, `largest` is the largest difference as a "
        "share of the largest value.",
        table(header, [_cells(row) for row in rows if not row.refused]),
        "Times are the processor's, with one input and one thread, in turns: the median of "
        f"{_ROUNDS} rounds' ratios, and the lowest and highest of them. `each of {BATCHES[-1]}` is the time "
        "of one input in the largest batch, as a share of that of one input alone.",
        *(f"Refused: {row.network}, {row.format} {row.precision}: {row.refused}." for row in refused),
    ]


def _cells(row: BatchRow) -> list[str]:
    ratios = sorted(row.ratios)
    return [
        row.network,
        row.format,
        row.precision,
        f"{row.bytes_more:+,}",
        *(str((row.differing or {})[n]) for n in BATCHES),
        "0" if row.largest == 0 else f"{row.largest:.1e}",
        f"{np.median(ratios):.3f}",
        f"{ratios[0]:.3f} – {ratios[-1]:.3f}",
        f"{row.per_input:.2f}",
    ]


if __name__ == "__main__":
    main()
