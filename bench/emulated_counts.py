"""Whether int8 pays on a Raspberry Pi: instructions and modelled cycles on emulated processors.

    python -m bench.emulated_counts --work DIR --output bench/results/emulated_counts

The networks are those of ``bench.emulated_devices`` and a detector, and DIR keeps the same runs. Every
file's inference and the decoding of the ``.sqz`` file are counted as ``edgesqueeze bench RUN --device
emulated:pi4`` does, on the processors of three boards. Needs gcc, a C compiler for aarch64, llvm-mca, and apt
or what was fetched before.
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.emulated_devices import NETWORKS, finished_run
from bench.reporting import Result, note, table
from edgesqueeze.devices.emulation.boards import board_of
from edgesqueeze.devices.emulation.counting import count_run
from edgesqueeze.devices.emulation.root import cache_folder

_BOARDS = ("pi3", "pi4", "pi5")
_SCENES = {"items": "mnist_sample", "image_size": [96, 96], "train": 400, "test": 64}
_DETECTOR: dict[str, dict[str, Any]] = {
    "SqueezeNet detector": {
        "model": "squeezenet_detector",
        "model_args": {"width": 0.5},
        "data": {"scenes": _SCENES},
    }
}


def main() -> None:
    """Make the runs that are not there yet, and count."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    arguments = parser.parse_args()
    result = Result(arguments.output)
    found = []
    for network, task in (NETWORKS | _DETECTOR).items():
        run = finished_run(network, task, arguments.work)
        for name in _BOARDS:
            note(f"{network} on {name}")
            counts = count_run(run, board_of(f"emulated:{name}"), cache_folder())
            found.append({"network": network, **counts.to_json()})
    result.write({"counts": found}, report_of(found))


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
