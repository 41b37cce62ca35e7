"""The decoders that are carried along give the exported files, without edgesqueeze and with numpy alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sqz_networks import small, spec_for

from edgesqueeze.coding.decoder.bundle import archive, write_bundle
from edgesqueeze.formats.sqz.file import MODEL_FILES, Coding, emit_model_file, emit_sqz

NETWORK = small()  # the decoder is not compiled there: 10 µs a coded byte
SPEC = spec_for(NETWORK)
FILES = {name: emit_model_file(name, NETWORK, SPEC) for name in MODEL_FILES}


@pytest.fixture
def numpy_only(tmp_path):
    """A folder that holds numpy and nothing else."""
    folder = tmp_path / "site"
    folder.mkdir()
    home = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs"):
        if (home / name).exists():
            (folder / name).symlink_to(home / name)
    return folder


def run(folder, *arguments):
    """Python without site-packages but for that folder."""
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-S", *map(str, arguments)]
    return subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)


def test_the_archive_decodes_with_numpy_alone(tmp_path, numpy_only):
    write_bundle(tmp_path / "bundle")
    path = tmp_path / "model.sqz"
    path.write_bytes(emit_sqz(NETWORK, SPEC, FILES))
    assert run(numpy_only, "-c", "import pydantic").returncode != 0
    done = run(numpy_only, tmp_path / "bundle" / "unsqueeze.pyz", path, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == FILES
    assert sorted(p.name for p in (tmp_path / "bundle").iterdir()) == [
        "unsqueeze.c",
        "unsqueeze.h",
        "unsqueeze.pyz",
    ]


def test_the_archive_decodes_huffman_coded_files(tmp_path, numpy_only):
    (tmp_path / "unsqueeze.pyz").write_bytes(archive())
    path = tmp_path / "model.sqz"
    path.write_bytes(emit_sqz(NETWORK, SPEC, FILES, Coding("huffman")))
    done = run(numpy_only, tmp_path / "unsqueeze.pyz", path, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == FILES


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (b"no", ["model.sqz", "out"], "error: not a .sqz file"),
        (None, ["model.sqz", "out"], "error: cannot read model.sqz: No such file"),
        (emit_sqz(NETWORK, None), ["model.sqz", "out"], "has no templates of model files; decode it with"),
        (b"no", ["model.sqz"], "usage: unsqueeze FILE.sqz DIRECTORY"),
    ],
)
def test_what_goes_wrong_is_one_line(content, arguments, message, numpy_only):
    (numpy_only / "unsqueeze.pyz").write_bytes(archive())
    if content is not None:
        (numpy_only / "model.sqz").write_bytes(content)
    done = run(numpy_only, "unsqueeze.pyz", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (numpy_only / "out").exists()


def test_files_of_others_are_left_alone(tmp_path, numpy_only):
    (numpy_only / "unsqueeze.pyz").write_bytes(archive())
    (numpy_only / "model.sqz").write_bytes(emit_sqz(NETWORK, SPEC, FILES))
    (numpy_only / "out").mkdir()
    (numpy_only / "out" / "model.tflite").write_bytes(b"mine")
    done = run(numpy_only, "unsqueeze.pyz", "model.sqz", "out")
    assert done.returncode == 2
    assert "model.tflite exists with other content" in done.stderr
    assert [p.name for p in (numpy_only / "out").iterdir()] == ["model.tflite"]


def test_the_same_modules_give_the_same_archive():
    assert archive() == archive()
