"""The tables made of a benchmark's rows: for a terminal, Markdown and spreadsheets."""

import csv
import io
from collections.abc import Sequence

from tabulate import tabulate

from edgesqueeze.measure.bench.row import BenchRow, Ratios
from edgesqueeze.measure.bench.suite import Suite
from edgesqueeze.measure.runtimes.latency import Latency
from edgesqueeze.numerics.time_ratios import MARGIN
from edgesqueeze.text.columns import ends_of_paths, names_fit, narrow_table, wrapped
from edgesqueeze.text.digits import short_count, significant, times

_HEADER = (
    *("model", "runtime", "threads", "batch", "precision", "params", "non-zero", "bytes", "gzip"),
    *("MACs", "effective MACs", "FLOPs", "effective FLOPs", "weights", "peak MB"),
    *("load ms", "first ms", "latency ms", "inputs/s"),
)
_RATIO_HEADER = ("params ×", "bytes ×", "MACs ×", "latency ×", "99 %", "verdict")
_BRIEF_RATIOS = ("bytes ×", "latency ×", "verdict")
_EXPENDABLE = ("MACs", "bytes ×")
"""Brief columns that give way to names, in this order; --wide has them."""
_PUBLISHED_HEADER = ("model", "params", "published", "agree", "GMACs", "published", "agree", "source")
_SUSTAINED_HEADER = ("model", "runtime", "s", "burst ms", "sustained ms", "slower", "mJ")
_SUSTAINED_NOTE = (
    "Alone and without a rest: burst is the median of the first 5 seconds, sustained that of the last third. "
    "mJ: energy of the whole machine for one inference, ? where nothing is readable (RAPL, INA)."
)
_NONE, _UNKNOWN = "–", "?"


def render(rows: Sequence[BenchRow], suite: Suite, tablefmt: str) -> str:
    """The rows, a note on how to read them, why figures are missing, and the published ones."""
    with_ratios = any(row.ratios is not None for row in rows)
    header = [*_HEADER, *(_RATIO_HEADER if with_ratios else ())]
    body = [_cells(row) + (_ratio_cells(row.ratios) if with_ratios else []) for row in rows]
    right = ("right",) * (len(header) - 5)
    alignment = ("left", "left", "right", "right", "left", *right)
    parts = [_tabulate(header, body, alignment, tablefmt), _note(suite, rows), *_doubts(rows)]
    if any(row.sustained is not None for row in rows):
        header = [*_SUSTAINED_HEADER[:-1], f"mJ, {_meter(rows)}"]
        body = [_sustained_cells(row) for row in rows]
        parts.append(_tabulate(header, body, ("left", "left", *("right",) * 5), tablefmt))
        parts.append(_SUSTAINED_NOTE)
    published = _published_rows(rows)
    if published:
        parts.append(_tabulate(_PUBLISHED_HEADER, published, ("left", *("right",) * 6, "left"), tablefmt))
    return "\n\n".join(parts)


def render_brief(rows: Sequence[BenchRow], suite: Suite, below: Sequence[str]) -> str:
    """The same in lines of at most a hundred columns.

    Only the commonest figures are shown, fewer where names are long, and of settings those that differ; of
    published figures it says how many disagree. ``below`` are sentences about the machine.
    """
    tables = [_brief_table(rows)]
    if any(row.sustained is not None for row in rows):
        long_header = [*_SUSTAINED_HEADER[:-1], f"mJ, {_meter(rows)}"]
        tables += [
            narrow_table(long_header, [_sustained_cells(row) for row in rows]),
            wrapped(_SUSTAINED_NOTE),
        ]
    several = len({(row.threads, row.batch) for row in rows if row.runtime is not None}) > 1
    settings = "t: threads, n: inputs at once." if several else ""
    texts = [settings, _note(suite, rows), *_doubts(rows), _published_note(rows), *below]
    return "\n\n".join([*tables, *(wrapped(text) for text in texts if text)])


def as_csv(rows: Sequence[BenchRow]) -> str:
    """One line per row, plain numbers in seconds and bytes; empty where a figure is not known."""
    lines = [_flat(row) for row in rows]
    file = io.StringIO()
    writer = csv.DictWriter(file, list(lines[0]) if lines else ["model"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return file.getvalue()


def _flat(row: BenchRow) -> dict[str, object]:
    data = row.to_json()
    names = (
        *("model", "path", "runtime", "threads", "batch", "precision", "params", "nonzero_params"),
        *("num_bytes", "gzip_bytes", "weight_bytes", "macs", "effective_macs", "flops"),
        *("effective_flops", "load_s", "first_s", "peak_bytes", "inputs_per_s"),
    )
    latency, ratios = row.latency, row.ratios
    return {
        **{name: data[name] for name in names},
        "median_s": latency and latency.median_s,
        "p25_s": latency and latency.p25_s,
        "p75_s": latency and latency.p75_s,
        "burst_s": row.sustained and row.sustained.burst_s,
        "sustained_s": row.sustained and row.sustained.sustained_s,
        "joules": row.sustained and row.sustained.joules,
        "times_faster": ratios and ratios.latency,
        "times_faster_low": ratios and ratios.latency_low,
        "times_faster_high": ratios and ratios.latency_high,
        "verdict": ratios and str(ratios.verdict),
        "doubts": "; ".join((*row.counts.doubts, *row.doubts)),
    }


def _sustained_cells(row: BenchRow) -> list[str]:
    found = row.sustained
    if found is None:
        return [row.title, row.runtime or _NONE, *[_UNKNOWN if row.runtime else _NONE] * 5]
    joules = _UNKNOWN if found.joules is None else significant(1e3 * found.joules, 3)
    times = [f"{1e3 * seconds:,.3f}" for seconds in (found.burst_s, found.sustained_s)]
    runtime = _NONE if row.runtime is None else _short(row.runtime)
    return [row.title, runtime, f"{found.seconds:.0f}", *times, f"{found.ratio:.3f}×", joules]


def _meter(rows: Sequence[BenchRow]) -> str:
    found = {row.sustained.meter for row in rows if row.sustained is not None and row.sustained.meter}
    return "/".join(sorted(found)) or "no meter"


def _tabulate(
    header: Sequence[str], body: Sequence[Sequence[str]], alignment: Sequence[str], tablefmt: str
) -> str:
    return tabulate(body, headers=header, tablefmt=tablefmt, colalign=alignment, disable_numparse=True)


def _note(suite: Suite, rows: Sequence[BenchRow]) -> str:
    settings = {(row.threads, row.batch) for row in rows if row.runtime is not None}
    text = f"Latency: median [quartiles] of {_times_of(suite)}"
    if len(settings) == 1:
        threads, batch = settings.pop()
        text += f", batch {batch}, {threads} thread{'s' if threads != 1 else ''}"
    for found in ({row.counts.precision for row in rows}, {row.runtime for row in rows if row.runtime}):
        if len(found) == 1:
            text += f", {found.pop()}"
    text += ". FLOPs = 2 × MACs; effective: on non-zero weights; ? is not known, or worth no number."
    if any(row.ratios is not None for row in rows):
        text += f" × columns: how many times smaller or faster than {suite.baseline} in the same runtime."
        text += (
            " With one process there is no verdict on times."
            if suite.processes == 1
            else " verdict: better or worse where the whole 99 % interval of the time lies beyond "
            f"{100 * MARGIN:.0f} %."
        )
    return text


def _times_of(suite: Suite) -> str:
    processes = "one process" if suite.processes == 1 else f"{suite.processes} processes"
    return f"{processes} × {suite.rounds} round{'s' if suite.rounds > 1 else ''}"


def _doubts(rows: Sequence[BenchRow]) -> list[str]:
    """Why figures are missing, a line for each row; one paragraph, or none."""
    lines = []
    for row in rows:
        where = "" if row.runtime is None else f" in {_short(row.runtime)}"
        several = [
            f"{n} {what}" for n, what in ((row.threads, "threads"), (row.batch, "inputs")) if n and n > 1
        ]
        setting = f" ({', '.join(several)})" if several else ""
        doubts = row.counts.doubts + row.doubts
        if doubts:
            lines.append(f"- {row.title}{where}{setting}: {'; '.join(doubts)}")
    return ["\n".join(lines)] if lines else []


def _published_note(rows: Sequence[BenchRow]) -> str:
    checks = [row.published for row in rows if row.published is not None]
    wrong = sum(False in (check.params_agree, check.gmacs_agree) for check in checks)
    text = f"Published figures: {wrong} of {len(checks)} files disagree (--wide has them)."
    return text if checks else ""


def _short(runtime: str) -> str:
    return runtime.partition(" ")[0]


def _brief_table(rows: Sequence[BenchRow]) -> str:
    """With whole names and all columns; else with the ends of paths, and with as many columns as then fit."""
    columns = _brief_columns(rows)
    names = {row.model: row.model for row in rows}
    for expendable in (None, "", *_EXPENDABLE):
        if expendable is not None:
            names = ends_of_paths(names)
            columns.pop(expendable, None)
        header = ["model", *columns]
        shown = [names[row.model] for row in rows]
        body = [list(cells) for cells in zip(shown, *columns.values(), strict=True)]
        if names_fit(header, body):
            break
    return narrow_table(header, body)


def _brief_columns(rows: Sequence[BenchRow]) -> dict[str, list[str]]:
    """Title to cells; settings only where they differ."""
    settings = {
        "type": [row.counts.precision for row in rows],
        "runtime": [_NONE if row.runtime is None else _short(row.runtime) for row in rows],
        "t": [_number(row.threads, _NONE) for row in rows],
        "n": [_number(row.batch, _NONE) for row in rows],
    }
    columns = {title: cells for title, cells in settings.items() if len(set(cells) - {_NONE}) > 1}
    columns["MACs"] = [_UNKNOWN if r.counts.macs is None else short_count(r.counts.macs) for r in rows]
    columns["bytes"] = [_number(row.counts.num_bytes) for row in rows]
    columns["ms"] = [_NONE if row.runtime is None else _milliseconds(row.latency)[0] for row in rows]
    if any(row.ratios is not None for row in rows):
        ratios = zip(*(_brief_ratios(row.ratios) for row in rows), strict=True)
        columns |= {title: list(cells) for title, cells in zip(_BRIEF_RATIOS, ratios, strict=True)}
    return columns


def _brief_ratios(ratios: Ratios | None) -> list[str]:
    if ratios is None:
        return [_NONE] * len(_BRIEF_RATIOS)
    return [_times(ratios.num_bytes), _times(ratios.latency), str(ratios.verdict)]


def _cells(row: BenchRow) -> list[str]:
    counts = row.counts
    middle, low, high = _milliseconds(row.latency)
    runs = row.runtime is not None
    return [
        row.model,
        row.runtime or _NONE,
        _number(row.threads, _NONE),
        _number(row.batch, _NONE),
        counts.precision,
        _number(counts.params),
        _number(counts.nonzero_params),
        _number(counts.num_bytes),
        _number(counts.gzip_bytes),
        _number(counts.macs),
        _number(counts.effective_macs),
        _number(counts.flops),
        _number(counts.effective_flops),
        _number(counts.weight_bytes),
        _scaled(row.peak_bytes, 1e-6, 1, runs=runs),
        _scaled(row.load_s, 1e3, 1, runs=runs),
        _scaled(row.first_s, 1e3, 3, runs=runs),
        (f"{middle} [{low}–{high}]" if row.latency else _UNKNOWN) if runs else _NONE,
        _scaled(row.inputs_per_s, 1.0, 1, runs=runs),
    ]


def _milliseconds(latency: Latency | None) -> tuple[str, str, str]:
    """Median and quartiles, with three digits behind the point below 10 ms."""
    if latency is None:
        return _UNKNOWN, _UNKNOWN, _UNKNOWN
    digits = 3 if 1e3 * latency.median_s < 10 else 1
    middle, low, high = (f"{1e3 * s:,.{digits}f}" for s in (latency.median_s, latency.p25_s, latency.p75_s))
    return middle, low, high


def _ratio_cells(ratios: Ratios | None) -> list[str]:
    if ratios is None:
        return [_NONE] * len(_RATIO_HEADER)
    values = (ratios.params, ratios.num_bytes, ratios.macs, ratios.latency)
    low, high = ratios.latency_low, ratios.latency_high
    between = _NONE if low is None or high is None else f"{low:,.2f}–{high:,.2f}"
    return [*(_times(value) for value in values), between, str(ratios.verdict)]


def _times(value: float | None) -> str:
    return _UNKNOWN if value is None else times(value)


def _scaled(value: float | None, factor: float, digits: int, *, runs: bool) -> str:
    if value is None:
        return _UNKNOWN if runs else _NONE
    return f"{factor * value:,.{digits}f}"


def _published_rows(rows: Sequence[BenchRow]) -> list[list[str]]:
    """One line per model; models whose files disagree with each other get a line for each."""
    lines: list[list[str]] = []
    for row in rows:
        found, counts = row.published, row.counts
        if found is None:
            continue
        gmacs = _UNKNOWN if counts.macs is None else f"{counts.macs / 1e9:.6f}"
        line = [row.model, f"{found.our_params:,}", found.params or _NONE, _agreement(found.params_agree)]
        line += [gmacs, found.gmacs or _NONE, _agreement(found.gmacs_agree), found.source]
        if line not in lines:
            lines.append(line)
    return lines


def _agreement(agree: bool | None) -> str:
    return _NONE if agree is None else "yes" if agree else "NO"


def _number(value: int | None, none: str = _UNKNOWN) -> str:
    return none if value is None else f"{value:,}"
