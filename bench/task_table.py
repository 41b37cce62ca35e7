"""Finished runs of one task side by side: what int8 and squeezing leave of the float network.

    python -m bench.task_table --run LABEL=RUN … --output bench/results/detection

Every row is a file of a run, with the numbers of that run's report: its bytes, its metric in its runtime with
the interval, and its share of the float checkpoint's. Runs that began from one checkpoint have one float row.
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bench.reporting import Result, milliseconds, table
from edgesqueeze.run.report import Report
from edgesqueeze.run.row import Row
from edgesqueeze.run.rundir import read_report


def main() -> None:
    """Read the reports and write the table."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--run", action="append", required=True, metavar="LABEL=RUN", help="a finished run")
    parser.add_argument("--output", type=Path, required=True, help="folder of the result")
    arguments = parser.parse_args()
    result = Result(arguments.output)
    runs = [
        (label, read_report(Path(path))) for label, _, path in (run.partition("=") for run in arguments.run)
    ]
    data = {
        "runs": [{"label": label, "rows": [asdict(row) for row in report.rows]} for label, report in runs]
    }
    result.write(data, report_of(runs))


def report_of(runs: Sequence[tuple[str, Report]]) -> list[str]:
    """The table, and what it is made of."""
    first = runs[0][1]
    metric = first.rows[0].primary_metric
    others = [name for name in first.rows[0].metrics if name != metric][:3]
    seen: set[object] = set()
    lines = [line for label, report in runs for line in _lines(label, report, others, seen)]
    sizes = {report.rows[0].params: report.rows[0].macs for _, report in runs}
    networks = ", ".join(
        f"{params:,} parameters and {macs:,} multiply-accumulates" for params, macs in sizes.items()
    )
    header = [
        "run",
        "file",
        f"{metric} [95 %]",
        "of float" if first.rows[0].unit == "share" else "change",
        *others,
        "bytes",
        "smaller",
        "ms, 1 thread",
        "runtime",
    ]
    return [
        f"# {metric} of {len(runs)} runs",
        f"{first.test_examples:,} test examples; {networks}. A row called float is a checkpoint in torch, "
        "from which the runs below it began.",
        table(header, lines),
    ]


def _lines(label: str, report: Report, others: Sequence[str], seen: set[object]) -> list[list[str]]:
    """The rows of a run; a checkpoint that stands in the table already is not repeated."""
    baseline = next(row for row in report.rows if row.label == report.baseline)
    rows = [row for row in report.rows if row.path is not None and row is not baseline]
    key = (baseline.num_bytes, baseline.primary)
    lines = [] if key in seen else [_line("float", baseline, baseline, others)]
    seen.add(key)
    return lines + [_line(label, row, baseline, others) for row in rows]


def _line(label: str, row: Row, baseline: Row, others: Sequence[str]) -> list[str]:
    return [
        label,
        row.label,
        _value(row),
        _share(row, baseline),
        *(f"{row.metrics[name]:.4f}" for name in others),
        f"{row.num_bytes:,}",
        f"{row.compression_ratio:.2f}×" if row.compression_ratio is not None else "–",
        "–" if row.latency is None else milliseconds(row.latency),
        row.runtime,
    ]


def _value(row: Row) -> str:
    """The primary metric with its interval."""
    assert row.primary is not None
    ends = ""
    if row.interval is not None:
        ends = " [" + "–".join(_number(row, end) for end in (row.interval.low, row.interval.high)) + "]"
    return _number(row, row.primary) + ends


def _number(row: Row, value: float) -> str:
    return f"{value:.2f}" if row.unit == "dB" else f"{value:.4f}"


def _share(row: Row, baseline: Row) -> str:
    """Of what is a share; of decibels and errors the difference."""
    assert row.primary is not None and baseline.primary is not None
    if row.unit == "share":
        return f"{100 * row.primary / baseline.primary:.1f} %"
    return f"{row.primary - baseline.primary:+.3f}"


if __name__ == "__main__":
    main()
