"""The check "composition": is it still so in the int8 files."""

from collections.abc import Sequence

from edgesqueeze.measure.checks.check import Check, Finding, concluded
from edgesqueeze.measure.checks.layer_facts import LayerEvidence


def check_composition(layers: Sequence[LayerEvidence], files: Sequence[str]) -> Check:
    """No later step has undone an earlier one, in the float state and in the int8 files as written."""
    name = "composition"
    touched = [layer for layer in layers if layer.pruned or layer.num_bits is not None]
    if not touched:
        return Check(name, unchecked="no layer was pruned, shared or squeezed")
    read = {stored.file for layer in layers for stored in layer.files}
    unread = [file for file in files if file not in read]
    findings = [f for layer in touched for f in (*_revived(layer), *_unshared(layer))]
    places = ", ".join(["the last float state", *(file for file in files if file in read)])
    passed = f"what was pruned is zero and what was shared is equal in {places}"
    unchecked = f"{', '.join(unread)}: no int8 weight could be read back" if unread else ""
    return concluded(name, passed, findings, unchecked)


def _revived(layer: LayerEvidence) -> list[Finding]:
    found = {"the last float state": layer.revived, **{f.file: f.revived for f in layer.files}}
    return [
        Finding("fault", f"{count:,} pruned weights are not zero in {place}", (layer.name,))
        for place, count in found.items()
        if layer.pruned and count
    ]


def _unshared(layer: LayerEvidence) -> list[Finding]:
    if layer.num_bits is None:
        return []
    allowed = 2**layer.num_bits
    findings = []
    if layer.distinct > allowed:
        what = f"a shared layer has {layer.distinct:,} distinct values in the last float state, not {allowed}"
        findings.append(Finding("fault", what, (layer.name,)))
    for file in layer.files:
        if file.distinct_per_channel > allowed:
            what = f"a shared layer has {file.distinct_per_channel} distinct integers in one channel"
            findings.append(Finding("fault", f"{what} of {file.file}, not {allowed}", (layer.name,)))
    return findings
