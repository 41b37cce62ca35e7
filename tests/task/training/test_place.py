"""Where a training runs is what was asked for, or a refusal."""

import pytest
import torch

from edgesqueeze.errors import RecipeError
from edgesqueeze.task.training import Place, open_place


def has(monkeypatch, *names):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)


def test_a_cpu_in_float32_is_the_ordinary_place(monkeypatch):
    has(monkeypatch)
    for device in ("auto", "cpu"):
        place = open_place(device, "32", together=True)
        assert type(place) is Place
        assert place.facts() == {"device": "cpu", "precision": "32", "processes": 1}
        assert place.note() is None


def test_a_device_that_is_not_there_is_refused(monkeypatch):
    has(monkeypatch)
    with pytest.raises(
        RecipeError, match="^device is cuda, which torch does not find here; there is cpu, or"
    ):
        open_place("cuda", "32")
    has(monkeypatch, "mps")
    with pytest.raises(RecipeError, match="^device is cuda, .* there is mps and cpu, or auto$"):
        open_place("cuda", "32")


def test_what_mps_cannot_do_is_refused_where_it_is_named_and_passed_over_by_auto(monkeypatch):
    has(monkeypatch, "mps")
    assert type(open_place("auto", "32", needs_float64=True)) is Place
    with pytest.raises(RecipeError, match="^device is mps, but qat rounds in float64, which mps has not"):
        open_place("mps", "32", needs_float64=True)
