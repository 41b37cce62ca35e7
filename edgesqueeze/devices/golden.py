"""Golden inputs and answers of model files: what a device is compared with."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from edgesqueeze.devices.runner.edge import Model, first_difference
from edgesqueeze.errors import ExportError, ParityError
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.facts import FileFacts, TensorFact
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.runtimes.predictor import Predictor
from edgesqueeze.measure.runtimes.runtime import load_model
from edgesqueeze.task.task import Task

Bound = Literal["exact", "step", "float", "loose"]
"""How far a device may be off: not at all, a step of the output's grid, 1e-5 or 1e-2 of the largest answer.

Integers are the same on every processor, but for the float multiplier of ONNX Runtime's kernels; sums of
floats depend on their order; kernels that quantize as they run round differently."""
IMAGES = 8


@dataclass(frozen=True)
class GoldenModel:
    """A model file, what it takes and gives, and what it answered here."""

    path: Path
    file: FileFacts
    version: str
    bound: Bound
    steps: Mapping[str, float | None]
    """The network's name of every output in the file's order, to the step of its int8 grid if it has one."""
    inputs: Any = None
    """What the file itself is given, [8, ...] of its type."""
    outputs: tuple[Any, ...] = ()

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "file": self.path.name,
            "runtime": "litert" if self.version.startswith("ai-edge-litert") else "onnxruntime",
            "version": self.version,
            "precision": self.file.precision,
            "parameters": self.file.params,
            "macs": self.file.macs,
            "bound": self.bound,
            "input": input_facts(self.file),
            "outputs": [
                self._output_facts(fact, name)
                for fact, name in zip(self.file.outputs, self.steps, strict=True)
            ],
            "golden": [f"golden/{self.path.name}.{end}.npz" for end in ("input", "output")],
        }

    def _output_facts(self, fact: TensorFact, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "shape": [size or 1 for size in fact.shape],
            "dtype": fact.dtype,
            "layout": _layout(fact, self.file),
            "scale": fact.scale,
            "zero_point": fact.zero_point,
            # of integers it is 1, of floats behind them the scale
            "step": self.steps[name] if fact.scale is None else None,
        }

    def arrays(self) -> dict[str, dict[str, Any]]:
        """The golden files: name to arrays."""
        first, second = self.facts()["golden"]
        named = {f"{number}": value for number, value in enumerate(self.outputs)}
        return {first: {"input": self.inputs}, second: named}


def golden_models(paths: Sequence[Path], task: Task, with_floats: Collection[str] = ()) -> list[GoldenModel]:
    """Run files on the first test images, by the runner and by this package, and compare.

    Args:
        paths: .tflite and .onnx files.
        task: whose test images.
        with_floats: int8 files that compute something in float.

    Raises:
        ExportError: a file takes several inputs, or a number of images at once.
        ParityError: the runner answers otherwise than this package's runtimes.
    """
    x, _ = next(iter(task.test.batches(IMAGES)))
    if not isinstance(x, Tensor):
        raise ExportError("a bundle is of a network with one input, this one has several")
    return [golden_model(path, x.numpy(), path.name in with_floats) for path in paths]


def golden_model(path: Path, x: Any, with_floats: bool) -> GoldenModel:
    """Run one file on float32 [8, …]; the rest is as of :func:`golden_models`."""
    file = read_model_file(path)
    if len(file.inputs) != 1:
        raise ExportError(f"{path.name} takes {len(file.inputs)} inputs; a bundle is of files with one")
    if file.batch not in (1, "open"):
        raise ExportError(f"{path.name} takes {file.batch} images at once; a bundle is of files for one")
    predictor = load_model(path)
    expected = predictor.predict_all(x)
    bound = _bound(path, file, with_floats)
    steps = dict.fromkeys(expected) | (_steps(predictor, x, expected) if bound == "step" else {})
    unanswered = GoldenModel(path, file, predictor.runtime, bound, steps)
    model = Model(unanswered.facts(), path.parent)
    inputs = np.concatenate([model.as_input(image[None]) for image in x])
    runs = [model.run(one[None]) for one in inputs]
    outputs = tuple(np.concatenate(parts) for parts in zip(*runs, strict=True))
    golden = replace(unanswered, inputs=inputs, outputs=outputs)
    _compare(golden, model, expected)
    return golden


def _steps(predictor: Predictor, x: Any, expected: Mapping[str, Any]) -> dict[str, float]:
    """Of every output on an int8 grid, what one step of it is worth; outputs that are all alike have none."""
    found: dict[str, float] = {}
    for name, integers in predictor.integers_of_all(x).items():
        span = int(integers.max()) - int(integers.min())
        if span:
            found[name] = float(expected[name].max() - expected[name].min()) / span
    return found


def _bound(path: Path, file: FileFacts, with_floats: bool) -> Bound:
    if file.precision == "fp32":
        return "float"
    if file.precision != "int8":
        return "loose"
    return "exact" if FileFormat.known(path) is FileFormat.TFLITE and not with_floats else "step"


def _compare(golden: GoldenModel, model: Model, expected: dict[str, Any]) -> None:
    """The runner's own numbers are those that tables are made of."""
    answers = model.answers(list(golden.outputs))
    for name, value in expected.items():
        if name not in answers or not np.array_equal(answers[name], value):
            raise ParityError(f"{golden.path.name}: the bundle's runner answers otherwise for {name!r}")
    difference = first_difference(model, golden.inputs, list(golden.outputs))
    if difference is not None:
        raise ParityError(f"{golden.path.name} does not answer the same twice: {difference}")


def input_facts(file: FileFacts) -> dict[str, Any]:
    """What the runner has to know of a file's input."""
    (fact,) = file.inputs
    pixels = fact.dtype == "uint8" and file.normalization is not None
    return {
        "name": fact.name,
        "dtype": fact.dtype,
        "layout": _layout(fact, file),
        "scale": fact.scale,
        "zero_point": fact.zero_point,
        "pixels": {"mean": list(file.normalization.mean), "std": list(file.normalization.std)}
        if pixels and file.normalization is not None
        else None,
    }


def _layout(fact: TensorFact, file: FileFacts) -> str | None:
    """How the dimensions of a map lie; None of what is none."""
    if len(fact.shape) != 4:
        return None
    return "NHWC" if file.format == FileFormat.TFLITE else "NCHW"
