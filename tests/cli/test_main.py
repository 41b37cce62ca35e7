"""The command line as a person meets it: what it prints, and how it says no."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import hostile
import numpy as np
import pytest
import tiny
import yaml
from safetensors.numpy import save
from typer.testing import CliRunner

from edgesqueeze.bundled import bundled_recipes
from edgesqueeze.cli.main import app, main
from edgesqueeze.run.recipe import parse_recipe
from edgesqueeze.run.rundir import new_run

SMALL = """
version: 1
name: small
task: tiny:build_task
stages:
  - {stage: train, epochs: 1}
  - {stage: prune, sparsity: 0.5}
exports:
  - {export: squeezed}
  - {export: onnx}
references: []
"""
OWN = {"model": "os:system", "model_args": {"command": "touch owned"}, "data": "mnist_sample"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "small.yaml").write_text(SMALL)
    (tmp_path / "tiny.py").write_text(Path(tiny.__file__).read_text())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(arguments, capsys, monkeypatch):
    """Run the command in this process; it must print one line and leave with code 2."""
    monkeypatch.setattr(sys, "argv", ["edgesqueeze", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    return line


@pytest.mark.slow
def test_compress_prints_the_table_and_report_prints_it_again(folder):
    done = CliRunner().invoke(app, ["compress", "--recipe", "small.yaml", "--output", "out"])
    assert done.exit_code == 0, done.output
    assert "train: epoch 1/1 loss" in done.stderr
    assert "\x1b" not in done.stderr  # no terminal, no bars
    for word in ("accuracy", "train", "prune (simulated)", "model.sqz", "model.onnx", "out/report.md"):
        assert word in done.stdout
    again = CliRunner().invoke(app, ["report", "out"])
    assert again.stdout.strip() in done.stdout
    assert (folder / "out" / "artifacts" / "model.sqz").exists()


@pytest.mark.slow
def test_strict_turns_fired_checks_into_a_refusal_and_keeps_the_files(folder, capsys, monkeypatch):
    trained = SMALL.replace("epochs: 1", "epochs: 4, learning_rate: 0.05")
    (folder / "ruined.yaml").write_text(trained.replace("sparsity: 0.5", "sparsity: 0.99"))
    arguments = ["edgesqueeze", "compress", "--recipe", "ruined.yaml", "--output", "out", "--strict"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    printed = capsys.readouterr()
    assert "- cannot tell enough images: 100 test images" in printed.out
    assert "- FAULT accuracy: " in printed.out
    line = printed.err.splitlines()[-1]
    assert line.startswith("error: 1 of 8 checks found a fault. accuracy: ")
    assert "enough images" not in line  # which cannot tell, and so is no fault
    assert {"model.sqz", "model.onnx"} == {p.name for p in (folder / "out" / "artifacts").iterdir()}
    data = json.loads((folder / "out" / "report.json").read_text())
    assert [c["name"] for c in data["checks"] if c["status"] == "fired"] == ["accuracy"]
    layers = CliRunner().invoke(app, ["report", "out", "--layers"]).output.splitlines()
    assert layers[0].split()[:3] == ["layer", "weights", "pruned"]
    assert layers[2].split()[:3] == ["stem.0", "72", "71"]


@pytest.mark.slow
def test_runs_are_named_after_the_recipe_by_default(folder):
    words = ["compress", "--recipe", "small.yaml", "--set", "stages=[]", "--set", "exports=[]"]
    assert CliRunner().invoke(app, words).exit_code == 0
    names = [p.name for p in (folder / "runs").iterdir()]
    assert len(names) == 1
    assert names[0].startswith("small-20")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["compress"], "give --recipe FILE or --resume DIR"),
        (
            ["compress", "--recipe", "nope"],
            "no recipe 'nope': give a YAML file, or one of alexnet_squeeze, autoencoder_deep, ",
        ),
        (["compress", "--recipe", "small.yaml", "--set", "seed"], "not of the form key.path=value"),
        (
            ["compress", "--recipe", "small.yaml", "--set", "stages.prune.sparsity=1.0"],
            "should be less than 1",
        ),
        (
            ["compress", "--recipe", "small.yaml", "--set", "stages.prune.sparsity={cnv: 0.5}"],
            "'cnv' names no layer",
        ),
        (["compress", "--recipe", "small.yaml", "--set", "task=tiny:nothing"], "has no 'nothing'"),
        (["compress", "--recipe", "small.yaml", "--set", f"task={json.dumps(OWN)}"], "standard library"),
        (
            ["compress", "--recipe", "small.yaml", "--set", "task=a question"],
            "give a mapping with model and data",
        ),
        (
            ["compress", "--recipe", "small.yaml", "--output", "small.yaml"],
            "is a file; --output takes a directory",
        ),
        (["compress", "--resume", "nowhere"], "holds no run to resume"),
        (["compress", "--resume", ".", "--recipe", "small.yaml"], "leave --recipe out"),
        (["compress", "--resume", ".", "--dry-run"], "--dry-run is about a new run; leave --resume out"),
        (
            ["compress", "--recipe", "small.yaml", "--output", ".", "--dry-run"],
            "is not empty and holds no run",
        ),
        (
            ["compress", "--recipe", "small.yaml", "--from", "prune"],
            "--from redoes a stage of an earlier run",
        ),
        (["report", "."], "holds no report.json"),
        (["decode", "small.yaml", "-o", "out"], "small.yaml"),
        (["decode", "nowhere.sqz", "-o", "out"], "cannot read nowhere.sqz"),
        (["inspect", "nowhere.sqz"], "there is no such file"),
        (["inspect", "small.yaml"], "found a .yaml file; .sqz, .onnx, .tflite and .safetensors are allowed"),
        (["bench", "no_such_model"], "no_such_model"),
        (["bench", "lenet5", "--suite", "small.yaml"], "give models or --suite, not both"),
        (["bench", "lenet5", "--threads", "9" * 5000], "--threads: found '999"),
        (["bench", "lenet5", "--against", "lenet5,lenet5"], "references names 'lenet5' 2 times"),
        (["bench", "lenet5", "--threads", "1,x"], "--threads: found 'x'; whole numbers"),
        (["bench", "lenet5", "--runtime", "tensorrt"], "runtimes[0]: found 'tensorrt'"),
        (["bench", "lenet5", "--compare", "a.json", "b.json"], "--compare reads two saved results"),
        (["bench", "--compare", "a.json", "b.json"], "a.json cannot be read"),
        (["bench", "--quick", "--read", "a.json"], "--read shows a saved result; it goes with"),
        (["bench", "--layers"], "--layers takes models and files; it goes with"),
        (["bench", "lenet5", "--layers", "--format", "csv"], "--layers takes models and files"),
        (["bench", "lenet5", "--layers", "--runtime", "torch"], "torch tells no times of layers"),
        (["bench", "--read", "a.json"], "a.json cannot be read"),
        (["bench", "lenet5", "--html", "page.txt"], "page.txt is not the name of a page"),
        (["bench", "lenet5", "--precision", "int4"], "precisions[0]: found 'int4'"),
        (["bench", "."], "is a directory without the files of a run"),
        (["bench", "--suite", "small.yaml"], "small.yaml: "),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(arguments, sentence, folder, capsys, monkeypatch):
    before = set(folder.rglob("*"))
    line = refused(arguments, capsys, monkeypatch)
    assert sentence in line
    written = set(folder.rglob("*")) - before
    assert not [p for p in written if "__pycache__" not in str(p)]


@pytest.mark.parametrize(
    "words", [["compress", "--resume", "run"], ["train", "--resume", "run"], ["verify", "run"]]
)
def test_a_recipe_does_not_call_what_is_no_model(words, folder, capsys, monkeypatch):
    recipe = parse_recipe({**yaml.safe_load(SMALL), "task": OWN}, "test")
    new_run(recipe, folder / "run")
    line = refused(words, capsys, monkeypatch)
    assert "'os:system': 'os' belongs to Python's standard library" in line
    assert not (folder / "owned").exists()


@pytest.mark.parametrize("command", ["compress", "train", "verify"])
def test_the_help_says_that_own_code_is_a_program(command):
    text = " ".join(CliRunner().invoke(app, [command, "--help"]).output.split())
    assert "own code is a program: " in text
    assert "only those you trust." in text


def test_a_dry_run_tells_and_writes_nothing(folder):
    before = {path.name for path in folder.iterdir()}
    done = CliRunner().invoke(app, ["compress", "--recipe", "small.yaml", "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "stage 1     train: 1 epoch of 2 steps; " in done.stdout
    assert {path.name for path in folder.iterdir()} - before <= {"__pycache__"}


SOME_CASES = 17
"""One in so many of those that bench/hostile_inputs.py runs."""


def test_hostile_input_is_refused_in_plain_words(folder, capsys, monkeypatch):
    cases = [*hostile.set_values(), *hostile.recipes([]), *hostile.option_values()]
    for case in cases[::SOME_CASES]:
        for name, content in case.files.items():
            (folder / name).write_bytes(content)
        monkeypatch.setattr(sys, "argv", ["edgesqueeze", *case.arguments])
        code = 0
        try:
            main()
        except SystemExit as left:
            code = left.code or 0
        answer = hostile.Answer(code, *capsys.readouterr())
        assert not answer.faults, (case.arguments, answer)
        shutil.rmtree(folder / "out", ignore_errors=True)


def test_names_in_a_file_cannot_move_the_cursor(tmp_path, capsys, monkeypatch):
    path = tmp_path / "\x1b[2J.safetensors"
    path.write_bytes(save({"\u202eevil\x1b[31m": np.zeros(3, np.float32)}))
    monkeypatch.setattr(sys, "argv", ["edgesqueeze", "inspect", str(path)])
    with pytest.raises(SystemExit):
        main()
    printed = capsys.readouterr().out
    assert "\\u202eevil\\x1b[31m" in printed
    assert "\\x1b[2J.safetensors" in printed
    assert printed.replace("\n", "").isprintable()


def test_an_error_of_the_file_system_that_names_a_path_is_one_line(capsys, monkeypatch):
    assert "File name too long" in refused(["report", "x" * 5000], capsys, monkeypatch)


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["edgesqueeze", "recipes"])
    monkeypatch.setattr("edgesqueeze.bundled.bundled_recipes", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main()


def test_decode_and_inspect(squeezed, tmp_path):
    done = CliRunner().invoke(app, ["decode", str(squeezed), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["model.onnx", "model.tflite"]
    done = CliRunner().invoke(app, ["decode", "--all", str(squeezed), "-o", str(tmp_path / "out")])
    assert len(done.output.splitlines()) == 2
    shown = CliRunner().invoke(app, ["inspect", str(squeezed)])
    assert f"{squeezed.stat().st_size:,} bytes" in shown.output
    assert "fc1.weight" in shown.output
    data = json.loads(CliRunner().invoke(app, ["inspect", "--json", str(squeezed)]).output)
    assert sum(block["num_bytes"] for block in data["blocks"]) == squeezed.stat().st_size
    for path in (tmp_path / "out").iterdir():
        shown = CliRunner().invoke(app, ["inspect", str(path)])
        assert "266,610 parameters" in shown.output
        assert (
            json.loads(CliRunner().invoke(app, ["inspect", "--json", str(path)]).output)["params"] == 266_610
        )


def test_decoders_to_carry_along(squeezed, tmp_path, capsys, monkeypatch):
    done = CliRunner().invoke(app, ["decode", "--bundle", str(tmp_path / "bundle")])
    assert done.exit_code == 0, done.output
    names = ["unsqueeze.c", "unsqueeze.h", "unsqueeze.pyz"]
    assert sorted(p.name for p in (tmp_path / "bundle").iterdir()) == names
    for arguments in ([squeezed], ["-o", tmp_path / "out"], [], [squeezed, "--bundle", tmp_path / "other"]):
        refused(["decode", *arguments], capsys, monkeypatch)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "other").exists()


def test_inspect_a_state_file(lenet_task, tmp_path):
    from edgesqueeze.compression.weights.weights import serialize_model

    path = tmp_path / "m.safetensors"
    path.write_bytes(serialize_model(lenet_task.build_model()))
    shown = CliRunner().invoke(app, ["inspect", str(path)])
    assert "conv1.weight" in shown.output
    assert f"{path.stat().st_size:,} bytes" in shown.output


@pytest.mark.parametrize("change", ["cut", "flip", "empty"])
def test_a_damaged_sqz_is_refused_and_nothing_is_written(change, squeezed, tmp_path, capsys, monkeypatch):
    data = bytearray(squeezed.read_bytes())
    if change == "flip":
        data[len(data) // 2] ^= 4
    damaged = tmp_path / "damaged.sqz"
    damaged.write_bytes({"cut": data[:-7], "flip": data, "empty": b""}[change])
    refused(["decode", damaged, "-o", tmp_path / "out"], capsys, monkeypatch)
    assert not list((tmp_path / "out").glob("*"))
    refused(["inspect", damaged], capsys, monkeypatch)


def test_recipes_lists_every_bundled_recipe():
    shown = CliRunner().invoke(app, ["recipes"]).output
    for name in bundled_recipes():
        assert f"{name} " in shown


def test_doctor_tells_versions_runtimes_and_data():
    shown = CliRunner().invoke(app, ["doctor"]).output
    for word in ("onnxruntime", "ai-edge-litert", "cpu features", "data mnist_sample", "loads"):
        assert word in shown


def test_version():
    from edgesqueeze import __version__

    assert CliRunner().invoke(app, ["--version"]).output.strip() == f"edgesqueeze {__version__}"


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from edgesqueeze.cli.main import app\n"
        "from typer.testing import CliRunner\n"
        "assert 'compress' in CliRunner().invoke(app, ['--help']).output\n"
        "heavy = {'torch', 'onnx', 'onnxruntime', 'ai_edge_litert', 'pydantic', 'numpy', 'tensorflow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_no_half_file(folder):
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "from edgesqueeze.cli.main import main\n"
        "sys.argv = ['edgesqueeze', 'compress', '--recipe', 'small.yaml', '--output', 'out']\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2, done.stderr
    assert "error: cannot write" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list((folder / "out").rglob("*.part"))
    assert not list((folder / "out").rglob("*.sqz"))
