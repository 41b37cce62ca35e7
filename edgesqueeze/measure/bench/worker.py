"""The process that one candidate is timed in: loads it, warms it up, and times a turn whenever it is told to.

Orders come as lines on standard input, answers go as JSON lines to what standard output was at the start;
what a runtime prints there goes to standard error instead.
"""

import json
import os
import resource
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from math import ceil
from pathlib import Path
from time import perf_counter, perf_counter_ns, process_time, sleep
from typing import IO, Any

import numpy as np

from edgesqueeze.errors import EdgeSqueezeError
from edgesqueeze.measure.runtimes.energy import energy_meter
from edgesqueeze.measure.runtimes.latency import Run, collection_paused, repeats_for, time_runs
from edgesqueeze.measure.runtimes.runtime import RUNTIMES, RuntimeName
from edgesqueeze.measure.runtimes.steady import warm_up
from edgesqueeze.trees import Tree

TURN, SUSTAIN, END = "turn", "sustain", "end"
_SEED = 0
_NS = 1e-9
_SAMPLE_S = 0.002
"""A sample lasts as long at least, so that the clock's resolution does not matter."""
_TURN_S = 0.02
_MOST_SAMPLES = 5
_WINDOW_S = 1.0
_REST_S = 0.01
_MOST_RESTS = 50


@dataclass(frozen=True)
class Job:
    """What a process times.

    ``shapes`` are those of the inputs, batch included; ``cores`` those it may run on, empty for any;
    ``samples`` are the least of one turn; ``warmup`` the least untimed runs. ``model`` names the network of
    weights that torch runs.
    """

    path: str
    model: str
    runtime: RuntimeName
    threads: int
    shapes: tuple[tuple[int, ...], ...]
    cores: tuple[int, ...]
    samples: int
    warmup: int

    def line(self) -> str:
        """As the first line that a process is sent."""
        return json.dumps(asdict(self))

    @classmethod
    def from_line(cls, line: str) -> "Job":
        """What :meth:`line` has made."""
        data = json.loads(line)
        shapes = tuple(tuple(shape) for shape in data["shapes"])
        runtime, cores = RuntimeName(data["runtime"]), tuple(data["cores"])
        return cls(**{**data, "shapes": shapes, "runtime": runtime, "cores": cores})


def serve() -> None:
    """What the process does until it is told to end, or nobody is left to tell it."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        _serve(sys.stdin, answers)
    except EdgeSqueezeError as error:
        _tell(answers, {"error": str(error)})


def _serve(orders: IO[str], answers: IO[str]) -> None:
    job = Job.from_line(orders.readline())
    if job.cores:
        os.sched_setaffinity(0, job.cores)
    library = "torch" if job.runtime is RuntimeName.TORCH else RUNTIMES[job.runtime].library
    if library is not None:
        import_module(library)
    begin = perf_counter()
    runtime, run = _load(job)
    loaded = perf_counter()
    run()
    first_s = perf_counter() - loaded
    with collection_paused():
        warmed = warm_up(run, job.warmup)
        repeats = repeats_for(run, _SAMPLE_S)
        samples = _samples(run, repeats, job.samples)
        _rest()
        ready = {"runtime": runtime, "load_s": loaded - begin, "first_s": first_s}
        _tell(answers, {**ready, "warmup": warmed.runs, "is_steady": warmed.is_steady})
        while (order := orders.readline().split())[:1] in ([TURN], [SUSTAIN]):
            told = _turn(run, repeats, samples) if order[0] == TURN else _sustained(run, float(order[1]))
            if job.threads > 1:
                _rest()
            _tell(answers, told)
    _tell(answers, {"peak_bytes": _peak_bytes()})


def _load(job: Job) -> tuple[str, Run]:
    """The runtime's name and version, and one inference on seeded noise."""
    path = Path(job.path)
    x = noise(job)
    if job.runtime is RuntimeName.TORCH:
        from edgesqueeze.measure.runtimes.torch_module import TorchModule

        module = TorchModule(job.model, path, job.threads)
        return module.runtime, module.prepare(x)
    predictor = RUNTIMES[job.runtime].load(path, job.threads)
    return predictor.runtime, predictor.prepare(x)


def noise(job: Job) -> Tree:
    """Seeded inputs, float32 of the job's shapes; alone, or a tuple of several."""
    source = np.random.default_rng(_SEED)
    inputs = tuple(source.standard_normal(shape, dtype=np.float32) for shape in job.shapes)
    return inputs[0] if len(inputs) == 1 else inputs


def _samples(run: Run, repeats: int, least: int) -> int:
    """How many samples make a turn of some hundredths of a second, within limits."""
    took = max(time_runs(run, repeats) * _NS, 1e-9)
    return max(least, min(ceil(_TURN_S / took), _MOST_SAMPLES))


def _turn(run: Run, repeats: int, samples: int) -> dict[str, Any]:
    """Seconds of one inference, sample by sample, and the share of the time it waited for a processor."""
    run()  # what another candidate has taken of the caches is nobody's time
    waited, begin = waited_ns(), perf_counter_ns()
    times = [time_runs(run, repeats) / repeats * _NS for _ in range(samples)]
    spent = perf_counter_ns() - begin
    after = waited_ns()
    share = None if waited is None or after is None else (after - waited) / spent
    return {"times_s": times, "waited": share}


def _sustained(run: Run, seconds: float) -> dict[str, Any]:
    """Seconds of one inference in windows of about a second, without a rest between them, and the energy."""
    meter = energy_meter()
    ends: list[float] = []
    times: list[float] = []
    total, begin = 0, perf_counter()
    while not ends or ends[-1] < seconds:
        count, start = 0, perf_counter()
        while (spent := perf_counter() - start) < _WINDOW_S:
            run()
            count += 1
        meter.update()
        ends.append(perf_counter() - begin)
        times.append(spent / count)
        total += count
    joules = meter.joules if meter.source else None
    return {"ends_s": ends, "times_s": times, "inferences": total, "joules": joules, "meter": meter.source}


def _rest() -> None:
    """Wait until threads that spin for more work sleep: they would run in the next candidate's turn.

    ONNX Runtime's do so for some hundredths of a second.
    """
    for _ in range(_MOST_RESTS):
        before = process_time()
        sleep(_REST_S)
        if process_time() - before < _REST_S / 10:
            return


def waited_ns() -> int | None:
    """Nanoseconds in which a thread of this process could have run and did not; None where none tells.

    The second number of schedstat (Linux, Documentation/scheduler/sched-stats).
    """
    total = 0
    try:
        for task in os.scandir("/proc/self/task"):
            total += int(Path(task.path, "schedstat").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return total


def _peak_bytes() -> int:
    """The most memory this process has had resident, Python and the runtime included.

    Not ``ru_maxrss`` where there is another source: on Linux it starts from what the parent had.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


def _tell(answers: IO[str], content: dict[str, Any]) -> None:
    answers.write(f"{json.dumps(content)}\n")
    answers.flush()
