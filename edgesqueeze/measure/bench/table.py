"""The rows of a benchmark and the tables made of them: pure data."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tabulate import tabulate

from edgesqueeze.columns import narrow_table, wrapped
from edgesqueeze.measure.bench.suite import Suite
from edgesqueeze.measure.runtimes.host import HostFacts
from edgesqueeze.measure.runtimes.latency import Latency

_HEADER = ["model", "runtime", "precision", "params", "bytes", "MACs", "FLOPs", "latency ms"]
_RATIO_HEADER = ["params ×", "bytes ×", "MACs ×", "latency ×"]
_BRIEF_RATIOS = ["bytes ×", "latency ×"]
_PUBLISHED_HEADER = ["model", "params", "published", "agree", "GMACs", "published", "agree", "source"]
_NONE = "–"


@dataclass(frozen=True)
class Ratios:
    """The baseline divided by a row in the same runtime: above 1 is smaller or faster, None where unknown."""

    params: float | None
    num_bytes: float | None
    macs: float | None
    latency: float | None

    @classmethod
    def of(cls, row: "BenchRow", baseline: "BenchRow") -> "Ratios":
        """The ratios of a row."""
        return cls(
            params=_ratio(baseline.params, row.params),
            num_bytes=_ratio(baseline.num_bytes, row.num_bytes),
            macs=_ratio(baseline.macs, row.macs),
            latency=_ratio(baseline.latency.median_s, row.latency.median_s),
        )


@dataclass(frozen=True)
class PublishedCheck:
    """Figures as a source prints them, and whether the file agrees to the digits printed.

    ``gmacs`` are thousand millions of multiply-accumulates; None where the source says nothing.
    """

    params: str | None
    params_agree: bool | None
    gmacs: str | None
    gmacs_agree: bool | None
    source: str


@dataclass(frozen=True)
class BenchRow:
    """One file: what it holds and how fast it runs. ``macs`` is None where the file does not tell."""

    model: str
    path: str
    runtime: str
    precision: str
    params: int
    nonzero_params: int
    macs: int | None
    num_bytes: int
    latency: Latency
    ratios: Ratios | None = None
    published: PublishedCheck | None = None

    @property
    def flops(self) -> int | None:
        """Floating-point operations: a multiply-accumulate is two."""
        return None if self.macs is None else 2 * self.macs

    def to_json(self) -> dict[str, object]:
        """All fields as plain JSON values."""
        return {**asdict(self), "flops": self.flops}


def render(rows: Sequence[BenchRow], suite: Suite, host: HostFacts, tablefmt: str) -> str:
    """The rows, a note on how to read them, the published figures, and the host."""
    with_ratios = any(row.ratios is not None for row in rows)
    header = _HEADER + (_RATIO_HEADER if with_ratios else [])
    body = [_cells(row) + (_ratio_cells(row.ratios) if with_ratios else []) for row in rows]
    right = ("right",) * (len(header) - 3)
    parts = [_tabulate(header, body, ("left", "left", "left", *right), tablefmt), _note(suite, with_ratios)]
    published = _published_rows(rows)
    if published:
        parts.append(_tabulate(_PUBLISHED_HEADER, published, ("left", *("right",) * 6, "left"), tablefmt))
    return "\n\n".join([*parts, host.sentence()])


def render_brief(rows: Sequence[BenchRow], suite: Suite, host: HostFacts) -> str:
    """The same in lines of at most a hundred columns.

    Parameters, FLOPs, quartiles and versions are left out; of published figures it says how many disagree.
    """
    with_ratios = any(row.ratios is not None for row in rows)
    header = ["model", "runtime", "MACs", "bytes", "latency ms", *(_BRIEF_RATIOS if with_ratios else ())]
    body = [_brief_cells(row) + (_brief_ratios(row.ratios) if with_ratios else []) for row in rows]
    parts = [narrow_table(header, body), wrapped(_brief_note(suite, rows)), wrapped(host.sentence())]
    return "\n\n".join(parts)


def _tabulate(
    header: Sequence[str], body: Sequence[Sequence[str]], alignment: Sequence[str], tablefmt: str
) -> str:
    return tabulate(body, headers=header, tablefmt=tablefmt, colalign=alignment, disable_numparse=True)


def _note(suite: Suite, with_ratios: bool) -> str:
    text = (
        f"Latency: median [quartiles] of {suite.samples} samples, batch 1, {suite.threads} "
        f"thread{'s' if suite.threads > 1 else ''}. FLOPs = 2 × MACs; ? is what a file does not tell."
    )
    if with_ratios:
        text += f" × columns: how many times smaller or faster than {suite.baseline} in the same runtime."
    return text


def _brief_note(suite: Suite, rows: Sequence[BenchRow]) -> str:
    text = (
        f"Latency: median of {suite.samples} samples, batch 1, {suite.threads} "
        f"thread{'s' if suite.threads > 1 else ''}; ? is what a file does not tell."
    )
    if any(row.ratios is not None for row in rows):
        text += f" × columns: how many times smaller or faster than {suite.baseline} in the same runtime."
    checks = [row.published for row in rows if row.published is not None]
    if checks:
        wrong = sum(False in (check.params_agree, check.gmacs_agree) for check in checks)
        text += f" Published figures: {wrong} of {len(checks)} files disagree (--wide has them)."
    return text


def _brief_cells(row: BenchRow) -> list[str]:
    runtime = row.runtime.partition(" ")[0]
    return [row.model, runtime, _count(row.macs), f"{row.num_bytes:,}", _milliseconds(row.latency)[0]]


def _brief_ratios(ratios: Ratios | None) -> list[str]:
    if ratios is None:
        return [_NONE] * len(_BRIEF_RATIOS)
    return [_times(ratios.num_bytes), _times(ratios.latency)]


def _cells(row: BenchRow) -> list[str]:
    middle, low, high = _milliseconds(row.latency)
    return [
        row.model,
        row.runtime,
        row.precision,
        f"{row.params:,}",
        f"{row.num_bytes:,}",
        _count(row.macs),
        _count(row.flops),
        f"{middle} [{low}–{high}]",
    ]


def _milliseconds(latency: Latency) -> tuple[str, str, str]:
    """Median and quartiles, with three digits behind the point below 10 ms."""
    digits = 3 if 1e3 * latency.median_s < 10 else 1
    middle, low, high = (f"{1e3 * s:.{digits}f}" for s in (latency.median_s, latency.p25_s, latency.p75_s))
    return middle, low, high


def _ratio_cells(ratios: Ratios | None) -> list[str]:
    if ratios is None:
        return [_NONE] * len(_RATIO_HEADER)
    values = (ratios.params, ratios.num_bytes, ratios.macs, ratios.latency)
    return [_times(value) for value in values]


def _times(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}×"


def _published_rows(rows: Sequence[BenchRow]) -> list[list[str]]:
    """One line per model; models whose files disagree with each other get a line for each."""
    lines: list[list[str]] = []
    for row in rows:
        found = row.published
        if found is None:
            continue
        gmacs = "?" if row.macs is None else f"{row.macs / 1e9:.6f}"
        line = [row.model, f"{row.params:,}", found.params or _NONE, _verdict(found.params_agree)]
        line += [gmacs, found.gmacs or _NONE, _verdict(found.gmacs_agree), found.source]
        if line not in lines:
            lines.append(line)
    return lines


def _verdict(agree: bool | None) -> str:
    return _NONE if agree is None else "yes" if agree else "NO"


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _ratio(baseline: float | None, value: float | None) -> float | None:
    return baseline / value if baseline and value else None
