"""What is said of recipes is what they give: the check on this repository, and what it says of planted faults."""

import json
import re
import shutil
import sys

import pytest

from bench import seeds
from bench.commands import commands_in, missing_files
from bench.known_departures import KNOWN
from bench.recipe_headers import block_of, read_header, with_block
from bench.reproduction import ROOT, parted
from edgesqueeze.errors import RecipeError
from edgesqueeze.pipeline import compress
from edgesqueeze.run.recipe import load_recipe
from edgesqueeze.run.rundir import new_run
from edgesqueeze.task.loading import load_task

RECIPE = """# A small network on rows, pruned.
version: 1
name: rows
task: small_task:small_task
stages:
  - {stage: train, epochs: 2, batch_size: 16}
  - {stage: prune, sparsity: 0.5}
exports:
  - {export: onnx}
references: []
"""
RESULT = "bench/results/rows/noise"
COMMAND = "python -m bench.seeds recipes/rows.yaml --seeds 0 1 --output bench/results/rows/noise"


def test_headers_readme_and_results_of_this_repository_are_one():
    assert [f"{found.where}: {found.what}" for found in parted(ROOT)] == []


def test_what_is_known_to_depart_is_named_in_the_documents():
    page = (ROOT / "bench" / "README.md").read_text()
    assert {kind for _, kind in KNOWN} == {"checkpoint", "remark"}
    for where, _ in KNOWN:
        name = (
            where.removeprefix("recipes/").removesuffix(".yaml").removeprefix("bench/results/").split("/")[0]
        )
        assert f"`{name}`" in page or f"`{name}/" in page, name


def call(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", [seeds.__file__, *words])
    with pytest.raises(SystemExit) as ended:
        seeds.main()
    return ended.value.code


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A recipe, its result of two seeds by ``bench.seeds``, and a README; and the exit codes of two calls.

    The run of seed 0 has finished, that of seed 1 has been stopped: a process of its own goes on with it.
    """
    root = tmp_path_factory.mktemp("repository")
    (root / "recipes").mkdir()
    (root / "recipes" / "rows.yaml").write_text(RECIPE)
    work = root / "runs" / "seeds" / "rows" / "noise"
    recipe = load_recipe(str(root / "recipes" / "rows.yaml"))
    compress(recipe, load_task(recipe.task, 0), new_run(recipe, work / "seed0"))
    new_run(recipe.model_copy(update={"seed": 1}), work / "seed1")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        codes = [call(patch, *COMMAND.split()[3:], "--header", way) for way in ("check", "write")]
        codes.append(call(patch, *COMMAND.split()[3:]))
    best = json.loads((root / f"{RESULT}_seed0" / "report.json").read_text())["rows"][0]
    (root / "README.md").write_text(
        f"It takes {best['num_bytes']:,} bytes, {100 * best['metrics']['accuracy']:.2f} %.\n"
    )
    return root, codes


@pytest.mark.slow
def test_a_recipe_is_run_with_each_seed_and_its_header_written(repository):
    root, codes = repository
    assert codes == [1, 0, 0]
    text = (root / "recipes" / "rows.yaml").read_text()
    header = read_header(text)
    assert header.commands == (COMMAND,)
    assert (
        header.blocks[0].lines[0]
        == f"# measured on noise ({RESULT}), seeds 0, 1, median (lowest to highest):"
    )
    reports = [json.loads((root / f"{RESULT}_seed{seed}" / "report.json").read_text()) for seed in (0, 1)]
    assert [report["recipe"]["seed"] for report in reports] == [0, 1]
    metrics = sorted(report["rows"][1]["metrics"]["accuracy"] for report in reports)
    pruned = next(line for line in header.blocks[0].lines if "prune" in line)
    said = f"{50 * sum(metrics):.2f} % ({100 * metrics[0]:.2f} to {100 * metrics[1]:.2f})"
    assert metrics[0] == metrics[1] or said in pruned
    assert (
        "edgesqueeze compress --recipe recipes/rows.yaml --set seed=1"
        in (root / f"{RESULT}_seed1/command.txt").read_text()
    )
    assert text.endswith(RECIPE.partition("\n")[2])
    assert parted(root, {}) == []


def edit(name, old, new):
    def change(root):
        text = (root / name).read_text()
        assert re.search(old, text), (name, old)
        (root / name).write_text(re.sub(old, new, text, count=1))

    return change


def gone(name):
    return lambda root: shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()


HEADER, SEED = "recipes/rows.yaml", f"{RESULT}_seed1"
FAULTS = {
    "a figure": (
        edit(HEADER, r" bytes 1\.00×", " bytes 2.00×"),
        HEADER,
        "says what bench/results/rows/noise has not",
    ),
    "a row": (edit(HEADER, r"#   prune.*\n", ""), HEADER, f"does not say of {RESULT}: #   prune"),
    "a block": (edit(HEADER, r"# measured(.|\n)*(?=version)", ""), HEADER, f"does not say what {RESULT} has"),
    "a block of another result": (
        edit(HEADER, "rows/noise\\)", "other/noise)"),
        HEADER,
        "which is not of this recipe",
    ),
    "a block of no result": (edit(HEADER, "rows/noise\\)", "rows/nothing)"), HEADER, "which cannot be read"),
    "a block without its result": (
        edit(HEADER, r" \(bench[^)]*\)", ""),
        HEADER,
        "a line that no result stands behind",
    ),
    "a remark": (
        edit(HEADER, "version: 1", "# With luck 120×.\nversion: 1"),
        HEADER,
        "a line that no result stands",
    ),
    "a description": (edit(HEADER, "pruned", "pruned to 12.5×"), HEADER, "a figure without the result"),
    "the command": (edit(HEADER, "# python.*\n", ""), HEADER, "figures without the command that gives them"),
    "another recipe": (
        edit(HEADER, "sparsity: 0.5", "sparsity: 0.6"),
        SEED,
        "was made with stages[1].sparsity 0.5;",
    ),
    "a table": (
        edit(f"{SEED}/report.md", "accuracy", "precision"),
        SEED,
        "is not the table of its report.json",
    ),
    "a report": (
        edit(f"{SEED}/report.json", '"rows": ', '"lines": '),
        SEED,
        "is not a report of this version",
    ),
    "no report": (gone(f"{SEED}/report.json"), SEED, "has no report.json"),
    "no command file": (gone(f"{SEED}/command.txt"), SEED, "has no command.txt"),
    "no command": (
        edit(f"{SEED}/command.txt", "edgesqueeze compress", "see"),
        SEED,
        "its command.txt has no command",
    ),
    "another command": (
        edit(f"{SEED}/command.txt", "rows.yaml", "x.yaml"),
        SEED,
        "does not run the recipe rows",
    ),
    "a seed of another command": (
        edit(f"{SEED}/command.txt", "seed=1", "seed=4"),
        SEED,
        "was made with seed 1;",
    ),
    "a checkpoint": (
        edit(f"{SEED}/command.txt", "--set", "--set task.checkpoint=best.safetensors --set"),
        SEED,
        "takes best.safetensors: not in this repository, nor made by its commands",
    ),
    "a seed that is gone": (gone(SEED), RESULT, "names seed 1, and there is no noise_seed1"),
    "a seed that is not told": (
        lambda root: shutil.copytree(root / SEED, root / f"{RESULT}_seed2"),
        RESULT,
        "is of seeds [0, 1], beside it are [0, 1, 2]",
    ),
    "a summary": (
        edit(f"{RESULT}/report.json", "#   prune", "#   plums"),
        RESULT,
        "its rows are not those of its",
    ),
    "README": (
        edit("README.md", "It takes", "At 99.99×, it takes"),
        "README.md",
        "says 99.99×, which no committed",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(fault, repository, tmp_path):
    root = shutil.copytree(repository[0], tmp_path / "root", ignore=shutil.ignore_patterns("runs"))
    change, where, sentence = FAULTS[fault]
    change(root)
    found = {(complaint.where, complaint.what) for complaint in parted(root, {})}
    assert any(place == where and sentence in what for place, what in found), found


@pytest.mark.slow
def test_the_list_of_what_is_known_can_only_shrink(repository, tmp_path):
    root = shutil.copytree(repository[0], tmp_path / "root", ignore=shutil.ignore_patterns("runs"))
    known = {(HEADER, "remark"): "says so"}
    assert [found.what for found in parted(root, known)] == [
        "nothing is wrong any more with its remark; take it out of KNOWN"
    ]
    FAULTS["a remark"][0](root)
    assert parted(root, known) == []
    FAULTS["a row"][0](root)
    assert [found.kind for found in parted(root, known)] == ["header"]


def test_what_an_earlier_command_makes_is_there():
    train = "edgesqueeze train --recipe x --output trained\n"
    run = "edgesqueeze compress --recipe x --set a=1 --set task.checkpoint=trained/model.safetensors"
    assert missing_files(commands_in(train + run), ROOT) == []
    assert missing_files(commands_in(run), ROOT) == ["trained/model.safetensors"]
    peers = "python -m bench.rate_accuracy --recipe lenet5_squeeze --run 'a b=runs/x' c=runs/y --output runs"
    assert missing_files(commands_in(peers), ROOT) == []
    assert missing_files(commands_in(peers.replace("--output runs", "")), ROOT) == ["runs/x", "runs/y"]
    assert missing_files(commands_in("python -m bench.coder_table A=/etc/hostname B=README.md"), ROOT) == [
        "/etc/hostname"
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["lenet5_squeeze", "--set", "task.checkpoint=a.safetensors"],
            "begins from a checkpoint; what is said of",
        ),
        (["lenet5_squeeze", "--set", "seed=4"], "the seeds are given by --seeds; leave --set seed out"),
    ],
)
def test_what_is_not_from_nothing_is_refused(words, sentence, monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", [seeds.__file__, *words, "--output", str(tmp_path / "x")])
    with pytest.raises(RecipeError, match=sentence):
        seeds.main()
    assert not (tmp_path / "x").exists()


def test_a_new_block_takes_the_place_of_the_old_one_and_of_what_was_said_of_it():
    text = (
        "# LeNet-5 as small as it gets.\n"
        "# edgesqueeze compress --recipe lenet5_squeeze\n"
        "# What follows began from a checkpoint that is not in this repository.\n"
        "# measured on fashion_mnist (bench/results/lenet5_squeeze/fashion_mnist):\n"
        "#   model.sqz          91.99 %  -0.26  14,060 bytes 122.68×\n"
        "version: 1\nname: lenet5_squeeze\n"
    )
    assert read_header(text).remarks != ()
    block = block_of("bench/results/lenet5_squeeze/fashion_mnist", [], [0, 1, 2])
    written = with_block(text, block, "python -m bench.seeds lenet5_squeeze")
    header = read_header(written)
    assert header.remarks == ()
    assert [found.lines for found in header.blocks] == [tuple(block)]
    assert header.commands == (
        "edgesqueeze compress --recipe lenet5_squeeze",
        "python -m bench.seeds lenet5_squeeze",
    )
    assert written.partition("version: 1")[2] == text.partition("version: 1")[2]
    assert with_block(written, block, "python -m bench.seeds lenet5_squeeze") == written
