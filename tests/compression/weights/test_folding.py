"""Batch norm folded into every kind of layer, and into none where it cannot be."""

import pytest
import torch
from torch import nn

from edgesqueeze.compression.weights.folding import apply_folding, fold_batch_norm
from edgesqueeze.errors import UnsupportedLayerError

NETWORKS = {
    "convolution in groups": lambda: nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.BatchNorm2d(6)),
    "transposed": lambda: nn.Sequential(nn.ConvTranspose2d(4, 6, 3, 2), nn.BatchNorm2d(6)),
    "transposed in groups": lambda: nn.Sequential(
        nn.ConvTranspose2d(4, 6, 2, 2, groups=2, bias=False), nn.BatchNorm2d(6)
    ),
    "transposed depthwise": lambda: nn.Sequential(nn.ConvTranspose2d(4, 4, 3, groups=4), nn.BatchNorm2d(4)),
    "transposed signal": lambda: nn.Sequential(
        nn.Flatten(2), nn.ConvTranspose1d(4, 6, 3, 2), nn.BatchNorm1d(6)
    ),
    "dense": lambda: nn.Sequential(nn.Flatten(1), nn.Linear(4 * 25, 6), nn.BatchNorm1d(6)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_folded_network_computes_the_same(name):
    torch.manual_seed(0)
    x = torch.randn(5, 4, 5, 5)
    model = NETWORKS[name]()
    model(x)  # statistics that are not those of the beginning
    nn.init.uniform_(model[-1].weight, 0.5, 2)
    nn.init.normal_(model[-1].bias)
    expected = model.eval()(x)
    pairs = fold_batch_norm(model, x[:1])
    assert len(pairs) == 1
    assert isinstance(model[-1], nn.Identity)
    torch.testing.assert_close(model(x), expected, rtol=1e-4, atol=1e-5)
    again = NETWORKS[name]()
    apply_folding(again, pairs)
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again.eval()(x), model(x), rtol=0, atol=0)


def test_a_batch_norm_before_a_convolution_is_refused():
    model = nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1))
    with pytest.raises(UnsupportedLayerError, match="batch norm '0' does not directly follow a convolution"):
        fold_batch_norm(model, torch.randn(1, 4, 5, 5))
