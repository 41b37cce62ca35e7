"""The documents are true: their code runs, their tables are the code's, and what they name is there."""

import re
from dataclasses import fields
from types import UnionType
from typing import Literal, get_args, get_origin

import pytest
import yaml
from pages import ROOT, blocks, make_reader, run_page
from pydantic_core import PydanticUndefined
from typer.main import get_command

from edgesqueeze.cli.main import app
from edgesqueeze.compression.stages.prune import Prune
from edgesqueeze.compression.stages.ptq import Ptq
from edgesqueeze.compression.stages.qat import Qat
from edgesqueeze.compression.stages.share import Share
from edgesqueeze.compression.stages.squeeze import Squeeze
from edgesqueeze.compression.stages.train import Train
from edgesqueeze.exports.onnx import OnnxExport
from edgesqueeze.exports.squeezed import SqueezedExport
from edgesqueeze.exports.tflite import TfliteExport
from edgesqueeze.measure.checks.check import Check, Finding
from edgesqueeze.measure.checks.layer_facts import LayerEvidence, StoredLayer
from edgesqueeze.measure.runtimes.latency import Latency
from edgesqueeze.numerics.proportions import Interval, PairedTest
from edgesqueeze.run.recipe import Recipe
from edgesqueeze.run.report import Report, Row
from edgesqueeze.task.task_config import IdxData, ImageFolderData, NamedData, TaskConfig
from edgesqueeze.task.training import TrainingSettings

DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(ROOT)) for path in DOCS.rglob("*.md"))
SECTIONS = {
    "Recipe": Recipe,
    "Task": TaskConfig,
    "Named, in another form": NamedData,
    "Image folder": ImageFolderData,
    "IDX files": IdxData,
    "Training": TrainingSettings,
    "train": Train,
    "prune": Prune,
    "share": Share,
    "squeeze": Squeeze,
    "ptq": Ptq,
    "qat": Qat,
    "onnx": OnnxExport,
    "tflite": TfliteExport,
    "squeezed": SqueezedExport,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """After README's commands, which every other page may build on."""
    folder = tmp_path_factory.mktemp("reader")
    make_reader(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run_page("README.md", folder) == 2
    return folder


@pytest.mark.slow
def test_readme_gives_back_the_files_that_were_exported(folder):
    for name in ("model.onnx", "model_int8.onnx", "model.tflite", "model_int8.tflite"):
        assert (folder / "decoded" / name).read_bytes() == (folder / "out" / "artifacts" / name).read_bytes()


# extending.md has a test of its own, which works on a copy of the package.
@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page) and "extending" not in page])
def test_the_code_of_a_page_runs(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    run_page(page, folder)


def table_of(page, section):
    """The rows of the first table under a heading, as lists of cells without the marks of code."""
    text = re.split(rf"(?m)^#+ {re.escape(section)}$", (ROOT / page).read_text())[1]
    text = re.split(r"(?m)^#", text)[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| `")]
    return {row[0].strip("`"): [row[1].strip("`"), " | ".join(row[2:])] for row in rows}


def own_fields(model):
    """A model's fields; of one that trains, those that the common settings do not have so."""
    common = TrainingSettings.model_fields if model is not TrainingSettings else {}
    return {
        name: field
        for name, field in model.model_fields.items()
        if name not in ("stage", "export") and not (name in common and common[name].default == field.default)
    }


def as_written(default):
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "none"
    default = list(default) if isinstance(default, tuple) else default
    return yaml.safe_dump(default, default_flow_style=True).removesuffix("\n...\n").strip()


def literals(annotation):
    """The texts that an annotation allows."""
    if get_origin(annotation) is Literal:
        return {value for value in get_args(annotation) if isinstance(value, str)}
    args = annotation.__args__ if isinstance(annotation, UnionType) else get_args(annotation)
    return set().union(*(literals(arg) for arg in args), set())


@pytest.mark.parametrize("section", SECTIONS)
def test_every_key_of_a_recipe_stands_in_its_table(section):
    found = table_of("docs/reference/recipes.md", section)
    expected = own_fields(SECTIONS[section])
    assert {key: cells[0] for key, cells in found.items()} == {
        key: as_written(field.default) for key, field in expected.items()
    }
    for key, field in expected.items():
        for value in literals(field.annotation) if key not in ("stages", "exports", "data", "task") else ():
            assert f"`{value}`" in " ".join(found[key]) or value == found[key][0], key


def test_every_command_and_option_is_listed():
    page = (DOCS / "reference" / "cli.md").read_text()
    for name, command in get_command(app).commands.items():
        assert f"`edgesqueeze {name}" in page
        for parameter in command.params:
            for option in parameter.opts:
                assert not option.startswith("-") or f"`{option}`" in page, option


@pytest.mark.parametrize(
    "record", [Report, Row, Latency, Interval, PairedTest, Check, Finding, LayerEvidence, StoredLayer]
)
def test_every_field_of_a_report_is_explained(record):
    page = (DOCS / "reference" / "report.md").read_text()
    assert [field.name for field in fields(record) if f"`{field.name}`" not in page] == []


NAMED_FILES = re.compile(r"`((?:\w+/)+(?:\w+\.(?:py|md|sh|yaml))?)`")


@pytest.mark.parametrize("page", [*PAGES, "README.md", "CONTRIBUTING.md", "bench/README.md"])
def test_files_that_a_page_names_are_there(page):
    text = re.sub(r"(?ms)^```.*?^```$", "", (ROOT / page).read_text())
    bases = (ROOT, ROOT / "edgesqueeze", ROOT / "bench")
    for name in NAMED_FILES.findall(text):
        if name.split("/")[0] not in ("stages", "artifacts", "photos"):  # of a run, of a reader
            assert any((base / name).exists() for base in bases), name
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (ROOT / page).parent.joinpath(link).exists(), link
