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
from edgesqueeze.devices.chosen import Chosen, choose, smallest
from edgesqueeze.devices.golden import GoldenModel
from edgesqueeze.devices.native.interpreter import sources
from edgesqueeze.devices.signing import Signer
from edgesqueeze.devices.targets import Target
from edgesqueeze.errors import OutputError
from edgesqueeze.files import write_atomically
from edgesqueeze.formats.names import FileFormat
from edgesqueeze.formats.sqz.file import template_names
from edgesqueeze.numerics import boxes

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
        target: whom it is for; ``micro.arrays`` writes for microcontrollers.
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
    chosen = choose(run, names, smallest)
    entries = _entries(chosen, target)
    if signer is not None:
        entries["manifest.sig"] = f"{signer.signature(entries['manifest.json'])}\n".encode()
    content = archive_of(entries)
    write_atomically(output, content)
    sizes = {name: len(data) for name, data in entries.items()}
    digest = hashlib.sha256(content).hexdigest()
    return Bundle(output, digest, sizes, None if signer is None else signer.public_key)


def _entries(chosen: Chosen, target: Target) -> dict[str, bytes]:
    """Name to content, the manifest last."""
    models, task, report = chosen.models, chosen.task, chosen.report
    squeezed = next((path for path in chosen.paths if FileFormat.known(path) is FileFormat.SQZ), None)
    entries: dict[str, bytes] = {}
    for model in models:
        if squeezed is None:
            entries[model.path.name] = model.path.read_bytes()
        entries |= {name: npz_of(arrays) for name, arrays in model.arrays().items()}
    if squeezed is not None:
        _check_templates(squeezed, chosen.models)
        entries[squeezed.name] = squeezed.read_bytes()
        entries["unsqueeze.pyz"] = decoder_archive()
    entries["labels.txt"] = "".join(f"{name}\n" for name in task.classes).encode()
    if target is not Target.ANDROID:
        entries |= programs_of(models)
    elif any(model.bound == "exact" for model in models):
        entries |= {f"c/{name}": content for name, content in sources().items()}
    entries["README.md"] = card_of(models, task, report, target).encode()
    manifest = manifest_of(chosen, target, entries)
    if squeezed is not None:
        manifest["decoded"] = {model.path.name: facts_of(model.path.read_bytes()) for model in models}
        manifest |= {"squeezed": squeezed.name, "decoder": "unsqueeze.pyz"}
    entries["manifest.json"] = json_of(manifest)
    return entries


def _check_templates(squeezed: Path, models: Sequence[GoldenModel]) -> None:
    """Refuse a .sqz file that does not give back every model that it travels for."""
    given_back = template_names(squeezed.read_bytes())
    missing = [model.path.name for model in models if model.path.name not in given_back]
    if missing:
        there = ", ".join(given_back) or "none"
        raise OutputError(f"{squeezed.name} has no template of {missing[0]}; of those it has: {there}")


def manifest_of(chosen: Chosen, target: Target, entries: Mapping[str, bytes]) -> dict[str, Any]:
    """What a device has to know of the models, and the SHA-256 of what lies beside them.

    Args:
        chosen: the models.
        target: whom they are for.
        entries: name to content of the other files.
    """
    task, report = chosen.task, chosen.report
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
        "models": [model.facts() for model in chosen.models],
        "measured": {
            model.path.name: {"test_examples": report.test_examples, **rows[model.path.name].metrics}
            for model in chosen.models
        },
        "files": {name: facts_of(data) for name, data in sorted(entries.items())},
        "recipe": report.recipe,
        "edgesqueeze": report.environment.get("versions", {}).get("edgesqueeze"),
    }


def json_of(manifest: Mapping[str, Any]) -> bytes:
    """A manifest as it is written."""
    return (json.dumps(manifest, indent=1, ensure_ascii=False) + "\n").encode()


def facts_of(content: bytes) -> dict[str, Any]:
    """Size and SHA-256, for the manifest."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def npz_of(arrays: Mapping[str, Any]) -> bytes:
    """Arrays as an .npz file whose bytes depend on them alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in arrays.items():
            part = io.BytesIO()
            np.lib.format.write_array(part, np.ascontiguousarray(array), allow_pickle=False)
            file.writestr(_info(f"{name}.npy"), part.getvalue())
    return buffer.getvalue()


def archive_of(entries: Mapping[str, bytes]) -> bytes:
    """A zip archive whose bytes depend on its entries, name to content, alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in sorted(entries):
            file.writestr(_info(name), entries[name])
    return buffer.getvalue()


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _TIME)
    info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
    return info


def programs_of(models: Sequence[GoldenModel]) -> dict[str, bytes]:
    """Name to content of the programs for machines with Python, and what they need."""
    programs = {name: (_RUNNER / name).read_bytes() for name in _PROGRAMS}
    return programs | {"boxes.py": _boxes_alone(), "requirements.txt": _requirements(models)}


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
