"""int8 files that take pixels beside those that take floats: are the answers the same, and what does it cost.

    python -m bench.uint8_inputs --output bench/results/uint8_inputs

LeNet-5 is trained for two epochs on the packaged MNIST digits; SqueezeNet 1.1 and MobileNet v2 have random
weights (see ``bench.subjects``) and ImageNet's mean and std. The images of all are pixels; the first of them
holds all 256 in every channel. Time is that of inference alone, preprocessing for the float-input files left
out; both files take turns in one run. It is CPU time of the one thread that computes, which on an idle
machine is the latency, and which other work on the machine does not stretch.
"""

import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from time import thread_time
from typing import Any

import numpy as np
import torch

from bench.files import quantize
from bench.reporting import Result, note, table
from bench.subjects import Subject, noise_images, random_subject, unlabelled_subject
from edgesqueeze.compression.quantizing.graph_model import GraphModel
from edgesqueeze.compression.stages.ptq import Ptq
from edgesqueeze.compression.stages.train import Train
from edgesqueeze.exports import OnnxExport, TfliteExport
from edgesqueeze.exports.base import InputType
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.measure.proof.verification import verify_files
from edgesqueeze.measure.runtimes.latency import Run
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.normalization import Normalization
from edgesqueeze.progress import SilentProgress
from edgesqueeze.task.data_loading import IMAGENET
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.task_config import TaskConfig
from edgesqueeze.task.training import Session

RANDOM = ("squeezenet1_1", "torchvision.models:mobilenet_v2")
SIDE = 224
IMAGES = 8


@dataclass(frozen=True)
class Compared:
    """A file that takes pixels, beside the file of the same network that takes floats."""

    network: str
    runtime: str
    mean_and_std: str
    operators: int
    """More in the file that takes pixels."""
    values: int
    differing: int
    num_bytes: int
    float_num_bytes: int
    time_s: float
    float_time_s: float
    ratio: float


def main() -> None:
    """Write both files of each network, compare their answers, time them in turns, write the result."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    parser.add_argument("--samples", type=int, default=100)
    arguments = parser.parse_args()
    result = Result(arguments.output)
    rows: list[Compared] = []
    gates: list[str] = []
    for subject in subjects():
        note(subject.task.name)
        with tempfile.TemporaryDirectory() as folder:
            found, gate = compared(subject, Path(folder), arguments.samples)
        rows += found
        gates.append(f"{subject.task.name}: {gate}.")
    data: dict[str, Any] = {"rows": [asdict(row) for row in rows], "gates": gates}
    result.write(data, [report(rows), *gates])


def subjects() -> Iterator[Subject]:
    """The three networks, each with pixels that became floats by its mean and std."""
    task = load_task(TaskConfig(model="lenet5", data="mnist_sample"), seed=0)
    session = Session("train", 0, SilentProgress())
    trained = Train(epochs=2).apply(task.build_model(), task, session)
    yield Subject(replace(task, build_model=lambda: trained, name="LeNet-5, MNIST sample"), has_labels=True)
    for name in RANDOM:
        model = random_subject(name, SIDE).model
        images = noise_images(IMAGES, (3, SIDE, SIDE)).numpy()
        pixels = np.clip(np.rint(images * 64 + 128), 0, 255).astype(np.uint8)
        x = torch.from_numpy(IMAGENET.floats(pixels))
        title = f"{name.rpartition(':')[2]} at {SIDE} × {SIDE}, random weights"
        subject = unlabelled_subject(title, model, x, f"{IMAGES} images of 1/f noise, seed 0")
        yield replace(subject, task=replace(subject.task, normalization=IMAGENET))


def compared(subject: Subject, folder: Path, samples: int) -> tuple[list[Compared], str]:
    """Both files in both runtimes, and what the parity gate says of the four."""
    model, _ = quantize(subject, Ptq(method="min_max"))
    normalization = subject.task.normalization
    assert normalization is not None
    x = _images(subject, normalization)
    pairs = [_written(model, folder, kind) for kind in ("float32", "uint8")]
    verification = verify_files(model.graph, model.spec, [path for pair in pairs for path in pair], x)
    verification.require()
    rows = []
    for floats, pixels in zip(*pairs, strict=True):
        predictors = [load_model(path) for path in (floats, pixels)]
        expected, found = (predictor.predict_integers(x) for predictor in predictors)
        float_time_s, time_s = _cpu_times([p.prepare(x[1:2]) for p in predictors], samples)
        rows.append(
            Compared(
                network=subject.task.name,
                runtime=predictors[0].runtime,
                mean_and_std=normalization.summary(),
                operators=_operators(pixels) - _operators(floats),
                values=expected.size,
                differing=int(np.count_nonzero(found != expected)),
                num_bytes=pixels.stat().st_size,
                float_num_bytes=floats.stat().st_size,
                time_s=time_s,
                float_time_s=float_time_s,
                ratio=time_s / float_time_s,
            )
        )
    return rows, verification.summary()[0]


def _cpu_times(runs: Sequence[Run], samples: int) -> list[float]:
    """The median CPU time of each, in seconds; each sample is behind an untimed run of its own."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(samples):
        for run, found in zip(runs, times, strict=True):
            run()
            start = thread_time()
            run()
            found.append(thread_time() - start)
    return [median(found) for found in times]


def _images(subject: Subject, normalization: Normalization) -> Floats:
    """A few images, and in front of them one that holds all pixels in every channel."""
    x = next(iter(subject.task.test.batches(IMAGES)))[0].numpy()
    every = np.arange(x[0].size).reshape(x[:1].shape) % 256
    return np.concatenate([normalization.floats(every.astype(np.uint8)), x])


def _written(model: GraphModel, folder: Path, kind: InputType) -> list[Path]:
    (folder / kind).mkdir()
    exports = OnnxExport(precision=("int8",), input=kind), TfliteExport(precision=("int8",), input=kind)
    written = [a.path for export in exports for a in export.write(model.graph, model.spec, folder / kind)]
    return [path.rename(path.with_name(f"{kind}_{path.name}")) for path in written]


def _operators(path: Path) -> int:
    return sum(read_model_file(path).operators.values())


def report(rows: list[Compared]) -> str:
    """The table."""
    header = ["network", "runtime", "operators", "outputs that differ", "bytes", "of floats"]
    header += ["CPU ms", "of floats", "ratio"]
    return table(
        header,
        [
            [
                row.network,
                row.runtime,
                f"{row.operators:+d}",
                f"{row.differing} of {row.values:,}",
                f"{row.num_bytes:,}",
                f"{row.float_num_bytes:,}",
                f"{1e3 * row.time_s:.3f}",
                f"{1e3 * row.float_time_s:.3f}",
                f"{row.ratio:.3f}",
            ]
            for row in rows
        ],
    )


if __name__ == "__main__":
    main()
