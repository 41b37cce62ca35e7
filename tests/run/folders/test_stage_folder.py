"""What a stage folder keeps of answers."""

import numpy as np
import pytest

from edgesqueeze.measure.checks.image_answers import ImageAnswers, image_answers
from edgesqueeze.numerics import bootstrap
from edgesqueeze.run.folders.stage_folder import StageFolder
from edgesqueeze.task.metrics import Measure, metrics_of, score_all, top1_accuracy

RNG = np.random.default_rng(0)
MAE = metrics_of("regression")["MAE"]
OUTPUTS, TARGETS = RNG.random((2, 40, 3))


@pytest.fixture
def folder(tmp_path):
    return StageFolder(tmp_path)


def drawn(measure=MAE):
    return image_answers(measure, score_all({"m": measure}, OUTPUTS, TARGETS), OUTPUTS, TARGETS)


def test_nothing_is_kept_of_what_cannot_be_told(folder):
    folder.save_answers(ImageAnswers())
    assert list(folder.path.iterdir()) == []
    found = folder.answers(MAE, 40)
    assert found.counted is found.draws is found.parts is None


def test_right_answers_come_back_also_those_of_earlier_versions(folder):
    right = np.array([True, False, True])
    np.save(folder.path / "right.npy", right)  # all that earlier versions kept
    assert np.array_equal(folder.answers(Measure(top1_accuracy), 3).counted, right)
    folder.save_answers(ImageAnswers(~right))
    assert np.array_equal(folder.answers(Measure(top1_accuracy), 3).counted, ~right)


@pytest.mark.parametrize(
    "measure", [MAE, Measure(MAE.compute, higher_is_better=False)], ids=["parts", "called"]
)
def test_draws_come_back_with_the_parts_they_were_made_of(folder, measure):
    kept = drawn(measure)
    folder.save_answers(kept)
    found = folder.answers(measure, 40)
    assert np.array_equal(found.draws, kept.draws)
    assert (found.parts is None) == (kept.parts is None) == (measure.parts is None)
    if found.parts is not None:
        assert {name: part.tolist() for name, part in found.parts.items()} == {
            name: part.tolist() for name, part in kept.parts.items()
        }


def test_draws_of_another_seed_are_made_anew_from_the_parts_or_not_used(folder, monkeypatch):
    kept = drawn()
    monkeypatch.setattr("edgesqueeze.run.folders.stage_folder.SEED", bootstrap.SEED + 1)
    folder.save_answers(ImageAnswers(draws=np.zeros(bootstrap.RESAMPLES), parts=kept.parts))
    monkeypatch.undo()
    assert np.array_equal(folder.answers(MAE, 40).draws, kept.draws)
    folder.save_answers(ImageAnswers(draws=np.zeros(10)))
    assert folder.answers(MAE, 40).draws is None
