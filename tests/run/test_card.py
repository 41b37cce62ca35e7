"""The model card of a run: front matter that parses back to what the report says, whatever names hold."""

from dataclasses import replace

import pytest
import yaml
from hostile_run import HOSTILE

from edgesqueeze.errors import OutputError
from edgesqueeze.measure.checks.check import Check, Finding
from edgesqueeze.run.documents.card import front_matter, run_card, write_card
from edgesqueeze.run.report import Report
from edgesqueeze.run.row import Row

BREAKING = "x\n---\nlicense: mit\n---\n"
RECIPE = {
    "name": "small",
    "task": {"model": "lenet5", "data": {"named": "fashion_mnist", "image_size": [28, 28]}},
    "stages": [{"stage": "train", "epochs": 3}, {"stage": "ptq"}],
}
ROWS = (
    Row("train", "stages/01-train/model.safetensors", "torch 2", False, {"accuracy": 0.9}, "accuracy"),
    Row("ptq", None, "torch 2", True, {"accuracy": 0.88}, "accuracy"),
    Row(
        *("model_int8.onnx", "artifacts/model_int8.onnx", "onnxruntime 1", False),
        *({"accuracy": 0.875, "top-5": 0.99, "odd": float("nan")}, "accuracy"),
        num_bytes=1234,
    ),
)


def report(**changes):
    found = Report(
        RECIPE, {"versions": {"edgesqueeze": "1.2"}}, "train", 100, ROWS, (), kind="classification"
    )
    return replace(found, **changes)


def parted(card):
    """The facts of the front matter, and the text below, as the Hub parts them."""
    empty, facts, text = card.split("---\n", 2)
    assert not empty
    return yaml.safe_load(facts), text


def test_the_front_matter_is_what_the_report_says():
    facts, text = parted(run_card(report(classes=("a", "b"))))
    assert facts == {
        "library_name": "edgesqueeze",
        "tags": ["edge", "compression", "onnx"],
        "pipeline_tag": "image-classification",
        "datasets": ["zalando-datasets/fashion_mnist"],
        "metrics": ["accuracy"],
        "model-index": [
            {
                "name": "small",
                "results": [
                    {
                        "task": {"type": "image-classification"},
                        "dataset": {
                            "type": "zalando-datasets/fashion_mnist",
                            "name": "fashion_mnist",
                            "split": "test",
                        },
                        "metrics": [
                            {"type": "accuracy", "value": 0.875, "name": "accuracy of model_int8.onnx"},
                            {"type": "top-5", "value": 0.99, "name": "top-5 of model_int8.onnx"},
                        ],
                    }
                ],
            }
        ],
    }
    assert "2 classes, in the order of the outputs: a, b." in text
    assert "Made by edgesqueeze 1.2: train, ptq." in text
    assert "| model_int8.onnx" in text
    assert "1,234" in text
    check = Check("smaller", "it is", "", ())
    assert "- Not met: no price was low.\n- ok smaller: it is\n" in run_card(
        report(unmet=("no price was low",), checks=(check,))
    )


@pytest.mark.parametrize(
    ("data", "kind", "name"),
    [
        ("mnist", "ylecun/mnist", "mnist"),
        ("mnist_sample", "unknown", "mnist_sample"),
        ({"image_folder": "/home/ann/secret/pets", "image_size": [8, 8]}, "unknown", "pets"),
        ({"scenes": {"items": "fashion_mnist"}}, "unknown", "scenes of fashion_mnist"),
        ({"images": f"/home/{BREAKING}", "image_size": [8, 8]}, "unknown", None),
    ],
)
def test_data_has_the_hubs_name_or_none(data, kind, name):
    card = run_card(report(recipe={**RECIPE, "task": {"data": data}}))
    facts, _ = parted(card)
    found = facts["model-index"][0]["results"][0]["dataset"]
    assert found["type"] == kind
    assert name in (None, found["name"])
    assert ("datasets" in facts) == (kind != "unknown")
    assert "license" not in facts
    assert "/home" not in card


def test_of_what_is_not_known_the_front_matter_says_nothing():
    bare, _ = parted(run_card(Report({}, {}, "train", 100, ROWS[:2], ())))
    assert set(bare) == {"library_name", "tags"}
    checkpoint = {**RECIPE, "stages": [{"stage": "ptq"}], "task": "mine:task"}
    facts, _ = parted(run_card(report(recipe=checkpoint, kind="regression")))
    assert "datasets" not in facts
    assert "pipeline_tag" not in facts
    result = facts["model-index"][0]["results"][0]
    assert result["task"] == {"type": "other"}
    assert result["dataset"] == {"type": "unknown", "name": "data of mine:task", "split": "test"}


@pytest.mark.parametrize("name", [BREAKING, "...\n", "&a [*a]", "!!python/object:x", "'\"\t{}: #", *HOSTILE])
def test_no_name_breaks_out(name):
    rows = (*ROWS[:2], replace(ROWS[2], label=name, metrics={name: 0.5}, primary_metric=name))
    check = Check("smaller", "", "", (Finding("fault", name, (name,)),))
    card = run_card(report(recipe={**RECIPE, "name": name}, rows=rows, classes=(name,), checks=(check,)))
    facts, text = parted(card)
    assert set(facts) == {"library_name", "tags", "pipeline_tag", "datasets", "model-index"}
    assert "\u202e" not in card
    assert "<img" not in text
    assert "<!--" not in text
    assert text.count("---\n") == 0


def test_front_matter_is_parsed_back():
    facts = {"a": "yes", "b": [1.5, None, "1e3"], "c": {"d": "2026-11-28"}}
    assert yaml.safe_load(front_matter(facts).strip("-\n")) == facts


def test_a_card_is_not_written_over_another(tmp_path):
    place = tmp_path / "README.md"
    write_card(report(), place)
    assert place.read_text() == run_card(report())
    place.write_text("completed by hand")
    with pytest.raises(OutputError, match="is there already"):
        write_card(report(), place)
    assert place.read_text() == "completed by hand"
    with pytest.raises(OutputError, match=r"must end in \.md"):
        write_card(report(), tmp_path / "card.html")
