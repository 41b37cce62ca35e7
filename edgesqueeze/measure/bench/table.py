"""The rows of a benchmark and the tables made of them: pure data."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from tabulate import tabulate

from edgesqueeze.measure.bench.suite import Suite
from edgesqueeze.measure.runtimes.host import HostFacts
from edgesqueeze.measure.runtimes.latency import Latency

_HEADER = ["model", "runtime", "precision", "params", "bytes", "MACs", "FLOPs", "latency ms"]
_RATIO_HEADER = ["params ×", "bytes ×", "MACs ×", "latency ×"]
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


def _cells(row: BenchRow) -> list[str]:
    middle, low, high = (1e3 * s for s in (row.latency.median_s, row.latency.p25_s, row.latency.p75_s))
    digits = 3 if middle < 10 else 1
    return [
        row.model,
        row.runtime,
        row.precision,
        f"{row.params:,}",
        f"{row.num_bytes:,}",
        _count(row.macs),
        _count(row.flops),
        f"{middle:.{digits}f} [{low:.{digits}f}–{high:.{digits}f}]",
    ]


def _ratio_cells(ratios: Ratios | None) -> list[str]:
    if ratios is None:
        return [_NONE] * len(_RATIO_HEADER)
    values = (ratios.params, ratios.num_bytes, ratios.macs, ratios.latency)
    return [_NONE if value is None else f"{value:.2f}×" for value in values]


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
