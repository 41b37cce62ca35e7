"""A run's files as one archive that a device can use: models, manifest, golden answers, runner, model card.

The same run gives the same bytes. What the runner answers is compared with what the run's own runtimes answer
before anything is written.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgesqueeze.coding.decoder.bundle import archive as decoder_archive
from edgesqueeze.devices.card import card_of
from edgesqueeze.devices.golden import GoldenModel, golden_models
from edgesqueeze.devices.signing import Signer
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import OutputError
from edgesqueeze.files import write_atomically
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.numerics import boxes
from edgesqueeze.run.report import Report
from edgesqueeze.run.rundir import RunDir, open_run, read_report
from edgesqueeze.task.loading import load_task
from edgesqueeze.task.task import Task

FORMAT = 1
_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip archive can say: the same run gives the same bytes."""
_PROGRAMS = ("edge.py", "images.py", "signature.py", "run.py", "selftest.py", "benchmark.py")
_RUNNER = Path(__file__).parent / "runner"


@dataclass(frozen=True)
class Bundle:
    """What was written: the archive, its SHA-256, and the sizes of what is in it."""

    path: Path
    sha256: str
    files: Mapping[str, int]
    public_key: str | None = None
    """Of whom signed it, 64 hexadecimal digits."""


def write_bundle(
    run: Path, target: Target, output: Path, names: Sequence[str] = (), key: Path | None = None
) -> Bundle:
    """Bundle files of a finished run.

    Args:
        run: its directory.
        target: whom it is for.
        output: the archive to write.
        names: files of its ``artifacts``; of none given the smallest TFLite file, or else ONNX file.
        key: a private Ed25519 key, PEM, to sign the manifest with.

    Raises:
        OutputError: the run is not finished or has no such file, the key cannot be used, or the archive
            cannot be written.
        ExportError: a file takes several inputs, or a number of images at once.
        ParityError: the runner answers otherwise than the run's runtimes.
    """
    signer = None if key is None else Signer(key)
    folder, recipe = open_run(run)
    report = read_report(run)
    task = load_task(recipe.task, recipe.seed)
    chosen = [folder.artifacts / name for name in names or [_smallest(folder)]]
    for path in chosen:
        if not path.is_file():
            there = ", ".join(sorted(p.name for p in folder.artifacts.glob("model*")))
            raise OutputError(f"{run} has no file {path.name}; it has {there}")
    runnable = [path for path in chosen if FileFormat.known(path) is not FileFormat.SQZ]
    models = golden_models(runnable, task, _with_floats(report))
    if not models:
        raise OutputError("a bundle needs a .tflite or .onnx file, a .sqz file can only come beside it")
    entries = _entries(models, chosen, task, report, target)
    if signer is not None:
        entries["manifest.sig"] = f"{signer.signature(entries['manifest.json'])}\n".encode()
    content = _archive(entries)
    write_atomically(output, content)
    sizes = {name: len(data) for name, data in entries.items()}
    digest = hashlib.sha256(content).hexdigest()
    return Bundle(output, digest, sizes, None if signer is None else signer.public_key)


def _smallest(folder: RunDir) -> str:
    files = [p for p in folder.artifacts.glob("model*") if FileFormat.known(p) not in (None, FileFormat.SQZ)]
    if not files:
        raise OutputError(f"{folder.path} has no .tflite or .onnx file")
    tflite = [path for path in files if FileFormat.known(path) is FileFormat.TFLITE]
    return min(tflite or files, key=lambda path: (path.stat().st_size, path.name)).name


def _with_floats(report: Report) -> set[str]:
    """The int8 files that the check "integer operators" found to compute something in float."""
    findings = [
        f.what for check in report.checks if check.name == "integer operators" for f in check.findings
    ]
    return {row.label for row in report.rows if any(f"{row.label} computes" in what for what in findings)}


def _entries(
    models: Sequence[GoldenModel], chosen: Sequence[Path], task: Task, report: Report, target: Target
) -> dict[str, bytes]:
    """Name to content, the manifest last."""
    squeezed = next((path for path in chosen if FileFormat.known(path) is FileFormat.SQZ), None)
    entries: dict[str, bytes] = {}
    for model in models:
        if squeezed is None:
            entries[model.path.name] = model.path.read_bytes()
        entries |= {name: _npz(arrays) for name, arrays in model.arrays().items()}
    if squeezed is not None:
        entries[squeezed.name] = squeezed.read_bytes()
        entries["unsqueeze.pyz"] = decoder_archive()
    entries["labels.txt"] = "".join(f"{name}\n" for name in task.classes).encode()
    if target is not Target.ANDROID:
        entries |= {name: (_RUNNER / name).read_bytes() for name in _PROGRAMS}
        entries["boxes.py"] = _boxes_alone()
        entries["requirements.txt"] = _requirements(models)
    entries["README.md"] = card_of(models, task, report, target).encode()
    manifest = _manifest(models, task, report, target)
    manifest["files"] = {name: _facts(data) for name, data in sorted(entries.items())}
    if squeezed is not None:
        manifest["decoded"] = {model.path.name: _facts(model.path.read_bytes()) for model in models}
        manifest |= {"squeezed": squeezed.name, "decoder": "unsqueeze.pyz"}
    entries["manifest.json"] = (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()
    return entries


def _manifest(models: Sequence[GoldenModel], task: Task, report: Report, target: Target) -> dict[str, Any]:
    normalization = task.normalization
    rows = {row.label: row for row in report.rows}
    return {
        "format": FORMAT,
        "name": report.recipe["name"],
        "target": target,
        "task": task.kind,
        "labels": list(task.classes),
        "input": {
            "shape": list(task.example_input.shape[1:]),
            "mean": None if normalization is None else list(normalization.mean),
            "std": None if normalization is None else list(normalization.std),
        },
        "decoding": None if task.decoding is None else vars(task.decoding),
        "models": [model.facts() for model in models],
        "measured": {
            model.path.name: {"test_examples": report.test_examples, **rows[model.path.name].metrics}
            for model in models
        },
        "recipe": report.recipe,
        "edgesqueeze": report.environment.get("versions", {}).get("edgesqueeze"),
    }


def _facts(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _npz(arrays: Mapping[str, Any]) -> bytes:
    """Arrays as an .npz file whose bytes depend on them alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(array), allow_pickle=False)
            file.writestr(_info(f"{name}.npy"), part.getvalue())
    return buffer.getvalue()


def _archive(entries: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in sorted(entries):
            file.writestr(_info(name), entries[name])
    return buffer.getvalue()


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _TIME)
    info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
    return info


def _boxes_alone() -> bytes:
    """The module that reads detectors' outputs, without this package."""
    source = Path(boxes.__file__).read_text(encoding="utf-8")
    ours = "from edgesqueeze.errors import TaskError\n"
    assert ours in source
    return source.replace(ours, "TaskError = ValueError\n").encode()


def _requirements(models: Sequence[GoldenModel]) -> bytes:
    """What a device installs: the runtimes in the versions that the golden answers come from."""
    runtimes = sorted({model.version.replace(" ", "==") for model in models})
    return "".join(f"{line}\n" for line in ["numpy", "pillow", *runtimes]).encode()
