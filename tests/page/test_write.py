"""The page as a file: everything is in it, nothing in it can get out of its place."""

import base64
import hashlib
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hostile_run import HOSTILE
from pages import ROOT

from edgesqueeze.errors import CodecError, OutputError
from edgesqueeze.measure.bench.saved import read_bench
from edgesqueeze.page.facts import read_runs
from edgesqueeze.page.write import bench_page_of, page_of, write_page

REPORTS = [
    path.parent
    for path in sorted((ROOT / "bench" / "results").glob("*/*/report.json"))
    if "test_examples" in json.loads(path.read_text())
]
EXPONENT = re.compile(r"\de\+\d")
VOID = {"meta", "line", "rect", "circle", "path"}


class Reader(HTMLParser):
    """Elements with their attributes and text, and the text of cells by the caption of their table."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.tables, self._open, self._texts = [], {}, [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "tr":
            self._row = []
        if tag in ("th", "td", "caption", "script", "style"):
            self._texts = []
        if tag in VOID and tag == "meta":
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag
        text = "".join(self._texts)
        if tag == "caption":
            self._table = self.tables.setdefault(text, [])
        elif tag in ("th", "td"):
            self._row.append(text)
        elif tag == "tr":
            self._table.append(self._row)
        elif tag in ("script", "style"):
            self.elements.append((f"text of {tag}", text))

    def handle_data(self, data):
        self._texts.append(data)

    def of(self, tag):
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def page(facts):
    return page_of([facts])


@pytest.fixture(scope="module")
def read(page):
    return Reader(page)


def test_names_stay_text_wherever_they_stand(page, read):
    tags = {tag for tag, _ in read.elements}
    assert not tags & {
        "img",
        "iframe",
        "object",
        "embed",
        "link",
        "base",
        "form",
        "image",
        "foreignobject",
        "b",
    }
    attributes = {name for _, attrs in read.elements if isinstance(attrs, dict) for name in attrs}
    assert not {name for name in attributes if name.startswith("on") or name in ("style", "src", "srcdoc")}
    assert all(attrs["href"].startswith("#") for attrs in read.of("a"))
    assert page.count("<script") == 2
    assert "<!--" not in page
    assert "\u202e" not in page  # which turns around what stands behind it
    shown = {text for rows in read.tables.values() for row in rows for text in row}
    assert {*HOSTILE[:4], "\\u202egpj"} <= shown


def test_only_the_pages_own_script_and_style_are_allowed(page, read):
    policy = next(attrs["content"] for attrs in read.of("meta") if "http-equiv" in attrs)
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind, directive in (("style", "style-src"), ("script", "script-src")):
        text = read.of(f"text of {kind}")[-1]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not re.search(r"https?:|url\(|@import", page)


def test_the_data_are_whole(facts, page, read):
    data = json.loads(read.of("text of script")[0])
    run = data["runs"][0]
    assert [row["label"] for row in run["report"]["rows"]] == [row.label for row in facts.report.rows]
    assert run["report"]["rows"][0]["metrics"] == facts.report.rows[0].metrics
    assert run["report"]["classes"] == [*HOSTILE, "5", "6", "7", "8", "9"]
    assert [node["name"] for node in run["network"]["nodes"]][1:3] == list(HOSTILE[:2])
    confusion = facts.report.rows[-1].details["confusion"]
    cells = run["report"]["details"][-1]["confusion"]
    assert sum(count for _, _, count in cells) == sum(map(sum, confusion)) == 100
    assert all(confusion[target][answer] == count for target, answer, count in cells)
    assert len(page) < 300_000


def test_every_row_layer_node_and_class_has_its_line(facts, read):
    rows = facts.report.rows
    labels = [
        f"{i} {row.label}{' (simulated)' if row.simulated else ''}" for i, row in enumerate(rows, start=1)
    ]
    assert [line[0] for line in read.tables["Rows of the run"][1:]] == labels
    assert [line[0] for line in read.tables["Nodes of the network"][1:]] == [
        n.name for n in facts.network.nodes
    ]
    layers = read.tables["Layers"][1:]
    assert [line[0] for line in layers] == [layer.counts.name for layer in facts.network.layers]
    classes = {line[0] for line in read.tables["Classes, the worst first"][1:]}
    assert classes == {*HOSTILE[:4], "\\u202egpj", "5", "6", "7", "8", "9"}
    sized = [row for row in rows if row.num_bytes is not None]
    assert [line[0].split(" ", 1)[1] for line in read.tables["Sizes"][1:]] == [row.label for row in sized]


def test_the_bytes_of_every_file_are_accounted_for(facts, read):
    for parts in facts.files.values():
        assert sum(parts.parts.values()) == parts.num_bytes
    assert {"small", "codebook", "bias", "structure"} <= facts.files["artifacts/model.sqz"].parts.keys()
    line = next(row for row in read.tables["Bytes by what they are"] if row[0] == "artifacts/model.sqz")
    numbers = [int(cell.replace(",", "")) for cell in line[1:] if cell != "–"]
    assert sum(numbers[:-1]) == numbers[-1] == (facts.files["artifacts/model.sqz"].num_bytes)


def test_numbers_that_are_none_are_null(facts):
    row = replace(facts.report.rows[0], metrics={"accuracy": float("nan")})
    report = replace(facts.report, rows=(row, *facts.report.rows[1:]))
    read = Reader(page_of([replace(facts, report=report)]))
    assert json.loads(read.of("text of script")[0])["runs"][0]["report"]["rows"][0]["metrics"] == {
        "accuracy": None
    }


def test_several_runs_stand_beside_each_other_and_keep_their_names(run, facts, tmp_path):
    other = shutil.copytree(run, tmp_path / "other")
    both = read_runs([run, other])
    assert [one.name for one in both] == [f"hostile ({run})", f"hostile ({other})"]
    read = Reader(page_of(both))
    assert len(read.tables["Rows of all runs"]) == 1 + 2 * len(facts.report.rows)
    names = [attrs["id"] for _, attrs in read.elements if isinstance(attrs, dict) and "id" in attrs]
    assert len(names) == len(set(names))
    with pytest.raises(OutputError, match="say with -o where it goes"):
        write_page([run, other])


def test_a_report_alone_makes_a_page_that_says_what_is_gone(run, tmp_path):
    shutil.copy(run / "report.json", tmp_path)
    page = write_page([tmp_path])
    assert page == tmp_path / "report.html"
    read = Reader(page.read_text())
    assert "Nodes of the network" not in read.tables
    assert len(read.tables["Layers"]) == 4
    assert "artifacts/model.sqz: gone, or another file than the one that was measured." in page.read_text()


@pytest.mark.parametrize("path", REPORTS, ids=lambda path: "/".join(path.parts[-2:]))
def test_every_kind_of_task_and_every_earlier_report_has_a_page(path):
    (found,) = read_runs([path])
    page = page_of([found])
    assert not EXPONENT.search(page.partition("<script")[0])
    read = Reader(page)
    assert len(read.tables["Rows of the run"]) == 1 + len(found.report.rows)
    assert json.loads(read.of("text of script")[0])["runs"][0]["report"]["baseline"] == found.report.baseline


def test_a_benchmark_with_very_different_networks_has_no_exponents():
    page = bench_page_of(read_bench(ROOT / "bench" / "results" / "references")).partition("<script")[0]
    assert not EXPONENT.search(page)
    assert re.search(r"\d,\d{3}×", page)
    assert not re.search(r"\d{4}(\.\d+)?×", page)


def test_what_makes_no_page_is_refused_and_nothing_is_written(run, tmp_path):
    with pytest.raises(OutputError, match="holds no report.json"):
        write_page([tmp_path])
    with pytest.raises(OutputError, match=r"must end in \.html or \.htm"):
        write_page([run], tmp_path / "report.json")
    broken = shutil.copytree(run, tmp_path / "broken")
    file = broken / "artifacts" / "model.sqz"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(CodecError, match=r"model\.sqz"):
        write_page([broken])
    assert not list(Path(broken).glob("*.html"))
