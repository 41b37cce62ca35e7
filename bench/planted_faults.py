"""Planted faults: a wrong weight scale in one layer of an int8 file; does the parity gate name that layer?

python -m bench.planted_faults LABEL=RUN … [--layers 5] [--images 8] --output bench/results/planted_faults
"""

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import numpy_helper

from bench.networks import network_source
from bench.reporting import Result, note, table
from edgesqueeze.formats.tflite.cut import TfliteFile, pack_tflite
from edgesqueeze.formats.tflite.flatbuffer import AlignedBuffer
from edgesqueeze.measure.proof.parity import check_parity
from edgesqueeze.network.graph.nodes import Floats, Graph
from edgesqueeze.network.integers.spec import QuantSpec
from edgesqueeze.pipeline import finished_network
from edgesqueeze.run.recipe import load_recipe
from edgesqueeze.run.rundir import RunDir
from edgesqueeze.task.loading import load_task

FACTOR = np.float32(2)


def plant_onnx(path: Path, layer: str) -> None:
    """Double the weight scales of one layer of an int8 ONNX file, in place."""
    model = onnx.load(path)
    tensor = next(t for t in model.graph.initializer if t.name == f"{layer}.weight_scale")
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * FACTOR, tensor.name))
    onnx.save(model, path)


def plant_tflite(path: Path, layer: str) -> None:
    """Double the weight scales of one layer of an int8 TFLite file, in place."""
    file = TfliteFile(path)
    quantization = file.graph.tensors[file.indices[f"{layer}.weight"]].quantization
    quantization.scale = np.asarray(quantization.scale, np.float32) * FACTOR
    file.model.buffers = [
        schema.BufferT() if buffer.data is None else AlignedBuffer(np.asarray(buffer.data, np.uint8))
        for buffer in file.model.buffers
    ]
    path.write_bytes(pack_tflite(file.model))


PLANT = {".onnx": plant_onnx, ".tflite": plant_tflite}


@dataclass(frozen=True)
class Fault:
    """Where a fault was planted, and what the gate said; ``named`` is None if it noticed nothing."""

    network: str
    file: str
    planted: str
    named: str | None
    differing: int
    largest: float


def planted(
    label: str, network: tuple[Graph, QuantSpec], source: Path, layers: list[str], x: Floats
) -> list[Fault]:
    """Plant one fault after the other in a copy of an int8 file, and ask the gate each time."""
    graph, spec = network
    found = []
    for layer in layers:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / source.name
            copy.write_bytes(source.read_bytes())
            PLANT[source.suffix](copy, layer)
            entry = next(e for e in check_parity(graph, spec, [copy], x).files if e.file == copy.name)
        first = entry.first
        amount = (0, 0.0) if first is None else (first.differing, first.largest)
        found.append(Fault(label, source.name, layer, None if first is None else first.layer, *amount))
        note(f"{label} {source.name}: planted at {layer}, named {found[-1].named}")
    return found


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=network_source, metavar="LABEL=RUN")
    parser.add_argument("--layers", type=int, default=5, help="layers per network, spread from first to last")
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--output", type=Path, required=True)
    arguments = parser.parse_args()
    result = Result(arguments.output)
    faults: list[Fault] = []
    for label, folder in arguments.runs:
        recipe = load_recipe(str(Path(folder) / "recipe.yaml"))
        task = load_task(recipe.task, recipe.seed)
        graph, spec = finished_network(recipe, task, RunDir(Path(folder)))
        if spec is None:
            parser.error(f"{folder} has no int8 files to plant a fault in")
        names = [node.name for node in graph.weighted]
        places = np.unique(np.linspace(0, len(names) - 1, arguments.layers).round().astype(int))
        x = next(iter(task.test.batches(arguments.images)))[0].numpy()
        for suffix in PLANT:
            file = Path(folder) / "artifacts" / f"model_int8{suffix}"
            faults += planted(label, (graph, spec), file, [names[i] for i in places], x)
    _write(result, faults, arguments.images)


def _write(result: Result, faults: list[Fault], images: int) -> None:
    rows = [
        [f.network, f.file, f.planted, f.named or "nothing", f"{f.differing:,}", f"{f.largest:g}"]
        for f in faults
    ]
    right = sum(f.planted == f.named for f in faults)
    data: dict[str, Any] = {"images": images, "faults": [vars(f) for f in faults]}
    summary = (
        f"Weight scales doubled in one layer at a time; the parity gate on {images} test images named the "
        f"planted layer in {right} of {len(faults)} cases."
    )
    header = ["network", "file", "planted at", "named", "values that differ there", "by up to"]
    result.write(data, [summary, table(header, rows)])


if __name__ == "__main__":
    main()
