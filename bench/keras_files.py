"""The files of a Keras network that `bench.keras_converters` measures: ours, and the converter's."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.int8_peers import PEERS, Variant
from bench.reporting import note
from edgesqueeze.compression.stages import AnyStage, Prune, Ptq, Share
from edgesqueeze.compression.state import state_of
from edgesqueeze.errors import ExportError
from edgesqueeze.exports import OnnxExport, SqueezedExport, TfliteExport
from edgesqueeze.exports.base import Export
from edgesqueeze.exports.writing import write_exports
from edgesqueeze.measure.proof.verification import verify_files
from edgesqueeze.network.graph.nodes import Floats
from edgesqueeze.progress import SilentProgress
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.task import Task
from edgesqueeze.task.task_config import TaskConfig
from edgesqueeze.task.training import Session

COMPARED_IMAGES = 256
"""Test images on which answers are held against Keras's own."""
CALIBRATION_IMAGES = 128
_BATCH = 64
_INT8: tuple[Export, ...] = (
    OnnxExport(precision=("fp32", "int8"), batch=1),
    TfliteExport(precision=("fp32", "int8")),
    TfliteExport(precision=("int8",), int8_io="float32"),
)
_DEEP: tuple[Export, ...] = (
    OnnxExport(precision=("fp32",), batch=1),
    TfliteExport(precision=("int8",)),
    SqueezedExport(),
)
_LARGE = {"image_size": [96, 96], "channels": 3}


@dataclass(frozen=True)
class Case:
    """A network of `bench.keras_training`: what a recipe says of it, and how it is pruned and shared."""

    task: dict[str, Any]
    prune: Prune
    share: Share
    train_images: int
    data: dict[str, Any] = field(default_factory=dict)


def _tuned(rate: float, epochs: int) -> dict[str, Any]:
    return {"epochs": epochs, "optimizer": "adam", "learning_rate": rate, "weight_decay": 0.0}


CASES = {
    "squeeze_autoencoder": Case(
        {"kind": "reconstruction"},
        Prune(sparsity={"image": 0.0, "*": 0.2}, **_tuned(0.001, 4)),
        Share(num_bits=7, **_tuned(0.0005, 2)),
        8000,
    ),
    "squeezenet": Case(
        {"preprocess": "0..255"},
        Prune(sparsity={"stem": 0.16, "*": 0.33}, **_tuned(0.0003, 2)),
        Share(num_bits=6, **_tuned(0.0003, 1)),
        6000,
        _LARGE,
    ),
    # Its norms follow by 0.1 % a step, too slowly for so little training: it is cut at once, and what is
    # retrained has its norms folded.
    "mobilenet_v2": Case(
        {"preprocess": "keras.applications.mobilenet_v2"},
        Prune(sparsity={"*depthwise": 0.0, "Conv1": 0.0, "*": 0.2}, epochs=0),
        Share(num_bits=8, **_tuned(0.0001, 2)),
        3000,
        _LARGE,
    ),
}


def task_of(name: str, model: Path) -> Task:
    """The task of a recipe with the Keras file as its model, on Fashion-MNIST.

    Raises:
        TaskError: the file is not there, is damaged, or does not fit.
    """
    case = CASES[name]
    data = {"named": "fashion_mnist", "train_images": case.train_images, **case.data}
    config = {"model": str(model), "data": data, "calibration_images": CALIBRATION_IMAGES, **case.task}
    return load_task(TaskConfig.model_validate(config), 0)


def stages_of(name: str) -> dict[str, tuple[Sequence[AnyStage], Sequence[Export]]]:
    """Our two ways by the name of their folder: int8 as ``ptq`` does it untold, and Deep Compression."""
    case = CASES[name]
    return {"int8": ((Ptq(),), _INT8), "deep": ((case.prune, case.share, Ptq(method="min_max")), _DEEP)}


def write_ours(name: str, task: Task, folder: Path) -> dict[str, list[str]]:
    """All our files of a network, below ``folder``; what is there from before is not made again.

    Returns:
        what the stages note about their choices, by the names of :func:`stages_of`.

    Raises:
        EdgeSqueezeError: a file cannot be written, or does not answer as its network does.
    """
    notes: dict[str, list[str]] = {}
    for label, (stages, exports) in stages_of(name).items():
        known = folder / label / "notes.json"
        if not known.is_file():
            note(f"{name}: {', '.join(stage.stage for stage in stages)}")
            said = _write(task, stages, exports, folder / label)
            known.write_text(json.dumps(said))
        notes[label] = json.loads(known.read_text())
    return notes


def _write(task: Task, stages: Sequence[AnyStage], exports: Sequence[Export], folder: Path) -> list[str]:
    model: nn.Module = task.initial_model().eval()
    said: list[str] = []
    for stage in stages:
        stage.check(model)
        session = Session(stage.stage, 0, SilentProgress())
        model = stage.apply(model, task, session)
        said += session.notes
    graph, spec = state_of(model).network(task.example_input)
    graph = replace(graph, normalization=task.normalization)
    written = write_exports(exports, (graph, spec), folder, "refuse")
    files = [artifact.path for export, artifact in written.files if export.export != "squeezed"]
    verify_files(graph, spec, files, inputs_of(task, 16)).require()
    return said


def write_theirs(python: Path, model: Path, task: Task, folder: Path) -> tuple[list[Variant], Floats]:
    """The converter's files in ``folder``, how each came to be, and Keras's answers to the first test images.

    The converter gets our calibration images in our order. It is run once; its files are used again.

    Returns:
        the variants, and the answers as Keras orders them, [N, ...].

    Raises:
        ExportError: the script failed as a whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "variants.json").is_file():
        note(f"{model.stem}: TensorFlow's converter")
        calibration = np.concatenate([x.numpy() for x, _ in task.calibration.batches(_BATCH)])
        paths = [folder / "calibration.npy", folder / "inputs.npy"]
        for path, images in zip(paths, (calibration, inputs_of(task, COMPARED_IMAGES)), strict=True):
            np.save(path, np.ascontiguousarray(images.transpose(0, 2, 3, 1)))
        script = [str(python), str(PEERS / "tensorflow_convert.py"), str(model), *map(str, paths)]
        backend = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(
            [*script, str(folder)], env=backend, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise ExportError(f"tensorflow_convert.py failed: {done.stderr.strip().splitlines()[-1]}")
        for path in paths:
            path.unlink()
    said = json.loads((folder / "variants.json").read_text())
    return [Variant(**facts) for facts in said], np.load(folder / "answers.npy")


def inputs_of(task: Task, count: int) -> Floats:
    """The first test images, float32 [count, C, H, W]."""
    found: Floats = next(iter(task.test.batches(count)))[0].numpy()
    return found


@torch.no_grad()
def answers_of(task: Task, count: int) -> Floats:
    """What the network as it was read answers to the first test images, [count, ...]."""
    model = task.initial_model().eval()
    parts = [model(torch.from_numpy(part)) for part in np.array_split(inputs_of(task, count), 8)]
    return np.concatenate([part.numpy() for part in parts])


def same_python() -> Path:
    """The Python that runs this, which has TensorFlow where the extra ``tensorflow`` is installed."""
    return Path(sys.executable)
