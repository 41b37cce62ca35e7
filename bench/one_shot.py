"""Bytes against accuracy without training: `squeeze` with `epochs: 0` beside NNCodec, from one network.

    python -m bench.one_shot --recipe RUN/recipe.yaml --checkpoint RUN/…/model.safetensors
        --price 0.002 0.005 0.01 [--images 4096] [--qp -38 -32 …] --output DIR

Ours are whole .sqz files, decoded again; every accuracy is that of the decoded weights in ONNX Runtime over
the whole test split. Both coders take the same trained weights; ours looks at training images, at no label.
"""

import tempfile
import time
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.published_networks import NETWORKS, agreement_subject
from bench.rate_accuracy import add_peer_arguments, float_point, nncodec_points, our_point, report
from bench.reporting import Result, note, table
from bench.subjects import Subject, add_subject_arguments, subject_from
from edgesqueeze.compression.stages.squeeze import Squeeze
from edgesqueeze.compression.weights.weights import bake
from edgesqueeze.data.splits import DataSplit
from edgesqueeze.errors import RecipeError
from edgesqueeze.formats.sqz.file import emit_sqz
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.progress import SilentProgress
from edgesqueeze.task.training import Session

IMAGES = 4096


@dataclass(frozen=True)
class Effort:
    """What one shot took: seconds on the clock and of processors, and the process's peak memory behind it."""

    label: str
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int


def main() -> None:
    """Measure all points, write the result."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    classifiers = [name for name, network in NETWORKS.items() if network.classifies]
    add_subject_arguments(parser).add_argument("--published", choices=classifiers, help="brings its weights")
    parser.add_argument("--price", type=float, nargs="+", required=True, help="of squeeze, each for a point")
    parser.add_argument("--images", type=int, default=IMAGES, help="training images that ours looks at")
    add_peer_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    arguments = parser.parse_args()
    result = Result(arguments.output)
    subject = _subject(arguments)
    graph = build_graph(subject.model, subject.task.example_input)
    with tempfile.TemporaryDirectory() as folder:
        original = float_point(subject, graph, Path(folder) / "float.onnx")
        ours, efforts = [], []
        for price in arguments.price:
            path = Path(folder) / f"{price:g}.sqz"
            efforts.append(_squeezed(subject, price, path))
            ours.append(our_point(subject, f"one shot, price {price:g}", path))
        theirs = nncodec_points(subject, graph, arguments, Path(folder))
    found = {"float": asdict(original), "points": [asdict(p) for p in (*ours, *theirs)]}
    facts = {"subject": subject.facts(), "efforts": [asdict(effort) for effort in efforts]}
    result.write({**facts, **found}, [*report(subject, original, ours, theirs), *_efforts(subject, efforts)])


def _subject(arguments: Namespace) -> Subject:
    if arguments.published is None:
        return _with_images(subject_from(arguments), arguments.images)
    return agreement_subject(arguments.published, arguments.images)


def _with_images(subject: Subject, count: int) -> Subject:
    """The subject with so many training images to calibrate on.

    Raises:
        RecipeError: there are fewer, or it has no labels to score by.
    """
    train = subject.task.train
    if not subject.has_labels:
        raise RecipeError("accuracy needs a trained network with test images: give --recipe, not --random")
    if not isinstance(train, DataSplit) or len(train) < count:
        raise RecipeError(f"--images is {count}; the training split has {len(train)}")
    return replace(subject, task=replace(subject.task, calibration=train.first(count)))


def _squeezed(subject: Subject, price: float, path: Path) -> Effort:
    """Squeeze the network once into a .sqz file."""
    label = f"price {price:g}"
    model, session = subject.model, Session(label, 0, SilentProgress())
    start, busy = time.perf_counter(), time.process_time()
    model = Squeeze(price=price).apply(model, subject.task, session)
    took = time.perf_counter() - start, time.process_time() - busy
    path.write_bytes(emit_sqz(build_graph(bake(model), subject.task.example_input), None))
    note(f"{label}: {took[0]:.0f} s")
    return Effort(label, *took, _peak_rss_bytes())


def _efforts(subject: Subject, efforts: list[Effort]) -> list[str]:
    rows = [[e.label, f"{e.wall_s:.0f}", f"{e.cpu_s:.0f}", f"{e.peak_rss_bytes / 1e6:,.0f}"] for e in efforts]
    text = (
        f"One shot on {len(subject.task.calibration):,} training images without labels. Memory is the "
        "peak of the whole process so far, Python, torch and the data set included."
    )
    return [table(["one shot", "seconds", "CPU seconds", "peak memory (MB)"], rows), text]


def _peak_rss_bytes() -> int:
    """Linux: VmHWM, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024


if __name__ == "__main__":
    main()
