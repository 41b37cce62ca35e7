"""A run of two processes: one directory, one voice, the numbers of one process."""

import json
import sys

import lightning_fabric  # noqa: F401 (once for all processes that are forked here)
import pytest
from together import run_together

from edgesqueeze.cli.main import main
from edgesqueeze.run.rundir import read_report

RECIPE = {
    "version": 1,
    "name": "two",
    "task": "small_task:small_task",
    "stages": [
        {"stage": "train", "epochs": 2, "batch_size": 16},
        {"stage": "prune", "sparsity": 0.5},  # which trains nothing: the others wait
        {"stage": "share", "num_bits": 4, "epochs": 1, "batch_size": 16},
    ],
    "exports": [],
    "references": [],
}


def compress_with(*options):
    def work(rank):
        sys.argv = ["edgesqueeze", "compress", *map(str, options)]
        main()

    return work


def test_the_first_process_writes_and_tells_and_the_others_train_along(tmp_path):
    (tmp_path / "two.yaml").write_text(json.dumps(RECIPE))
    out = tmp_path / "out"
    work = compress_with("--recipe", tmp_path / "two.yaml", "--output", out)
    assert run_together(work, tmp_path) == [0, 0], (tmp_path / "0.txt").read_text()
    assert (tmp_path / "1.txt").read_text() == ""
    told = (tmp_path / "0.txt").read_text()
    assert "train: epoch 2/2 loss" in told
    report = read_report(out)
    assert report.environment["training"] == {"device": "cpu", "precision": "32", "processes": 2}
    notes = {row.label: row.notes for row in report.rows}
    note = "trained on cpu in precision 32 by 2 processes"
    assert (notes["train"], notes["prune"], notes["share"]) == ((note,), (), (note,))
    # Of a finished run nothing is trained again, and both come to their end.
    assert run_together(compress_with("--resume", out), tmp_path) == [0, 0]
    assert "share: finished earlier" in (tmp_path / "0.txt").read_text()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("stages.prune.sparsity={nothing: 0.5}", "error: prune.sparsity: 'nothing' names no layer"),
        ("device=mps", "error: device is mps, which torch does not find here; there is cpu, or auto"),
    ],
)
def test_what_is_refused_ends_all_and_writes_nothing(change, sentence, tmp_path):
    (tmp_path / "two.yaml").write_text(json.dumps(RECIPE))
    options = ("--recipe", tmp_path / "two.yaml", "--output", tmp_path / "out", "--set", change)
    assert run_together(compress_with(*options), tmp_path) == [2, 2]
    assert sentence in (tmp_path / "0.txt").read_text()
    assert not (tmp_path / "out").exists()
