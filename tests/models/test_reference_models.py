"""The built-in reference networks: sizes, names, and that torch stays out until a model is built."""

import subprocess
import sys

import pytest
import torch
import torchvision
from torch import nn

from edgesqueeze.errors import RecipeError, TaskError
from edgesqueeze.models import BUILT_IN_MODELS, Option, built_in_model
from edgesqueeze.models.squeezenet import ComplexBypassFire, SimpleBypassFire

PARAMS = {
    "lenet300_100": 266_610,
    "lenet5": 431_080,
    "lenet5_1998": 61_750,  # 60,850 and the 900 zeros of C3's table
    "alexnet": 61_100_840,
    "squeezenet1_0": 1_248_424,
    "squeezenet1_1": 1_235_496,
    "mobilenet_v2": 3_504_872,
    "mobilenet_v3_small": 2_542_856,
    "resnet18": 11_689_512,
}


def test_the_table_holds_exactly_the_reference_models():
    classifiers = {name for name, entry in BUILT_IN_MODELS.items() if entry.kind == "classification"}
    assert classifiers == set(PARAMS)
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


@pytest.mark.parametrize(
    ("name", "size", "stride"),
    [
        *(("alexnet", 21, 1), ("alexnet", 32, 1), ("alexnet", 62, 2), ("alexnet", 63, 4)),
        *(
            ("squeezenet1_0", 21, 2),
            ("squeezenet1_0", 32, 2),
            ("squeezenet1_1", 17, 2),
            ("squeezenet1_1", 32, 2),
        ),
    ],
)
def test_small_images(name, size, stride):
    model = built_in_model(name).build(5, 3, (size, size + 3)).eval()
    assert model.get_submodule("features.0").stride == (stride, stride)
    x = torch.randn(2, 3, size, size + 3)
    with torch.no_grad():
        scores = model(x)
        assert scores.shape == (2, 5)
        assert not torch.equal(scores[0], scores[1]) or name != "alexnet"
        if stride == 4:
            theirs = torchvision.models.alexnet(num_classes=5).eval()
            theirs.load_state_dict(model.state_dict())
            assert torch.equal(theirs(x), scores)


@pytest.mark.parametrize("name", ["lenet5", "lenet5_1998", "alexnet", "squeezenet1_0"])
def test_other_sizes_are_refused(name):
    words = {
        "lenet5": r"lenet5 takes images of 28 × 28, found 20 × 28",
        "lenet5_1998": r"lenet5_1998 takes images of 28 × 28 or 32 × 32, found 20 × 28",
        "alexnet": r"alexnet takes images of heights and widths from 21 up, found 20 × 28",
        "squeezenet1_0": r"squeezenet1_0 takes images of heights and widths from 21 up, found 20 × 28",
    }
    with pytest.raises(TaskError, match=words[name]):
        built_in_model(name).build(image_size=(20, 28))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        *((name, {}) for name in ("alexnet", "squeezenet1_0", "squeezenet1_1")),
        *((name, {"activation": "relu6"}) for name in ("alexnet", "squeezenet1_0", "squeezenet1_1")),
        *((name, {"bypass": "simple"}) for name in ("squeezenet1_0", "squeezenet1_1")),
    ],
)
def test_torchvision_state_dicts_load(name, channels, options):
    ours = built_in_model(name).build(10, channels, options=options)
    theirs = getattr(torchvision.models, name)(num_classes=10).state_dict()
    assert list(ours.state_dict()) == list(theirs)
    different = [key for key, value in ours.state_dict().items() if value.shape != theirs[key].shape]
    assert different == ([] if channels == 3 else ["features.0.weight"])
    if channels == 3:
        ours.load_state_dict(theirs)
    kinds = {type(module) for module in ours.modules()}
    assert (nn.ReLU in kinds, nn.ReLU6 in kinds) == (not options.get("activation"), "activation" in options)


@pytest.mark.parametrize(
    ("name", "first"),
    [("mobilenet_v2", "features.0.0"), ("mobilenet_v3_small", "features.0.0"), ("resnet18", "conv1")],
)
def test_networks_of_torchvision_differ_in_what_reads_grey_images_alone(name, first):
    theirs = getattr(torchvision.models, name)(num_classes=10)
    built_in_model(name).build(10).load_state_dict(theirs.state_dict())
    grey = built_in_model(name).build(10, 1)
    shapes = {key: value.shape for key, value in grey.state_dict().items()}
    different = [key for key, value in theirs.state_dict().items() if shapes.pop(key) != value.shape]
    assert (different, shapes) == ([f"{first}.weight"], {})
    one, other = grey.get_submodule(first), theirs.get_submodule(first)
    for setting in ("out_channels", "kernel_size", "stride", "padding", "dilation", "groups", "bias"):
        assert getattr(one, setting) == getattr(other, setting)


@pytest.mark.parametrize(("name", "added"), [("squeezenet1_0", 341_248), ("squeezenet1_1", 337_152)])
def test_bypasses_of_squeezenet(name, added):
    """Figure 2: simple around fire 3, 5, 7 and 9; 1 × 1 convolutions around 2, 4, 6 and 8 in the complex form."""
    plain, simple, complex_ = (
        built_in_model(name).build(10, options={"bypass": bypass}).eval()
        for bypass in ("none", "simple", "complex")
    )
    fires = [n for n, m in complex_.named_modules() if isinstance(m, SimpleBypassFire)]
    assert [isinstance(complex_.get_submodule(n), ComplexBypassFire) for n in fires] == [True, False] * 4
    assert [isinstance(simple.get_submodule(n), SimpleBypassFire) for n in fires] == [False, True] * 4
    plain_params, complex_params = (sum(p.numel() for p in m.parameters()) for m in (plain, complex_))
    assert complex_params - plain_params == added
    simple.load_state_dict(plain.state_dict())
    x = torch.randn(1, 128, 9, 9)
    second = fires[1]
    with torch.no_grad():
        assert torch.equal(simple.get_submodule(second)(x), plain.get_submodule(second)(x) + x)
        assert complex_(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_layer_names_of_the_lenets():
    names = {
        name: [n for n, _ in built_in_model(name).build().named_children()]
        for name in PARAMS
        if "lenet" in name
    }
    assert names["lenet5"] == ["conv1", "conv2", "fc1", "fc2"]
    assert names["lenet300_100"] == ["fc1", "fc2", "fc3"]
    assert names["lenet5_1998"] == ["c1", "s2", "c3", "s4", "c5", "f6", "output"]


def test_lenet5_is_caffes():
    shapes = {name: tuple(p.shape) for name, p in built_in_model("lenet5").build().named_parameters()}
    assert shapes["conv1.weight"] == (20, 1, 5, 5)
    assert shapes["conv2.weight"] == (50, 20, 5, 5)
    assert shapes["fc1.weight"] == (500, 800)
    assert shapes["fc2.weight"] == (10, 500)


def test_options_are_checked():
    entry = built_in_model("squeezenet1_1")
    assert entry.checked_options({"bypass": "simple"}) == {"activation": "relu", "bypass": "simple"}
    for options, words in [
        ({"bypass": "both"}, r"bypass of squeezenet1_1 is both; allowed: none, simple, complex$"),
        ({"bypass": True}, r"bypass of squeezenet1_1 is true; allowed: none, simple, complex$"),
        (
            {"width": 2},
            r"squeezenet1_1 has no option 'width', allowed: activation, bypass; it takes its sizes",
        ),
    ]:
        with pytest.raises(RecipeError, match=words):
            entry.build(options=options)
    with pytest.raises(RecipeError, match=r"lenet5 has no option 'width', it has none; it takes its sizes"):
        built_in_model("lenet5").build(options={"width": 2})
    width = Option((1.0, 0.5), "how wide")
    assert type(width.chosen(1)) is float
    with pytest.raises(ValueError, match=r"1\.0, 0\.5"):
        width.chosen(True)


def test_an_unknown_name_is_refused():
    with pytest.raises(
        RecipeError, match=r"no built-in model 'alexnt'; there is lenet300_100, lenet5, lenet5_1998, alexnet"
    ):
        built_in_model("alexnt")


def test_importing_the_table_does_not_import_torch():
    code = "import sys, edgesqueeze.models; assert not {'torch', 'torchvision'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
