"""The same network through our int8 path, ONNX Runtime's and NNCF's, all files measured in one run.

    python -m bench.int8_peers --recipe RUN/recipe.yaml --checkpoint RUN/…/model.safetensors --output DIR
    python -m bench.int8_peers --random squeezenet1_1 --output DIR

Everybody gets the float ONNX file that edgesqueeze exported and the same calibration images. The peers run
in their own environment (bench/peers/README.md).
"""

import json
import subprocess
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.files import Measured, ModelFile, measure, quantize, write_ours
from bench.reporting import Result, milliseconds, note, percent, points, table
from bench.subjects import Subject, add_subject_arguments, subject_from
from bench.timed_files import TimingPlan, add_plan_arguments, times
from edgesqueeze.compression.stages.ptq import Ptq
from edgesqueeze.errors import ExportError
from edgesqueeze.measure.bench.row import time_ratio

PEERS = Path(__file__).parent / "peers"
PEER_PYTHON = Path("build/peers/int8/bin/python")
OURS = {"edgesqueeze_min_max": Ptq(method="min_max"), "edgesqueeze_auto": Ptq(method="auto")}
# Neither bytes nor latency depend on how ranges are chosen, so one variant of each is enough to time.
PEER = "ort_min_max"
"""What the time of every ONNX file is held against, beside the float file."""
UNSCORED = {"ort_quantize": ("ort_min_max",), "nncf_quantize": ("nncf_default", "nncf_mixed")}


@dataclass(frozen=True)
class Variant:
    """One way to make an int8 file; ``error`` says why there is none."""

    label: str
    tool: str
    settings: str
    seconds: float | None = None
    error: str | None = None


def main() -> None:
    """Quantize, measure, write the result."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add_subject_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    parser.add_argument("--peer-python", type=Path, default=PEER_PYTHON, help="Python that has nncf")
    add_plan_arguments(parser)
    arguments = parser.parse_args()
    result = Result(arguments.output)
    subject = subject_from(arguments)
    plan = TimingPlan(arguments.threads, arguments.processes, arguments.rounds)
    with tempfile.TemporaryDirectory() as folder:
        files, variants = write_all(subject, arguments.peer_python, Path(folder))
        rows = measure(files, subject, plan)
    data = {
        "subject": subject.facts(),
        "variants": [asdict(variant) for variant in variants],
        "rows": [asdict(row) for row in rows],
    }
    result.write(data, [*report(subject, variants, rows), f"{plan.sentence()}."])


def write_all(subject: Subject, peer_python: Path, folder: Path) -> tuple[list[ModelFile], list[Variant]]:
    """Every file there is to measure, and how each came to be."""
    files, variants = [], []
    for label, ptq in (
        OURS.items() if subject.has_labels else [("edgesqueeze_min_max", OURS["edgesqueeze_min_max"])]
    ):
        note(f"quantizing: {label}")
        written = write_ours(quantize(subject, ptq)[0], folder / label, with_float=not files)
        if not files:
            variants.append(Variant("fp32", "edgesqueeze", "float"))
        variants.append(Variant(label, "edgesqueeze", f"ptq, method {ptq.method}"))
        for path in written:
            is_float = "int8" not in path.name
            files.append(ModelFile("fp32" if is_float else label, path, is_float))
    calibration = folder / "calibration.npy"
    np.save(calibration, subject.calibration)
    for script, wanted in UNSCORED.items():
        command = [str(PEERS / f"{script}.py"), str(files[0].path), str(calibration)]
        labels = () if subject.has_labels else wanted
        for variant in run_peer(peer_python, command, folder / script, labels):
            variants.append(variant)
            if variant.error is None:
                files.append(ModelFile(variant.label, folder / script / f"{variant.label}.onnx"))
    return files, variants


def run_peer(python: Path, command: Sequence[str], folder: Path, labels: Sequence[str]) -> list[Variant]:
    """Run a peer's script in its own environment, and read what it says it did.

    Raises:
        ExportError: there is no such environment, or the script failed as a whole.
    """
    if not python.is_file():
        raise ExportError(f"{python} is not there; make it with bench/peers/make_environments.sh")
    folder.mkdir()
    note(f"quantizing: {Path(command[0]).stem}")
    # -E keeps what PYTHONPATH names out of the peer's environment.
    done = subprocess.run(
        [str(python), "-E", *command, str(folder), *labels], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise ExportError(f"{Path(command[0]).name} failed: {done.stderr.strip().splitlines()[-1]}")
    return [Variant(**facts) for facts in json.loads((folder / "variants.json").read_text())]


def report(subject: Subject, variants: Sequence[Variant], rows: Sequence[Measured]) -> list[str]:
    """The parts of the Markdown report."""
    known = {variant.label: variant for variant in variants}
    peer = next((row.timing for row in rows if row.label == PEER), None)
    body = [
        [
            row.label,
            f"{known[row.label].tool}: {known[row.label].settings}",
            percent(row.accuracy),
            points(row.change),
            f"{row.num_bytes:,}",
            f"{row.smaller:.3f}×",
            "?" if row.latency is None else milliseconds(row.latency),
            times(row.time),
            "–" if row.file.endswith(".tflite") or peer is None else times(time_ratio(row.timing, peer)),
            "–" if row.kernels is None else f"{row.integer_kernels}/{row.kernels}",
            row.runtime,
        ]
        for row in rows
    ]
    header = ["file", "made by", "accuracy", "change", "bytes", "smaller", "latency ms"]
    header += ["time of fp32's", f"time of {PEER}'s"]
    facts = subject.facts()
    scored = (
        f"Accuracy over {facts['test_images']:,} test images, change in points. "
        if subject.has_labels
        else "Random weights: there is no accuracy to tell. "
    )
    text = (
        f"{scored}{facts['calibration_images']} calibration images, the same for all. Smaller and change are "
        "against fp32 in the same runtime and run. Integer kernels: convolutions and dense layers that ONNX "
        "Runtime runs in integers, of all."
    )
    failures = [f"{v.label} ({v.tool}: {v.settings}) failed: {v.error}." for v in variants if v.error]
    return [
        f"# int8 beside its peers: {subject.task.name}",
        table([*header, "integer kernels", "runtime"], body),
        text,
        *failures,
    ]


if __name__ == "__main__":
    main()
