"""``edgesqueeze bench`` as a person meets it: what it measures, what it prints, and what it ends with."""

import csv
import json
import os

import torch
from typer.testing import CliRunner

from edgesqueeze.cli.main import app
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.models import built_in_model
from edgesqueeze.network.reading.torch.build import build_graph


def test_bench_measures_models_and_files(tmp_path):
    torch.manual_seed(0)
    graph = build_graph(built_in_model("lenet5").build(), torch.zeros(1, 1, 28, 28))
    mine = tmp_path / "mine.onnx"
    mine.write_bytes(emit_onnx(graph, None))
    suite = tmp_path / "suite.yaml"
    suite.write_text(
        f"version: 1\nname: s\nmodels: [lenet300_100, {mine}]\nbaseline: lenet300_100\nprocesses: 1\nrounds: 2\n"
    )
    done = CliRunner().invoke(app, ["bench", "--suite", str(suite), "--output", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "266 k" in done.stdout
    assert "2.29 M" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100
    data = json.loads((tmp_path / "out" / "report.json").read_text())
    sizes = {row["model"]: row["num_bytes"] for row in data["rows"] if row["runtime"].startswith("onnx")}
    assert sizes[str(mine)] == os.path.getsize(mine)  # noqa: PTH202
    again = CliRunner().invoke(app, ["bench", "--compare", str(tmp_path / "out"), str(tmp_path / "out")])
    assert again.exit_code == 0, again.output
    assert "cannot tell" in again.stdout
    page = tmp_path / "pages" / "s.html"
    shown = CliRunner().invoke(app, ["bench", "--read", str(tmp_path / "out"), "--html", str(page)])
    assert shown.exit_code == 0, shown.output
    assert shown.stdout == done.stdout
    assert "2,293,000" in page.read_text()


def test_bench_takes_the_files_of_a_run_and_prints_any_form(squeezed, tmp_path):
    folder = tmp_path / "run" / "artifacts"
    folder.mkdir(parents=True)
    (folder / "model.sqz").write_bytes(squeezed.read_bytes())
    wanted = ["bench", str(tmp_path / "run"), "--against", "none", "--format", "csv"]
    done = CliRunner().invoke(app, [*wanted, "--save", str(tmp_path / "saved" / "table.json")])
    assert done.exit_code == 0, done.output
    (line,) = csv.DictReader(done.stdout.splitlines())
    (row,) = json.loads((tmp_path / "saved" / "table.json").read_text())["rows"]
    assert line["model"] == row["model"] == str(folder / "model.sqz")
    assert int(line["num_bytes"]) == row["num_bytes"] == squeezed.stat().st_size
    assert (row["runtime"], row["latency"], line["median_s"]) == (None, None, "")
    assert "decode" in line["doubts"]


def test_a_comparison_ends_with_1_where_something_is_worse(tmp_path):
    fields = {
        "runtime": "r 1",
        "threads": 1,
        "batch": 1,
        "num_bytes": 1,
        "latency": {"median_s": 1},
        "doubts": [],
    }
    for name, second in (("old", 1.0), ("new", 1.2)):
        rows = [
            {**fields, "model": model, "path": model, "sha256": model}
            | {"precision": "fp32", "processes": [{"rounds_s": [time] * 2}] * 7}
            for model, time in (("mine", second), ("base", 1.0))
        ]
        report = {"suite": {"baseline": "base"}, "host": {"cpu_model": "A", "cores": 2}, "rows": rows}
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    files = [str(tmp_path / "old.json"), str(tmp_path / "new.json")]
    assert CliRunner().invoke(app, ["bench", "--compare", *files]).exit_code == 1
    assert CliRunner().invoke(app, ["bench", "--compare", *reversed(files)]).exit_code == 0
    shown = CliRunner().invoke(app, ["bench", "--format", "json", "--compare", *files]).stdout
    assert json.loads(shown)["is_worse"] is True
