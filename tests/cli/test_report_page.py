"""``edgesqueeze report --html``: what it writes, and how it says no."""

import pytest
from pages import ROOT
from typer.testing import CliRunner

from edgesqueeze.cli.main import app
from edgesqueeze.errors import EdgeSqueezeError

RUN = str(ROOT / "bench" / "results" / "deep_compression" / "mnist_sample")


def report(*arguments):
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


def test_a_page_is_written_where_it_is_told(tmp_path):
    page = tmp_path / "page.html"
    done = report(RUN, RUN, "--html", "-o", page)
    assert done.exit_code == 0, done.exception
    assert done.output.replace("\n", "") == f"page: {page}"
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([RUN, "-o", "x.html"], "-o says where the page of --html or --card goes"),
        ([RUN, RUN], "found 2 runs; one is printed"),
        ([RUN, RUN, "--html"], "the page of 2 runs belongs to none of them"),
        ([RUN, RUN, "--card"], "found 2 runs; one is printed"),
        ([RUN, "--card", "--wide"], "--card is a form of its own"),
        ([RUN, "--card", "--html"], "--card is a form of its own"),
        ([RUN, "--card", "-o", "card.txt"], "must end in .md"),
        ([RUN, "--layer-times"], "--images and --layer-times are of the page of --html"),
        ([RUN, "--card", "--layer-times"], "--card is a form of its own"),
        ([RUN, "--html", "--layer-times", "-o", "page.html"], "holds no ONNX file that was measured"),
        ([RUN, "--html", "--layers"], "--html shows every column and layer"),
        ([RUN, "--html", "--wide"], "--html shows every column and layer"),
        ([RUN, "--html", "-o", "page.pdf"], "must end in .html or .htm"),
        ([RUN, "--html", "-o", "nowhere/page.html"], "cannot write"),
    ],
)
def test_what_cannot_be_honoured_is_refused(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    error = report(*arguments).exception
    assert isinstance(error, EdgeSqueezeError)
    assert sentence in str(error)
    assert not list(tmp_path.iterdir())


def test_a_card_is_printed_or_written_where_it_is_told(tmp_path):
    card = tmp_path / "README.md"
    printed = report(RUN, "--card")
    assert printed.exit_code == 0, printed.exception
    assert report(RUN, "--card", "-o", card).exit_code == 0
    assert card.read_text() == printed.output
    assert printed.output.startswith("---\nlibrary_name: edgesqueeze\n")


def test_a_run_that_has_not_finished_has_no_page(tmp_path):
    (tmp_path / "recipe.yaml").write_text("version: 1\n")
    error = report(tmp_path, "--html").exception
    assert "the run is not finished, continue it with --resume" in str(error)
    assert not (tmp_path / "report.html").exists()
