"""Damaged and hostile .sqz files through all three decoders, in numbers.

    python -m bench.robustness [FILES]

``edgesqueeze decode``, ``unsqueeze.pyz`` and ``unsqueeze.c`` must refuse a file alike, or give the same
bytes; what reads the network or describes the file must raise typed errors only. The C decoder runs with
address and undefined-behaviour sanitizers. Most files are changed inside of a block, which is coded again
with the right checksum. Writes report.json, report.md and command.txt into bench/results/robustness.
"""

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from bench.reporting import Result, table

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "tests" / "shared"))
from damage import (  # noqa: E402 - these are helpers of tests
    CORRUPT,
    HARNESS,
    OK,
    PLACES,
    SANITIZE,
    UNSUPPORTED,
    VERSION,
    Archive,
    CDecoder,
    Outcome,
    compile_c,
    damaged,
    hostile,
    package_outcome,
    rewritten,
)
from sqz_networks import every_kind, files_of, lenet5, odd_integers, small, spec_for  # noqa: E402

from edgesqueeze.errors import CodecError  # noqa: E402
from edgesqueeze.formats.sqz.describe import describe_v2  # noqa: E402
from edgesqueeze.formats.sqz.file import emit_sqz, read_sqz  # noqa: E402

NAMES = {OK: "decoded", CORRUPT: "damaged", VERSION: "other version", UNSUPPORTED: "unsupported"}
SOME_FILES = ("model.onnx", "model_int8.tflite")


def originals() -> Iterator[tuple[bytes, float]]:
    """The files that are changed, and their share of all."""
    network = small()
    spec = spec_for(network)
    yield emit_sqz(network, spec, files_of(network, spec)), 0.3
    odd = odd_integers(spec)
    files = files_of(network, odd)
    yield emit_sqz(network, odd, {name: files[name] for name in SOME_FILES}), 0.4
    yield emit_sqz(network, None, files_of(network, None)), 0.2
    network = every_kind()
    odd = odd_integers(spec_for(network))
    yield emit_sqz(network, odd, {"model.onnx": files_of(network, odd)["model.onnx"]}), 0.08
    network = lenet5()
    spec = spec_for(network)
    yield emit_sqz(network, spec, files_of(network, spec)), 0.02


def cases(count: int) -> Iterator[tuple[str, bytes]]:
    """Where a file was changed, and its bytes."""
    for number, (data, share) in enumerate(originals()):
        rng = np.random.default_rng(number)
        for _ in range(round(count * share / (len(PLACES) + 1))):
            yield "anywhere, one to three times", damaged(data, rng)
            for place in PLACES:
                yield LABELS[place], rewritten(data, rng, place)
    for data in hostile():
        yield "made by hand to claim much", data


LABELS = {
    "frame": "header and blocks",
    "graph": "M: graph",
    "grids": "M: grids",
    "layers": "M: layers",
    "files": "M: templates",
    "payload": "T: coded bytes of a tensor",
    "values": "T: values of a tensor, coded again",
}


def measure(count: int) -> dict[str, dict[str, Any]]:
    """One row per place."""
    rows: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        decoder = CDecoder(compile_c(folder / "harness", *SANITIZE, HARNESS))
        carried = Archive(folder)
        for label, data in cases(count):
            row = rows.setdefault(label, new_row())
            start = time.perf_counter()
            expected = package_outcome(data, folder)
            row["python_s"] = max(row["python_s"], time.perf_counter() - start)
            found, peak, c_seconds = decoder.outcome(data)
            row["differing"] += len({expected, found, carried.outcome(data, expected)}) > 1
            row["verdicts"][NAMES[expected.status]] += 1
            row["network"] += is_network(data, expected)
            row["c_s"] = max(row["c_s"], c_seconds)
            row["c_peak_bytes"] = max(row["c_peak_bytes"], peak)
        carried.close()
        if decoder.close() != 0:
            raise SystemExit("the C decoder lost memory")
    return rows


def new_row() -> dict[str, Any]:
    """A row of a table before anything has been counted."""
    return {
        "verdicts": Counter(),
        "differing": 0,
        "network": 0,
        "python_s": 0.0,
        "c_s": 0.0,
        "c_peak_bytes": 0,
    }


def is_network(data: bytes, expected: Outcome) -> bool:
    """Whether the graph can be read as well, and the file described.

    Raises:
        SystemExit: it can, of a file that decoders call damaged.
    """
    try:
        describe_v2(data)
        read_sqz(data)
    except CodecError:
        return False
    if expected.status == CORRUPT:
        raise SystemExit("the network of a damaged file was read")
    return True


def main(count: int = 12_000) -> None:
    """Measure and write."""
    result = Result(ROOT / "bench" / "results" / "robustness")
    rows = measure(count)
    lines = [line(label, row) for label, row in rows.items()]
    sums = [sum(int(cells[column]) for cells in lines) for column in range(1, 6)]
    lines.append(["all", *map(str, sums), "", "", ""])
    header = ["changed", "files", "verdicts that differ", "decoded", "refused", "of the decoded, a network"]
    header += ["slowest, Python", "slowest, C", "peak memory, C"]
    said = (
        "Every file went through `edgesqueeze decode`, `unsqueeze.pyz` and `unsqueeze.c`. Decoders that fill "
        "templates do not read the graph: of what they decode, the last column could be read as a network."
    )
    result.write(
        {"files": sums[0], "differing": sums[1], "crashes": 0, "rows": rows}, [table(header, lines), said]
    )
    if sums[1]:
        raise SystemExit(f"{sums[1]} verdicts differ")


def line(label: str, row: dict[str, Any]) -> list[str]:
    """A row as it is printed."""
    files = sum(row["verdicts"].values())
    counts = [
        files,
        row["differing"],
        row["verdicts"]["decoded"],
        files - row["verdicts"]["decoded"],
        row["network"],
    ]
    times = [f"{1000 * row[key]:.0f} ms" for key in ("python_s", "c_s")]
    return [label, *map(str, counts), *times, f"{row['c_peak_bytes'] / 2**20:.2f} MiB"]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
