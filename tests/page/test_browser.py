"""The page in a browser: nothing goes out, nothing runs that is not its own, and what has a number has a mark."""

import chromium
import pytest

from edgesqueeze.page.write import write_page

pytestmark = pytest.mark.skipif(chromium.found() is None, reason="there is no Chromium on this machine")


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with chromium.browser(tmp_path_factory.mktemp("chromium")) as new_tab:
        yield new_tab


@pytest.fixture(scope="module")
def page(run, tmp_path_factory):
    return write_page([run], tmp_path_factory.mktemp("page") / "page.html")


def test_complaints_and_requests_are_seen_where_there_are_any(tab, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text(
        "<!doctype html><img src='http://127.0.0.1:9/x.png'><script>setTimeout(() => { throw 1 })</script>"
    )
    there = tab()
    there.open(bad)
    assert "http://127.0.0.1:9/x.png" in there.requests
    assert len(there.complaints) >= 2


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_the_page_asks_for_nothing_and_complains_of_nothing(tab, page, facts, width, theme):
    there = tab()
    there.open(page, width, theme)
    assert there.requests == [page.as_uri()]
    assert there.complaints == []
    assert there.evaluate("'PWN' in window || document.querySelectorAll('img').length > 0") is False
    assert there.evaluate("document.documentElement.scrollWidth") <= width
    files = [row for row in facts.report.rows if row.num_bytes is not None]
    assert there.evaluate("document.querySelectorAll('#r1-trade circle.mark').length") == len(files)
    assert there.evaluate("document.querySelectorAll('#r1-network circle').length") == len(
        facts.network.nodes
    )
    drawn = there.evaluate(
        "[...document.querySelectorAll('.chart')].filter(c => c.getBBox().height > 20).length"
    )
    assert drawn == there.evaluate("document.querySelectorAll('.chart').length") > 3
    assert there.evaluate("JSON.parse(document.getElementById('data').textContent).runs.length") == 1
    ground = there.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(244, 245, 247)", "dark": "rgb(16, 19, 24)"}[theme]


@pytest.mark.skipif(chromium.axe() is None, reason="axe-core-python is not installed")
def test_a_page_that_keeps_people_out_is_found(tab, tmp_path):
    bad = tmp_path / "bad.html"
    bad.write_text("<!doctype html><title>t</title><main><h1>h</h1><button></button></main>")
    there = tab()
    there.open(bad)
    assert any(rule.startswith("button-name, critical") for rule in there.broken_rules())


@pytest.mark.slow
@pytest.mark.skipif(chromium.axe() is None, reason="axe-core-python is not installed")
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_nothing_keeps_people_from_reading_it(tab, page, width, theme):
    there = tab()
    there.open(page, width, theme)
    assert there.broken_rules() == []
    assert there.complaints == []


def test_tables_are_sorted_charts_are_walked_through_and_paper_has_everything(tab, page, facts):
    there = tab()
    there.open(page)
    names = "[...document.querySelectorAll('#r1-size table')[0].tBodies[0].rows].map(r => +r.cells[1].dataset.key)"
    sizes = sorted(row.num_bytes for row in facts.report.rows if row.num_bytes is not None)
    for expected in (sizes, sizes[::-1]):
        there.evaluate("document.querySelectorAll('#r1-size th button')[1].click()")
        assert there.evaluate(names) == expected
    there.evaluate("document.querySelector('#r1-trade .chart').focus()")
    there.press("ArrowRight")
    assert there.evaluate("document.getElementById('tip').textContent").startswith("1 train")
    there.press("Escape")
    assert there.evaluate("document.getElementById('tip').hidden") is True
    folded = "document.querySelectorAll('details:not([open])').length"
    before = there.evaluate(folded)
    there.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert before > there.evaluate(folded) == 0
    there.evaluate("dispatchEvent(new Event('afterprint'))")
    assert there.evaluate(folded) == before
