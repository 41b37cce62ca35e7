"""The benchmark: a run with real files in the real runtimes."""

import gzip
import json
import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edgesqueeze.bundled import bundled_folder
from edgesqueeze.errors import ExportError, OutputError
from edgesqueeze.formats.any_file import read_model_file
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.measure.bench import counts
from edgesqueeze.measure.bench.bench import BenchReport, change_suite, load_suite, run_bench
from edgesqueeze.measure.bench.candidates import candidates_of
from edgesqueeze.measure.bench.counts import count_file, network_params
from edgesqueeze.measure.bench.random_network import RandomNetwork
from edgesqueeze.measure.bench.row import PublishedCheck
from edgesqueeze.measure.bench.suite import Suite
from edgesqueeze.measure.runtimes.host import host_facts
from edgesqueeze.measure.runtimes.runtime import RuntimeName
from edgesqueeze.models import built_in_model
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.numerics.time_ratios import Verdict, paired_ratio, process_logs

REFERENCES = bundled_folder("bench") / "references.yaml"


def suite_of(**changes):
    """A quick suite; the baseline is a small model, so that no 244 MB are written."""
    quick = {"models": ["lenet5"], "baseline": "lenet300_100", "processes": 1, "rounds": 1, "samples": 1}
    return change_suite(Suite(version=1, name="t", models=("lenet5",)), {**quick, **changes})


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    directory = tmp_path_factory.mktemp("bench")
    published = {
        "lenet5": {"params": "431K", "gmacs": "0.002", "source": "Han et al. 2016"},
        "lenet300_100": {"params": "266,611", "source": "a wrong figure"},
    }
    with pytest.MonkeyPatch.context() as patch:  # whatever else this machine does meanwhile
        patch.setattr("edgesqueeze.measure.bench.bench.doubts", lambda *_: ())
        return run_bench(suite_of(published=published, processes=2, rounds=2), directory), directory


# -- a run ---------------------------------------------------------------------------------------------


def test_every_model_and_runtime_has_a_row_and_the_baseline_comes_last(report):
    rows = report[0].rows
    assert [row.model for row in rows] == ["lenet5", "lenet5", "lenet300_100", "lenet300_100"]
    assert [row.runtime.split()[0] for row in rows] == ["onnxruntime", "ai-edge-litert"] * 2
    assert [row.path for row in rows[:2]] == ["lenet5/model.onnx", "lenet5/model.tflite"]


def test_figures_come_from_the_files(report):
    rows, directory = report[0].rows, report[1]
    paths = {row.counts.sha256: row.path for row in rows}
    for row in (row.counts for row in rows):
        path = directory / paths[row.sha256]
        facts = read_model_file(path)
        assert row.num_bytes == path.stat().st_size
        assert (row.params, row.macs, row.precision) == (facts.params, facts.macs, "fp32")
        assert (row.flops, row.effective_flops) == (2 * row.macs, 2 * row.effective_macs)
        assert row.weight_bytes == 4 * row.params
        assert row.gzip_bytes == len(gzip.compress(path.read_bytes(), 6))
    for row in rows:
        assert 0 < row.latency.p25_s <= row.latency.median_s <= row.latency.p75_s
        assert (row.latency.samples, len(row.processes), row.threads, row.batch) == (4, 2, 1, 1)
        assert min(row.load_s, row.first_s, row.peak_bytes, row.inputs_per_s) > 0
    assert not list(directory.rglob(".*"))


def test_ratios_divide_the_baseline_of_the_same_runtime(report):
    by_path = {row.path: row for row in report[0].rows}
    for suffix in ("onnx", "tflite"):
        row, baseline = by_path[f"lenet5/model.{suffix}"], by_path[f"lenet300_100/model.{suffix}"]
        assert row.ratios.params == 266_610 / 431_080
        assert row.ratios.num_bytes == baseline.counts.num_bytes / row.counts.num_bytes
        assert row.ratios.macs == 266_200 / 2_293_000
        ours, theirs = (np.array([p.rounds_s for p in one.processes]) for one in (row, baseline))
        found = paired_ratio(process_logs(ours, theirs))
        assert row.ratios.latency == 1 / found.ratio
        assert (row.ratios.latency_low, row.ratios.latency_high) == (1 / found.high, 1 / found.low)
        assert row.ratios.verdict is found.verdict
        assert baseline.ratios.params == baseline.ratios.latency == 1
        assert baseline.ratios.verdict is Verdict.SAME


def test_published_figures_stand_beside_ours(report):
    checks = {row.model: row.published for row in report[0].rows}
    assert checks["lenet5"].params_agree is True
    assert checks["lenet5"].gmacs_agree is True
    assert checks["lenet300_100"].params_agree is False
    assert checks["lenet300_100"].gmacs_agree is None


@pytest.mark.parametrize("tablefmt", ["simple", "github"])
def test_table(report, tablefmt):
    text = report[0].table(tablefmt)
    assert "431,080" in text
    assert "2,293,000" in text
    assert ", batch 1, 1 thread, fp32. FLOPs" in " ".join(text.split())
    assert "4,586,000" in text
    assert "smaller or faster than lenet300_100" in text
    assert "NO" in text
    assert host_facts().cpu_model in text
    assert ("| lenet5" in text) == (tablefmt == "github")
    widths = {len(line) for line in text.split("\n\n")[0].splitlines()}
    assert len(widths) == 1


def test_json(report):
    data = json.loads(json.dumps(report[0].to_json()))
    assert data["suite"]["models"] == ["lenet5"]
    assert data["host"]["cores"] >= 1
    assert data["host"]["versions"]["onnxruntime"]
    row = data["rows"][0]
    assert (row["params"], row["macs"], row["flops"]) == (431_080, 2_293_000, 4_586_000)
    assert set(row["latency"]) >= {"median_s", "p25_s", "p75_s", "samples", "threads", "batch_size"}


def test_the_same_suite_writes_the_same_bytes_and_leaves_the_random_state_alone(report, tmp_path):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    run_bench(suite_of(baseline=None), tmp_path)
    assert torch.equal(torch.get_rng_state(), before)
    for suffix in ("onnx", "tflite"):
        first = (report[1] / f"lenet5/model.{suffix}").read_bytes()
        assert (tmp_path / f"lenet5/model.{suffix}").read_bytes() == first


def test_progress_is_logged(tmp_path, caplog, capsys):
    with caplog.at_level(logging.INFO, logger="edgesqueeze.bench"):
        run_bench(suite_of(baseline=None, runtimes=["litert"]), tmp_path)
    messages = [r.message for r in caplog.records if r.name == "edgesqueeze.bench"]
    assert messages[0] == "building lenet5"
    assert any("timing 1 files in litert" in message for message in messages)
    assert capsys.readouterr().out == ""


# -- the user's files ----------------------------------------------------------------------------------


class Tiny(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(x).mean((2, 3))


@pytest.fixture
def user_file(tmp_path):
    path = tmp_path / "mine.onnx"
    path.write_bytes(emit_onnx(build_graph(Tiny(), torch.zeros(1, 3, 8, 8)), None))
    return path


def test_a_file_is_measured_as_it_is_beside_the_baseline_of_its_runtime(user_file, tmp_path):
    before = user_file.read_bytes()
    rows = run_bench(suite_of(models=[str(user_file)]), tmp_path / "out").rows
    assert [row.model for row in rows] == [str(user_file), "lenet300_100"]
    assert (rows[0].counts.params, rows[0].counts.macs) == (112, 108 * 36)
    assert rows[0].ratios.params == 266_610 / 112
    assert user_file.read_bytes() == before
    assert not list(tmp_path.rglob("*.tflite"))  # no runtime was asked to run one


@pytest.mark.slow
def test_every_setting_has_a_row_and_what_a_file_does_not_take_says_so(user_file, tmp_path):
    suite = suite_of(models=[str(user_file)], baseline="lenet300_100", batch=[1, 2], threads=[1, 2])
    rows = run_bench(suite, tmp_path).rows
    assert [(row.threads, row.batch) for row in rows] == [(1, 1), (1, 2), (2, 1), (2, 2)] * 2
    for row in rows:
        assert bool(row.processes) is (row.model == "lenet300_100" or row.batch == 1)
    assert {row.runtime for row in rows} == {rows[0].runtime}
    assert rows[1].latency is None
    assert rows[1].doubts == (f"latency: {user_file} takes 1 input at once, not 2",)
    assert rows[5].path == "lenet300_100/model_batch2.onnx"
    assert rows[4].counts.macs == rows[5].counts.macs
    report = BenchReport(suite, host_facts(), rows)
    shown = report.brief()
    assert "in onnxruntime (2 threads, 2 inputs): latency: " in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.slow
def test_torch_is_a_runtime_of_built_in_models(user_file, tmp_path):
    suite = suite_of(models=["lenet300_100"], baseline=None, runtimes=["torch"], processes=1)
    (row,) = run_bench(suite, tmp_path).rows
    assert row.path == "lenet300_100/model.safetensors"
    assert row.counts.num_bytes == (tmp_path / row.path).stat().st_size
    assert row.processes[0].runtime.startswith("torch ")
    assert len(row.processes[0].rounds_s) == 1


def test_built_in_models_are_written_in_int8_too_where_a_runtime_has_it(tmp_path):
    suite = suite_of(models=["lenet300_100"], runtimes=list(RuntimeName), precisions=["fp32", "int8"])
    found = candidates_of(suite, tmp_path)
    names = ["model.onnx", "model_int8.onnx", "model.tflite", "model_int8.tflite", "model.safetensors"]
    assert sorted(candidate.label for candidate in found) == sorted(f"lenet300_100/{n}" for n in names)
    assert [c.precision for c in found if c.setting.runtime is RuntimeName.TORCH] == ["fp32"]
    for candidate in found:
        counts_of = count_file(candidate.path, candidate.model).counts
        assert counts_of.precision == candidate.precision
        assert (counts_of.weight_bytes < 1.1 * counts_of.params) == (candidate.precision == "int8")
    assert change_suite(suite, {"precisions": ["int8"]}).precisions == ("int8",)


@pytest.mark.slow
def test_published_figures_are_those_of_a_network_whose_batch_norm_files_have_folded(tmp_path):
    name = "mobilenet_v3_small"
    published = {name: {"params": "2,542,856", "gmacs": "0.057", "source": "torchvision"}}
    changes = {"runtimes": ["onnxruntime", "torch"], "precisions": ["fp32", "int8"], "published": published}
    report = run_bench(suite_of(models=[name], **changes), tmp_path)
    found = [row for row in report.rows if row.model == name]
    assert [row.title for row in found] == [name, f"{name} int8", name]
    assert all(row.processes for row in report.rows)
    assert all(row.published.params_agree and row.published.gmacs_agree for row in found)
    assert found[0].counts.params < found[0].published.our_params == found[-1].counts.params
    for row in found:
        baseline = next(r for r in report.rows if r.title == "lenet300_100" and r.runtime == row.runtime)
        assert row.ratios.num_bytes == baseline.counts.num_bytes / row.counts.num_bytes


def test_random_networks_are_the_same_every_time_and_their_answers_are_numbers(tmp_path):
    paths = [tmp_path / name for name in ("one", "other")]
    for path in paths:
        RandomNetwork("mobilenet_v3_small").write_weights(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    model = built_in_model("mobilenet_v3_small").build().eval()
    model.load_state_dict(load_file(paths[0]))
    with torch.no_grad():
        y = model(torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(1)))
    assert 0.01 < float(y.abs().max()) < 100


def test_references_run_where_the_others_do_and_files_that_do_not_run_keep_a_row(user_file, tmp_path):
    suite = suite_of(models=[str(user_file), "a.sqz"], references=["lenet5"], baseline="lenet300_100")
    assert suite.all_models == (str(user_file), "a.sqz", "lenet5", "lenet300_100")
    assert suite.runtimes_of("a.sqz") == ()
    for name in ("lenet5", "lenet300_100", str(user_file)):
        assert suite.runtimes_of(name) == ("onnxruntime",)
    assert suite_of(models=["a.sqz"]).runtimes_of("lenet300_100") == ("onnxruntime", "litert")


def test_without_a_baseline_there_are_no_ratios(user_file, tmp_path):
    report = run_bench(suite_of(models=[str(user_file)], baseline=None), tmp_path / "out")
    assert report.rows[0].ratios is None
    assert "params ×" not in report.table("simple")


def test_a_missing_or_broken_file_is_refused(user_file, tmp_path):
    missing = tmp_path / "missing.tflite"
    with pytest.raises(ExportError, match=r"missing\.tflite: there is no such file"):
        run_bench(suite_of(models=[str(missing)], baseline=None), tmp_path / "out")
    user_file.write_bytes(user_file.read_bytes()[:-40])
    with pytest.raises(ExportError, match=r"mine\.onnx is not a readable ONNX model"):
        run_bench(suite_of(models=[str(user_file)], baseline=None), tmp_path / "out")


def test_a_named_file_is_never_overwritten(user_file, tmp_path):
    mine = tmp_path / "lenet5" / "model.onnx"
    mine.parent.mkdir()
    mine.write_bytes(user_file.read_bytes())
    with pytest.raises(OutputError, match="would be overwritten"):
        run_bench(suite_of(models=["lenet5", str(mine)], baseline=None), tmp_path)
    assert mine.read_bytes() == user_file.read_bytes()


def test_an_unwritable_directory_is_refused(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(OutputError, match=r"cannot create directory .*lenet5"):
        run_bench(suite_of(baseline=None), tmp_path / "file")


@pytest.mark.slow
def test_the_references_agree_with_their_published_figures(tmp_path, monkeypatch):
    monkeypatch.setattr(counts, "_gzipped", lambda path: None)  # of AlexNet's files it takes most of the time
    suite = load_suite(REFERENCES)
    found = candidates_of(suite, tmp_path)
    assert len(found) == 8 * 5
    for one in found:
        counted = count_file(one.path, one.model).counts
        check = PublishedCheck.of(suite.published[one.model], counted, network_params(one.model))
        assert check.params_agree
        assert check.gmacs_agree in (True, None if "lenet" in one.model else True)


def test_a_terminal_shows_a_benchmark_in_a_hundred_columns(report):
    rows = report[0].rows
    text = report[0].brief()
    assert max(map(len, text.splitlines())) <= 100
    assert text.split()[:10] == [
        "model",
        "runtime",
        "MACs",
        "bytes",
        "ms",
        "bytes",
        "×",
        "latency",
        "×",
        "verdict",
    ]
    assert "2.29 M" in text
    assert f"{rows[0].counts.num_bytes:,}" in text
    assert "smaller or faster than lenet300_100" in text
    wrong = sum(False in (r.published.params_agree, r.published.gmacs_agree) for r in rows)
    assert f"Published figures: {wrong} of {len(rows)} files disagree" in " ".join(text.split())
    assert "published" not in replace(report[0], rows=tuple(replace(r, published=None) for r in rows)).brief()
    long = replace(report[0], rows=(replace(rows[0], model="out/" * 40 + "model_int8.onnx"),))
    assert max(map(len, long.brief().splitlines())) <= 100
    assert "int8.onnx" in long.brief()


def brief_rows(report, *changes):
    """Header and body of the brief table of a row that was changed so often."""
    row = report.rows[0]
    counts = [replace(row.counts, precision=change.pop("precision", "fp32")) for change in changes]
    rows = [replace(row, counts=found, **change) for found, change in zip(counts, changes, strict=True)]
    header, _, *body = replace(report, rows=tuple(rows)).brief().partition("\n\n")[0].splitlines()
    return header.split(), body


def test_rows_of_one_network_are_told_apart_by_columns_of_their_own(report):
    name = "mobilenet_v3_small"
    header, body = brief_rows(report[0], {"model": name}, {"model": name, "precision": "int8_weights"})
    assert header[:4] == ["model", "type", "MACs", "bytes"]
    assert [line.split()[:2] for line in body] == [[name, "fp32"], [name, "int8_weights"]]
    header, body = brief_rows(report[0], {"threads": 1}, {"threads": 2}, {"threads": 2, "runtime": "torch 2"})
    assert header[:4] == ["model", "runtime", "t", "MACs"]
    assert [line.split()[1:3] for line in body] == [
        ["onnxruntime", "1"],
        ["onnxruntime", "2"],
        ["torch", "2"],
    ]


def test_columns_give_way_to_names_and_names_that_look_alike_are_numbered(report):
    names = [f"runs/of/monday/with/a/long/name/{part}/artifacts/model.onnx" for part in "ab"]
    header, body = brief_rows(report[0], *({"model": name} for name in names))
    assert "MACs" in header
    assert [line.split()[0] for line in body] == ["…/a/artifacts/model.onnx", "…/b/artifacts/model.onnx"]
    names = [f"{part}/{'model' * 9}.onnx" for part in "ab"]
    header, body = brief_rows(report[0], *({"model": name} for name in names))
    assert "MACs" not in header
    assert [line.split()[0] for line in body] == names
    longer = [f"{'x' * 60}{part}{'y' * 60}" for part in "ab"]
    text = replace(report[0], rows=tuple(replace(report[0].rows[0], model=name) for name in longer)).brief()
    assert [line.split()[1] for line in text.splitlines()[2:4]] == ["[1]", "[2]"]
    assert all(f"[{i}] {name}" in text.replace("\n", "") for i, name in enumerate(longer, 1))
    assert max(map(len, text.splitlines())) <= 100
