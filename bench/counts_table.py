"""Our counts of torchvision's classifiers beside what torchvision publishes and torch's own counter.

    python -m bench.counts_table --output bench/results/counts
        [--models NAME …] [--most-params 320] [--resume]

Parameters are compared with ``num_params`` of the weights' metadata, multiply-accumulates with ``_ops`` and
with half of ``torch.utils.flop_counter``'s, all of one image of the published size. Weights are never
loaded. One process per model, so that memory is given back; ``--resume`` leaves out what the report in
``--output`` has.
"""

import json
import subprocess
import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.classifier_counts import count_classifier
from bench.classifiers import CLASSIFIERS
from bench.reporting import Result, note, table
from edgesqueeze.errors import ExportError
from edgesqueeze.files import make_directory, write_atomically

Row = dict[str, Any]
_HEADER = (
    *("network", "input", "params", "published", "agree", "in a file", "GMACs", "published", "agree"),
    *("to flop_counter", "seconds"),
)


def main() -> None:
    """Count the classifiers, one after the other, and write the result."""
    arguments = _arguments()
    if arguments.one is not None:
        print(json.dumps(count_classifier(CLASSIFIERS[arguments.one]).to_json()))
        return
    result = Result(arguments.output)
    rows = _finished(arguments.output) if arguments.resume else {}
    most = arguments.most_params * 10**6
    chosen = [name for name in arguments.models if CLASSIFIERS[name].params <= most]
    left_out = [name for name in arguments.models if name not in chosen]
    for name in chosen:
        if name not in rows:
            note(f"counting {name}")
            rows[name] = _counted(name)
            _keep(arguments.output, rows)
    ordered = [rows[name] for name in CLASSIFIERS if name in rows]
    result.write({"rows": ordered, "left_out": left_out}, report(ordered, left_out, arguments.most_params))


def report(rows: Sequence[Row], left_out: Sequence[str], most_params: int) -> list[str]:
    """The parts of the Markdown report."""
    read = [row for row in rows if row["macs"] is not None]
    folded = [row for row in rows if row["explained_params"] is not None and row["file_params"] is not None]
    others = [row["name"] for row in folded if row["file_params"] != row["explained_params"]]
    largest = max(read, key=lambda row: abs(_deviation(row)), default=None)
    summary = (
        f"Of {len(rows)} networks {sum(row['params_agree'] for row in rows)} have the published parameters "
        f"to the last digit. {len(read)} are read as a graph: "
        f"{sum(bool(row['gmacs_agree']) for row in read)} of them have the published multiply-accumulates "
        "to the three digits printed, "
        f"{sum(row['macs'] == row['flop_counter_macs'] for row in read)} exactly those of "
        "`torch.utils.flop_counter`."
    )
    if largest is not None:
        summary += f" The largest deviation from it: {_percent(_deviation(largest))}, {largest['name']}."
    parts = [
        "# Counts of torchvision's classifiers",
        summary,
        "params: of the module. In a file: of the graph, in which norms are folded and every layer has a "
        f"bias. Of {len(folded)} networks of convolutions, dense layers and norms that can be folded alone, "
        f"{len(folded) - len(others)} hold exactly what that makes of the module's parameters"
        + (f"; not so {', '.join(others)}, with scaled inputs or heads for training." if others else ".")
        + " GMACs: of the graph, for one image; published is `_ops`. Files of Swin v2 hold its position "
        "biases, which torch computes anew for every image.",
        table(_HEADER, [_cells(row) for row in rows]),
    ]
    parts += [f"{row['name']} is not read: {row['reason']}" for row in rows if row["reason"]]
    if left_out:
        parts.append(f"Left out, with more than {most_params} million parameters: {', '.join(left_out)}.")
    return parts


def _cells(row: Row) -> list[str]:
    unread = row["macs"] is None
    return [
        row["name"],
        f"{row['image_size']}²",
        f"{row['params']:,}",
        f"{row['published_params']:,}",
        "yes" if row["params_agree"] else "NO",
        "?" if unread else f"{row['file_params']:,}",
        "?" if unread else f"{row['macs'] / 1e9:.6f}",
        f"{row['published_gmacs']:.3f}",
        "?" if unread else "yes" if row["gmacs_agree"] else "NO",
        "?" if unread else _percent(_deviation(row)),
        f"{row['seconds']:.0f}",
    ]


def _deviation(row: Row) -> float:
    return float(row["macs"] / row["flop_counter_macs"] - 1)


def _percent(share: float) -> str:
    return "0" if share == 0 else f"{100 * share:+.3f} %"


def _arguments() -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="folder of the result")
    parser.add_argument("--models", nargs="+", choices=CLASSIFIERS, default=list(CLASSIFIERS), metavar="NAME")
    parser.add_argument(
        "--most-params", type=int, default=320, metavar="MILLIONS", help="larger ones are left out"
    )
    parser.add_argument("--resume", action="store_true", help="keep what the report in --output has")
    parser.add_argument("--one", choices=CLASSIFIERS, metavar="NAME", help="print one row as JSON, no more")
    arguments = parser.parse_args()
    if arguments.one is None and arguments.output is None:
        parser.error("--output is required")
    return arguments


def _counted(name: str) -> Row:
    """One row, from a process of its own.

    Raises:
        ExportError: the process failed; what it said is in the message.
    """
    command = [sys.executable, "-m", "bench.counts_table", "--one", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ExportError(f"{name} could not be counted: {done.stderr.strip()[-500:]}")
    row: Row = json.loads(done.stdout.splitlines()[-1])
    return row


def _finished(directory: Path) -> dict[str, Row]:
    path = directory / "report.json"
    rows = json.loads(path.read_text())["rows"] if path.is_file() else []
    return {row["name"]: row for row in rows}


def _keep(directory: Path, rows: dict[str, Row]) -> None:
    make_directory(directory)
    write_atomically(directory / "report.json", json.dumps({"rows": list(rows.values())}).encode())


if __name__ == "__main__":
    main()
