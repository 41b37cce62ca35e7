"""Suites of a benchmark: what they name, what they cite, and their mistakes."""

from pathlib import Path
from typing import get_args

import pytest
from torchvision.models import (
    AlexNet_Weights,
    MobileNet_V2_Weights,
    MobileNet_V3_Small_Weights,
    ResNet18_Weights,
    SqueezeNet1_0_Weights,
    SqueezeNet1_1_Weights,
)

from edgesqueeze.bundled import bundled_folder
from edgesqueeze.errors import RecipeError
from edgesqueeze.measure.bench.suite import agrees, change_suite, load_suite
from edgesqueeze.models import BUILT_IN_MODELS
from edgesqueeze.run.recipe import ReferenceModel

REFERENCES = bundled_folder("bench") / "references.yaml"


def test_the_bundled_suite_names_what_a_recipe_may_compare_with():
    suite = load_suite(REFERENCES)
    assert set(get_args(ReferenceModel)) <= set(suite.models) == set(suite.published)
    assert set(suite.models) <= set(BUILT_IN_MODELS)
    assert suite.baseline == "alexnet"
    assert suite.runtimes == ("onnxruntime", "litert", "torch")
    assert suite.precisions == ("fp32", "int8")


@pytest.mark.parametrize(
    ("name", "weights"),
    [
        ("alexnet", AlexNet_Weights.IMAGENET1K_V1),
        ("squeezenet1_0", SqueezeNet1_0_Weights.IMAGENET1K_V1),
        ("squeezenet1_1", SqueezeNet1_1_Weights.IMAGENET1K_V1),
        ("mobilenet_v2", MobileNet_V2_Weights.IMAGENET1K_V1),
        ("mobilenet_v3_small", MobileNet_V3_Small_Weights.IMAGENET1K_V1),
        ("resnet18", ResNet18_Weights.IMAGENET1K_V1),
    ],
)
def test_the_bundled_suite_cites_torchvision_as_it_is(name, weights):
    published = load_suite(REFERENCES).published[name]
    assert published.params == f"{weights.meta['num_params']:,}"
    assert published.gmacs == str(weights.meta["_ops"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("modles: [lenet5]", r"unknown key 'modles' \(did you mean 'models'\?\)"),
        ("models: []", "models: "),
        ("models: [alexnt]", r"models\[0\]: found 'alexnt', neither a built-in model \(lenet300_100, "),
        ("baseline: a.sqz", r"a \.sqz file does not run"),
        ("models: [a.h5]", r"models\[0\]: found 'a\.h5', .*nor an \.onnx, \.tflite or \.sqz file"),
        ("models: [a.onnx]\nruntimes: [torch]", r"'a\.onnx' does not run in the runtimes listed \(torch\)"),
        ("models: [lenet5, lenet5]", "models names 'lenet5' 2 times"),
        ("models: [a.onnx]\nruntimes: [litert]", r"'a\.onnx' does not run in the runtimes listed \(litert\)"),
        ("runtimes: [tensorrt]", r"runtimes\[0\]: found 'tensorrt', .*'onnxruntime', 'litert' or 'torch'"),
        ("precisions: [int4]", r"precisions\[0\]: found 'int4', "),
        ("precisions: [int8, int8]", "precisions names 'int8' 2 times"),
        (
            "runtimes: [torch]\nprecisions: [int8]",
            "torch runs built-in models in fp32, found precisions int8",
        ),
        ("threads: 0", r"threads\[0\]: found 0, "),
        ("threads: [1, 1]", "threads names .1. 2 times"),
        ("batch: [8, 0]", r"batch\[1\]: found 0, "),
        ("processes: 0", "processes: found 0, "),
        ("samples: many", "samples: found 'many', "),
        ("baseline: vgg", "baseline: found 'vgg', "),
        ("version: 2", "version: found 2, "),
        ("published: {lenet5: {params: 431 thousand, source: s}}", "found '431 thousand', "),
        ("published: {lenet5: {params: 431K}}", r"source: this key is required and missing"),
    ],
)
def test_a_wrong_suite_is_refused_in_one_sentence(changes, message, tmp_path):
    data = {"version": "version: 1", "name": "name: t", "models": "models: [lenet5]"}
    for line in changes.splitlines():
        data[line.partition(":")[0]] = line
    path = tmp_path / "suite.yaml"
    path.write_text("\n".join(data.values()))
    with pytest.raises(RecipeError, match=message) as caught:
        load_suite(path)
    assert "suite.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_suite_that_is_not_there_is_refused():
    with pytest.raises(RecipeError, match=r"nowhere\.yaml cannot be read"):
        load_suite(Path("nowhere.yaml"))


def test_changes_are_checked_like_a_file():
    suite = load_suite(REFERENCES)
    assert change_suite(suite, {"models": ["lenet5"], "threads": 2}).threads == (2,)
    with pytest.raises(RecipeError, match=r"^--threads: threads\[0\]: found 0"):
        change_suite(suite, {"threads": 0}, "--threads")


@pytest.mark.parametrize(
    ("printed", "value", "expected"),
    [
        ("61,100,840", 61_100_840, True),
        ("61,100,840", 61_100_841, False),
        ("266K", 266_610, True),  # cut
        ("267K", 266_610, True),  # rounded
        ("268K", 266_610, False),
        ("0.71", 0.714188, True),
        ("0.70", 0.714188, False),
        ("61.1M", 61_100_840, True),
    ],
)
def test_agreement_goes_as_far_as_the_printed_digits(printed, value, expected):
    assert agrees(printed, value) is expected
