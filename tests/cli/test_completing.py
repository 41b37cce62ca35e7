"""What the shell is told: its script, and what stands behind a tab."""

import os
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from edgesqueeze.bundled import bundled_recipes
from edgesqueeze.cli.main import app

WORDS = "edgesqueeze compress --recipe"


def asked(instruction, **environment):
    done = CliRunner().invoke(
        app, [], env={"_EDGESQUEEZE_COMPLETE": instruction, **environment}, prog_name="edgesqueeze"
    )
    assert done.exit_code == 0, done.output
    return done.stdout


def completed(line):
    words = line.split(" ")
    return asked("complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1)).split()


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "complete -o default -F _edgesqueeze_completion edgesqueeze"),
        ("zsh", "compdef _edgesqueeze_completion edgesqueeze"),
        ("fish", "complete --command edgesqueeze "),
    ],
)
def test_every_shell_has_its_script(shell, line):
    assert any(found.startswith(line) for found in asked(f"source_{shell}").splitlines())


def test_commands_recipes_and_keys():
    assert completed("edgesqueeze comp") == ["compress"]
    squeezed = [name for name in bundled_recipes() if name.startswith("squeezenet")]
    assert completed(f"{WORDS} squeezenet") == squeezed
    assert "--dry-run" in completed("edgesqueeze compress --d")
    keys = completed(f"{WORDS} deep_compression --set stages.prune.")
    assert {"stages.prune.epochs=", "stages.prune.sparsity.conv1="} <= set(keys)
    assert "stages.prune.stage=" not in keys
    assert completed(f"{WORDS} no_such_recipe --set stages.") == []


def test_stages_of_one_kind_are_named_by_their_place(tmp_path):
    path = tmp_path / "mine.yaml"
    stages = "[{stage: train, epochs: 1}, {stage: train, epochs: 2}, {stage: ptq, keep_float: [a]}]"
    path.write_text(f"name: mine\nstages: {stages}\n")
    assert completed(f"{WORDS} {path} --set s") == [
        "stages.0.epochs=",
        "stages.1.epochs=",
        "stages.ptq.keep_float=",
    ]
    path.write_text("[")
    assert completed(f"{WORDS} {path} --set s") == []


def test_bash_completes_a_line_with_the_script(tmp_path):
    program = tmp_path / "edgesqueeze"
    code = "import sys; sys.argv[0] = 'edgesqueeze'; from edgesqueeze.cli.process import run; run()"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{code}" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "script").write_text(asked("source_bash"))
    line = (
        "source ./script; COMP_WORDS=(edgesqueeze rep); COMP_CWORD=1; "
        "_edgesqueeze_completion edgesqueeze; echo ${COMPREPLY[@]}"
    )
    path = {
        "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=tmp_path,
        env={**os.environ, **path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "report\n"
