"""The process that a file is profiled in: a file that ends its runtime's process ends no more than this one.

A job comes as a line on standard input, the answer goes as a JSON line to standard output.
"""

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from edgesqueeze.errors import EdgeSqueezeError
from edgesqueeze.measure.bench.worker import Job, noise, waited_ns
from edgesqueeze.measure.runtimes.onnx_runtime import KernelTime, profile_onnx


@dataclass(frozen=True)
class Profile:
    """What one process tells: its kernels in order, seconds of whole runs, and its share of waiting.

    ``waited`` is None where the system does not tell.
    """

    runtime: str
    kernels: tuple[KernelTime, ...]
    runs_s: tuple[float, ...]
    waited: float | None

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Profile":
        """What ``asdict`` has made."""
        kernels = tuple(KernelTime(k["name"], k["operator"], tuple(k["runs_s"])) for k in data["kernels"])
        return cls(data["runtime"], kernels, tuple(data["runs_s"]), data["waited"])


def serve() -> None:
    """Profile the file of the one job; a job's ``samples`` are its runs."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    job = Job.from_line(sys.stdin.readline())
    if job.cores:
        os.sched_setaffinity(0, job.cores)
    try:
        answers.write(json.dumps(asdict(_profile(job))))
    except EdgeSqueezeError as error:
        answers.write(json.dumps({"error": str(error)}))
    answers.flush()


def _profile(job: Job) -> Profile:
    waited, begin = waited_ns(), perf_counter_ns()
    runtime, kernels, runs_s = profile_onnx(Path(job.path), noise(job), job.threads, job.warmup, job.samples)
    spent, after = perf_counter_ns() - begin, waited_ns()
    share = None if waited is None or after is None else (after - waited) / spent
    return Profile(runtime, kernels, runs_s, share)
