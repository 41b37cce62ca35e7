"""What each layer of an ONNX file takes, as ONNX Runtime's own profiler has it, under the layers' names."""

import json
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from edgesqueeze.errors import ExportError
from edgesqueeze.formats.any_file import open_cuttable
from edgesqueeze.measure.bench.judging import MOST_SPREAD, MOST_WAITED
from edgesqueeze.measure.bench.layer_worker import Profile
from edgesqueeze.measure.bench.rounds import how_it_ended
from edgesqueeze.measure.bench.worker import Job
from edgesqueeze.measure.runtimes.onnx_runtime import KernelTime
from edgesqueeze.text.columns import narrow_table, wrapped

_CHILD = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from edgesqueeze.measure.bench.layer_worker import serve; serve()"
)
_UNKNOWN = "?"
_FUSED = "fused "


@dataclass(frozen=True)
class LayerTime:
    """A layer's kernels; ``layer`` is None of what the runtime has put in.

    Seconds of one run, median and quartiles, None where they would be worth no number; ``share`` of all
    layers' medians.
    """

    layer: str | None
    operators: tuple[str, ...]
    median_s: float | None = None
    p25_s: float | None = None
    p75_s: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class LayerProfile:
    """A file's layers in the order they run; ``run_s`` is the median of a whole profiled run."""

    model: str
    path: str
    runtime: str
    threads: int
    batch: int
    runs: int
    run_s: float | None
    layers: tuple[LayerTime, ...]
    doubts: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """Plain JSON values."""
        return asdict(self)

    def text(self, tablefmt: str = "simple") -> str:
        """A table and a sentence on how to read it, in lines of at most a hundred columns."""
        header = ["layer", "operators", "µs", "quartiles", "share"]
        table = narrow_table(header, [_cells(layer) for layer in self.layers], tablefmt)
        whole = _UNKNOWN if self.run_s is None else f"{1e3 * self.run_s:,.3f} ms"
        said = (
            f"{self.path} in {self.runtime}, batch {self.batch}, {self.threads} "
            f"thread{'s' if self.threads > 1 else ''}: a whole run takes {whole} while it is profiled, the "
            f"median of {self.runs}. The profiler counts whole microseconds. Rows in brackets are what the "
            "runtime has put in."
        )
        doubts = [f"{_UNKNOWN}: {', and '.join(self.doubts)}."] if self.doubts else []
        return "\n\n".join([table, *(wrapped(text) for text in [said, *doubts])])


def layer_times(job: Job, label: str) -> LayerProfile:
    """Profile an ONNX file in a process of its own.

    Args:
        job: the file; its ``samples`` are how many runs.
        label: the file's path as shown.

    Raises:
        ExportError: the file cannot be run.
    """
    told = _told(job)
    doubts = _doubts(told)
    rows = _layers(told.kernels, _names(Path(job.path)))
    whole = sum(row.median_s or 0.0 for row in rows)
    if doubts or whole == 0:
        rows = [LayerTime(row.layer, row.operators) for row in rows]
    else:
        rows = [replace(row, share=(row.median_s or 0.0) / whole) for row in rows]
    return LayerProfile(
        model=job.model,
        path=label,
        runtime=told.runtime,
        threads=job.threads,
        batch=job.shapes[0][0],
        runs=job.samples,
        run_s=None if doubts else float(np.median(told.runs_s)),
        layers=tuple(rows),
        doubts=doubts,
    )


def _layers(kernels: Sequence[KernelTime], names: tuple[Collection[str], Collection[str]]) -> list[LayerTime]:
    """Kernels by their layers; what the runtime has put in by its operators."""
    found: dict[tuple[str | None, str], list[KernelTime]] = {}
    for kernel in kernels:
        layer = _layer_of(kernel.name, *names)
        found.setdefault((layer, kernel.operator if layer is None else ""), []).append(kernel)
    rows = []
    for (layer, _), parts in found.items():
        sums = np.sum([kernel.runs_s for kernel in parts], axis=0)
        low, middle, high = (float(q) for q in np.quantile(sums, (0.25, 0.5, 0.75)))
        rows.append(LayerTime(layer, tuple(kernel.operator for kernel in parts), middle, low, high))
    return rows


def _told(job: Job) -> Profile:
    command = [sys.executable, "-c", _CHILD, json.dumps(sys.path)]
    done = subprocess.run(command, input=f"{job.line()}\n", capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout:
        raise ExportError(how_it_ended(job.path, done.returncode))
    data = json.loads(done.stdout)
    if "error" in data:
        raise ExportError(data["error"])
    return Profile.from_json(data)


def _doubts(told: Profile) -> tuple[str, ...]:
    """Why the times are worth no number, one clause each."""
    low, middle, high = np.quantile(np.asarray(told.runs_s), (0.25, 0.5, 0.75))
    spread = float((high - low) / middle)
    found = []
    if spread > MOST_SPREAD:
        found.append(f"the quartiles of whole runs lie {100 * spread:.0f} % of the median apart")
    if told.waited is not None and told.waited > MOST_WAITED:
        found.append(f"other work took its processor for {100 * told.waited:.0f} % of the time")
    return tuple(found)


def _names(path: Path) -> tuple[Collection[str], Collection[str]]:
    """The layers of a file of ours, and the operators of any file."""
    import onnx

    operators = {str(node.name) for node in onnx.load(path, load_external_data=False).graph.node}
    return open_cuttable(path).names, operators - {""}


def _layer_of(kernel: str, layers: Collection[str], operators: Collection[str]) -> str | None:
    """The layer whose name a kernel's begins with; in a file of others the operator; None if there is none.

    ONNX Runtime writes behind a name what it has made of the operator, and before it that it is fused.
    """
    kernel = kernel.removeprefix(_FUSED)
    own = [name for name in layers if kernel == name or kernel.startswith(f"{name}/")]
    if own:
        return max(own, key=len)
    return max((name for name in operators if kernel.startswith(name)), key=len, default=None)


def _cells(layer: LayerTime) -> Sequence[str]:
    operators = ", ".join(dict.fromkeys(layer.operators))
    name = f"[{operators}]" if layer.layer is None else layer.layer
    if layer.median_s is None or layer.p25_s is None or layer.p75_s is None or layer.share is None:
        return [name, operators, _UNKNOWN, _UNKNOWN, _UNKNOWN]
    between = f"{1e6 * layer.p25_s:,.0f}–{1e6 * layer.p75_s:,.0f}"
    return [name, operators, f"{1e6 * layer.median_s:,.0f}", between, f"{100 * layer.share:.1f} %"]
