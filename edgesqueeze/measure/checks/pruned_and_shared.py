"""The check "pruned and shared": did a stage do what it was asked."""

from collections.abc import Sequence

from edgesqueeze.measure.checks.check import Check, Finding, concluded
from edgesqueeze.measure.checks.layer_facts import StageEvidence


def check_techniques(stages: Sequence[StageEvidence]) -> Check:
    """A prune stage left the zeros it was asked for, a share stage equal values, a squeeze stage a grid."""
    name = "pruned and shared"
    judges = (_prune_findings, _share_findings, _squeeze_findings)
    findings = [finding for stage in stages for judge in judges for finding in judge(stage)]
    if not stages:
        return Check(name, unchecked="no stage prunes, shares or squeezes")
    return concluded(name, f"{', '.join(s.stage for s in stages)}: as asked, in the saved states", findings)


def _prune_findings(stage: StageEvidence) -> list[Finding]:
    layers = stage.pruned
    if layers and not any(layer.zeros for layer in layers):
        return [Finding("fault", f"{stage.stage} pruned nothing", tuple(layer.name for layer in layers))]
    return [
        Finding(
            "fault",
            f"{stage.stage} left {layer.zeros:,} of {layer.weights:,} weights at zero, "
            f"{layer.asked_zeros:,} were asked for",
            (layer.name,),
        )
        for layer in layers
        if layer.zeros < layer.asked_zeros
    ]


def _share_findings(stage: StageEvidence) -> list[Finding]:
    layers = stage.shared
    idle = [layer for layer in layers if layer.after >= layer.before]
    if layers and len(idle) == len(layers):
        what = f"{stage.stage} shared nothing: no layer has fewer distinct values than before"
        return [Finding("fault", what, tuple(layer.name for layer in layers))]
    findings = [
        Finding(
            "fault",
            f"{stage.stage} left {layer.after:,} distinct values, at most {2**layer.num_bits} were asked for",
            (layer.name,),
        )
        for layer in layers
        if layer.after > 2**layer.num_bits
    ]
    if idle:
        what = f"{stage.stage} had nothing to share, the layer has no more values than centroids"
        findings.append(Finding("note", what, tuple(layer.name for layer in idle)))
    return findings


def _squeeze_findings(stage: StageEvidence) -> list[Finding]:
    loose = tuple(layer.name for layer in stage.squeezed if not layer.on_grid)
    what = f"{stage.stage} left weights that are no multiples of one step"
    return [Finding("fault", what, loose)] if loose else []
