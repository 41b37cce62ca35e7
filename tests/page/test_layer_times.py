"""Times of layers on a run's page: measured when they are asked for, said to be worth nothing where they are."""

from dataclasses import replace

import pytest
from hostile_run import HOSTILE

from edgesqueeze.measure.bench import layer_times as measuring
from edgesqueeze.page.blocks.layer_times import layer_times_block
from edgesqueeze.page.blocks.network import network_block
from edgesqueeze.page.facts import read_runs
from edgesqueeze.page.write import page_of

NAMED = {HOSTILE[0], HOSTILE[1], HOSTILE[3]}


@pytest.fixture(scope="module")
def timed(run):
    """The run with the times of its layers, whatever else this machine does meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "_doubts", lambda told: ())
        return read_runs([run], layer_times=True)[0]


def table_of(facts):
    return layer_times_block(facts).parts[0]


def test_a_page_without_the_option_has_no_times(facts):
    assert layer_times_block(facts) is None
    assert "onnx: " not in network_block(facts).parts[0].rows[1][0].tip
    assert "r1-layer-times" not in page_of([facts])


def test_every_layer_has_a_bar_for_each_file(timed):
    table = table_of(timed)
    assert [column.title for column in table.columns] == [
        *("layer", "model.onnx", "share", "model_int8.onnx", "share"),
    ]
    profiles = timed.layer_times.profiles
    names = [row[0].text for row in table.rows]
    assert len(names) == len(set(names))
    assert set(names) >= NAMED
    for place, profile in zip((1, 3), profiles.values(), strict=True):
        shown = {row[0].text: row[place] for row in table.rows if row[place].key is not None}
        times = {part.layer: part.median_s for part in profile.layers if part.layer is not None}
        assert {name: cell.key for name, cell in shown.items() if not name.startswith("[")} == times
        assert all(cell.picture is not None and cell.text.endswith(" µs") for cell in shown.values())
        assert sum(row[place + 1].key or 0 for row in table.rows) == pytest.approx(1)
    tips = {row[0].text: row[0].tip for row in network_block(timed).parts[0].rows}
    assert all("\nmodel.onnx: " in tips[name] for name in NAMED)
    assert timed.layer_times.cpu in layer_times_block(timed).lead
    assert timed.to_json()["layer_times"]["profiles"]["model.onnx"]["layers"]


def test_times_that_are_worth_nothing_are_not_shown(timed):
    def doubted(profile):
        layers = [replace(x, median_s=None, p25_s=None, p75_s=None, share=None) for x in profile.layers]
        return replace(profile, layers=tuple(layers), run_s=None, doubts=("other work took it",))

    profiles = {name: doubted(profile) for name, profile in timed.layer_times.profiles.items()}
    facts = replace(timed, layer_times=replace(timed.layer_times, profiles=profiles))
    block = layer_times_block(facts)
    texts = {cell.text for row in block.parts[0].rows for cell in row[1:]}
    assert texts <= {"?", "–"}
    assert all(line.endswith(": ?, since other work took it.") for line in block.parts[1].lines)
    assert "model.onnx: " not in network_block(facts).parts[0].rows[1][0].tip


def test_what_only_one_file_has_stands_where_it_runs(timed):
    first = timed.layer_times.profiles["model.onnx"]
    a, b, c = (replace(first.layers[0], layer=name) for name in "abc")
    put_in = replace(first.layers[0], layer=None, operators=("Transpose",))
    profiles = {
        "one.onnx": replace(first, layers=(a, c)),
        "two.onnx": replace(first, layers=(put_in, a, b, c)),
    }
    facts = replace(timed, layer_times=replace(timed.layer_times, profiles=profiles))
    assert [row[0].text for row in table_of(facts).rows] == ["[Transpose]", "a", "b", "c"]
