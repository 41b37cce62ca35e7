"""The check "faster"."""

from collections.abc import Sequence

from edgesqueeze.measure.checks.check import Check, Finding, concluded
from edgesqueeze.measure.checks.file_facts import (
    FileEvidence,
    float_twins,
)
from edgesqueeze.text.digits import times


def check_faster(files: Sequence[FileEvidence]) -> Check:
    """An int8 file is not slower than its float32 twin in the same runtime; measured in turns, in this run.

    Slower means that the quartile ranges do not touch: three in four runs of the one took longer than three
    in four of the other.
    """
    name = "faster"
    pairs = [(f, twin) for f in files if f.precision == "int8" for twin in float_twins(f, files)]
    findings, faster = [], []
    for file, twin in pairs:
        compared = f"{_range(file)} against {_range(twin)}"
        if file.latency.p25_s > twin.latency.p75_s:
            what = f"{file.name} is slower than {twin.name} in {file.runtime}: {compared}"
            findings.append(Finding("fault", f"{what}; the quartile ranges do not touch"))
        elif file.latency.p75_s < twin.latency.p25_s:
            ratio = twin.latency.median_s / file.latency.median_s
            faster.append(f"{file.name} is {times(ratio)} as fast as {twin.name}")
        else:
            what = f"{file.name} and {twin.name} cannot be told apart in {file.runtime}: {compared}"
            findings.append(Finding("note", f"{what}; the quartile ranges overlap"))
    if not pairs:
        return Check(name, unchecked="there is no int8 file with an fp32 file in the same runtime")
    return concluded(name, ", ".join(faster) or "no int8 file is slower than its fp32 file", findings)


def _range(file: FileEvidence) -> str:
    middle, low, high = (1e3 * s for s in (file.latency.median_s, file.latency.p25_s, file.latency.p75_s))
    return f"{middle:,.3f} ms [{low:,.3f}–{high:,.3f}]"
