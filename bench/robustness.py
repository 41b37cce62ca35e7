"""Damaged and hostile .sqz files through both decoders, in numbers.

    python -m bench.robustness [FILES]

Every file must be refused with a typed error or decode to the same bytes in both; the C decoder runs with
address and undefined-behaviour sanitizers. Writes report.json, report.md and command.txt into
bench/results/robustness.
"""

import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "shared"))
from damage import (  # noqa: E402 - these are helpers of tests
    CORRUPT,
    HARNESS,
    OK,
    SANITIZE,
    UNSUPPORTED,
    VERSION,
    CDecoder,
    compile_c,
    damaged,
    hostile,
    python_outcome,
)
from sqz_networks import every_kind, files_of, lenet5, odd_integers, small, spec_for  # noqa: E402

from edgesqueeze.formats.sqz.file import emit_sqz  # noqa: E402
from edgesqueeze.measure.runtimes.host import host_facts  # noqa: E402

NAMES = {OK: "decoded", CORRUPT: "damaged", VERSION: "other version", UNSUPPORTED: "unsupported"}


def originals() -> Iterator[tuple[str, bytes, float]]:
    """The files that are damaged, and their share of all."""
    network = small()
    spec = spec_for(network)
    yield "two layers, 4 templates", emit_sqz(network, spec, files_of(network, spec)), 0.35
    odd = odd_integers(spec)
    yield "two layers, integers that do not follow", emit_sqz(network, odd, files_of(network, odd)), 0.35
    yield "two layers, float", emit_sqz(network, None, files_of(network, None)), 0.25
    network = every_kind()
    spec = spec_for(network)
    yield "every operation, 4 templates", emit_sqz(network, spec, files_of(network, spec)), 0.03
    network = lenet5()
    spec = spec_for(network)
    yield "LeNet-5, 4 templates", emit_sqz(network, spec, files_of(network, spec)), 0.02


def cases(count: int) -> Iterator[tuple[str, bytes]]:
    """Label and bytes of every file."""
    for place, (label, data, share) in enumerate(originals()):
        rng = np.random.default_rng(place)
        for _ in range(round(count * share)):
            yield f"{label} ({len(data):,} bytes)", damaged(data, rng)
    for data in hostile():
        yield "made by hand to claim much", data


def measure(count: int) -> dict[str, dict[str, Any]]:
    """One row per label; raises where the decoders disagree."""
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        decoder = CDecoder(compile_c(Path(folder) / "harness", *SANITIZE, HARNESS))
        for label, data in cases(count):
            start = time.perf_counter()
            expected = python_outcome(data)
            seconds = time.perf_counter() - start
            found, peak, c_seconds = decoder.outcome(data)
            if found != expected:
                raise SystemExit(f"{label}: Python says {expected}, C says {found}")
            row = rows.setdefault(
                label, {"verdicts": Counter(), "python_s": 0.0, "c_s": 0.0, "c_peak_bytes": 0}
            )
            row["verdicts"][NAMES[found.status]] += 1
            row["python_s"] = max(row["python_s"], seconds)
            row["c_s"] = max(row["c_s"], c_seconds)
            row["c_peak_bytes"] = max(row["c_peak_bytes"], peak)
        if decoder.close() != 0:
            raise SystemExit("the C decoder lost memory")
    return rows


def main(count: int = 12_000) -> None:
    """Measure and write."""
    start = time.perf_counter()
    rows = measure(count)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    table = [
        [
            label,
            sum(row["verdicts"].values()),
            row["verdicts"]["decoded"],
            sum(row["verdicts"].values()) - row["verdicts"]["decoded"],
            f"{1000 * row['python_s']:.0f} ms",
            f"{1000 * row['c_s']:.0f} ms",
            f"{row['c_peak_bytes'] / 2**20:.2f} MiB",
        ]
        for label, row in rows.items()
    ]
    total = sum(line[1] for line in table)
    table.append(["all", total, sum(line[2] for line in table), sum(line[3] for line in table), "", "", ""])
    header = ["damaged", "files", "decoded", "refused", "slowest, Python", "slowest, C", "peak memory, C"]
    text = tabulate(table, headers=header, tablefmt="github", disable_numparse=True)
    directory = ROOT / "bench" / "results" / "robustness"
    directory.mkdir(parents=True, exist_ok=True)
    facts = {"host": host_facts().to_json(), "files": total, "python_peak_rss_bytes": peak, "rows": rows}
    (directory / "report.json").write_text(json.dumps(facts, indent=1) + "\n")
    (directory / "report.md").write_text(text + "\n")
    command = f"python -m bench.robustness {count}\nwall time {seconds:.0f} s, both decoders\n"
    (directory / "command.txt").write_text(command)
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
