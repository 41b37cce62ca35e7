"""Whether files answer on emulated Arm processors as they do here, on this processor.

    python -m bench.emulated_devices --work DIR --output bench/results/emulated_devices

LeNet-5, SqueezeNet 1.1 and MobileNet v2 at 64 × 64 pixels, and a detector of digits in scenes of 96 × 96
pixels, are trained for minutes; ``--network`` names some. Each becomes an fp32 and an int8 file for both
runtimes, and eight test images go through every file here and on the emulated processor. DIR keeps the runs,
and what was compared of them, so that a call that was stopped goes on where it was. Needs apt, or what
``edgesqueeze verify --device`` has built.
"""

import json
import tempfile
import zipfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.reporting import Result, note, table
from edgesqueeze.devices.bundle import write_bundle
from edgesqueeze.devices.emulation.boards import Board, board_of
from edgesqueeze.devices.emulation.emulated import Emulated
from edgesqueeze.devices.emulation.root import Root, cache_folder, ready_root
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import OutputError
from edgesqueeze.files import write_atomically
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run, read_report
from edgesqueeze.task.loading import load_task


@dataclass(frozen=True)
class Trained:
    """A network that has learned something within minutes: its task, and how it is trained."""

    task: dict[str, Any]
    epochs: int
    training: dict[str, Any]
    at_least: float
    """Of the primary metric: below it the answers are those of a network that tells nothing apart."""


_DIGITS: dict[str, Any] = {"named": "mnist_sample", "train_images": 2000}
_IMAGES = {**_DIGITS, "image_size": [64, 64], "channels": 3}
_SCENES = {"items": "mnist_sample", "image_size": [96, 96], "train": 1000, "test": 64}
_MOBILENET = {"model": "torchvision.models:mobilenet_v2", "model_args": {"num_classes": 10}, "data": _IMAGES}
_DETECTOR = {"model": "squeezenet_detector", "model_args": {"width": 0.5}, "data": {"scenes": _SCENES}}
_ADAM = {"batch_size": 32, "optimizer": "adam", "learning_rate": 0.001}
_GENTLY = {**_ADAM, "learning_rate": 0.0003, "schedule": "one_cycle"}
_LONGER = {**_ADAM, "optimizer": "adamw", "learning_rate": 0.003, "schedule": "one_cycle"}
NETWORKS = {
    "LeNet-5": Trained({"model": "lenet5", "data": _DIGITS}, 2, _ADAM, 0.5),
    "SqueezeNet 1.1": Trained({"model": "squeezenet1_1", "data": _IMAGES}, 6, _GENTLY, 0.5),
    "MobileNet v2": Trained(_MOBILENET, 2, _ADAM, 0.5),
    "SqueezeNet detector": Trained(_DETECTOR, 12, _LONGER, 0.1),
}
_FILES = ("model.tflite", "model_int8.tflite", "model.onnx", "model_int8.onnx")
_PROGRAM = """
import sys
import numpy as np
from edge import Model, read_manifest
for facts in read_manifest()["models"]:
    if facts["file"] == sys.argv[1]:
        x = np.load(facts["golden"][0])["input"]
        model = Model(facts)
        parts = zip(*(model.run(one[None]) for one in x))
        np.savez("found.npz", *(np.concatenate(part) for part in parts))
"""


def main() -> None:
    """Make the runs that are not there yet, and compare."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    names = list(NETWORKS)
    parser.add_argument("--network", action="append", choices=names, help="again for more; by default all")
    parser.add_argument("--device", action="append", help="by default emulated:pi4 and emulated:pi5")
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    arguments = parser.parse_args()
    boards = [board_of(device) for device in arguments.device or ("emulated:pi4", "emulated:pi5")]
    result = Result(arguments.output)
    root = ready_root(cache_folder())
    rows, learned = [], []
    for label in arguments.network or names:
        run = finished_run(label, NETWORKS[label], arguments.work)
        learned.append({"network": label, "epochs": NETWORKS[label].epochs, "metric": _learned(run)})
        for board in boards:
            note(f"{label} on {board.name}")
            rows += [{"network": label, "board": board.name, **row} for row in _compared(run, board, root)]
    data = {"emulated": True, "versions": root.versions, "learned": learned, "rows": rows}
    result.write(data, report_of(rows, learned, root.versions))


def finished_run(label: str, network: Trained, work: Path) -> Path:
    """The run of a network, made if it is not there yet.

    Raises:
        OutputError: the network has learned too little for its answers to say anything.
    """
    folder = work / label.lower().replace(" ", "_")
    if not (folder / "report.json").is_file():
        recipe = parse_recipe(_recipe(folder.name, network), label)
        compress(recipe, load_task(recipe.task, recipe.seed), new_run(recipe, folder))
    metric = _learned(folder)[1]
    if metric < network.at_least:
        raise OutputError(
            f"{label} in {folder} has learned too little, {metric:.3f} where {network.at_least} is asked; "
            "remove the folder, and train it otherwise"
        )
    return folder


def _recipe(name: str, network: Trained) -> dict[str, Any]:
    return {
        "version": 1,
        "name": name,
        "task": {**network.task, "calibration_images": 64},
        "stages": [
            {"stage": "train", "epochs": network.epochs, **network.training},
            {"stage": "ptq", "method": "min_max"},
        ],
        "exports": [
            {"export": "squeezed"},
            *({"export": kind, "precision": ["fp32", "int8"]} for kind in ("onnx", "tflite")),
        ],
        "references": [],
    }


def _learned(run: Path) -> tuple[str, float]:
    """The primary metric of a run's fp32 TFLite file: its name, and its value."""
    rows = read_report(run).rows
    row = next(row for row in rows if row.label == "model.tflite")
    return row.primary_metric, row.metrics[row.primary_metric]


def _compared(run: Path, board: Board, root: Root) -> list[dict[str, Any]]:
    """How a run's files answer on a board, compared once."""
    kept = run / f"answers_{board.cpu}.json"
    if not kept.is_file():
        write_atomically(kept, json.dumps(_compare(run, board, root)).encode())
    rows: list[dict[str, Any]] = json.loads(kept.read_text())
    return rows


def _compare(run: Path, board: Board, root: Root) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as temporary, Emulated(root, board) as emulated:
        folder = Path(temporary) / "bundle"
        write_bundle(run, Target.RASPBERRY_PI, folder.with_suffix(".zip"), _FILES)
        with zipfile.ZipFile(folder.with_suffix(".zip")) as file:
            file.extractall(folder)
        models = json.loads((folder / "manifest.json").read_text())["models"]
        return [_row(emulated, facts, folder) for facts in models]


def _row(emulated: Emulated, facts: dict[str, Any], folder: Path) -> dict[str, Any]:
    done = emulated.run([emulated.python, "-c", _PROGRAM, facts["file"]], folder)
    row = {"file": facts["file"], "runtime": facts["version"], "exit_code": done.returncode}
    if done.returncode:
        return {**row, "error": done.stderr.strip().splitlines()[-1:]}
    wanted, found = (dict(np.load(folder / name)) for name in (facts["golden"][1], "found.npz"))
    pairs = list(zip(wanted.values(), found.values(), strict=True))
    apart = [np.abs(a.astype(np.float64) - b.astype(np.float64)) for a, b in pairs]
    first, second = pairs[0]
    return {
        **row,
        "numbers": int(sum(part.size for part in apart)),
        "equal": int(sum((a == b).sum() for a, b in pairs)),
        "largest_difference": float(max(part.max() for part in apart)),
        "largest_answer": float(max(np.abs(a.astype(np.float64)).max() for a, _ in pairs)),
        "step": 1.0 if facts["outputs"][0]["scale"] else facts["outputs"][0]["step"],
        "images": len(first),
        # a detector has several outputs, and no class of an image
        "same_class": int((first.argmax(1) == second.argmax(1)).sum()) if len(pairs) == 1 else None,
    }


def report_of(
    rows: Sequence[dict[str, Any]], learned: Sequence[dict[str, Any]], versions: dict[str, str]
) -> list[str]:
    """The table, and what it is made of."""
    header = ["network", "emulated", "file", "runtime", "equal numbers", "largest difference", "same class"]
    told = "; ".join(_told(**network) for network in learned)
    return [
        "# Answers on emulated Arm processors",
        f"Trained for minutes, on {_DIGITS['train_images']:,} digits or {_SCENES['train']:,} scenes of them "
        f"({told}). The outputs of each file as they are, integers in int8 TFLite files, of 8 test images, "
        "compared with this processor's. Nothing was run on hardware, and nothing here says how fast "
        "anything is.",
        table(header, [_line(row) for row in rows]),
        f"qemu-user {versions['qemu']}, Python {versions['python']}, numpy {versions['numpy']}.",
    ]


def _told(network: str, epochs: int, metric: tuple[str, float]) -> str:
    name, value = metric
    return f"{network} {epochs} epochs, {name} {100 * value:.1f} %"


def _line(row: dict[str, Any]) -> list[str]:
    first = [row[key] for key in ("network", "board", "file", "runtime")]
    if row["exit_code"]:
        return [*first, f"exit code {row['exit_code']}", "–", "–"]
    return [
        *first,
        f"{100 * row['equal'] / row['numbers']:.1f} %",
        f"{row['largest_difference']:.3g} of {row['largest_answer']:.3g}",
        "–" if row["same_class"] is None else f"{row['same_class']} of {row['images']}",
    ]


if __name__ == "__main__":
    main()
