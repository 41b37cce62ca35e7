"""Damaged and hostile model files of Keras and ONNX through ``compress``: each must be one sentence.

    python -m bench.hostile_models --output bench/results/hostile_models

The files are those of tests/shared/hostile_onnx.py and hostile_keras.py. Every command has a process and an
empty folder of its own, forked from one that has imported torch and Keras. Time is the CPU's, and memory
the largest that was resident, Keras and torch included.
"""

import json
import os
import resource
import sys
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from PIL import Image

import edgesqueeze.pipeline
import edgesqueeze.task.loading  # noqa: F401 - so that no process imports it again
from bench.reporting import Result, note, table
from edgesqueeze.cli import main as cli
from edgesqueeze.importing.keras.load import keras_on_torch

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "shared"))
import hostile_keras  # noqa: E402 - helpers of tests
import hostile_onnx  # noqa: E402

MOST_SECONDS, MOST_BYTES = 20.0, 2 << 30
KILLED_AFTER = 120
ADDRESS_SPACE = 12 << 30
"""What a process may reserve: whatever asks for more fails here as it would on a machine without it."""
IMAGES = 32


@dataclass(frozen=True)
class Outcome:
    """What a command did with one file. ``faults`` says what it should not have done."""

    kind: str
    file: str
    code: int
    sentence: str
    seconds: float
    num_bytes: int
    faults: tuple[str, ...]


def run(kind: str, name: str, writer: ModuleType) -> Outcome:
    """``compress`` on one file, in a process of its own."""
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top) / "work"
        folder.mkdir()
        model = writer.write(name, folder) or "net.onnx"
        _write_task(folder, model)
        before = _listing(Path(top))
        code, seconds, num_bytes = _forked(folder, ["compress", "--recipe", "recipe.yaml", "--output", "out"])
        printed = (folder / "printed.txt").read_text(encoding="utf-8", errors="replace")
        written = _listing(Path(top)) - before - {"work/printed.txt"}
    lines = [line for line in printed.splitlines() if line.strip()]
    sentence = lines[-1] if lines else ""
    faults = {
        f"exit code {code}": code != 2,
        "a traceback": "Traceback" in printed,
        f"{len(lines)} lines": len(lines) != 1 or not sentence.startswith("error: "),
        f"wrote {', '.join(sorted(written))}": bool(written),
        f"{seconds:.0f} s": seconds > MOST_SECONDS,
        f"{num_bytes / 2**30:.1f} GB": num_bytes > MOST_BYTES,
        "a control character": not printed.replace("\n", "").isprintable(),
    }
    found = tuple(fault for fault, there in faults.items() if there)
    sentence = sentence.removeprefix("error: ")
    return Outcome(kind, name, code, sentence, round(seconds, 2), num_bytes, found)


def _write_task(folder: Path, model: str) -> None:
    """A recipe for the model, and images without labels."""
    (folder / "images").mkdir()
    rng = np.random.default_rng(0)
    for index in range(IMAGES):
        pixels = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
    data = {"images": "images", "image_size": [8, 8]}
    task = {"model": model, "kind": "regression", "preprocess": "0..1", "data": data}
    stages, exports = [{"stage": "ptq", "method": "min_max"}], [{"export": "onnx", "precision": ["int8"]}]
    recipe = {"version": 1, "name": "hostile", "task": task, "stages": stages, "exports": exports}
    (folder / "recipe.yaml").write_text(json.dumps(recipe | {"references": []}))


def _listing(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def _forked(folder: Path, arguments: list[str]) -> tuple[int, float, int]:
    """Exit code, CPU seconds and largest resident bytes of a command; what it prints goes to printed.txt."""
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        printed = os.open("printed.txt", os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CPU, (KILLED_AFTER, KILLED_AFTER))
        sys.argv = ["edgesqueeze", *arguments]
        code = 1
        try:
            cli.main()
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else 1
        except BaseException as error:  # what the interpreter would print
            sys.excepthook(type(error), error, error.__traceback__)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status, usage = os.wait4(child, 0)
    seconds = usage.ru_utime + usage.ru_stime
    return os.waitstatus_to_exitcode(status), seconds, usage.ru_maxrss * 1024


def main() -> None:
    """Run, write the result.

    Raises:
        SystemExit: a command did what none may do.
    """
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    parser.add_argument("--only", default="", help="files whose names have this in them")
    chosen = parser.parse_args()
    result = Result(chosen.output)
    keras_on_torch()
    hostile_keras.good()
    outcomes = []
    for kind, writer in (("ONNX", hostile_onnx), ("Keras", hostile_keras)):
        for name in (name for name in writer.NAMES if chosen.only in name):
            outcomes.append(run(kind, name, writer))
            if outcomes[-1].faults:
                note(f"{kind}, {name}: {', '.join(outcomes[-1].faults)}: {outcomes[-1].sentence[:300]}")
    result.write({"files": [asdict(outcome) for outcome in outcomes]}, _report(outcomes))
    faulty = [outcome for outcome in outcomes if outcome.faults]
    if faulty:
        raise SystemExit(f"{len(faulty)} commands did what none may do")


def _report(outcomes: list[Outcome]) -> list[str]:
    rows = [
        [o.kind, o.file, f"{o.seconds:.1f} s", f"{o.num_bytes / 2**30:.2f} GB", o.sentence] for o in outcomes
    ]
    faults = sum(bool(outcome.faults) for outcome in outcomes)
    said = (
        f"{len(outcomes)} files. {faults} commands ended otherwise than with exit code 2 and one sentence, "
        f"wrote something, took more than {MOST_SECONDS:.0f} s or more than {MOST_BYTES >> 30} GB."
    )
    return [said, table(["format", "file", "time", "memory", "sentence"], rows)]


if __name__ == "__main__":
    main()
