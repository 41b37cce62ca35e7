"""Autoencoders, the segmenter and the detector: sizes by hand, shapes, options, and what they refuse."""

import pytest
import torch
from pages import table

from edgesqueeze.errors import RecipeError, TaskError
from edgesqueeze.models import BUILT_IN_MODELS, built_in_model
from edgesqueeze.numerics.boxes import BoxDecoding

AUTOENCODERS = ("autoencoder_squeeze", "autoencoder_conv", "autoencoder_dense")


def number(name, column):
    (row,) = (row for row in table("docs/reference/models.md", "name") if row["name"] == f"`{name}`")
    return int(row[column].replace(",", ""))


def params(name):
    return number(name, "parameters")


def macs(name):
    return number(name, "multiply-accumulates")


def conv(inputs, outputs, kernel):
    """Parameters of a convolution; batch norm is folded into it."""
    return inputs * outputs * kernel**2 + outputs


def fire(inputs, squeeze, expand, kernels=(1, 3)):
    return conv(inputs, squeeze, 1) + sum(conv(squeeze, expand, kernel) for kernel in kernels)


def squeezenet(channels=3):
    """SqueezeNet 1.1 without its last layer: 722,496 parameters in torchvision."""
    fires = [(64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128), (256, 48, 192), (384, 48, 192)]
    fires += [(384, 64, 256), (512, 64, 256)]
    return conv(channels, 64, 3) + sum(fire(*sizes) for sizes in fires)


def test_the_backbone_is_squeezenet():
    assert squeezenet() == 722_496


def test_parameters_by_hand():
    """The page's, which test_models_page.py compares with the graphs."""
    dense = 2 * (784 * 64 + 64 * 32) + 64 + 32 + 64 + 784
    traditional = conv(1, 32, 3) + conv(32, 64, 3) + conv(64, 8, 3) + conv(8, 64, 3) + conv(64, 32, 3)
    encoder = conv(1, 24, 3) + fire(24, 8, 24, (2, 3)) + fire(48, 8, 24) + conv(48, 8, 1)
    decoder = conv(8, 48, 1) + fire(48, 8, 24) + fire(48, 8, 12, (2, 4)) + conv(24, 1, 4)
    assert params("autoencoder_dense") == dense
    assert params("autoencoder_conv") == traditional + conv(32, 1, 3)
    assert params("autoencoder_squeeze") == encoder + decoder
    laterals = sum(conv(channels, 64, 1) for channels in (64, 128, 256, 512))
    assert params("squeezenet_segmenter") == squeezenet() + laterals + 3 * fire(64, 16, 32) + conv(64, 21, 1)
    laterals = conv(256, 96, 1) + conv(512, 96, 1)
    heads = 2 * (2 * fire(96, 24, 48) + conv(96, 4, 1) + conv(96, 20, 1))
    assert params("squeezenet_detector") == squeezenet() + laterals + heads


def test_multiplications_by_hand():
    assert macs("autoencoder_dense") == 2 * (784 * 64 + 64 * 32)
    outer, middle, inner = 9 * 32, 9 * 32 * 64, 9 * 64 * 8  # of each pair of layers, encoder and decoder
    assert macs("autoencoder_conv") == 2 * (outer * 14**2 + middle * 7**2 + inner * 7**2)
    down, up = 24 * 8 * 14**2 + 8 * 24 * (4 + 9) * 7**2, 48 * 8 * 7**2 + 8 * 12 * (4 + 16) * 7**2
    fires = 2 * (48 * 8 + 8 * 24 * 10) * 7**2
    assert (
        macs("autoencoder_squeeze")
        == 9 * 24 * 14**2 + down + fires + 2 * 48 * 8 * 7**2 + up + 16 * 24 * 14**2
    )


def test_the_squeeze_autoencoder_is_a_quarter_of_the_traditional_one():
    assert params("autoencoder_squeeze") < 0.25 * params("autoencoder_conv")
    assert macs("autoencoder_squeeze") < 0.3 * macs("autoencoder_conv")


@pytest.mark.parametrize("name", AUTOENCODERS)
@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 28, 36)])
def test_autoencoders_return_images(name, shape):
    model = built_in_model(name).build(None, shape[0], shape[1:]).eval()
    with torch.no_grad():
        found = model(torch.rand(2, *shape))
    assert found.shape == (2, *shape)
    assert 0 < found.min() < found.max() < 1


@pytest.mark.parametrize("size", [(32, 32), (48, 64), (96, 96)])
def test_the_segmenter_returns_scores_of_every_pixel(size):
    model = built_in_model("squeezenet_segmenter").build(5, 1, size, {"width": 0.25}).eval()
    with torch.no_grad():
        assert model(torch.rand(2, 1, *size)).shape == (2, 5, *size)


@pytest.mark.parametrize("size", [(32, 32), (64, 96), (96, 96)])
@pytest.mark.parametrize("levels", [2, 3])
def test_the_detector_returns_distances_and_scores(size, levels):
    model = built_in_model("squeezenet_detector").build(5, 1, size, {"width": 0.25, "levels": levels}).eval()
    assert model.strides == (8, 16, 32)[:levels]
    places = len(BoxDecoding(size, model.strides).places())
    with torch.no_grad():
        found = model(torch.rand(2, 1, *size))
    assert {name: value.shape for name, value in found.items()} == {
        "boxes": (2, places, 4),
        "scores": (2, places, 5),
    }
    # It begins with boxes four strides wide and hardly a score.
    assert found["boxes"].sub(2).abs().max() < 1
    assert found["scores"].sigmoid().max() < 0.05


def with_place(y, row, column):
    y = y.clone()
    y[:, :, row, column] = 6.0
    return y


def test_places_of_the_outputs_are_in_the_order_of_the_decoding():
    """Nothing but one place of the last maps is changed, and one row of the outputs changes."""
    model = built_in_model("squeezenet_detector").build(5, 1, (64, 96), {"width": 0.25}).eval()
    places = BoxDecoding((64, 96), model.strides).places()
    for level, row, column in ((0, 3, 10), (1, 2, 4)):
        handle = model.heads[level].box_fire.register_forward_hook(
            lambda _, __, y, row=row, column=column: with_place(y, row, column)
        )
        x = torch.rand(1, 1, 64, 96)
        with torch.no_grad():
            changed = model(x)["boxes"]
            handle.remove()
            before = model(x)["boxes"]
        (place,) = (changed != before).any(2)[0].nonzero()[:, 0].tolist()
        stride = model.strides[level]
        assert places[place].tolist() == [(column + 0.5) * stride, (row + 0.5) * stride, stride]


@pytest.mark.parametrize("name", [name for name in BUILT_IN_MODELS if "squeezenet_" in name])
def test_widths(name):
    few, many = (
        sum(p.numel() for p in built_in_model(name).build(options={"width": width}).parameters())
        for width in (0.5, 1)
    )
    assert 0.2 < few / many < 0.35
    with pytest.raises(RecipeError, match=rf"width of {name} is 2; allowed: 1\.0, 0\.75, 0\.5, 0\.25$"):
        built_in_model(name).build(options={"width": 2})


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("autoencoder_conv", (28, 30), "from 28 up that are multiples of 4, found 28 × 30"),
        ("squeezenet_segmenter", (40, 32), "from 32 up that are multiples of 16, found 40 × 32"),
        ("squeezenet_detector", (48, 64), "from 32 up that are multiples of 32, found 48 × 64"),
    ],
)
def test_other_sizes_are_refused(name, size, words):
    with pytest.raises(TaskError, match=f"{name} takes images of heights and widths {words}"):
        built_in_model(name).build(image_size=size)
