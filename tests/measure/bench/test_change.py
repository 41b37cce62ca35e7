"""Two saved reports compared: verdicts, and every reason why there is none."""

import json

import numpy as np
import pytest

from edgesqueeze.errors import RecipeError
from edgesqueeze.measure.bench.change import compare_saved, read_saved
from edgesqueeze.numerics.time_ratios import Verdict


def row(model, second, **changes):
    """Seven processes of four rounds, each a little apart."""
    source = np.random.default_rng(3)
    rounds = second * np.exp(source.normal(0, 0.003, (7, 4)))
    fields = {
        "model": model,
        "path": model,
        "precision": "fp32",
        "runtime": "onnxruntime 1.31.1",
        "threads": 1,
        "batch": 1,
        "sha256": f"of {model}",
        "num_bytes": 1000,
        "latency": {"median_s": second, "samples": 28},
        "doubts": [],
        "processes": [{"rounds_s": list(times), "load_s": 1.0} for times in rounds],
    }
    return {**fields, **changes}


def saved(path, rows, baseline="base", host=None):
    data = {"suite": {"baseline": baseline}, "host": host or {"cpu_model": "A", "cores": 2}, "rows": rows}
    path.write_text(json.dumps(data))
    return read_saved(path)


def compared(tmp_path, old, new):
    """The verdict on one row, and its reason; ``old`` and ``new`` are rows or arguments of ``saved``."""
    found = [
        saved(tmp_path / name, **(given if isinstance(given, dict) and "rows" in given else {"rows": given}))
        for name, given in (("old.json", old), ("new.json", new))
    ]
    return compare_saved(*found)


BASE = row("base", 0.02)


@pytest.mark.parametrize(
    ("now", "verdict"),
    [(0.0112, Verdict.WORSE), (0.0101, Verdict.SAME), (0.008, Verdict.BETTER)],
)
def test_a_row_is_judged_by_its_ratio_to_the_baseline(now, verdict, tmp_path):
    """The machine is half as fast now, which is nobody's fault."""
    new = [row("mine", 2 * now), row("base", 0.04)]
    found = compared(tmp_path, [row("mine", 0.01), BASE], new)
    mine, base = found.rows
    assert mine.verdict is verdict
    assert mine.ratio.ratio == pytest.approx(now / 0.01)
    assert found.is_worse is (verdict is Verdict.WORSE)
    assert base.verdict is Verdict.UNKNOWN
    assert base.reason == "is the baseline that the others are compared through"
    text = found.text()
    assert str(verdict) in text
    assert max(map(len, text.splitlines())) <= 100
    data = json.loads(json.dumps(found.to_json()))
    assert data["rows"][0]["verdict"] == verdict


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ([row("mine", 0.01)], [row("mine", 0.02), BASE], "a report has no baseline in this setting"),
        (
            [row("mine", 0.01), BASE],
            [row("mine", 0.02), {**BASE, "sha256": "other"}],
            "base, the baseline, is another file now",
        ),
        (
            [row("mine", 0.01, runtime="onnxruntime 1.30"), BASE],
            [row("mine", 0.02), BASE],
            "onnxruntime 1.30 is onnxruntime 1.31.1 now, and the baseline ran in it too",
        ),
        (
            [row("mine", 0.01, latency=None), BASE],
            [row("mine", 0.02), BASE],
            "before, mine has no time that is worth a number",
        ),
        (
            [row("mine", 0.01), BASE],
            [row("mine", 0.02), {**BASE, "latency": None}],
            "now, base has no time that is worth a number",
        ),
        (
            {"rows": [row("mine", 0.01), BASE], "host": {"cpu_model": "B", "cores": 4}},
            [row("mine", 0.02), BASE],
            "measured on B with 4 cores, now on A with 2 cores",
        ),
        (
            {"rows": [row("mine", 0.01), BASE], "baseline": None},
            [row("mine", 0.02), BASE],
            "a report has no baseline in this setting",
        ),
    ],
)
def test_what_cannot_be_compared_says_why(old, new, reason, tmp_path):
    found = compared(tmp_path, old, new)
    mine = found.rows[0]
    assert (mine.verdict, mine.ratio, mine.reason) == (Verdict.UNKNOWN, None, reason)
    assert reason in " ".join(found.text().split())
    assert not found.is_worse


def test_a_built_in_model_has_a_row_for_each_precision(tmp_path):
    """Both divide the same baseline, the one in float32."""
    files = [BASE | {"path": "base/model.onnx"}]
    files += [row("base", 0.01, path="base/model_int8.onnx", precision="int8", sha256="8")]
    files += [row("mine", 0.02, path="mine/model.onnx")]
    files += [row("mine", 0.01, path="mine/model_int8.onnx", precision="int8")]
    slower = [*files[:3], row("mine", 0.012, path="mine/model_int8.onnx", precision="int8")]
    found = compared(tmp_path, files, slower).rows
    assert [one.model for one in found] == ["base", "base int8", "mine", "mine int8"]
    assert [one.verdict for one in found] == [Verdict.UNKNOWN, Verdict.SAME, Verdict.SAME, Verdict.WORSE]
    assert "is the baseline" in found[0].reason


def test_one_process_says_nothing_of_the_next(tmp_path):
    alone = [{**one, "processes": one["processes"][:1]} for one in (row("mine", 0.02), BASE)]
    found = compared(tmp_path, [row("mine", 0.01), BASE], alone)
    assert found.rows[0].reason == "now, it was timed in one process, which says nothing of the next"


def test_rows_of_one_report_alone_are_named(tmp_path):
    found = compared(tmp_path, [row("gone", 0.01), BASE], [row("fresh", 0.01, threads=2), BASE])
    assert [one.model for one in found.rows] == ["base"]
    assert found.only_old == ("gone in onnxruntime, 1 thread(s), batch 1",)
    assert found.only_new == ("fresh in onnxruntime, 2 thread(s), batch 1",)
    assert "only in the old report: gone" in found.text()


@pytest.mark.parametrize("text", ["", "[]", '{"rows": []}', "{"])
def test_what_is_no_report_is_refused(text, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(RecipeError, match="is not a report that `edgesqueeze bench --save` has written"):
        read_saved(tmp_path)
    with pytest.raises(RecipeError, match="cannot be read"):
        read_saved(tmp_path / "missing.json")
