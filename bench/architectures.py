"""Every convolutional architecture of torchvision, written to fp32 and int8 files and run in both runtimes.

    python -m bench.architectures --output bench/results/architectures
        [--models NAME …] [--images 4] [--resume]

Weights are random, scaled so that activations have the size of trained ones. One process per model, so that
memory is given back; what is finished is in the report at once, and ``--resume`` leaves it out.
"""

import json
import subprocess
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.architecture_models import ARCHITECTURES
from bench.architecture_row import IMAGES, measure_architecture
from bench.architecture_table import report
from bench.reporting import Result, note
from edgesqueeze.errors import ExportError
from edgesqueeze.files import make_directory, write_atomically


def main() -> None:
    """Measure the architectures, one after the other, and write the result."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="folder of the result")
    parser.add_argument(
        "--models", nargs="+", choices=ARCHITECTURES, default=list(ARCHITECTURES), metavar="NAME"
    )
    parser.add_argument("--images", type=int, default=IMAGES, help="how many are compared; all calibrate")
    parser.add_argument("--resume", action="store_true", help="keep what the report in --output has")
    parser.add_argument("--one", choices=ARCHITECTURES, metavar="NAME", help="print one row as JSON, no more")
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(asdict(measure_architecture(ARCHITECTURES[arguments.one], arguments.images))))
        return
    if arguments.output is None:
        parser.error("--output is required")
    result = Result(arguments.output)
    rows = _finished(arguments.output) if arguments.resume else {}
    for name in arguments.models:
        if name not in rows:
            note(f"measuring {name}")
            rows[name] = _measured(name, arguments.images)
            _keep(arguments.output, rows)
    ordered = [rows[name] for name in ARCHITECTURES if name in rows]
    result.write({"images": arguments.images, "rows": ordered}, report(ordered, arguments.images))


def _measured(name: str, images: int) -> dict[str, Any]:
    """One row, from a process of its own.

    Raises:
        ExportError: the process failed; what it said is in the message.
    """
    command = [sys.executable, "-m", "bench.architectures", "--one", name, "--images", str(images)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(f"{name} could not be measured: {done.stderr.strip()}")
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return row


def _finished(directory: Path) -> dict[str, dict[str, Any]]:
    path = directory / "report.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    return {row["model"]: row for row in rows}


def _keep(directory: Path, rows: dict[str, dict[str, Any]]) -> None:
    make_directory(directory)
    write_atomically(directory / "report.json", json.dumps({"rows": list(rows.values())}).encode())


if __name__ == "__main__":
    main()
