"""How the rows of a report are written for readers."""

from collections.abc import Mapping, Sequence

from tabulate import tabulate

from edgesqueeze.measure.runtimes.latency import Latency
from edgesqueeze.numerics.bootstrap import BootstrapInterval
from edgesqueeze.run.row import MeasureFacts, Row
from edgesqueeze.task.metrics import Unit

SIMULATED = "simulated"
MOST_OTHER_METRICS = 6
_COMMON = ["params", "non-zero", "MACs", "effective", "bytes", "ratio", "latency ms", "threads", "runtime"]


def rows_table(rows: Sequence[Row], tablefmt: str) -> str:
    """The table: the primary metric and what a file weighs and takes."""
    name = rows[0].primary_metric
    known = any(row.interval is not None for row in rows)
    header = ["", f"{name} [95 %]" if known else name, "change", *(["p"] if known else []), *_COMMON]
    body = [
        [_label(row), _metric(row), _change(row), *([_p(row)] if known else []), *_cells(row)] for row in rows
    ]
    return _render(header, body, tablefmt)


def other_metrics_table(rows: Sequence[Row], measures: Mapping[str, MeasureFacts], tablefmt: str) -> str:
    """The metrics beside the primary one, a few of them; all are in report.json."""
    others = [name for name in measures if name != rows[0].primary_metric]
    shown, more = others[:MOST_OTHER_METRICS], others[MOST_OTHER_METRICS:]
    header = ["other metrics"]
    header += [name if measures[name].higher_is_better else f"{name} (less is better)" for name in shown]
    body = [
        [_label(row), *(written(row.metrics.get(name), measures[name].unit) for name in shown)]
        for row in rows
    ]
    right = ("right",) * len(shown)
    text = tabulate(body, headers=header, tablefmt=tablefmt, colalign=("left", *right), disable_numparse=True)
    return f"{text}\n\nNot shown: {', '.join(more)}." if more else text


def references_table(rows: Sequence[Row], tablefmt: str) -> str:
    """What the reference models weigh and take."""
    return _render(["reference model", *_COMMON], [[row.label, *_cells(row)] for row in rows], tablefmt)


def _render(header: Sequence[str], body: Sequence[Sequence[str]], tablefmt: str) -> str:
    right = ("right",) * (len(header) - 2)
    return tabulate(
        body, headers=header, tablefmt=tablefmt, colalign=("left", *right, "left"), disable_numparse=True
    )


def _label(row: Row) -> str:
    return row.label if not row.simulated else f"{row.label} ({SIMULATED})"


def _cells(row: Row) -> list[str]:
    latency = row.latency
    return [
        _count(row.params),
        _count(row.nonzero_params),
        _count(row.macs),
        _count(row.effective_macs),
        _count(row.num_bytes),
        "–" if row.compression_ratio is None else f"{row.compression_ratio:.2f}×",
        "–" if latency is None else _latency(latency),
        "–" if latency is None else str(latency.threads),
        row.runtime,
    ]


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def written(value: float | None, unit: Unit) -> str:
    """A metric in its unit."""
    if value is None:
        return "–"
    match unit:
        case "share":
            return f"{100 * value:.2f} %"
        case "dB":
            return f"{value:.2f} dB"
        case "number":
            return f"{value:.5g}"


def _metric(row: Row) -> str:
    """The primary metric with its interval, if it has one."""
    if row.interval is None:
        return written(row.primary, row.unit)
    ends = (_bare(end, row.unit) for end in (row.interval.low, row.interval.high))
    return f"{written(row.primary, row.unit)} [{'–'.join(ends)}]"


def _bare(value: float, unit: Unit) -> str:
    """A metric without its unit."""
    return written(value, unit).removesuffix(" %").removesuffix(" dB")


def _p(row: Row) -> str:
    return "–" if row.paired is None else f"{row.paired.p_value:.3f}"


def _change(row: Row) -> str:
    if row.metric_change is None:
        return "–"
    match row.unit:
        case "share":
            return f"{100 * row.metric_change:+.2f}"
        case "dB":
            return f"{row.metric_change:+.2f}"
        case "number":
            return f"{row.metric_change:+.3g}"


def said_of_changes(row: Row) -> str:
    """What a change means."""
    better = "" if row.higher_is_better else ", less is better"
    how = {"share": "in points", "dB": "in dB", "number": "as it is"}[row.unit]
    return f"change {how}{better}"


def said_of_chance(rows: Sequence[Row], baseline: str) -> list[str]:
    """What the intervals and the p-values are, a sentence if there are any."""
    found = [row.interval for row in rows if row.interval is not None]
    if not found:
        return []
    what, test = "95 % Wilson interval", "exact McNemar test"
    if isinstance(found[0], BootstrapInterval):
        what = f"95 % bootstrap interval, {found[0].resamples:,} draws of the test images"
        test = "paired bootstrap test"
    return [
        f"Brackets behind {rows[0].primary_metric}: {what}. p: {test} against "
        f"{baseline!r} on the same images; below 0.05 the change is no chance."
    ]


def said_of_inputs(inputs: Mapping[str, Sequence[str]]) -> list[str]:
    """What each file expects, a sentence for all that expect the same."""
    files: dict[str, list[str]] = {}
    for label, lines in inputs.items():
        for line in lines:
            files.setdefault(line, []).append(label)
    return [f"{', '.join(labels)}: {line}." for line, labels in files.items()]


def _latency(latency: Latency) -> str:
    middle, low, high = (1e3 * s for s in (latency.median_s, latency.p25_s, latency.p75_s))
    digits = 3 if middle < 10 else 1
    return f"{middle:.{digits}f} [{low:.{digits}f}–{high:.{digits}f}]"
