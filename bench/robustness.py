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
from itertools import islice
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
BATCH = 40
"""Files that are under way at a time: the three decoders work side by side."""
SHARE_READ = 5
"""Of every place alike: there are eight of these in turn."""


def originals() -> Iterator[tuple[bytes, float]]:
    """The files that are changed, and their share of all."""
    network = small()
    spec = spec_for(network)
    odd = odd_integers(spec)
    files = files_of(network, odd)
    yield emit_sqz(network, odd, {"model_int8.tflite": files["model_int8.tflite"]}), 0.46
    yield emit_sqz(network, None, {"model.onnx": files["model.onnx"]}), 0.36
    yield emit_sqz(network, spec, files_of(network, spec)), 0.12
    network = every_kind()
    odd = odd_integers(spec_for(network))
    yield emit_sqz(network, odd, {"model.onnx": files_of(network, odd)["model.onnx"]}), 0.05
    network = lenet5()
    spec = spec_for(network)
    yield emit_sqz(network, spec, files_of(network, spec)), 0.01


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
        for batch in batched(cases(count), BATCH):
            for number, (_, data) in enumerate(batch):
                decoder.send(data)
                carried.send(data, number)
            for number, (label, data) in enumerate(batch):
                row = rows.setdefault(label, new_row())
                start = time.process_time()
                expected = package_outcome(data, folder)
                row["python_s"] = max(row["python_s"], time.process_time() - start)
                found, peak, c_seconds = decoder.receive()
                row["differing"] += len({expected, found, carried.receive(data, number, expected)}) > 1
                row["verdicts"][NAMES[expected.status]] += 1
                if number % SHARE_READ == 0:
                    check_readers(data, expected)
                row["c_s"] = max(row["c_s"], c_seconds)
                row["c_peak_bytes"] = max(row["c_peak_bytes"], peak)
        carried.close()
        if decoder.close() != 0:
            raise SystemExit("the C decoder lost memory")
    return rows


def batched(items: Iterator[tuple[str, bytes]], size: int) -> Iterator[list[tuple[str, bytes]]]:
    """Lists of so many items, the last of them shorter."""
    while batch := list(islice(items, size)):
        yield batch


def new_row() -> dict[str, Any]:
    """A row of a table before anything has been counted."""
    return {
        "verdicts": Counter(),
        "differing": 0,
        "python_s": 0.0,
        "c_s": 0.0,
        "c_peak_bytes": 0,
    }


def check_readers(data: bytes, expected: Outcome) -> None:
    """Describe the file and read its graph as well; both may refuse it.

    Raises:
        SystemExit: they do not, though decoders call the file damaged.
    """
    try:
        describe_v2(data)
        read_sqz(data)
    except CodecError:
        return
    if expected.status == CORRUPT:
        raise SystemExit("the network of a damaged file was read")


def main(count: int = 12_000) -> None:
    """Measure and write."""
    result = Result(ROOT / "bench" / "results" / "robustness")
    rows = measure(count)
    lines = [line(label, row) for label, row in rows.items()]
    sums = [sum(int(cells[column]) for cells in lines) for column in range(1, 5)]
    lines.append(["all", *map(str, sums), "", "", ""])
    header = ["changed", "files", "verdicts that differ", "decoded", "refused"]
    header += ["most CPU, Python", "most CPU, C", "peak memory, C"]
    said = (
        "Every file went through `edgesqueeze decode`, `unsqueeze.pyz` and `unsqueeze.c` (under sanitizers); "
        f"one in {SHARE_READ} was described and read as a network as well. No decoder needs the graph of a "
        "file that has templates: damage there alone does not make it one that is refused."
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
    ]
    times = [f"{1000 * row[key]:.0f} ms" for key in ("python_s", "c_s")]
    return [label, *map(str, counts), *times, f"{row['c_peak_bytes'] / 2**20:.2f} MiB"]


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
