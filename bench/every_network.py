"""A small variant of every model file of torchvision and timm, and all of Keras: what came of each.

    python -m bench.every_network --output bench/results/networks
        [--networks NAME …] [--steps read fp32 int8] [--limit SECONDS] [--memory GIB] [--resume]

Every network has a process of its own, with a time and a memory limit, so that one that hangs or dies is a
row like the others. Rows are kept as they come; ``--resume`` leaves out those that are there. timm must be
installed.
"""

import json
import resource
import subprocess
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.network_list import NETWORKS
from bench.network_row import IMAGES, NetworkRow, blank_row, measure_network
from bench.network_table import report
from bench.reporting import Result, note
from edgesqueeze.files import make_directory, write_atomically

STEPS = ("read", "fp32", "int8")
_ROWS = "rows.json"


def main() -> None:
    """Measure the networks, one after the other, and write the result."""
    arguments = _arguments()
    if arguments.one is not None:
        _limit_memory(arguments.memory)
        network = NETWORKS[arguments.one]
        x = network.images(IMAGES)
        measure_network(blank_row(network), network.settled, x, arguments.steps, _print)
        return
    result = Result(arguments.output)
    rows = _finished(arguments.output) if arguments.resume else {}
    for name in arguments.networks:
        if name not in rows:
            rows[name] = _measured(name, arguments)
            note(f"{name}: {rows[name]['step']}, {rows[name]['failure'] or rows[name]['gate']}")
            _keep(arguments.output, rows)
    ordered = [rows[name] for name in NETWORKS if name in rows]
    result.write({"steps": arguments.steps, "rows": ordered}, report(ordered))
    (arguments.output / _ROWS).unlink(missing_ok=True)


def _arguments() -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="folder of the result")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), metavar="STEP")
    parser.add_argument("--limit", type=int, default=900, help="seconds a network may take")
    parser.add_argument("--memory", type=int, default=14, help="GiB a network may take")
    parser.add_argument("--resume", action="store_true", help="keep the rows that --output has")
    parser.add_argument("--one", choices=NETWORKS, metavar="NAME", help="print one row as JSON, no more")
    arguments = parser.parse_args()
    if arguments.one is None and arguments.output is None:
        parser.error("--output is required")
    return arguments


def _limit_memory(gibibytes: int) -> None:
    limit = gibibytes << 30
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _print(row: NetworkRow) -> None:
    print(json.dumps(asdict(row)), flush=True)


def _measured(name: str, arguments: Namespace) -> dict[str, Any]:
    """One row, from a process of its own; one that died ends at the step it had begun."""
    command = [sys.executable, "-m", "bench.every_network", "--one", name, "--steps", *arguments.steps]
    command += ["--memory", str(arguments.memory)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        try:
            out, err = child.communicate(timeout=arguments.limit)
            failure = None if child.returncode == 0 else f"the process ended with {child.returncode}: "
        except subprocess.TimeoutExpired:
            child.kill()
            out, err = child.communicate()
            failure = f"took longer than {arguments.limit} s"
    rows = [line for line in out.splitlines() if line.startswith('{"name"')]
    row = (
        json.loads(rows[-1])
        if rows
        else asdict(replace(blank_row(NETWORKS[name]), failure="the process said nothing"))
    )
    if failure is not None and row["failure"] is None:
        row["failure"] = failure + ((err.strip().splitlines() or [""])[-1] if failure.endswith(": ") else "")
    return dict(row)


def _finished(directory: Path) -> dict[str, dict[str, Any]]:
    for path in (directory / _ROWS, directory / "report.json"):
        if path.is_file():
            return {row["name"]: row for row in json.loads(path.read_text())["rows"]}
    return {}


def _keep(directory: Path, rows: dict[str, dict[str, Any]]) -> None:
    make_directory(directory)
    write_atomically(directory / _ROWS, json.dumps({"rows": list(rows.values())}).encode())


if __name__ == "__main__":
    main()
