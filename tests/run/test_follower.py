"""A run of two processes: one directory, one voice, the numbers of one process."""

import json
import sys

import pytest
from together import Job, run_together

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
SEARCHING = [
    RECIPE["stages"][0],
    {"stage": "squeeze", "price": "auto", "max_drop": 50, "epochs": 1, "batch_size": 40},
]
REFUSED = {
    "stages.prune.sparsity={nothing: 0.5}": "error: prune.sparsity: 'nothing' names no layer",
    "device=mps": "error: device is mps, which torch does not find here; there is cpu, or auto",
}


def compress(_, *options):
    """What each process does."""
    sys.argv = ["edgesqueeze", "compress", *options]
    main()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run, the same resumed, and one refusal after the other: exit codes and folders."""
    top = tmp_path_factory.mktemp("together")
    (top / "two.yaml").write_text(json.dumps(RECIPE))
    recipe = ("--recipe", str(top / "two.yaml"), "--output")
    searching = json.dumps(RECIPE | {"stages": SEARCHING, "exports": [{"export": "squeezed"}]})
    (top / "auto.yaml").write_text(searching)
    auto = ("--recipe", str(top / "auto.yaml"), "--output", str(top / "auto" / "out"))
    options = {
        "new": (*recipe, str(top / "new" / "out")),
        "resumed": ("--resume", str(top / "new" / "out")),
        "auto": auto,
    }
    for number, change in enumerate(REFUSED):
        options[change] = (*recipe, str(top / f"refused_{number}" / "out"), "--set", change)
    folders = [
        top / "new",
        top / "resumed",
        top / "auto",
        *(top / f"refused_{n}" for n in range(len(REFUSED))),
    ]
    for folder in folders:
        folder.mkdir()
    jobs = [Job("compress", given, folder) for given, folder in zip(options.values(), folders, strict=True)]
    return dict(zip(options, zip(run_together(__file__, jobs), folders, strict=True), strict=True))


@pytest.mark.slow
def test_the_first_process_writes_and_tells_and_the_others_train_along(runs):
    codes, folder = runs["new"]
    told = (folder / "0.txt").read_text()
    assert codes == [0, 0], told
    assert (folder / "1.txt").read_text() == ""
    assert "train: epoch 2/2 loss" in told
    report = read_report(folder / "out")
    assert report.environment["training"] == {"device": "cpu", "precision": "32", "processes": 2}
    notes = {row.label: row.notes for row in report.rows}
    note = "trained on cpu in precision 32 by 2 processes"
    assert (notes["train"], notes["prune"], notes["share"]) == ((note,), (), (note,))


@pytest.mark.slow
def test_of_a_finished_run_nothing_is_trained_again_and_both_come_to_their_end(runs):
    codes, folder = runs["resumed"]
    told = (folder / "0.txt").read_text()
    assert codes == [0, 0], told
    assert "share: finished earlier" in told


@pytest.mark.slow
def test_a_price_is_looked_for_by_both(runs):
    codes, folder = runs["auto"]
    told = (folder / "0.txt").read_text()
    assert codes == [0, 0], told
    assert "is the highest of 8 tried" in " ".join(told.split())
    assert (folder / "1.txt").read_text() == ""


@pytest.mark.slow
@pytest.mark.parametrize("change", REFUSED)
def test_what_is_refused_ends_all_and_writes_nothing(change, runs):
    codes, folder = runs[change]
    assert codes == [2, 2]
    assert REFUSED[change] in (folder / "0.txt").read_text()
    assert not (folder / "out").exists()
