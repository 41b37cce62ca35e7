"""Whether int8 pays on a Raspberry Pi: instructions and modelled cycles on emulated processors.

    python -m bench.emulated_counts --work DIR --output bench/results/emulated_counts

The networks are those of ``bench.emulated_devices``; ``--network`` names some. DIR keeps the runs, and what
was counted of them, so that a call that was stopped goes on where it was. Every file's inference and the
decoding of the ``.sqz`` file are counted as ``edgesqueeze bench RUN --device emulated:pi4`` does, on the
processors of three boards. Needs gcc, a C compiler for aarch64, llvm-mca, and apt or what was fetched before.
"""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.emulated_devices import NETWORKS, finished_run
from bench.reporting import Result, note, table
from edgesqueeze.devices.emulation.boards import board_of
from edgesqueeze.devices.emulation.counting import count_run
from edgesqueeze.devices.emulation.root import cache_folder
from edgesqueeze.files import write_atomically

_BOARDS = ("pi3", "pi4", "pi5")


def main() -> None:
    """Make the runs that are not there yet, and count."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    names = list(NETWORKS)
    parser.add_argument("--network", action="append", choices=names, help="again for more; by default all")
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    arguments = parser.parse_args()
    result = Result(arguments.output)
    found = []
    for network in arguments.network or names:
        run = finished_run(network, NETWORKS[network], arguments.work)
        for board in _BOARDS:
            note(f"{network} on {board}")
            found.append({"network": network, **_counted(run, board)})
    result.write({"counts": found}, report_of(found))


def _counted(run: Path, board: str) -> dict[str, Any]:
    """What a run takes on a board, counted once."""
    kept = run / f"counts_{board}.json"
    is_kept = kept.is_file()
    if not is_kept:
        counts = count_run(run, board_of(f"emulated:{board}"), cache_folder()).to_json()
        write_atomically(kept, json.dumps(counts).encode())
    return {**json.loads(kept.read_text()), "kept": is_kept}


def report_of(found: Sequence[dict[str, Any]]) -> list[str]:
    """The tables, and what the figures are."""
    first = found[0]
    return [
        "# Instructions on emulated Arm processors",
        "One inference of one image by one thread: the instructions that were executed, counted exactly by a "
        "plugin of qemu, the fewest of five inferences, and what llvm-mca makes of them. Nothing was run on "
        "hardware and no time was measured.",
        table(["network", "board", "file", "runtime", "instructions", "vector", "cycles"], _files(found)),
        "## Does int8 pay",
        "What the int8 file takes of what the fp32 file takes. Below 1 it pays. The Raspberry Pi 3 and 4 "
        "have no instruction for dot products of int8, the Raspberry Pi 5 has.",
        table(["network", "board", "runtime", "instructions", "cycles"], _ratios(found)),
        "## Decoding on the device",
        "The decoder in C as a static program decodes the `.sqz` file of the run, with all files it was made "
        "from; memory is what it allocates at most, beside the file itself.",
        table(["network", "board", "file bytes", "memory bytes", "instructions", "cycles"], _decoded(found)),
        "Cycles are modelled: each of the costliest blocks as an endless loop, every load from the nearest "
        "cache, every branch foreseen, and the rest in proportion. They are a lower bound, and were compared "
        "with no real processor. LLVM's cortex-a72 is its cortex-a57; the Raspberry Pi 5's Cortex-A76 is "
        "modelled as neoverse-n1. `–`: the model does not know enough of the instructions.",
        f"{sum(counts['kept'] for counts in found)} of the {len(found)} pairs of a network and a board were "
        "counted by an earlier call, whose time is not in command.txt.",
        f"llvm-mca {first['llvm']}, qemu-user {first['versions']['qemu']}, Python "
        f"{first['versions']['python']}, numpy {first['versions']['numpy']}.",
    ]


def _files(found: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [
        [counts["network"], counts["board"], row["file"], row["runtime"], *_numbers(row)]
        for counts in found
        for row in counts["files"]
    ]


def _numbers(row: dict[str, Any]) -> list[str]:
    if row["instructions"] is None:
        return [row["reason"], "–", "–"]
    vector = 100 * row["classes"]["vector"] / row["instructions"]
    return [_number(row["instructions"]), f"{vector:.0f} %", _number(row["cycles"])]


def _ratios(found: Sequence[dict[str, Any]]) -> list[list[str]]:
    lines = []
    for counts in found:
        files = {row["file"]: row for row in counts["files"]}
        for ending in ("onnx", "tflite"):
            whole, small = files[f"model.{ending}"], files[f"model_int8.{ending}"]
            ratios = [_ratio(small[key], whole[key]) for key in ("instructions", "cycles")]
            lines.append([counts["network"], counts["board"], small["runtime"], *ratios])
    return lines


def _decoded(found: Sequence[dict[str, Any]]) -> list[list[str]]:
    return [
        [
            *(counts["network"], counts["board"]),
            *map(_number, (one["file_bytes"], one["heap_bytes"])),
            *(_number(one["count"][key]) for key in ("instructions", "cycles")),
        ]
        for counts in found
        for one in counts["decoded"]
    ]


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _ratio(one: int | None, other: int | None) -> str:
    return "–" if not one or not other else f"{one / other:.2f}"


if __name__ == "__main__":
    main()
