"""How much answers matter: the Fisher information itself, without a look at labels."""

from dataclasses import replace

import pytest
import torch
from ends_networks import inputs_of, model_of
from small_task import small_task
from torch import nn
from torch.nn import functional as F

from edgesqueeze.compression.squeezing.drawn_answers import slopes_of_drawn_answers
from edgesqueeze.compression.squeezing.importance import importance_of
from edgesqueeze.data.splits import ArraySplit


@pytest.fixture
def task():
    """Many images with labels that nobody may read."""
    x = torch.randn(4000, 1, 4, 4, generator=torch.Generator().manual_seed(3))
    return small_task(calibration=ArraySplit(x, torch.full((4000,), 10_000)))


class Net(nn.Module):
    def __init__(self, *, inplace):
        super().__init__()
        self.first, self.act, self.last = nn.Linear(16, 8), nn.ReLU(inplace), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(self.act(self.first(x.flatten(1))))


def net(*, inplace=False):
    torch.manual_seed(0)
    return Net(inplace=inplace).eval().requires_grad_(requires_grad=False)


def test_it_is_the_fisher_information_of_the_outputs(task):
    model = net()
    x = next(iter(task.calibration.batches(4000)))[0]
    shares = model(x).softmax(1)
    outputs = (shares * (1 - shares)).mean(0)  # of logits: the diagonal of diag(p) - p pᵀ
    information = torch.diag_embed(shares) - shares[:, :, None] * shares[:, None]
    slopes = model.last.weight * (model.first(x.flatten(1)) > 0)[:, None]
    hidden = torch.einsum("nch,ncd,ndh->nh", slopes, information, slopes).mean(0)
    found = importance_of(model, ["last", "first"], task, 0)
    torch.testing.assert_close(found["last"].rows.float(), outputs, rtol=0.1, atol=0)
    torch.testing.assert_close(found["first"].rows.float(), hidden, rtol=0.1, atol=0.002)
    assert list(found) == ["first", "last"]  # as they are called


def test_activations_in_place_change_nothing(task):
    found = [
        importance_of(net(inplace=inplace), ["first"], task, 0)["first"].rows for inplace in (False, True)
    ]
    assert torch.equal(*found)


def test_the_seed_draws_the_labels(task):
    rows = [importance_of(net(), ["first"], task, seed)["first"].rows for seed in (0, 0, 1)]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])


def test_layers_that_are_called_again_are_counted(task):
    class Again(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.unused = nn.Linear(16, 16), nn.Linear(16, 16)

        def forward(self, x):
            return self.one(self.one(x.flatten(1)))

    found = importance_of(Again().eval(), ["one", "unused"], task, 0)
    assert {name: part.calls for name, part in found.items()} == {"one": 2}


def test_scores_and_probabilities_of_one_network_have_one_slope():
    """Of the same drawn labels, with respect to the scores before the softmax."""
    scores = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    direct = slopes_of_drawn_answers(nn.Identity(), scores, small_task(), torch.Generator().manual_seed(5))
    model = nn.Identity()
    model.gives_probabilities = True
    shares = scores.softmax(1)
    slopes = slopes_of_drawn_answers(model, shares, small_task(), torch.Generator().manual_seed(5))
    (through,) = torch.autograd.grad(shares, scores, slopes)
    torch.testing.assert_close(through, direct, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(direct.sum(1), torch.zeros(6), atol=1e-6, rtol=0)


def test_every_pixel_of_a_segmentation_draws_its_class():
    scores = torch.zeros(2, 3, 40, 50)
    task = small_task(kind="segmentation")
    slopes = slopes_of_drawn_answers(nn.Identity(), scores, task, torch.Generator().manual_seed(0))
    drawn = F.softmax(scores, 1) - slopes
    torch.testing.assert_close(drawn.sum(1), torch.ones(2, 40, 50))
    assert set(drawn.round(decimals=4).unique().tolist()) == {0.0, 1.0}
    assert ((drawn.mean((0, 2, 3)) - 1 / 3).abs() < 0.05).all()


def test_heads_of_other_units_count_alike():
    small = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
    outputs = {"small": small, "large": 100 * small}
    slopes = slopes_of_drawn_answers(nn.Identity(), outputs, small_task(), torch.Generator().manual_seed(0))
    spread = {name: float((slopes[name] * outputs[name].std()).std()) for name in outputs}
    assert all(abs(value - 1) < 0.1 for value in spread.values())


def test_a_detector_s_scores_are_switches_and_its_boxes_distances():
    outputs = {"boxes": torch.rand(2, 5, 4), "scores": torch.full((2, 5, 3), -50.0)}
    task = small_task(kind="detection")
    slopes = slopes_of_drawn_answers(nn.Identity(), outputs, task, torch.Generator().manual_seed(0))
    assert not slopes["scores"].round(decimals=6).any()
    assert slopes["boxes"].all()


@pytest.mark.parametrize("name", ["TwoHeads", "NamedHeads", "Pyramid", "Siamese"])
def test_several_inputs_and_outputs(name):
    class Split:
        def __len__(self):
            return 6

        def batches(self, batch_size, generator=None):
            yield inputs_of(name), None

    model = model_of(name)
    names = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    found = importance_of(model, names, replace(small_task(), calibration=Split()), 0)
    assert set(found) == set(names)
    assert all(float(part.rows.sum()) > 0 for part in found.values())
