"""The page of a benchmark: as a browser has it, with names that are made to break out of it."""

import json

import chromium
import pytest
import torch

from edgesqueeze.errors import OutputError, RecipeError
from edgesqueeze.formats.onnx.writing.emit import emit_onnx
from edgesqueeze.measure.bench.bench import change_suite, run_bench
from edgesqueeze.measure.bench.saved import read_bench
from edgesqueeze.measure.bench.suite import Suite
from edgesqueeze.models import built_in_model
from edgesqueeze.network.reading.torch.build import build_graph
from edgesqueeze.page.write import bench_page_of, write_bench_page

NAME = "<img src=x onerror='window.PWN=1'>.onnx"


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Two processes of a hostile file and of a built-in model in fp32 and int8."""
    folder = tmp_path_factory.mktemp("bench")
    path = folder / NAME
    graph = build_graph(built_in_model("lenet300_100").build(), torch.zeros(1, 1, 28, 28))
    path.write_bytes(emit_onnx(graph, None))
    published = {"lenet300_100": {"params": "266K", "gmacs": "0.5", "source": "Han et al. <b>2016</b>"}}
    suite = change_suite(
        Suite(version=1, name="t", models=(str(path), "lenet300_100"), baseline="lenet300_100"),
        {"runtimes": ["onnxruntime"], "precisions": ["fp32", "int8"], "published": published}
        | {"processes": 2, "rounds": 2, "samples": 1},
    )
    with pytest.MonkeyPatch.context() as patch:  # whatever else this machine does meanwhile
        patch.setattr("edgesqueeze.measure.bench.bench.doubts", lambda *_: ())
        return run_bench(suite, folder / "out")


def test_a_saved_benchmark_is_the_report_it_was(report, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report.to_json()))
    assert read_bench(path).to_json() == read_bench(tmp_path).to_json() == report.to_json()
    assert bench_page_of(read_bench(path)) == bench_page_of(report)


@pytest.mark.parametrize("text", ["[]", "{}", '{"rows": 3}', "nothing"])
def test_what_is_no_benchmark_is_refused(text, tmp_path):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(
        RecipeError, match=r"report\.json is not a report that this version of .* has written"
    ):
        read_bench(path)


def test_a_page_has_the_name_of_one(report, tmp_path):
    with pytest.raises(
        OutputError, match=r"page\.txt is not the name of a page; it must end in \.html or \.htm"
    ):
        write_bench_page(report, tmp_path / "page.txt")
    assert not (tmp_path / "page.txt").exists()


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    if chromium.found() is None:
        pytest.skip("there is no Chromium on this machine")
    with chromium.browser(tmp_path_factory.mktemp("chromium")) as new_tab:
        yield new_tab


@pytest.fixture(scope="module")
def page(report, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    write_bench_page(report, path)
    return path


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_a_browser_asks_for_nothing_and_every_time_has_its_dot(tab, report, page, width, theme):
    there = tab()
    there.open(page, width, theme)
    assert there.requests == [page.as_uri()]
    assert there.complaints == []
    assert there.evaluate("'PWN' in window || document.querySelectorAll('img').length > 0") is False
    assert there.evaluate("document.documentElement.scrollWidth") <= width
    for mark in ("circle.mark", "line.interval"):
        assert there.evaluate(f"document.querySelectorAll('#b-speed {mark}').length") == 3
    names = "[...document.querySelectorAll('#b-times tbody th')].map(h => h.textContent)"
    assert there.evaluate(names) == [row.title for row in report.rows]
    assert there.evaluate("document.querySelectorAll('#b-times rect.box').length") == 3
    ticks = sum(len(row.processes) for row in report.rows)
    assert there.evaluate("document.querySelectorAll('#b-times rect.median').length") == ticks + 3
    assert there.evaluate("document.querySelectorAll('#b-files tbody tr').length") == 3
    drawn = "[...document.querySelectorAll('.chart')].filter(c => c.getBBox().height > 20).length"
    assert there.evaluate(drawn) == there.evaluate("document.querySelectorAll('.chart').length") == 1
    assert "NO" in there.evaluate("document.querySelector('#b-published').textContent")
    there.evaluate("document.querySelector('#b-speed .chart').focus()")
    there.press("ArrowRight")
    assert "as fast" in there.evaluate("document.getElementById('tip').textContent")
    saved = there.evaluate("JSON.parse(document.getElementById('data').textContent).bench.rows.length")
    assert saved == 3
    ground = there.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(244, 245, 247)", "dark": "rgb(16, 19, 24)"}[theme]


def test_the_times_are_sorted_and_paper_has_everything(tab, report, page):
    there = tab()
    there.open(page)
    medians = (
        "[...document.querySelector('#b-times table').tBodies[0].rows].map(r => +r.cells[2].dataset.key)"
    )
    times = sorted(row.latency.median_s for row in report.rows)
    for expected in (times, times[::-1]):
        there.evaluate("document.querySelectorAll('#b-times th button')[2].click()")
        assert there.evaluate(medians) == expected
    there.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert there.evaluate("document.querySelectorAll('details:not([open])').length") == 0


@pytest.mark.slow
@pytest.mark.skipif(chromium.axe() is None, reason="axe-core-python is not installed")
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_nothing_keeps_people_from_reading_it(tab, page, width, theme):
    there = tab()
    there.open(page, width, theme)
    assert there.broken_rules() == []
    assert there.complaints == []
