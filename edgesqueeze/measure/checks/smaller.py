"""The check "smaller"."""

from collections.abc import Sequence

from edgesqueeze.measure.checks.check import Check, Finding, concluded
from edgesqueeze.measure.checks.file_facts import (
    FileEvidence,
    file_names,
    float_twins,
)


def check_smaller(files: Sequence[FileEvidence], baseline: str, baseline_bytes: int) -> Check:
    """A compressed file has fewer bytes than the trained model as saved, and than its float32 twin."""
    name = "smaller"
    claims = [file for file in files if file.claims_to_be_smaller]
    findings = []
    for file in claims:
        inputs = {f"{baseline!r} as saved": baseline_bytes}
        inputs |= {twin.name: twin.num_bytes for twin in float_twins(file, files)}
        findings += [
            Finding(
                "fault",
                f"{file.name} has {file.num_bytes:,} bytes{_templates(file)}, no fewer than {source} with "
                f"{num_bytes:,}",
            )
            for source, num_bytes in inputs.items()
            if file.num_bytes >= num_bytes
        ]
    if not claims:
        return Check(name, unchecked="no file claims to be compressed")
    passed = (
        f"{file_names(claims)}: fewer bytes than {baseline!r} as saved and than the fp32 file of the format"
    )
    return concluded(name, passed, findings)


def _templates(file: FileEvidence) -> str:
    """What could be left out."""
    if not file.template_bytes:
        return ""
    return f", {file.template_bytes:,} of them for templates (fewer under 'templates' take fewer)"
