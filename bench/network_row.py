"""One network of the table measured, step by step, so that a row says how far it came."""

import tempfile
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench.network_list import ListedNetwork, Settled
from edgesqueeze.compression.quantizing.calibrate import calibrate_min_max
from edgesqueeze.compression.quantizing.post_training import sqnr_db
from edgesqueeze.errors import EdgeSqueezeError, ParityError
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.formats.tflite.writing.emit import emit_tflite
from edgesqueeze.measure.checks.float_operators import float_operators
from edgesqueeze.measure.proof.parity import check_parity
from edgesqueeze.measure.runtimes.litert import load_tflite
from edgesqueeze.measure.runtimes.onnx_runtime import load_onnx
from edgesqueeze.network.graph.nodes import Floats, Graph
from edgesqueeze.network.integers.spec import QuantSpec, make_spec
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.trees import leaves

CALIBRATION_IMAGES, TEST_IMAGES = 12, 4
IMAGES = CALIBRATION_IMAGES + TEST_IMAGES
_FORMATS = {"onnx": (emit_onnx, load_onnx), "tflite": (emit_tflite, load_tflite)}


@dataclass(frozen=True)
class NetworkRow:
    """What came of a network.

    ``step`` is the last one begun: ``build``, ``read``, ``fp32``, ``int8``, or ``done``. ``failure`` is
    what ended it there: a refusal's sentence, or the exception; ``refused`` says that it was ours and meant.

    ``source_error`` is how far a network that was read from another framework's is from that one, as a
    fraction of the answers' range. ``float_error`` is, by format, the largest difference to torch as a
    fraction of the largest answer; ``gate`` what the parity gate says of both int8 files; ``sqnr_db`` that of
    their answers on images that did not calibrate; ``islands``, by format, how many operators of an int8 file
    compute in float.
    """

    name: str
    library: str
    file: str
    part: str
    image_size: int
    step: str = "build"
    params: int | None = None
    source_error: float | None = None
    nodes: int | None = None
    float_error: dict[str, float] | None = None
    gate: str | None = None
    differing: dict[str, int] | None = None
    sqnr_db: dict[str, float] | None = None
    islands: dict[str, int] | None = None
    failure: str | None = None
    refused: bool = False


Keep = Callable[[NetworkRow], None]


def blank_row(network: ListedNetwork) -> NetworkRow:
    """The row of a network before anything is known."""
    return NetworkRow(network.name, network.library, network.file, network.part, network.image_size)


def measure_network(
    row: NetworkRow, build: Callable[[Tensor], Settled], x: Tensor, steps: Sequence[str], keep: Keep
) -> None:
    """Go as far as the network goes, telling ``keep`` after every step.

    Args:
        row: what is known.
        build: makes the network, which will be given images like ``x``.
        x: ``CALIBRATION_IMAGES`` and then ``TEST_IMAGES`` images [N, C, H, W].
        steps: of ``read``, ``fp32`` and ``int8``, those to take.
        keep: called with the row as it stands; a process that dies leaves the last one.
    """
    keep(row)
    try:
        settled = build(x)
        model, apart = settled.model, settled.source_error
        params = sum(p.numel() for p in model.parameters())
        row = replace(row, params=params, source_error=apart, step="read")
        keep(row)
        graph = build_graph(model, x[:1])
        row = replace(row, nodes=len(graph.nodes))
        with tempfile.TemporaryDirectory() as folder:
            for step in ("fp32", "int8"):
                if step in steps:
                    row = replace(row, step=step)
                    keep(row)
                    row = _STEPS[step](row, model, graph, x, Path(folder))
        keep(replace(row, step="done"))
    except EdgeSqueezeError as error:
        keep(replace(row, failure=str(error), refused=not isinstance(error, ParityError)))
    except Exception as error:  # whatever a network brings is a row of the table
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
        keep(replace(row, failure=text))


def _fp32(row: NetworkRow, model: nn.Module, graph: Graph, x: Tensor, folder: Path) -> NetworkRow:
    tested = x[-TEST_IMAGES:]
    with torch.no_grad():
        exact = _answer(model, tested)
    largest = max(float(np.abs(exact).max()), 1e-30)
    errors = {}
    for kind, (emit, load) in _FORMATS.items():
        path = folder / f"fp32.{kind}"
        path.write_bytes(emit(graph, None))
        found = _joined(load(path).predict_all(tested.numpy()))
        errors[kind] = float(np.abs(found - exact).max()) / largest
    return replace(row, float_error=errors)


def _int8(row: NetworkRow, model: nn.Module, graph: Graph, x: Tensor, folder: Path) -> NetworkRow:
    tested = x[-TEST_IMAGES:]
    spec = make_spec(graph, calibrate_min_max(graph, x[:CALIBRATION_IMAGES].split(4)))
    with torch.no_grad():
        exact = torch.from_numpy(_answer(model, tested))
    paths = _write(graph, spec, folder)
    report = check_parity(graph, spec, paths, tested.numpy())
    excused = any(entry.inexact for entry in report.files)
    verdict = next(iter(report.failures()), "equal but for excused nodes" if excused else "equal")
    answers = {
        path.suffix[1:]: torch.from_numpy(
            _joined(_FORMATS[path.suffix[1:]][1](path).predict_all(tested.numpy()))
        )
        for path in paths
    }
    apart = answers["onnx"] != answers["tflite"]
    return replace(
        row,
        gate=verdict,
        differing={"onnx and tflite": int(apart.sum()), "of": apart.numel()},
        sqnr_db={kind: sqnr_db(exact, found) for kind, found in answers.items()},
        islands={path.suffix[1:]: len(float_operators(path)) for path in paths},
    )


_STEPS = {"fp32": _fp32, "int8": _int8}


def _write(graph: Graph, spec: QuantSpec, folder: Path) -> list[Path]:
    paths = [folder / f"int8.{kind}" for kind in _FORMATS]
    for path in paths:
        path.write_bytes(_FORMATS[path.suffix[1:]][0](graph, spec))
    return paths


def _answer(model: nn.Module, x: Tensor) -> Floats:
    return _joined(y.detach().numpy() for y in leaves(model(x)))


def _joined(outputs: Mapping[str, Floats] | Iterable[Floats]) -> Floats:
    """All outputs side by side, [N, values]."""
    found = outputs.values() if isinstance(outputs, Mapping) else outputs
    return np.concatenate([np.asarray(y, np.float32).reshape(len(y), -1) for y in found], axis=1)
