"""Planted slowdowns: files that differ by what they are said to, and how tries are told."""

from dataclasses import replace

import pytest

from bench.planted_slowdown import LAYERS, PLANTED, Told, chain, summary
from edgesqueeze.measure.bench.counts import Counts
from edgesqueeze.measure.bench.row import BenchRow, Ratios
from edgesqueeze.network.graph.counts import count_graph
from edgesqueeze.numerics.time_ratios import Verdict

COUNTS = Counts("fp32", 1, 1, 1, 1, 1, 1, 4, "", 1)


def row(ratio, verdict):
    """A row that takes ``ratio`` times as long as its baseline, give or take a hundredth."""
    ends = (None, None, None) if ratio is None else (1 / ratio, 1 / (ratio + 0.01), 1 / (ratio - 0.01))
    return BenchRow("m", "m", "r 1", 1, 1, COUNTS, ratios=Ratios(1.0, 1.0, 1.0, *ends, verdict))


def test_a_layer_more_is_a_hundredth_of_the_work():
    counts = {name: count_graph(chain(LAYERS + more)).macs for name, more in PLANTED.items()}
    assert counts["1 % slower"] / counts["equal"] == 1.01
    assert counts["10 % slower"] / counts["equal"] == 1.1


def test_what_a_row_says_is_turned_round():
    told = Told.of("10 % slower", row(1.1, Verdict.WORSE), disturbed=False)
    assert (told.ratio, told.low, told.high) == pytest.approx((1.1, 1.09, 1.11))
    assert told.verdict == "worse"
    assert Told.of("equal", row(None, Verdict.UNKNOWN), disturbed=True).ratio is None


def test_the_table_counts_verdicts():
    worse = Told("10 % slower", False, "worse", 1.1, 1.09, 1.11, ())
    told = [
        worse,
        replace(worse, ratio=1.12),
        replace(worse, disturbed=True, verdict="cannot tell", ratio=None),
    ]
    lines = {line.split("|")[1].strip(): line.split("|")[2:-1] for line in summary(told).splitlines()}
    assert [cell.strip() for cell in lines["planted"]][:4] == list(Verdict)
    assert [cell.strip() for cell in lines["10 % slower"]] == ["0", "0", "2", "0", "0", "1.110"]
    assert [cell.strip() for cell in lines["10 % slower, disturbed"]] == ["0", "0", "0", "1", "1", "?"]
