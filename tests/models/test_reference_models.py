"""The built-in reference networks: sizes, names, and that torch stays out until a model is built."""

import subprocess
import sys

import pytest
import torch
import torchvision

from edgesqueeze.errors import RecipeError
from edgesqueeze.models import BUILT_IN_MODELS, built_in_model

PARAMS = {
    "lenet300_100": 266_610,
    "lenet5": 431_080,
    "alexnet": 61_100_840,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
}


def test_the_table_holds_exactly_the_reference_models():
    assert set(BUILT_IN_MODELS) == set(PARAMS)
    assert all(name == entry.name for name, entry in BUILT_IN_MODELS.items())


@pytest.mark.parametrize("name", PARAMS)
def test_parameter_counts_and_output_shape(name):
    entry = built_in_model(name)
    model = entry.build().eval()
    assert sum(p.numel() for p in model.parameters()) == PARAMS[name]
    with torch.no_grad():
        assert model(torch.zeros(1, *entry.input_shape)).shape == (1, entry.num_classes)


@pytest.mark.parametrize("name", PARAMS)
def test_other_classes_and_channels(name):
    entry = built_in_model(name)
    channels, height, width = entry.input_shape
    other = 4 - channels  # 1 for colour, 3 for grey
    model = entry.build(num_classes=7, in_channels=other).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, other, height, width)).shape == (2, 7)


@pytest.mark.parametrize("name", ["alexnet", "squeezenet1_0", "squeezenet1_1"])
@pytest.mark.parametrize("channels", [1, 3])
def test_torchvision_names_are_kept(name, channels):
    ours = built_in_model(name).build(10, channels).state_dict()
    theirs = getattr(torchvision.models, name)(num_classes=10).state_dict()
    assert list(ours) == list(theirs)
    different = [key for key in ours if ours[key].shape != theirs[key].shape]
    assert different == ([] if channels == 3 else ["features.0.weight"])


def test_layer_names_of_the_lenets():
    names = {
        name: [n for n, _ in built_in_model(name).build().named_children()]
        for name in PARAMS
        if "lenet" in name
    }
    assert names["lenet5"] == ["conv1", "conv2", "fc1", "fc2"]
    assert names["lenet300_100"] == ["fc1", "fc2", "fc3"]


def test_lenet5_is_caffes():
    shapes = {name: tuple(p.shape) for name, p in built_in_model("lenet5").build().named_parameters()}
    assert shapes["conv1.weight"] == (20, 1, 5, 5)
    assert shapes["conv2.weight"] == (50, 20, 5, 5)
    assert shapes["fc1.weight"] == (500, 800)
    assert shapes["fc2.weight"] == (10, 500)


def test_an_unknown_name_is_refused():
    with pytest.raises(
        RecipeError, match=r"no built-in model 'alexnt'; there is lenet300_100, lenet5, alexnet"
    ):
        built_in_model("alexnt")


def test_importing_the_table_does_not_import_torch():
    code = "import sys, edgesqueeze.models; assert not {'torch', 'torchvision'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
