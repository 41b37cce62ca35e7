"""Checks on the files that were written: smaller, all integers, taken by the delegate, faster."""

from collections.abc import Sequence
from dataclasses import dataclass

from edgesqueeze.measure.checks.check import Check, Finding, concluded
from edgesqueeze.measure.runtimes.latency import Latency


@dataclass(frozen=True)
class PlacedOperator:
    """An operator as its file or runtime calls it, and the layer it computes."""

    operator: str
    layer: str


@dataclass(frozen=True)
class FileEvidence:
    """What is known of a written file.

    ``float_operators`` are those an int8 file computes in float, read from the file (TFLite) or from what
    ONNX Runtime makes of it; None for other files. ``undelegated`` are those XNNPACK does not take; None
    for other formats, and where LiteRT does not tell.
    """

    name: str
    format: str
    precision: str
    num_bytes: int
    runtime: str
    latency: Latency
    float_operators: tuple[PlacedOperator, ...] | None = None
    undelegated: tuple[PlacedOperator, ...] | None = None

    @property
    def claims_to_be_smaller(self) -> bool:
        """Whether the file is a compressed form; float32 files are about as large as what they come from."""
        return self.precision != "fp32" or self.format == "sqz"


def check_smaller(files: Sequence[FileEvidence], baseline: str, baseline_bytes: int) -> Check:
    """A compressed file has fewer bytes than the trained model as saved, and than its float32 twin."""
    name = "smaller"
    claims = [file for file in files if file.claims_to_be_smaller]
    findings = []
    for file in claims:
        inputs = {f"{baseline!r} as saved": baseline_bytes}
        inputs |= {twin.name: twin.num_bytes for twin in _float_twins(file, files)}
        findings += [
            Finding(
                "fault",
                f"{file.name} has {file.num_bytes:,} bytes, no fewer than {source} with {num_bytes:,}",
            )
            for source, num_bytes in inputs.items()
            if file.num_bytes >= num_bytes
        ]
    if not claims:
        return Check(name, unchecked="no file claims to be compressed")
    passed = f"{_names(claims)}: fewer bytes than {baseline!r} as saved and than the fp32 file of the format"
    return concluded(name, passed, findings)


def check_integer_operators(files: Sequence[FileEvidence], kept: frozenset[str]) -> Check:
    """An int8 file computes in integers, but for the layers ``kept`` in float by request."""
    name = "integer operators"
    asked = [file for file in files if file.float_operators is not None]
    findings = []
    for file in asked:
        for operator, layers in _by_operator(file.float_operators or ()).items():
            what = f"{file.name} computes {operator} in float in {file.runtime}"
            unasked = tuple(layer for layer in layers if layer not in kept)
            wanted = tuple(layer for layer in layers if layer in kept)
            findings += [Finding("fault", what, unasked)] if unasked else []
            findings += [Finding("note", f"{what}, as asked", wanted)] if wanted else []
    if not asked:
        return Check(name, unchecked="no int8 file was written")
    rest = "everything else" if findings else "everything"
    passed = f"{_names(asked)}: {rest} between input and output is computed in integers"
    return concluded(name, passed, findings)


def check_delegated(files: Sequence[FileEvidence]) -> Check:
    """XNNPACK takes every operator of a TFLite file; the rest would run in slower kernels of LiteRT."""
    name = "delegate"
    known = [file for file in files if file.undelegated is not None]
    silent = [file for file in files if file.format == "tflite" and file.undelegated is None]
    findings = [
        Finding("fault", f"XNNPACK does not take {operator} of {file.name}", layers)
        for file in known
        for operator, layers in _by_operator(file.undelegated or ()).items()
    ]
    passed = f"{_names(known)}: XNNPACK takes every operator" if known else ""
    unchecked = f"{_names(silent)}: this LiteRT does not tell what its delegate takes" if silent else ""
    if not known and not silent:
        unchecked = "no TFLite file was written"
    return concluded(name, passed, findings, unchecked)


def check_faster(files: Sequence[FileEvidence]) -> Check:
    """An int8 file is not slower than its float32 twin in the same runtime; measured in turns, in this run.

    Slower means that the quartile ranges do not touch: three in four runs of the one took longer than three
    in four of the other.
    """
    name = "faster"
    pairs = [(f, twin) for f in files if f.precision == "int8" for twin in _float_twins(f, files)]
    findings, faster = [], []
    for file, twin in pairs:
        compared = f"{_range(file)} against {_range(twin)}"
        if file.latency.p25_s > twin.latency.p75_s:
            what = f"{file.name} is slower than {twin.name} in {file.runtime}: {compared}"
            findings.append(Finding("fault", f"{what}; the quartile ranges do not touch"))
        elif file.latency.p75_s < twin.latency.p25_s:
            faster.append(
                f"{file.name} is {twin.latency.median_s / file.latency.median_s:.2f}× as fast as {twin.name}"
            )
        else:
            what = f"{file.name} and {twin.name} cannot be told apart in {file.runtime}: {compared}"
            findings.append(Finding("note", f"{what}; the quartile ranges overlap"))
    if not pairs:
        return Check(name, unchecked="there is no int8 file with an fp32 file in the same runtime")
    return concluded(name, ", ".join(faster) or "no int8 file is slower than its fp32 file", findings)


def _float_twins(file: FileEvidence, files: Sequence[FileEvidence]) -> list[FileEvidence]:
    """The float32 file of the same format: same runtime, same network. A .sqz file has none."""
    return [f for f in files if f.format == file.format and f.precision == "fp32" and f is not file]


def _by_operator(found: Sequence[PlacedOperator]) -> dict[str, tuple[str, ...]]:
    return {
        operator: tuple(place.layer for place in found if place.operator == operator)
        for operator in dict.fromkeys(place.operator for place in found)
    }


def _names(files: Sequence[FileEvidence]) -> str:
    return ", ".join(file.name for file in files)


def _range(file: FileEvidence) -> str:
    middle, low, high = (1e3 * s for s in (file.latency.median_s, file.latency.p25_s, file.latency.p75_s))
    return f"{middle:.3f} ms [{low:.3f}–{high:.3f}]"
