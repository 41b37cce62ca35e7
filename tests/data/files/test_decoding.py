"""Pictures and masks as arrays of one size."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgesqueeze.data.files.decoding import REFUSED, ImageDecoding, MaskDecoding, class_values
from edgesqueeze.errors import TaskError

PATH = Path("some.png")


def png(array, mode=None, palette=None):
    image = Image.fromarray(array)
    if mode is not None:
        image = image.convert(mode)
    if palette is not None:
        image.putpalette(palette)
    file = BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_a_picture_is_channels_first():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    assert np.array_equal(ImageDecoding((4, 6), 3).decode(png(pixels), PATH), pixels.transpose(2, 0, 1))
    assert (
        ImageDecoding((2, 3), 1).decode(png(pixels), PATH).shape
        == ImageDecoding((2, 3), 1).shape
        == (1, 2, 3)
    )


@pytest.mark.parametrize(
    "palette", [None, [v for v in range(256) for _ in range(3)][::-1]], ids=["gray", "palette"]
)
def test_values_of_a_mask_are_classes_and_resizing_takes_the_nearest(palette):
    values = np.array([[0, 1, 1, 2], [0, 1, 255, 2]], np.uint8)
    decode = MaskDecoding((4, 8), class_values(3)).decode
    assert np.array_equal(decode(png(values, palette=palette), PATH), values.repeat(2, 0).repeat(2, 1))
    assert np.array_equal(MaskDecoding((1, 2), class_values(3)).decode(png(values), PATH)[0], [1, 2])


def test_meanings_of_a_mask():
    meanings = [REFUSED] * 256
    meanings[1:4] = [1, 0, 255]
    values = np.array([[1, 2, 3]], np.uint8)
    assert MaskDecoding((1, 3), tuple(meanings)).decode(png(values), PATH).tolist() == [[1, 0, 255]]
    values[0, 1] = 9
    with pytest.raises(TaskError, match="mask some.png has a pixel of value 9; allowed: 1 to 3"):
        MaskDecoding((1, 3), tuple(meanings)).decode(png(values), PATH)


def test_more_classes_than_a_byte_has_values():
    assert class_values(255) == tuple(range(256))
    with pytest.raises(TaskError, match="room for 255 classes, found 256"):
        class_values(256)


def test_one_bit_masks():
    content = png(np.array([[0, 255, 255]], np.uint8), "1")
    assert MaskDecoding((1, 3), class_values(2)).decode(content, PATH).tolist() == [[0, 1, 1]]


def test_coloured_masks_are_refused():
    with pytest.raises(
        TaskError, match="mask some.png is a picture of mode RGB; one value a pixel is needed"
    ):
        MaskDecoding((1, 3), class_values(2)).decode(png(np.zeros((1, 3, 3), np.uint8)), PATH)
    with pytest.raises(TaskError, match="value 3; allowed: 0 to 1, 255"):
        MaskDecoding((1, 3), class_values(2)).decode(png(np.full((1, 3), 3, np.uint8)), PATH)
