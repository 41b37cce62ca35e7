"""Epochs as data."""

import pytest

from edgesqueeze.errors import OutputError
from edgesqueeze.run.documents.history import History
from edgesqueeze.task.training import Epoch

ONE = History("mse, all", "validation", (("01-train", Epoch(1, 0.5, 2.0, 0.1)),))


def test_json_and_csv_hold_every_number():
    both = ONE.followed_by(History("mse, all", "validation", (("02-train", Epoch(1, 1 / 3, 1.5, 1e-20)),)))
    assert History.from_json(both.to_json()) == both
    assert both.to_csv().splitlines() == [
        'stage,epoch,loss,"validation_mse, all",learning_rate',
        "01-train,1,0.5,2.0,0.1",
        "02-train,1,0.3333333333333333,1.5,1e-20",
    ]


def test_without_a_validation_split_there_is_no_column_for_a_metric():
    history = History("accuracy", None, (("01-train", Epoch(1, 0.5, None, 0.1)),))
    assert History.from_json(history.to_json()) == history
    assert history.to_csv().splitlines() == ["stage,epoch,loss,learning_rate", "01-train,1,0.5,0.1"]


@pytest.mark.parametrize("data", [[], {}, {"metric": "a", "split": "test", "epochs": [{"stage": "s"}]}])
def test_what_is_no_history_is_refused(data):
    with pytest.raises(OutputError, match="history.json is not a history of this version"):
        History.from_json(data)
