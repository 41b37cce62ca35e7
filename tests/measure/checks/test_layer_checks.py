"""Checks on weights: each with facts that make it fire and facts that do not."""

from dataclasses import replace

import pytest

from edgesqueeze.measure.checks.composition import check_composition
from edgesqueeze.measure.checks.layer_facts import (
    LayerEvidence,
    PrunedLayer,
    SharedLayer,
    SqueezedLayer,
    StageEvidence,
    StoredLayer,
    layer_from_json,
    layers_table,
)
from edgesqueeze.measure.checks.pruned_and_shared import check_techniques

PRUNED = PrunedLayer("conv", 25, 0.5, 13)  # 12.5 weights are kept, which rounds to 12
SHARED = SharedLayer("conv", 2, 12, 4)
FILE = StoredLayer("m_int8.onnx", zeros=14, distinct=7, distinct_per_channel=4, revived=0)
LAYER = LayerEvidence(
    "conv", 25, 13, 4, pruned=13, num_bits=2, files=(FILE, replace(FILE, file="m_int8.tflite"))
)
FILES = ("m_int8.onnx", "m_int8.tflite")


def prune(*layers):
    return check_techniques([StageEvidence("01-prune", pruned=layers)])


def share(*layers):
    return check_techniques([StageEvidence("02-share", shared=layers)])


def sentences(check):
    return [finding.text() for finding in check.faults]


def test_stages_that_did_their_work_pass():
    stages = [StageEvidence("01-prune", pruned=(PRUNED,)), StageEvidence("02-share", shared=(SHARED,))]
    assert check_techniques(stages).passed == "01-prune, 02-share: as asked, in the saved states"
    assert check_techniques([]).status == "not checked"


def test_nothing_pruned_fires():
    idle = replace(PRUNED, asked=0.0, zeros=0)
    assert sentences(prune(idle, replace(idle, name="fc"))) == ["01-prune pruned nothing: conv, fc"]


def test_weights_off_the_grid_fire():
    layers = (SqueezedLayer("conv", on_grid=True), SqueezedLayer("fc", on_grid=False))
    assert sentences(check_techniques([StageEvidence("01-squeeze", squeezed=layers)])) == [
        "01-squeeze left weights that are no multiples of one step: fc"
    ]
    assert check_techniques([StageEvidence("01-squeeze", squeezed=layers[:1])]).status == "ok"


def test_less_pruned_than_asked_fires():
    assert sentences(prune(replace(PRUNED, zeros=12), PRUNED)) == [
        "01-prune left 12 of 25 weights at zero, 13 were asked for: conv"
    ]


def test_nothing_shared_fires():
    idle = replace(SHARED, before=4, after=4)
    assert sentences(share(idle)) == [
        "02-share shared nothing: no layer has fewer distinct values than before: conv"
    ]


def test_more_values_than_asked_fire():
    assert sentences(share(replace(SHARED, after=5))) == [
        "02-share left 5 distinct values, at most 4 were asked for: conv"
    ]


def test_one_layer_with_nothing_to_share_is_noted():
    check = share(SHARED, replace(SHARED, name="bias_like", before=3, after=3))
    assert check.status == "ok"
    assert check.findings[0].where == ("bias_like",)


def test_what_is_still_pruned_and_shared_passes():
    assert check_composition([LAYER], FILES).status == "ok"
    untouched = LayerEvidence("fc", 10, 0, 10, files=(FILE,))
    assert check_composition([untouched], FILES).status == "not checked"


@pytest.mark.parametrize(
    ("undone", "sentence"),
    [
        (replace(LAYER, revived=3), "3 pruned weights are not zero in the last float state: conv"),
        (
            replace(LAYER, files=(replace(FILE, revived=1),)),
            "1 pruned weights are not zero in m_int8.onnx: conv",
        ),
        (
            replace(LAYER, distinct=9),
            "a shared layer has 9 distinct values in the last float state, not 4: conv",
        ),
        (
            replace(LAYER, files=(replace(FILE, distinct_per_channel=5),)),
            "a shared layer has 5 distinct integers in one channel of m_int8.onnx, not 4: conv",
        ),
    ],
)
def test_what_was_undone_fires(undone, sentence):
    assert sentences(check_composition([undone], FILES)) == [sentence]


def test_a_file_that_could_not_be_read_is_named():
    check = check_composition([replace(LAYER, files=(FILE,))], FILES)
    assert check.unchecked == "m_int8.tflite: no int8 weight could be read back"
    assert check.lines() == [
        f"- ok composition: {check.passed}",
        f"- not checked composition: {check.unchecked}",
    ]


def test_the_table_has_a_line_for_every_layer():
    plain = LayerEvidence("fc", 200, 0, 200)
    text = layers_table([LAYER, plain], "github").splitlines()
    cells = [cell.strip() for cell in text[2].strip("|").split("|")]
    assert cells == ["conv", "25", "13", "2", "52.00 %", "4", *["56.00 %", "7", "4"] * 2]
    assert [cell.strip() for cell in text[3].strip("|").split("|")][6:] == ["–"] * 6
    assert layer_from_json(LAYER.to_json()) == LAYER
