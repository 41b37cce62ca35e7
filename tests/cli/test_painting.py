"""What a training looks like where there is no terminal, and on one."""

import io
from dataclasses import replace

from rich.console import Console
from rich.progress import Progress

from edgesqueeze.cli.painting import BarPainter, LinePainter
from edgesqueeze.progress import Course

RESUMED = Course("train", 10, 4, trained=8, metric="validation mse", percent=False)


def test_lines_name_the_metric_in_its_unit_and_where_a_training_goes_on(capsys):
    lines = LinePainter()
    lines.begin(Course("train", 2, 4))
    lines.epoch(1, 0.5, 0.925)
    lines.begin(RESUMED)
    lines.epoch(9, 0.25, 0.0125)
    lines.begin(replace(RESUMED, begun=3))
    lines.epoch(9, 0.25, None)
    first, second, third, fourth, fifth = capsys.readouterr().err.splitlines()
    assert first.startswith("train: epoch 1/2 loss 0.5000 metric 92.50 % left ")
    assert second == "train: goes on behind epoch 8/10"
    assert third.startswith("train: epoch 9/10 loss 0.2500 validation mse 0.0125 left ")
    assert fourth == "train: goes on behind batch 3/4 of epoch 9/10"
    assert fifth.startswith("train: epoch 9/10 loss 0.2500 left ")


def test_a_bar_goes_on_where_it_was():
    with Progress(console=Console(file=io.StringIO())) as bars:
        painter = BarPainter(bars)
        painter.begin(RESUMED)
        assert (bars.tasks[0].completed, bars.tasks[0].total) == (32, 40)
        painter.step(0.5)
        assert bars.tasks[0].fields["facts"] == "epoch 9/10 loss 0.5000"
        painter.epoch(9, 0.25, 0.0125)
        painter.step(0.5)
        assert bars.tasks[0].fields["facts"] == "epoch 10/10 loss 0.5000 validation mse 0.0125"
        assert bars.tasks[0].completed == 34
        painter.epoch(10, 0.5, None)
        assert bars.tasks[0].fields["facts"] == "epoch 10/10 loss 0.5000"
        painter.begin(replace(RESUMED, begun=3))
        assert bars.tasks[1].completed == 35
