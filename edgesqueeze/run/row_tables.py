"""How the rows of a report are written for readers."""

from collections.abc import Mapping, Sequence

from tabulate import tabulate

from edgesqueeze.measure.runtimes.latency import Latency
from edgesqueeze.numerics.bootstrap import BootstrapInterval
from edgesqueeze.run.row import MeasureFacts, Row
from edgesqueeze.task.metrics import Unit
from edgesqueeze.task.metrics.wording import written
from edgesqueeze.text.columns import fitting, narrow_table, wrapped
from edgesqueeze.text.digits import significant, times

SIMULATED = "simulated"
MOST_OTHER_METRICS = 6
_BRIEF = ["bytes", "ratio", "latency ms"]
_COMMON = ["params", "non-zero", "MACs", "effective", "bytes", "ratio", "latency ms", "threads", "runtime"]


def rows_table(rows: Sequence[Row], tablefmt: str) -> str:
    """The table: the primary metric and what a file weighs and takes."""
    name = rows[0].primary_metric
    known = any(row.interval is not None for row in rows)
    header = ["", f"{name} [95 %]" if known else name, "change", *(["p"] if known else []), *_COMMON]
    body = [
        [_label(row), metric_text(row), change_text(row), *([p_text(row)] if known else []), *_cells(row)]
        for row in rows
    ]
    return _render(header, body, tablefmt)


def brief_table(rows: Sequence[Row], tablefmt: str = "simple") -> str:
    """The columns that most are here for; a hundred characters hold them."""
    name = rows[0].primary_metric
    known = any(row.interval is not None for row in rows)
    header = ["", f"{name} [95 %]" if known else name, "change", *_BRIEF]
    return narrow_table(
        header,
        [[_label(row), metric_text(row), change_text(row), *_brief_cells(row)] for row in rows],
        tablefmt,
    )


def brief_references_table(rows: Sequence[Row]) -> str:
    """The same of reference models."""
    return narrow_table(
        ["reference model", "params", *_BRIEF],
        [[row.label, _count(row.params), *_brief_cells(row)] for row in rows],
    )


def brief_other_metrics_table(rows: Sequence[Row], measures: Mapping[str, MeasureFacts]) -> str:
    """As many of the other metrics as a hundred characters hold."""
    others = [name for name in measures if name != rows[0].primary_metric]
    header = ["other metrics", *(_other_name(name, measures) for name in others)]
    body = [[_label(row), *_other_cells(row, others, measures)] for row in rows]
    count = fitting(header, body)
    text = narrow_table(header[:count], [line[:count] for line in body])
    more = others[count - 1 :]
    hint = wrapped(f"Not shown: {', '.join(more)}.")
    return f"{text}\n\n{hint}" if more else text


def other_metrics_table(rows: Sequence[Row], measures: Mapping[str, MeasureFacts], tablefmt: str) -> str:
    """The metrics beside the primary one, a few of them; all are in report.json."""
    others = [name for name in measures if name != rows[0].primary_metric]
    shown, more = others[:MOST_OTHER_METRICS], others[MOST_OTHER_METRICS:]
    header = ["other metrics", *(_other_name(name, measures) for name in shown)]
    body = [[_label(row), *_other_cells(row, shown, measures)] for row in rows]
    right = ("right",) * len(shown)
    text = tabulate(body, headers=header, tablefmt=tablefmt, colalign=("left", *right), disable_numparse=True)
    return f"{text}\n\nNot shown: {', '.join(more)}." if more else text


def references_table(rows: Sequence[Row], tablefmt: str) -> str:
    """What the reference models weigh and take."""
    return _render(["reference model", *_COMMON], [[row.label, *_cells(row)] for row in rows], tablefmt)


def _other_name(name: str, measures: Mapping[str, MeasureFacts]) -> str:
    return name if measures[name].higher_is_better else f"{name} (less is better)"


def _other_cells(row: Row, names: Sequence[str], measures: Mapping[str, MeasureFacts]) -> list[str]:
    return [written(row.metrics.get(name), measures[name].unit) for name in names]


def _render(header: Sequence[str], body: Sequence[Sequence[str]], tablefmt: str) -> str:
    right = ("right",) * (len(header) - 2)
    return tabulate(
        body, headers=header, tablefmt=tablefmt, colalign=("left", *right, "left"), disable_numparse=True
    )


def _label(row: Row) -> str:
    return row.label if not row.simulated else f"{row.label} ({SIMULATED})"


def _brief_cells(row: Row) -> list[str]:
    latency = "–" if row.latency is None else _milliseconds(row.latency.median_s, row.latency)
    return [_count(row.num_bytes), _ratio(row), latency]


def _cells(row: Row) -> list[str]:
    latency = row.latency
    return [
        _count(row.params),
        _count(row.nonzero_params),
        _count(row.macs),
        _count(row.effective_macs),
        _count(row.num_bytes),
        _ratio(row),
        "–" if latency is None else _latency(latency),
        "–" if latency is None else str(latency.threads),
        row.runtime,
    ]


def _ratio(row: Row) -> str:
    return "–" if row.compression_ratio is None else times(row.compression_ratio)


def _count(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def metric_text(row: Row) -> str:
    """The primary metric with its interval, if it has one."""
    if row.interval is None:
        return written(row.primary, row.unit)
    ends = (_bare(end, row.unit) for end in (row.interval.low, row.interval.high))
    return f"{written(row.primary, row.unit)} [{'–'.join(ends)}]"


def _bare(value: float, unit: Unit) -> str:
    """A metric without its unit."""
    return written(value, unit).removesuffix(" %").removesuffix(" dB")


def p_text(row: Row) -> str:
    """The p-value of the test against the baseline."""
    return "–" if row.paired is None else f"{row.paired.p_value:.3f}"


def change_text(row: Row) -> str:
    """The change of the primary metric, without its unit."""
    if row.metric_change is None:
        return "–"
    match row.unit:
        case "share":
            return f"{100 * row.metric_change:+.2f}"
        case "dB":
            return f"{row.metric_change:+.2f}"
        case "number":
            return significant(row.metric_change, 3, "+")


def said_of_changes(row: Row) -> str:
    """What a change means."""
    better = "" if row.higher_is_better else ", less is better"
    how = {"share": "in points", "dB": "in dB", "number": "as it is"}[row.unit]
    return f"change {how}{better}"


def said_of_intervals(rows: Sequence[Row]) -> list[str]:
    """What the intervals are, a sentence if there are any."""
    found = [row.interval for row in rows if row.interval is not None]
    if not found:
        return []
    what = "95 % Wilson interval"
    if isinstance(found[0], BootstrapInterval):
        what = f"95 % bootstrap interval, {found[0].resamples:,} draws of the test images"
    return [f"Brackets behind {rows[0].primary_metric}: {what}."]


def said_of_chance(rows: Sequence[Row], baseline: str) -> list[str]:
    """What the intervals and the p-values are, two sentences if there are any."""
    drawn = any(isinstance(row.interval, BootstrapInterval) for row in rows)
    test = "paired bootstrap test" if drawn else "exact McNemar test"
    return [
        f"{said} p: {test} against {baseline!r} on the same images; below 0.05 the change is no chance."
        for said in said_of_intervals(rows)
    ]


def said_of_latency(rows: Sequence[Row]) -> str:
    """How the times of the brief table were taken."""
    latency = next((row.latency for row in rows if row.latency is not None), None)
    if latency is None:
        return "Latency was not measured."
    threads = f"{latency.threads} thread{'s' if latency.threads > 1 else ''}"
    return f"Latency: median in milliseconds, batch {latency.batch_size}, {threads}."


def said_of_inputs(inputs: Mapping[str, Sequence[str]]) -> list[str]:
    """What each file expects, a sentence for all that expect the same."""
    files: dict[str, list[str]] = {}
    for label, lines in inputs.items():
        for line in lines:
            files.setdefault(line, []).append(label)
    return [f"{', '.join(labels)}: {line}." for line, labels in files.items()]


def _latency(latency: Latency) -> str:
    middle, low, high = (
        _milliseconds(seconds, latency) for seconds in (latency.median_s, latency.p25_s, latency.p75_s)
    )
    return f"{middle} [{low}–{high}]"


def _milliseconds(seconds: float, latency: Latency) -> str:
    """Three digits behind the point below 10 ms, for all of a latency alike."""
    return f"{1e3 * seconds:,.{3 if 1e3 * latency.median_s < 10 else 1}f}"
