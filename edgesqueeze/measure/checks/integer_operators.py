"""The check "integer operators"."""

from collections.abc import Sequence

from edgesqueeze.measure.checks.check import Check, Finding, concluded
from edgesqueeze.measure.checks.file_facts import (
    FileEvidence,
    by_operator,
    file_names,
)


def check_integer_operators(files: Sequence[FileEvidence], kept: frozenset[str]) -> Check:
    """An int8 file computes in integers, but for the layers ``kept`` in float by request."""
    name = "integer operators"
    asked = [file for file in files if file.float_operators is not None]
    findings = []
    for file in asked:
        for operator, layers in by_operator(file.float_operators or ()).items():
            what = f"{file.name} computes {operator} in float in {file.runtime}"
            unasked = tuple(layer for layer in layers if layer not in kept)
            wanted = tuple(layer for layer in layers if layer in kept)
            findings += [Finding("fault", what, unasked)] if unasked else []
            findings += [Finding("note", f"{what}, as asked", wanted)] if wanted else []
    if not asked:
        return Check(name, unchecked="no int8 file was written")
    rest = "everything else" if findings else "everything"
    passed = f"{file_names(asked)}: {rest} between input and output is computed in integers"
    return concluded(name, passed, findings)
