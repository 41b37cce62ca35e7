"""What meets a layer's weight matrix: the matrix times it is what torch answers, for layers of every kind."""

import pytest
import torch
from torch import nn

from edgesqueeze.compression.squeezing.reads import as_layer_has_it, by_output, drawn_places, groups_of, reads

LAYERS = {
    "dense": (nn.Linear(7, 5), (3, 7)),
    "dense on sequences": (nn.Linear(7, 5), (3, 4, 6, 7)),
    "strided": (nn.Conv2d(4, 6, 3, stride=2, padding=1), (3, 4, 9, 8)),
    "oblong": (nn.Conv2d(4, 6, (3, 2), stride=(1, 2), padding=(0, 1), dilation=(2, 1)), (3, 4, 9, 8)),
    "same": (nn.Conv2d(4, 6, (5, 3), padding="same", dilation=2), (3, 4, 9, 8)),
    "valid": (nn.Conv2d(4, 6, 3, padding="valid"), (3, 4, 9, 8)),
    "reflected": (nn.Conv2d(4, 6, 3, padding=2, padding_mode="reflect"), (3, 4, 9, 8)),
    "grouped": (nn.Conv2d(4, 6, 3, groups=2), (3, 4, 9, 8)),
    "depthwise": (nn.Conv2d(4, 8, 3, padding=1, groups=4), (3, 4, 9, 8)),
    "signal": (nn.Conv1d(4, 6, 5, stride=2, padding=2, dilation=2, groups=2), (3, 4, 21)),
    "circular signal": (nn.Conv1d(4, 6, 3, padding=1, padding_mode="circular"), (3, 4, 21)),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1), (3, 4, 5, 6)),
    "transposed in groups": (
        nn.ConvTranspose2d(4, 6, (3, 2), stride=(1, 3), padding=(2, 0), dilation=(2, 1), groups=2),
        (3, 4, 5, 6),
    ),
    "transposed, cropped": (nn.ConvTranspose2d(4, 6, 2, stride=2, padding=3), (3, 4, 9, 8)),
    "transposed signal": (
        nn.ConvTranspose1d(4, 6, 4, stride=3, padding=1, output_padding=2, groups=2),
        (3, 4, 7),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_the_matrix_answers_as_torch_does(name):
    layer, shape = LAYERS[name]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    answer = layer(x)
    answer = answer.reshape(3, -1, 5).mT if isinstance(layer, nn.Linear) else answer.flatten(2)
    weight = by_output(layer, layer.weight)
    groups = groups_of(layer)
    for most in (10_000, 4):
        places = drawn_places(layer, x, most, torch.Generator().manual_seed(1))
        assert len(places) == min(most, answer.shape[2])
        found = weight.reshape(groups, len(weight) // groups, -1) @ reads(layer, x, places)
        found = found.reshape(len(weight), 3, -1).transpose(0, 1) + layer.bias[:, None]
        torch.testing.assert_close(found, answer[:, :, places], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", LAYERS)
def test_weights_come_back_in_the_order_of_the_layer(name):
    layer, _ = LAYERS[name]
    assert torch.equal(as_layer_has_it(layer, by_output(layer, layer.weight)), layer.weight)


def test_places_are_drawn_by_the_generator_alone():
    layer, shape = LAYERS["strided"]
    x = torch.zeros(shape)
    drawn = [drawn_places(layer, x, 6, torch.Generator().manual_seed(seed)).tolist() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert len(set(drawn[0])) == 6
