"""Did it really work, in plain words, and the numbers that are seen first."""

from pathlib import Path

from edgesqueeze.formats.names import FileFormat
from edgesqueeze.measure.checks.check import Check
from edgesqueeze.page.facts import RunFacts
from edgesqueeze.page.view import Block, Judgement, Judgements, Part, Remarks, Tile, Tiles
from edgesqueeze.page.wording import size_text, time_text
from edgesqueeze.run.report import Row
from edgesqueeze.task.metrics.wording import written, written_change
from edgesqueeze.text.digits import times

_CHANCE = 0.05
_WORST_FIRST = ("fired", "doubt", "unasked")

_QUESTIONS = {
    "smaller": "Are compressed files smaller?",
    "integer operators": "Do int8 files compute in integers throughout?",
    "delegate": "Does XNNPACK, LiteRT's fast path, take every operator?",
    "faster": "Is no int8 file slower than the float one?",
    "pruned and shared": "Did pruning and sharing do what they were asked for?",
    "composition": "Is what one stage did still there in the files?",
    "accuracy": "Are the files as good as the trained network?",
    "enough images": "Are there enough test images to tell?",
}
_STATUS = {
    "ok": ("ok", "holds"),
    "fired": ("fired", "found a fault"),
    "cannot tell": ("doubt", "cannot tell"),
    "not checked": ("unasked", "not checked"),
}


def first_block(run: RunFacts) -> Block:
    """Size, metric and time of the files that are best at them, and the checks."""
    tiles = [*_tiles(run), *_checks_tile(run)]
    found = [_judgement(check) for check in run.report.checks]
    held = [judgement for judgement in found if judgement.status == "ok"]
    open_ones = sorted((j for j in found if j.status != "ok"), key=lambda j: _WORST_FIRST.index(j.status))
    remarks = [f"Not met: {sentence}." for sentence in run.report.unmet]
    remarks += [f"Not written: {sentence}." for sentence in run.report.unwritten]
    remarks += [f"{name}: gone, or another file than the one that was measured." for name in run.changed]
    remarks += [f"{origin}: code of your own." for origin in run.report.code]
    parts: list[Part] = [Tiles(tiles), Judgements(open_ones, held), *([Remarks(remarks)] if remarks else [])]
    lead = "" if found else "This run was made by a version that had no checks, or by a training alone."
    return Block("checks", "Did it really work?", lead, parts)


def _tiles(run: RunFacts) -> list[Tile]:
    smallest, baseline = run.smallest, run.baseline
    tiles = []
    if smallest is not None:
        ratio = smallest.compression_ratio
        note = (
            "the only file"
            if smallest is baseline
            else f"{times(ratio, 1)} smaller than {baseline.label}"
            if ratio
            else ""
        )
        tiles.append(Tile(f"smallest: {smallest.label}", size_text(smallest.num_bytes), note))
    judged = smallest or baseline
    title = f"{judged.primary_metric} of {judged.label}"
    tiles.append(Tile(title, written(judged.primary, judged.unit), _said_of_metric(judged, baseline)))
    timed = [row for row in run.report.rows if row.latency is not None and _runs_as_it_is(row)]
    fastest = min(timed, key=lambda row: row.latency.median_s if row.latency else 0.0, default=None)
    if fastest is not None and fastest.latency is not None:
        low, high = time_text(fastest.latency.p25_s), time_text(fastest.latency.p75_s)
        note = f"median, quartiles {low} to {high}"
        tiles.append(Tile(f"fastest: {fastest.label}", time_text(fastest.latency.median_s), note))
    return tiles


def _said_of_metric(row: Row, baseline: Row) -> str:
    said = []
    if row is not baseline and row.metric_change is not None:
        said.append(f"{written_change(row.metric_change, row.unit, '+')} against {baseline.label}")
        if row.paired is not None and row.paired.p_value >= _CHANCE:
            said.append(f"which may be chance (p {row.paired.p_value:.2f})")
    if row.interval is not None:
        ends = (written(end, row.unit) for end in (row.interval.low, row.interval.high))
        said.append(f"95 % interval {' to '.join(ends)}")
    return ", ".join(said)


def _runs_as_it_is(row: Row) -> bool:
    """Whether the row's own file is what was timed, not one that it was decoded to."""
    return row.path is not None and FileFormat.known(Path(row.path)) is not FileFormat.SQZ


def _checks_tile(run: RunFacts) -> list[Tile]:
    checks = run.report.checks
    if not checks:
        return []
    held = sum(check.status == "ok" for check in checks)
    fired = sum(check.status == "fired" for check in checks)
    note = f"{fired or 'none'} found a fault"
    unasked = sum(check.status == "not checked" for check in checks)
    note += f", {unasked} not checked" if unasked else ""
    return [Tile("checks that hold", f"{held} of {len(checks)}", note, "fired" if fired else "ok")]


def _judgement(check: Check) -> Judgement:
    status, word = _STATUS[check.status]
    said = [finding.text() for finding in check.findings]
    said += [sentence for sentence in (check.passed, check.unchecked) if sentence]
    return Judgement(status, word, _QUESTIONS.get(check.name, check.name), said)
