"""The blocks of a benchmark: times with their verdicts, what files hold, what is published, the machine."""

from statistics import median

import yaml
from markupsafe import Markup

from edgesqueeze.measure.bench.bench import BenchReport
from edgesqueeze.measure.bench.row import BenchRow, PublishedCheck
from edgesqueeze.numerics.time_ratios import Verdict
from edgesqueeze.page.blocks.about import fact_lines
from edgesqueeze.page.blocks.dots import VERDICTS, dots
from edgesqueeze.page.svg import Scale, rect, strip
from edgesqueeze.page.view import (
    Block,
    Cell,
    Code,
    Column,
    Figures,
    Legend,
    Part,
    Remarks,
    Table,
    aligned,
    with_bars,
)
from edgesqueeze.page.wording import NOTHING, count_text, size_text, time_text
from edgesqueeze.text.digits import short_times, three_digits

_UNKNOWN = "?"


def benchmark_blocks(report: BenchReport) -> list[Block]:
    """What a page says of a benchmark, in its order."""
    blocks = [_speed(report), _times(report), _holdings(report), _published(report), _about(report)]
    return [block for block in blocks if block is not None]


def _speed(report: BenchReport) -> Block | None:
    """A picture for each setting."""
    baseline = report.suite.baseline
    if baseline is None:
        return None
    figures = []
    for setting in dict.fromkeys(map(_setting, report.rows)):
        rows = [row for row in report.rows if _setting(row) == setting]
        figure = dots(rows, baseline, setting)
        if figure is not None:
            figures.append(figure)
    if not figures:
        return None
    processes = report.suite.processes
    lead = (
        f"How many times as fast as {baseline}, timed in turns with it in the same runtime; the scale is "
        "logarithmic, the band is what counts as the same. "
        + (
            f"Whiskers are 99 % intervals over {processes} processes."
            if processes > 1
            else "With one process there is no interval, and no verdict."
        )
    )
    used = {row.ratios.verdict for row in report.rows if row.ratios is not None}
    legend = Legend([VERDICTS[verdict] for verdict in Verdict if verdict in used])
    return Block("speed", "Speed", lead, [legend, Figures(figures, kind="three")])


def _times(report: BenchReport) -> Block | None:
    """Every time, and why one is missing."""
    rows = [row for row in report.rows if row.runtime is not None]
    if not rows:
        return None
    longest = max((row.latency.p75_s for row in rows if row.latency is not None), default=0.0)
    boxes = [_time_cell(row, longest) for row in rows]
    columns = [
        *(Column("model", numeric=False), Column("runtime", numeric=False), Column("median", wide=True)),
        *(Column("quartiles"), Column("× as fast"), Column("99 %"), Column("verdict", numeric=False)),
        *(Column("load"), Column("first"), Column("inputs/s"), Column("peak memory"), Column("threads")),
        Column("inputs"),
    ]
    body = [_time_cells(row, box) for row, box in zip(rows, aligned(boxes), strict=True)]
    suite = report.suite
    lead = (
        f"The box is the middle half of {suite.processes} × {suite.rounds} rounds, the line in it their "
        "median, the ticks below are the medians of each process; all begin at zero. Load, first: seconds "
        "until the file is loaded, and of the first inference. ? is a time that is worth no number."
    )
    doubts = [f"{row.title}, {_setting(row)}: {doubt}." for row in rows for doubt in row.doubts]
    parts: list[Part] = [Table("Times", columns, body, kind="tall" if len(body) > 30 else "")]
    if doubts:
        parts.append(Remarks(doubts))
    return Block("times", "Times", lead, parts)


def _time_cell(row: BenchRow, longest: float) -> Cell:
    if row.latency is None:
        return Cell(_UNKNOWN)
    scale = Scale(0, longest, 0, 100)
    low, middle, high = (scale(s) for s in (row.latency.p25_s, row.latency.median_s, row.latency.p75_s))
    ticks = [rect(scale(median(p.rounds_s)) - 0.2, 8, 0.4, 2.5, "median") for p in row.processes]
    picture: Markup = strip(
        rect(0, 4, low, 1, "whisker"),
        rect(low, 1, max(high - low, 0.4), 6, "box", f"{row.title}\n{time_text(row.latency.median_s)}"),
        rect(max(middle - 0.3, 0), 0, 0.6, 7.5, "median"),
        *ticks,
    )
    return Cell(time_text(row.latency.median_s), row.latency.median_s, picture)


def _time_cells(row: BenchRow, box: Cell) -> list[Cell]:
    latency, ratios = row.latency, row.ratios
    faster = None if ratios is None else ratios.latency
    between = NOTHING
    if ratios is not None and ratios.latency_low is not None and ratios.latency_high is not None:
        between = f"{three_digits(ratios.latency_low)} to {three_digits(ratios.latency_high)}"
    verdict = NOTHING if ratios is None else str(ratios.verdict)
    return [
        Cell(row.title, row.title, kind="name"),
        Cell(row.runtime or NOTHING),
        box,
        Cell(NOTHING if latency is None else f"{time_text(latency.p25_s)} to {time_text(latency.p75_s)}"),
        Cell(_UNKNOWN if faster is None else short_times(faster), faster),
        Cell(between),
        Cell(verdict, kind=verdict if verdict in ("better", "worse") else ""),
        Cell(time_text(row.load_s), row.load_s),
        Cell(time_text(row.first_s), row.first_s),
        Cell(NOTHING if row.inputs_per_s is None else f"{row.inputs_per_s:,.1f}", row.inputs_per_s),
        Cell(size_text(row.peak_bytes), row.peak_bytes),
        Cell(count_text(row.threads), row.threads),
        Cell(count_text(row.batch), row.batch),
    ]


def _holdings(report: BenchReport) -> Block:
    """A row for each file, however often it was timed."""
    rows = list({row.path: row for row in reversed(report.rows)}.values())[::-1]
    bars = with_bars(
        [Cell(size_text(row.counts.num_bytes), row.counts.num_bytes) for row in rows], "part-float"
    )
    macs = with_bars([_count(row.counts.macs) for row in rows], "bar-macs")
    columns = [
        *(Column("model", numeric=False), Column("file", numeric=False), Column("precision", numeric=False)),
        *(Column("size", wide=True), Column("gzip"), Column("MACs", wide=True), Column("effective")),
        *(Column("parameters"), Column("non-zero"), Column("weights")),
    ]
    body = [
        [
            Cell(row.model, row.model, kind="name"),
            Cell(row.path),
            Cell(row.counts.precision),
            size,
            Cell(size_text(row.counts.gzip_bytes), row.counts.gzip_bytes),
            mac,
            _count(row.counts.effective_macs),
            _count(row.counts.params),
            _count(row.counts.nonzero_params),
            Cell(size_text(row.counts.weight_bytes), row.counts.weight_bytes),
        ]
        for row, size, mac in zip(rows, bars, macs, strict=True)
    ]
    lead = (
        "MACs are multiply-accumulates of one input, effective ones those on weights that are not zero; "
        "FLOPs are twice as many. Weights: what the parameters take as stored. A built-in network has random "
        "weights, of which nothing here depends."
    )
    doubts = [f"{row.path}: {doubt}." for row in rows for doubt in row.counts.doubts]
    parts: list[Part] = [Table("What the files hold", columns, body, kind="tall" if len(body) > 30 else "")]
    return Block("files", "Files", lead, [*parts, Remarks(doubts)] if doubts else parts)


def _published(report: BenchReport) -> Block | None:
    """What sources print beside ours; a line for each model whose files agree with each other."""
    lines: dict[tuple[object, ...], list[Cell]] = {}
    for row in report.rows:
        if row.published is not None:
            cells = _published_cells(row, row.published)
            lines.setdefault(tuple(cell.text for cell in cells), cells)
    if not lines:
        return None
    columns = [
        *(Column("model", numeric=False), Column("parameters"), Column("published")),
        *(Column("agree", numeric=False), Column("GMACs"), Column("published")),
        *(Column("agree", numeric=False), Column("source", numeric=False)),
    ]
    lead = (
        "They agree when ours, cut or rounded, shows the same digits. Parameters are those of the network: "
        "files in which batch norm is folded hold fewer."
    )
    return Block("published", "Published figures", lead, [Table("Published", columns, list(lines.values()))])


def _published_cells(row: BenchRow, found: PublishedCheck) -> list[Cell]:
    macs = row.counts.macs
    return [
        Cell(row.model, row.model, kind="name"),
        _count(found.our_params),
        Cell(found.params or NOTHING),
        _agreement(found.params_agree),
        Cell(_UNKNOWN if macs is None else f"{macs / 1e9:.6f}", macs),
        Cell(found.gmacs or NOTHING),
        _agreement(found.gmacs_agree),
        Cell(found.source),
    ]


def _about(report: BenchReport) -> Block:
    """The machine, before and after, and the suite."""
    states = report.states
    facts = dict(report.host.to_json())
    if states:
        facts |= {"before": states[0].sentence(), "after": states[-1].sentence()}
    rows = [[Cell(key, kind="name"), Cell(text)] for key, text in fact_lines(facts)]
    columns = [Column("", numeric=False), Column("measured on", numeric=False)]
    suite = yaml.safe_dump(report.suite.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    parts: list[Part] = [
        Table("Environment", columns, rows, sortable=False, kind="facts"),
        Code("The suite", suite),
    ]
    return Block("about", "Origin", f"The suite {report.suite.name}.", parts)


def _setting(row: BenchRow) -> str:
    if row.runtime is None:
        return "does not run"
    many = [f"{n} {what}" for n, what in ((row.threads, "threads"), (row.batch, "inputs")) if n and n > 1]
    return ", ".join([row.runtime, *many])


def _count(value: int | None) -> Cell:
    return Cell(_UNKNOWN if value is None else count_text(value), value)


def _agreement(agrees: bool | None) -> Cell:
    if agrees is None:
        return Cell(NOTHING)
    return Cell("yes" if agrees else "NO", kind="" if agrees else "worse")
