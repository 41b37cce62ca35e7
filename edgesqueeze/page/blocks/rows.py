"""The table of a run, sizes, and latency: what is known of every row."""

from collections.abc import Sequence

from markupsafe import Markup

from edgesqueeze.measure.runtimes.latency import Latency
from edgesqueeze.page.facts import RunFacts
from edgesqueeze.page.file_parts import KINDS, FileParts
from edgesqueeze.page.svg import Scale, rect, strip
from edgesqueeze.page.view import Block, Cell, Column, Legend, Part, Remarks, Table, aligned
from edgesqueeze.page.wording import NOTHING, count_text, share_text, size_text, time_text
from edgesqueeze.run.report import Row
from edgesqueeze.run.row_tables import (
    SIMULATED,
    change_text,
    metric_text,
    p_text,
    said_of_chance,
    said_of_changes,
)
from edgesqueeze.task.metrics.wording import written
from edgesqueeze.text.digits import times

_COLUMNS = ("bytes", "ratio", "latency", "parameters", "non-zero", "MACs", "effective")


def row_cells(row: Row) -> list[Cell]:
    """What the table has of a row, behind its name."""
    latency, ratio = row.latency, row.compression_ratio
    p_value = None if row.paired is None else row.paired.p_value
    return [
        Cell(metric_text(row), row.primary),
        Cell(change_text(row), row.metric_change),
        Cell(p_text(row), p_value),
        Cell(count_text(row.num_bytes), row.num_bytes),
        Cell(NOTHING if ratio is None else times(ratio), ratio),
        Cell(NOTHING) if latency is None else Cell(time_text(latency.median_s), latency.median_s),
        Cell(count_text(row.params), row.params),
        Cell(count_text(row.nonzero_params), row.nonzero_params),
        Cell(count_text(row.macs), row.macs),
        Cell(count_text(row.effective_macs), row.effective_macs),
        Cell(row.runtime),
    ]


def row_columns(metric: str) -> list[Column]:
    """The header of :func:`row_cells`."""
    numeric = (f"{metric} [95 %]", "change", "p", *_COLUMNS)
    return [*(Column(title) for title in numeric), Column("runtime", numeric=False)]


def name_cell(number: int, row: Row) -> Cell:
    """A row's number and name."""
    mark = f" ({SIMULATED})" if row.simulated else ""
    return Cell(f"{number} {row.label}{mark}", number, kind="name")


def table_block(run: RunFacts) -> Block:
    """Every number of every row, other metrics and reference models folded."""
    report = run.report
    first = report.rows[0]
    rows = [[name_cell(i, row), *row_cells(row)] for i, row in enumerate(report.rows, start=1)]
    columns = [Column("row", numeric=False), *row_columns(first.primary_metric)]
    lead = (
        f"{first.primary_metric} over {report.test_examples:,} test examples; {said_of_changes(first)}. "
        f"Change and ratio are against {report.baseline!r}. Rows marked {SIMULATED} have no file to deploy. "
        "Effective: MACs on weights that are not zero. Latency: median, batch 1."
    )
    notes = [*said_of_chance(report.rows, report.baseline)]
    notes += [f"{row.label}: {note}." for row in report.rows for note in row.notes]
    parts: list[Part] = [Table("Rows of the run", columns, rows), *_others(run), Remarks(notes)]
    return Block("rows", "All numbers", lead, parts)


def _others(run: RunFacts) -> list[Table]:
    report = run.report
    names = [name for name in report.measures if name != report.rows[0].primary_metric]
    tables = []
    if names:
        columns = [
            Column(name if report.measures[name].higher_is_better else f"{name} (less is better)")
            for name in names
        ]
        rows = [
            [
                name_cell(i, row),
                *(
                    Cell(written(row.metrics.get(n), report.measures[n].unit), row.metrics.get(n))
                    for n in names
                ),
            ]
            for i, row in enumerate(report.rows, start=1)
        ]
        tables.append(
            Table("Other metrics", [Column("row", numeric=False), *columns], rows, folded="Other metrics")
        )
    if report.references:
        columns = row_columns("")[3:]
        rows = [[Cell(row.label, row.label, kind="name"), *row_cells(row)[3:]] for row in report.references]
        header = [Column("reference model", numeric=False), *columns]
        tables.append(
            Table("Reference models", header, rows, folded="Reference models, measured in the same run")
        )
    return tables


def size_block(run: RunFacts) -> Block | None:
    """How large every file is, and what its bytes are."""
    report = run.report
    sized = [(i, row) for i, row in enumerate(report.rows, start=1) if row.num_bytes is not None]
    if not sized:
        return None
    largest = max(row.num_bytes or 0 for _, row in sized)
    before = run.baseline.num_bytes
    bars = [
        Cell(size_text(row.num_bytes), row.num_bytes, _size_bar(run, row, largest, before))
        for _, row in sized
    ]
    rows = [
        [
            name_cell(i, row),
            bar,
            Cell(
                NOTHING if row.compression_ratio is None else times(row.compression_ratio),
                row.compression_ratio,
            ),
            _stretched(run.files.get(row.path or "")),
        ]
        for (i, row), bar in zip(sized, aligned(bars), strict=True)
    ]
    columns = [
        Column("row", numeric=False),
        Column("size", wide=True),
        Column("ratio"),
        Column("what the bytes are", numeric=False, wide=True),
    ]
    used = [kind for kind in KINDS if any(kind in parts.parts for parts in run.files.values())]
    parts: list[Table | Legend] = [Table("Sizes", columns, rows)]
    if used:
        parts += [Legend([(f"part-{kind}", KINDS[kind]) for kind in used]), _parts_table(run, used)]
    lead = (
        "The coloured bar is the file, the pale one behind it what it has saved against "
        f"{report.baseline!r}. The bars on the right are stretched to the same length, to show what each "
        "file spends its bytes on."
    )
    return Block("size", "Size", lead, parts)


def _size_bar(run: RunFacts, row: Row, largest: int, before: int | None) -> Markup:
    size = row.num_bytes or 0
    saved = [] if before is None or before <= size else [rect(0, 1, 100 * before / largest, 8, "saved")]
    found = run.files.get(row.path or "")
    whole = rect(0, 1, 100 * size / largest, 8, "part-whole")
    return strip(*saved, *([whole] if found is None else _parts(found, 100 * size / largest)))


def _parts(found: FileParts, length: float) -> list[Markup]:
    """The parts of a file behind each other."""
    marks, start = [], 0.0
    for kind, count in found.parts.items():
        width = length * count / found.num_bytes
        tip = f"{KINDS[kind]}\n{count:,} bytes, {share_text(count, found.num_bytes)}"
        marks.append(rect(start, 1, width, 8, f"part-{kind}", tip))
        start += width
    return marks


def _stretched(found: FileParts | None) -> Cell:
    return Cell(NOTHING) if found is None else Cell("", picture=strip(*_parts(found, 100)))


def _parts_table(run: RunFacts, used: Sequence[str]) -> Table:
    columns = [
        Column("file", numeric=False),
        *(Column(KINDS[kind]) for kind in KINDS if kind in used),
        Column("all"),
    ]
    rows = [
        [
            Cell(found.path, found.path, kind="name"),
            *(Cell(count_text(found.parts.get(k)), found.parts.get(k)) for k in KINDS if k in used),
            Cell(count_text(found.num_bytes), found.num_bytes),
        ]
        for found in run.files.values()
    ]
    return Table("Bytes by what they are", columns, rows, folded="The same in bytes")


def latency_block(run: RunFacts) -> Block | None:
    """Median and quartiles of every row that was timed."""
    timed = [
        (i, row, row.latency) for i, row in enumerate(run.report.rows, start=1) if row.latency is not None
    ]
    if not timed:
        return None
    scale = Scale(0, max(latency.p75_s for _, _, latency in timed), 0, 100)
    boxes = [
        Cell(time_text(latency.median_s), latency.median_s, _box(latency, scale)) for _, _, latency in timed
    ]
    rows = [
        [
            name_cell(i, row),
            box,
            Cell(f"{time_text(latency.p25_s)} to {time_text(latency.p75_s)}", latency.p25_s),
            Cell(str(latency.threads), latency.threads),
            Cell(row.runtime),
        ]
        for (i, row, latency), box in zip(timed, aligned(boxes), strict=True)
    ]
    columns = [
        Column("row", numeric=False),
        Column("median", wide=True),
        Column("quartiles"),
        Column("threads"),
        Column("runtime", numeric=False),
    ]
    count = timed[0][2].samples
    lead = (
        f"The box is the middle half of {count} samples, the line in it their median; all bars begin at "
        "zero. Rows were timed turn by turn, so that what else the machine did hit all alike. Boxes that "
        "overlap say nothing about which is faster."
    )
    return Block("latency", "Latency", lead, [Table("Latency", columns, rows)])


def _box(latency: Latency, scale: Scale) -> Markup:
    """From zero to the lower quartile a line, to the upper one a box, and the median across it."""
    low, middle, high = (scale(s) for s in (latency.p25_s, latency.median_s, latency.p75_s))
    named = {"median": latency.median_s, "lower quartile": latency.p25_s, "upper quartile": latency.p75_s}
    tip = "\n".join(f"{name} {time_text(seconds)}" for name, seconds in named.items())
    return strip(
        rect(0, 4.5, low, 1, "whisker"),
        rect(low, 1, max(high - low, 0.4), 8, "box", tip),
        rect(max(middle - 0.3, 0), 0, 0.6, 10, "median"),
    )
