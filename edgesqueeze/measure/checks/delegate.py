"""The check "delegate": does XNNPACK take every operator."""

from collections.abc import Sequence

from edgesqueeze.measure.checks.check import Check, Finding, concluded
from edgesqueeze.measure.checks.file_facts import (
    FileEvidence,
    by_operator,
    file_names,
)


def check_delegated(files: Sequence[FileEvidence]) -> Check:
    """XNNPACK takes every operator of a TFLite file; the rest would run in slower kernels of LiteRT."""
    name = "delegate"
    known = [file for file in files if file.undelegated is not None]
    silent = [file for file in files if file.format == "tflite" and file.undelegated is None]
    findings = [
        Finding("fault", f"XNNPACK does not take {operator} of {file.name}", layers)
        for file in known
        for operator, layers in by_operator(file.undelegated or ()).items()
    ]
    passed = f"{file_names(known)}: XNNPACK takes every operator" if known else ""
    if silent:
        what = f"{file_names(silent)}: this LiteRT does not tell what its delegate takes"
        findings.append(Finding("doubt", what))
    if not known and not silent:
        return Check(name, unchecked="no TFLite file was written")
    return concluded(name, passed, findings)
