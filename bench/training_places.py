"""Where training runs: one process against two, bfloat16 against float32, and what a kill costs.

    python -m bench.training_places --output bench/results/training_places

Everything runs on the CPU, on the packaged digits. Two processes are started by torchrun. Each of the five
stages that train is killed by SIGKILL in the middle of an epoch, while it keeps its state twice a second, and
resumed in another process.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.reporting import Result, note, table
from edgesqueeze import load_recipe, load_task, new_run, open_run
from edgesqueeze.pipeline import compress
from edgesqueeze.progress import Course, SilentProgress

TRAINED: dict[str, Any] = {
    "version": 1,
    "name": "place",
    "task": {
        "model": "lenet5",
        "data": {"named": "mnist_sample", "train_images": 2000},
        "validation": 0.1,
    },
    "stages": [{"stage": "train", "epochs": 4, "learning_rate": 0.05, "batch_size": 50}],
    "exports": [],
    "references": [],
}
PLACES = {
    "one process, 32": (1, []),
    "two processes, 32": (2, []),
    "one process, bf16-mixed": (1, ["precision=bf16-mixed"]),
}
KEPT_EVERY = 0.5
"""Seconds."""
EPOCHS = {"epochs": 2, "learning_rate": 0.01, "batch_size": 20}
STAGES: list[dict[str, Any]] = [
    {"stage": "train", **EPOCHS},
    {"stage": "prune", "sparsity": 0.5, **EPOCHS},
    {"stage": "share", "num_bits": 4, **EPOCHS},
    {"stage": "squeeze", "price": 0.1, **EPOCHS},
    {"stage": "qat", **EPOCHS},
]
KILLED = {**TRAINED, "save_minutes": KEPT_EVERY / 60}
KILLED_AT = 0.75
"""Of the steps of a stage: in the middle of its second epoch."""


def main() -> None:
    """Measure, and write the tables."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    arguments = parser.parse_args()
    result = Result(arguments.output)
    with tempfile.TemporaryDirectory() as folder:
        places = [trained_at(label, Path(folder)) for label in PLACES]
        kills = [killed(stage, Path(folder)) for stage in STAGES]
    result.write({"places": places, "kills": kills}, [*about_places(places), *about_kills(kills)])


# -- one process, two, bfloat16 ------------------------------------------------------------------------


def trained_at(label: str, folder: Path) -> dict[str, Any]:
    """Loss and validation metric of every epoch, and the test metric, of a training by the command line."""
    note(label)
    processes, settings = PLACES[label]
    recipe, out = folder / "recipe.yaml", folder / label.replace(" ", "_")
    recipe.write_text(json.dumps(TRAINED))
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--nproc-per-node", str(processes), "-m"]
    options = [part for setting in settings for part in ("--set", setting)]
    command = ["edgesqueeze.cli", "train", "--recipe", str(recipe), "--output", str(out), *options]
    began = time.monotonic()
    subprocess.run([*start, *command], check=True, stdout=subprocess.DEVNULL)
    report = json.loads((out / "report.json").read_text())
    return {
        "place": label,
        "environment": report["environment"]["training"],
        "epochs": report["training"]["epochs"],
        "test": report["rows"][0]["metrics"]["accuracy"],
        "seconds": time.monotonic() - began,
    }


def about_places(places: list[dict[str, Any]]) -> list[str]:
    """The loss curves side by side."""
    rows = [
        [
            place["place"],
            *(f"{epoch['loss']:.6f}" for epoch in place["epochs"]),
            *(f"{100 * place[key]:.2f} %" for key in ("validation", "test")),
        ]
        for place in (p | {"validation": p["epochs"][-1]["metric"]} for p in places)
    ]
    epochs = [f"loss, epoch {epoch['number']}" for epoch in places[0]["epochs"]]
    return [
        "LeNet-5, which has neither batch norm nor dropout, on 1,800 digits in batches of 50, on the CPU. "
        "Two processes add the same numbers in another order.",
        table(["place", *epochs, "validation", "test"], rows),
    ]


# -- killed in the middle ------------------------------------------------------------------------------


@dataclass
class Steps(SilentProgress):
    """Writes where a training begins and how many steps it has done."""

    file: Path
    done: int = 0

    def begin(self, course: Course) -> None:
        """Where it goes on."""
        self.done = course.trained * course.steps + course.begun
        self.file.with_suffix(".began").write_text(str(self.done))

    def step(self, loss: float) -> None:  # noqa: ARG002 (the protocol's)
        """Once more."""
        self.done += 1
        self.file.write_text(str(self.done))


def started(directory: Path) -> int:
    """A process of its own that runs the recipe in a directory from where it is: its number."""
    process = os.fork()  # which has imported everything already
    if process == 0:
        run, recipe = open_run(directory)
        compress(recipe, load_task(recipe.task, recipe.seed), run, Steps(directory / "steps"))
        os._exit(0)
    return process


def ended(process: int) -> int:
    """The exit code of a process, once it has one; that of a signal is negative."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def killed(stage: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A stage run unbroken, and again killed and resumed: what was lost, and whether bytes are the same."""
    note(f"{stage['stage']}, killed")
    recipe = folder / "killed.yaml"
    recipe.write_text(json.dumps({**KILLED, "stages": [stage]}))
    unbroken, broken = (folder / f"{stage['stage']}-{name}" for name in ("unbroken", "broken"))
    for directory in (unbroken, broken):
        new_run(load_recipe(str(recipe)), directory)
    assert ended(started(unbroken)) == 0
    total = int((unbroken / "steps").read_text())
    lost_seconds = kill_at(int(KILLED_AT * total), broken)
    reached = int((broken / "steps").read_text())
    assert ended(started(broken)) == 0
    went_on = int((broken / "steps.began").read_text())
    digests = [
        hashlib.sha256(next(d.glob("stages/01-*/model.safetensors")).read_bytes()).hexdigest()
        for d in (unbroken, broken)
    ]
    return {
        "stage": stage["stage"],
        "steps": total,
        "killed_behind": reached,
        "went_on_behind": went_on,
        "lost_seconds": lost_seconds,
        "same_bytes": digests[0] == digests[1],
    }


def kill_at(steps: int, directory: Path) -> float:
    """Kill a run once it has done so many steps: the seconds since it kept its state."""
    file, process = directory / "steps", started(directory)
    while not (file.is_file() and int(file.read_text() or 0) >= steps):
        time.sleep(0.002)
    os.kill(process, signal.SIGKILL)
    died = time.time()
    assert ended(process) == -signal.SIGKILL
    (state,) = directory.glob("stages/*/training.pt")
    return died - state.stat().st_mtime


def about_kills(kills: list[dict[str, Any]]) -> list[str]:
    """What every kill has cost."""
    rows = [
        [
            kill["stage"],
            str(kill["steps"]),
            str(kill["killed_behind"]),
            str(kill["went_on_behind"]),
            f"{kill['lost_seconds']:.2f} s",
            "the same" if kill["same_bytes"] else "OTHERS",
        ]
        for kill in kills
    ]
    header = ["stage", "steps", "killed behind step", "went on behind step", "lost", "bytes of the weights"]
    return [
        f"Each stage alone on LeNet-5, two epochs, a state kept every {KEPT_EVERY:g} s "
        "(`save_minutes`) beside those behind epochs; killed by SIGKILL in its second epoch and resumed.",
        table(header, rows),
    ]


if __name__ == "__main__":
    main()
