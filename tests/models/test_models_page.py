"""The page of built-in networks: every row is what the code says and what the graph counts."""

import pytest
import torch
from pages import table

from edgesqueeze.models import BUILT_IN_MODELS
from edgesqueeze.network.graph.counts import count_graph
from edgesqueeze.network.reading.torch.build import build_graph

PAGE = "docs/reference/models.md"
ROWS = {row["name"].strip("`"): row for row in table(PAGE, "name")}


def test_every_network_has_a_row():
    assert list(ROWS) == list(BUILT_IN_MODELS)


@pytest.mark.parametrize("name", BUILT_IN_MODELS)
def test_settings(name):
    entry, row = BUILT_IN_MODELS[name], ROWS[name]
    sizes = str(entry.sizes).replace("heights and widths ", "").replace(" up", "")
    assert row["task"] == entry.kind
    assert row["default input"] == " × ".join(map(str, entry.input_shape))
    assert row["classes"] == str(entry.num_classes or "")
    assert row["image sizes"] == sizes.replace(" that are", ",")
    assert row["options"] == (", ".join(f"`{option}`" for option in entry.options) or "none")
    assert row["published"] == entry.paper


@pytest.mark.parametrize("name", BUILT_IN_MODELS)
def test_counts(name):
    entry = BUILT_IN_MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = entry.build().eval()
    counts = count_graph(build_graph(model, torch.zeros(1, *entry.input_shape)))
    assert ROWS[name]["parameters"] == f"{counts.params:,}"
    assert ROWS[name]["multiply-accumulates"] == f"{counts.macs:,}"


def test_every_option_and_value_is_explained():
    options = {row["option"].strip("`"): row["values, the default first"] for row in table(PAGE, "option")}
    assert list(options) == list(
        dict.fromkeys(o for entry in BUILT_IN_MODELS.values() for o in entry.options)
    )
    for entry in BUILT_IN_MODELS.values():
        for name, option in entry.options.items():
            assert ", ".join(f"`{value}`" for value in option.allowed) in options[name]
