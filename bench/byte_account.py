"""Every byte that keeps int8 files from being a quarter of their fp32 files, in both formats.

python -m bench.byte_account --random squeezenet1_1 --output bench/results/int8_bytes/squeezenet1_1
"""

import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections import Counter
from pathlib import Path

from bench.files import quantize, write_ours
from bench.onnx_bytes import onnx_bytes
from bench.reporting import Result, table
from bench.subjects import add_subject_arguments, subject_from
from bench.tflite_bytes import tflite_bytes
from edgesqueeze.compression.stages.ptq import Ptq

READERS = {".onnx": onnx_bytes, ".tflite": tflite_bytes}


def main() -> None:
    """Write the files, take them apart, write the result."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    add_subject_arguments(parser)
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    arguments = parser.parse_args()
    result = Result(arguments.output)
    subject = subject_from(arguments)
    with tempfile.TemporaryDirectory() as folder:
        paths = write_ours(quantize(subject, Ptq(method="min_max"))[0], Path(folder), with_float=True)
        counted = {path.name: account(path) for path in paths}
    parts = [f"# Bytes of {subject.task.name}"]
    for suffix in READERS:
        parts += excess_report(suffix, counted[f"model{suffix}"], counted[f"model_int8{suffix}"])
    result.write({"subject": subject.facts(), "files": counted}, parts)


def account(path: Path) -> dict[str, int]:
    """Category to bytes of a file.

    Raises:
        ValueError: the categories do not sum to the file's size, so the account is wrong.
    """
    data = path.read_bytes()
    found: Counter[str] = READERS[path.suffix](data)
    if found.total() != len(data):
        raise ValueError(f"{path} has {len(data)} bytes, {found.total()} are accounted for")
    return dict(found)


def excess_report(suffix: str, floats: dict[str, int], integers: dict[str, int]) -> list[str]:
    """A table of both files of a format: what each category adds to a quarter of the float file."""
    rows = []
    names = sorted({*floats, *integers}, key=lambda name: -integers.get(name, 0))
    for name in names:
        before, after = floats.get(name, 0), integers.get(name, 0)
        rows.append([name, f"{before:,}", f"{after:,}", f"{after - before / 4:+,.0f}"])
    before, after = sum(floats.values()), sum(integers.values())
    rows.append(["total", f"{before:,}", f"{after:,}", f"{after - before / 4:+,.0f}"])
    text = (
        f"{before / after:.3f}× smaller. The last column sums to the {after - before / 4:,.0f} bytes that "
        "keep the int8 file from a quarter of the fp32 file."
    )
    header = ["bytes of", f"model{suffix}", f"model_int8{suffix}", "int8 − fp32 / 4"]
    return [f"## {suffix.removeprefix('.').upper()}", table(header, rows), text]


if __name__ == "__main__":
    main()
