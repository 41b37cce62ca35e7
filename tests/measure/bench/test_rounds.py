"""Processes that time: what they tell, in which order they run, and what becomes of one that fails."""

import io
import json
import os
import signal
import sys

import pytest
from hostile_files import good_files

from edgesqueeze.measure.bench import rounds, worker
from edgesqueeze.measure.bench.rounds import Plan, time_in_turns
from edgesqueeze.measure.bench.worker import Job
from edgesqueeze.measure.runtimes.runtime import RuntimeName

SHAPE = (1, 1, 6, 6)


def job(path, shape=SHAPE, **changes):
    kind = RuntimeName.LITERT if path.suffix == ".tflite" else RuntimeName.ONNXRUNTIME
    fields = {"model": "m", "runtime": kind, "threads": 1, "shapes": (shape,), "cores": ()}
    return Job(**{**fields, "path": str(path), "samples": 1, "warmup": 1, **changes})


@pytest.fixture
def files(tmp_path):
    for name in ("good.onnx", "good.tflite"):
        (tmp_path / name).write_bytes(good_files()[name])
    return tmp_path


def test_a_job_is_the_same_behind_its_line(tmp_path):
    sent = job(tmp_path / "m.onnx", cores=(0, 1))
    assert Job.from_line(sent.line()) == sent


def test_what_fails_keeps_its_reason_and_the_others_are_timed(files, monkeypatch):
    crash = "import os, signal; input(); os.kill(os.getpid(), signal.SIGSEGV)"
    original = rounds.subprocess.Popen

    def start(command, **settings):
        """The second process brings its runtime down."""
        start.count += command[0] == sys.executable
        return original([command[0], "-c", crash] if start.count == 2 else command, **settings)

    start.count = 0
    monkeypatch.setattr(rounds.subprocess, "Popen", start)
    jobs = [
        job(files / "good.onnx"),
        job(files / "good.tflite"),
        job(files / "missing.onnx"),
        job(files / "good.onnx", (1, 2, 3)),
    ]
    session = time_in_turns(jobs, Plan(processes=2, rounds=3))
    good, crashed, missing, misfit = session.timed
    assert [len(process.rounds_s) for process in good.processes] == [3, 3]
    assert all(second > 0 for process in good.processes for second in process.rounds_s)
    assert good.processes[0].runtime.startswith("onnxruntime ")
    assert min(good.processes[0].peak_bytes, good.processes[0].load_s, good.processes[0].first_s) > 0
    assert (crashed.processes, missing.processes, misfit.processes) == ((), (), ())
    assert crashed.failure.endswith("cannot be run: it ends its runtime's process (SIGSEGV)")
    assert missing.failure.endswith("missing.onnx is not a file")
    assert "inputs of shapes" in misfit.failure or "is wanted" in misfit.failure
    assert len(session.states) == 3  # before, between and after
    assert start.count == 4 + 1  # what has failed is not started again


class Scripted:
    """A process that notes when it was asked, and answers at once."""

    def __init__(self, name, asked):
        self.name, self.asked, self.waiting = name, asked, []

    def write(self, line):
        if line.strip() == worker.TURN:
            self.asked.append(self.name)
            self.waiting.append({"times_s": [float(len(self.asked))], "waited": 0.25})
        elif line.strip() == worker.END:
            self.waiting.append({"peak_bytes": 7})
        else:
            self.waiting.append(
                {"runtime": "r 1", "load_s": 1.0, "first_s": 2.0, "warmup": 3, "is_steady": True}
            )

    def flush(self):
        pass

    def readline(self):
        return json.dumps(self.waiting.pop(0))


def test_a_round_goes_there_and_back_and_the_next_the_other_way(tmp_path):
    asked = []
    pipes = [Scripted(name, asked) for name in "ABC"]
    workers = [rounds._Worker(job(tmp_path / "m.onnx"), None, pipe, pipe) for pipe in pipes]
    told = rounds._generation(workers, 2)
    assert "".join(asked) == "ABCCBA" + "CBAABC"
    assert told[0].rounds_s == ((1 + 6) / 2, (9 + 10) / 2)  # the median of what both turns told
    assert told[0].waited == (0.25, 0.25)
    assert told[0].peak_bytes == 7


def test_a_process_times_turns_until_it_is_told_to_end(files):
    answers = io.StringIO()
    orders = "\n".join([job(files / "good.onnx", samples=2).line(), worker.TURN, worker.END, ""])
    worker._serve(io.StringIO(orders), answers)
    ready, turn, last = (json.loads(line) for line in answers.getvalue().splitlines())
    assert set(ready) == {"runtime", "load_s", "first_s", "warmup", "is_steady"}
    assert len(turn["times_s"]) >= 2
    assert min(turn["times_s"]) > 0
    assert last["peak_bytes"] > 1 << 20


def test_spinning_threads_are_waited_for_but_not_for_ever(monkeypatch):
    """Three rests see the processor used, then none does; or all of them do."""
    spent = [0.0, 0.01, 0.01, 0.02, 0.02, 0.03, 0.03, 0.03]
    monkeypatch.setattr(worker, "process_time", lambda: spent.pop(0))
    rests = []
    monkeypatch.setattr(worker, "sleep", rests.append)
    worker._rest()
    assert (len(rests), spent) == (4, [])
    clock = iter(range(1000))
    monkeypatch.setattr(worker, "process_time", lambda: next(clock))
    worker._rest()
    assert len(rests) == 4 + 50


def test_it_runs_on_the_cores_it_is_told(files):
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system pins nothing")
    before = os.sched_getaffinity(0)
    try:
        order = job(files / "good.onnx", cores=(min(before),)).line()
        worker._serve(io.StringIO(f"{order}\n"), io.StringIO())
        assert os.sched_getaffinity(0) == {min(before)}
    finally:
        os.sched_setaffinity(0, before)


def test_an_exit_code_is_named_as_well():
    assert rounds.how_it_ended("m.onnx", 3).endswith("(exit code 3)")
    assert rounds.how_it_ended("m.onnx", -signal.SIGKILL).endswith("(SIGKILL)")
