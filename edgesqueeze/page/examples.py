"""Some test images of a run and what its files say of them: the float file, and the smallest that runs."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from edgesqueeze.errors import OutputError
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.page.drawing import answers_of, images_of, truth_of
from edgesqueeze.run.rundir import open_run
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.task import Task

MOST_IMAGES = 60
_SEARCHED = 8
"""Batches of test images among which some are looked for that the two files answer differently."""
_BATCH = 64
_DRAWN = ("classification", "detection", "segmentation", "reconstruction")
_FLOAT = ("model.onnx", "model.tflite")
_SMALL = ("model_int8.tflite", "model_int8.onnx")
Outputs = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Answer:
    """What stands below a picture: whose it is, what it says, and whether that is right, if it can be."""

    who: str
    text: str
    right: bool | None = None


@dataclass(frozen=True)
class Example:
    """A test image: its number, PNG files beside each other, and answers, of which the first is right."""

    number: int
    pictures: tuple[bytes, ...]
    answers: tuple[Answer, ...]


def examples_of(directory: Path, count: int) -> tuple[Example, ...]:
    """Test images of a finished run with the answers of its files.

    Of a classifier the first that the files answer differently come first, up to half of them.

    Args:
        directory: the run's.
        count: how many images, fewer where the test split has fewer.

    Raises:
        OutputError: the run has no file that could be run, or answers that cannot be drawn.
        EdgeSqueezeError: the task's data are not there any more, or a file is damaged.
    """
    run, recipe = open_run(directory)
    files = [
        next((run.artifacts / name for name in names if (run.artifacts / name).is_file()), None)
        for names in (_FLOAT, _SMALL)
    ]
    there = [path for path in files if path is not None]
    if not there:
        raise OutputError(f"{directory} has none of {', '.join((*_FLOAT, *_SMALL))}, which --images runs")
    task = load_task(recipe.task, recipe.seed)
    x, targets, outputs = _answered(task, there)
    chosen = _chosen(task, outputs, count)
    return _drawn(task, (x, targets), [path.name for path in there], outputs, chosen)


def _answered(task: Task, files: Sequence[Path]) -> tuple[torch.Tensor, Any, list[Outputs]]:
    """The first test images, their targets, and the outputs of each file."""
    batches = list(islice(task.test.batches(_BATCH), _SEARCHED if task.kind == "classification" else 1))
    x, y = batches[0]
    if task.kind not in _DRAWN or not _is_pictures(x):
        shape = list(x.shape[1:]) if isinstance(x, torch.Tensor) else "of several tensors"
        raise OutputError(
            f"--images draws grey or coloured images of {', '.join(_DRAWN)}; "
            f"the task is {task.kind} of inputs {shape}"
        )
    if task.kind == "classification":
        x, y = torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
    return x, y, [load_model(path).predict_all(x.numpy()) for path in files]


def _is_pictures(x: Any) -> bool:
    return isinstance(x, torch.Tensor) and x.dim() == 4 and x.shape[1] in (1, 3)


def _chosen(task: Task, outputs: Sequence[Outputs], count: int) -> list[int]:
    total = len(next(iter(outputs[0].values())))
    if task.kind != "classification" or len(outputs) < 2:
        return list(range(min(count, total)))
    first, last = (next(iter(found.values())).argmax(1) for found in (outputs[0], outputs[-1]))
    differing = np.flatnonzero(first != last)[: count // 2].tolist()
    return [*differing, *(n for n in range(total) if n not in differing)][:count]


def _drawn(
    task: Task,
    data: tuple[torch.Tensor, Any],
    names: Sequence[str],
    outputs: Sequence[Outputs],
    chosen: list[int],
) -> tuple[Example, ...]:
    x, targets = data[0][chosen], _rows(data[1], chosen)
    some = [{name: values[chosen] for name, values in found.items()} for found in outputs]
    images = images_of(task, x)
    right = truth_of(task, images, targets)
    if task.kind == "classification":
        told = [_classes(task, name, targets, found) for name, found in zip(names, some, strict=True)]
        return tuple(
            Example(n, (_png(picture),), (_named(task, target), *answers))
            for n, picture, target, *answers in zip(chosen, right, targets.tolist(), *told, strict=True)
        )
    found = [answers_of(task, images, outputs) for outputs in some]
    labels = [Answer("image" if task.kind == "reconstruction" else "right", "")]
    labels += [Answer(name, "") for name in names]
    return tuple(
        Example(n, tuple(map(_png, pictures)), tuple(labels))
        for n, *pictures in zip(chosen, right, *found, strict=True)
    )


def _named(task: Task, target: int) -> Answer:
    who = "right" if task.labelled else "float network"
    return Answer(who, task.classes[target] if task.classes else f"class {target}")


def _classes(task: Task, name: str, targets: Any, outputs: Outputs) -> list[Answer]:
    """The classes that a file takes images for."""
    found = next(iter(outputs.values())).argmax(1).tolist()
    return [
        Answer(name, _named(task, answer).text, right=answer == target)
        for answer, target in zip(found, targets.tolist(), strict=True)
    ]


def _rows(tree: Any, chosen: list[int]) -> Any:
    if isinstance(tree, dict):
        return {name: _rows(value, chosen) for name, value in tree.items()}
    return tree[chosen]


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.quantize(256).save(stream, "PNG", optimize=True)
    return stream.getvalue()
