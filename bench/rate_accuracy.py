"""Bytes against accuracy: NNCodec over its quantization parameters, and our runs, from one trained network.

    python -m bench.rate_accuracy --recipe RUN/recipe.yaml --checkpoint RUN/…/model.safetensors
        [--run LABEL=RUN …] [--qp -38 -32 …] [--published lenet5] --output DIR

NNCodec's decoded weights go into an fp32 ONNX file; our ``.sqz`` files are decoded to theirs. Every accuracy
is that file's in ONNX Runtime over the whole test split.
"""

import tempfile
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import yaml

from bench.files import accuracy_of
from bench.networks import network_source
from bench.nncodec import NNCODEC_PYTHON, run_nncodec
from bench.reporting import Result, note, percent, points, table
from bench.subjects import Subject, add_subject_arguments, subject_from
from edgesqueeze.errors import RecipeError
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.sqz.file import decode_sqz
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.graph.nodes import Graph
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.task.metrics import Measure

QPS = (-38, -34, -30, -28, -26, -24, -23, -22, -21, -20, -19, -18, -16, -14)
"""From nearly lossless to broken on the networks here; four steps double the step size (qp_density 2)."""
BIAS_QPS = (-75, -40)
"""NNCodec's default, and a coarser one that saves 5 % of its bytes where they are few."""

_PUBLISHED = Path(__file__).parent / "published_sizes.yaml"


@dataclass(frozen=True)
class Point:
    """One way to store the network, and the accuracy of what comes back."""

    coder: str
    label: str
    num_bytes: int
    accuracy: float


def main() -> None:
    """Measure all points, write the result."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add_subject_arguments(parser)
    parser.add_argument("--run", action="append", default=[], type=network_source, metavar="LABEL=RUN")
    add_peer_arguments(parser)
    parser.add_argument(
        "--published", choices=list(published_sizes()), help="others' figures to print beside ours"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    arguments = parser.parse_args()
    result = Result(arguments.output)
    subject = subject_from(arguments)
    if not subject.has_labels:
        raise RecipeError("accuracy needs a trained network with test images: give --recipe, not --random")
    graph = build_graph(subject.model, subject.task.example_input)
    with tempfile.TemporaryDirectory() as folder:
        original = float_point(subject, graph, Path(folder) / "float.onnx")
        ours = [our_point(subject, label, Path(run)) for label, run in arguments.run]
        theirs = nncodec_points(subject, graph, arguments, Path(folder))
    found = {"float": asdict(original), "points": [asdict(p) for p in (*ours, *theirs)]}
    parts = report(subject, original, ours, theirs)
    if arguments.published:
        parts += published_table(published_sizes()[arguments.published])
    result.write({"subject": subject.facts(), **found}, parts)


def add_peer_arguments(parser: ArgumentParser) -> None:
    """The arguments that :func:`nncodec_points` reads."""
    parser.add_argument("--qp", type=int, nargs="+", default=list(QPS))
    parser.add_argument("--nonweight-qp", type=int, nargs="+", default=list(BIAS_QPS), help="of biases")
    parser.add_argument("--lambda-scale", type=float, nargs="+", default=[0.0], help="of its rate term")
    parser.add_argument("--peer-python", type=Path, default=NNCODEC_PYTHON, help="Python that has nncodec")


def published_sizes() -> dict[str, list[dict[str, str]]]:
    """{network: rows} of published_sizes.yaml."""
    found: dict[str, list[dict[str, str]]] = yaml.safe_load(_PUBLISHED.read_text())
    return found


def published_table(rows: Sequence[dict[str, str]]) -> list[str]:
    """Others' figures, each with its data set."""
    header = ["published", "data", "size", "smaller", "accuracy or error", "source"]
    body = [[row[key] for key in ("method", "data", "size", "ratio", "quality", "source")] for row in rows]
    text = "On other data than ours, as the sources print them: they do not compare with the rows above."
    return [table(header, body), text]


def nncodec_points(subject: Subject, graph: Graph, arguments: Namespace, folder: Path) -> list[Point]:
    """The network coded by nncodec with every combination of the given parameters."""
    options = ["--qp", *map(str, arguments.qp), "--nonweight-qp", *map(str, arguments.nonweight_qp)]
    options += ["--lambda-scale", *map(str, arguments.lambda_scale)]
    note(f"nncodec: {len(arguments.qp)} quantization parameters")
    run = run_nncodec(arguments.peer_python, "lossy", graph.tensors, folder / "nncodec", options)
    found = []
    for index, coded in enumerate(run.coded):
        with np.load(folder / "nncodec" / f"{index}.npz") as file:
            tensors = {
                name: file[name].astype(np.float32).reshape(values.shape)
                for name, values in graph.tensors.items()
            }
        path = folder / f"nncodec_{index}.onnx"
        scored = float_point(subject, Graph(graph.nodes, tensors), path)
        settings = coded.settings
        label = f"qp {settings['qp']}, biases {settings['nonweight_qp']}, lambda {settings['lambda_scale']}"
        found.append(Point(run.tool, label, coded.num_bytes, scored.accuracy))
        note(f"{label}: {coded.num_bytes:,} bytes, {percent(scored.accuracy)}")
        path.unlink()
    return found


def float_point(subject: Subject, graph: Graph, path: Path) -> Point:
    """A graph written as an fp32 ONNX file and scored."""
    path.write_bytes(emit_onnx(graph, None))
    return Point("fp32", path.name, path.stat().st_size, accuracy_of(load_onnx(path), subject))


def our_point(subject: Subject, label: str, run: Path) -> Point:
    """A run's .sqz file (or a .sqz file itself), decoded and scored again."""
    path = run if run.suffix == ".sqz" else run / "artifacts" / "model.sqz"
    with tempfile.TemporaryDirectory() as folder:
        decode_sqz(path, Path(folder))
        accuracy = accuracy_of(load_onnx(Path(folder) / "model.onnx"), subject)
    note(f"{label}: {path.stat().st_size:,} bytes, {percent(accuracy)}")
    return Point("edgesqueeze", label, path.stat().st_size, accuracy)


def report(subject: Subject, original: Point, ours: Sequence[Point], theirs: Sequence[Point]) -> list[str]:
    """The parts of the Markdown report: all points by size, then each of ours against the peer's best."""
    body = [
        [
            p.coder,
            p.label,
            f"{p.num_bytes:,}",
            f"{original.num_bytes / p.num_bytes:.1f}×",
            percent(p.accuracy),
            points(p.accuracy - original.accuracy),
        ]
        for p in (original, *sorted((*ours, *theirs), key=lambda p: -p.num_bytes))
    ]
    text = (
        f"Accuracy in ONNX Runtime over {len(subject.task.test):,} test images, change in points. Smaller is "
        "against the fp32 ONNX file. nncodec's bytes are its bit stream alone; a .sqz file also holds the "
        "network's structure and the integers of its int8 form. nncodec takes the trained weights as they "
        "are, and so do our points called one shot (`epochs: 0`); our others trained with a price on bits."
    )
    header = ["coder", "settings", "bytes", "smaller", "accuracy", "change"]
    parts = [f"# Bytes and accuracy: {subject.task.name}", table(header, body), text]
    if ours:
        rows = [_against(p, theirs, subject.task.primary) for p in sorted(ours, key=lambda p: -p.num_bytes)]
        header = [
            "ours",
            "bytes",
            "accuracy",
            "nncodec's smallest at that accuracy or better",
            "ours / nncodec",
        ]
        parts.append(table(header, rows))
    return parts


def _against(ours: Point, theirs: Sequence[Point], measure: Measure) -> list[str]:
    as_good = [p for p in theirs if not measure.is_better(ours.accuracy, than=p.accuracy)]
    cells = [ours.label, f"{ours.num_bytes:,}", percent(ours.accuracy)]
    if not as_good:
        return [*cells, "none is as accurate", "–"]
    best = min(as_good, key=lambda p: p.num_bytes)
    return [
        *cells,
        f"{best.num_bytes:,} ({percent(best.accuracy)}, {best.label})",
        f"{ours.num_bytes / best.num_bytes:.3f}",
    ]


if __name__ == "__main__":
    main()
